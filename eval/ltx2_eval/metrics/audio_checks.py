"""Checks of the sound that need no network: loudness, peaks, clipping, silence, bandwidth, stereo, clicks, hum."""

from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from ltx2_eval.extractors.base import Extractor, NotApplicable
from ltx2_eval.metrics.base import Outcome, Subject, abstain
from ltx2_eval.metrics.envelopes import SILENCE
from ltx2_eval.metrics.loudness import BLOCK_S, MOST_CHANNELS, integrated_loudness, true_peak
from ltx2_eval.metrics.sound import FRAME_S, audio_statistics
from ltx2_reports.records import Scalar

Features = NDArray[np.float32] | None
Waveform = tuple[NDArray[np.float32], int]

_FULL_SCALE = 0.999
_LEAST_RUN = 3
_CLICK_GUARD_S = (0.0015, 0.01)
_LEAST_CLICK = 1e-3
_HUM_HARMONICS = 6


def loudness_lufs(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Integrated loudness after ITU-R BS.1770-4 in LUFS: K-weighted, blocks of 400 ms, gated at -70 and -10 LU."""
    del features, extractor
    found = _waveform(subject, BLOCK_S)
    if isinstance(found, Outcome):
        return found
    if len(found[0]) > MOST_CHANNELS:
        raise NotApplicable(f"{len(found[0])} audio channels; BS.1770 weighs at most {MOST_CHANNELS}")
    value = integrated_loudness(*found)
    return (
        abstain("no block of 400 ms is above -70 LUFS: the sound is silent") if value is None else Outcome(value=value)
    )


def true_peak_dbtp(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Peak between the samples in dB of full scale, after annex 2 of ITU-R BS.1770-4 (oversampled four times)."""
    del features, extractor
    found = _audible(subject)
    if isinstance(found, Outcome):
        return found
    return Outcome(value=20 * float(np.log10(true_peak(*found))))


def clipping_ratio(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Share of samples in runs of three or more of one sign at or above 0.999 of full scale."""
    del features, extractor
    found = _waveform(subject, 0.0)
    if isinstance(found, Outcome):
        return found
    audio, _ = found
    sides = np.where(np.abs(audio) >= _FULL_SCALE, np.sign(audio), 0.0)
    return Outcome(value=sum(_clipped(channel) for channel in sides) / audio.size)


def _clipped(sides: NDArray[np.float32]) -> int:
    """Samples in long enough runs of +1 or of -1."""
    borders = np.flatnonzero(np.diff(sides)) + 1
    runs = pairwise([0, *borders.tolist(), len(sides)])
    return sum(end - start for start, end in runs if sides[start] != 0 and end - start >= _LEAST_RUN)


def dc_offset(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Mean of the channel whose mean is farthest from 0, in shares of full scale."""
    del features, extractor
    found = _waveform(subject, 0.0)
    if isinstance(found, Outcome):
        return found
    means = found[0].mean(axis=1, dtype=np.float64)
    return Outcome(value=float(means[np.abs(means).argmax()]))


def silence_ratio(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Share of frames of 20 ms whose RMS around their mean is below -60 dBFS; a constant is silence."""
    del features, extractor
    found = _waveform(subject, FRAME_S)
    if isinstance(found, Outcome):
        return found
    silent = audio_statistics(*found).silent
    runs = [(is_silent, sum(1 for _ in run)) for is_silent, run in groupby(silent.tolist())]
    return Outcome(
        value=float(silent.mean()),
        details={
            "leading_s": FRAME_S * runs[0][1] if runs[0][0] else 0.0,
            "trailing_s": FRAME_S * runs[-1][1] if runs[-1][0] else 0.0,
            "longest_s": FRAME_S * max((length for is_silent, length in runs if is_silent), default=0),
        },
    )


def bandwidth_hz(
    subject: Subject, features: Features = None, extractor: Extractor | None = None, *, range_db: float = 60.0
) -> Outcome:
    """Highest frequency at which the mean spectrum is within 60 dB of its peak; a low one means upsampled sound."""
    del features, extractor
    found = _audible(subject)
    if isinstance(found, Outcome):
        return found
    statistics = audio_statistics(*found)
    if statistics.spectrum.max() < SILENCE**2 / found[1]:
        return abstain("the sound is a constant and has no spectrum")
    loud = np.flatnonzero(statistics.spectrum >= statistics.spectrum.max() * 10 ** (-range_db / 10))
    share = np.cumsum(statistics.spectrum) / statistics.spectrum.sum()
    rolloff = statistics.frequencies_hz[int(np.searchsorted(share, 0.99))]
    return Outcome(value=float(statistics.frequencies_hz[loud[-1]]), details={"rolloff_99_hz": float(rolloff)})


def spectral_flatness(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Mean over the frames that are not silent of geometric over arithmetic mean of the power spectrum.

    White noise gives about 0.56 (exp of minus Euler's constant), a tone less than 0.01.
    """
    del features, extractor
    found = _audible(subject)
    if isinstance(found, Outcome):
        return found
    statistics = audio_statistics(*found)
    if statistics.silent.all():
        return abstain("every frame of 20 ms is below -60 dBFS")
    return Outcome(value=float(statistics.flatness[~statistics.silent].mean()))


def stereo_correlation(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Correlation of left and right: 1 the same on both, 0 unrelated, -1 opposite phase.

    Raises:
        NotApplicable: no audio, or not two channels.
    """
    del features, extractor
    found = _audible(subject)
    if isinstance(found, Outcome):
        return found
    audio, _ = found
    if len(audio) != 2:
        raise NotApplicable(f"{len(audio)} audio channels; this metric compares two")
    left, right = audio.astype(np.float64) - audio.mean(axis=1, keepdims=True, dtype=np.float64)
    powers = float(left @ left), float(right @ right)
    if min(powers) < SILENCE**2 * len(left):
        return abstain("one of the two channels is silent", silent_channel=int(np.argmin(powers)))
    middle, side = left + right, left - right
    details: dict[str, Scalar] = {
        "side_ratio": float(side @ side / (side @ side + middle @ middle)),
        "balance_db": 10 * float(np.log10(powers[1] / powers[0])),
    }
    return Outcome(value=float(np.clip(left @ right / np.sqrt(powers[0] * powers[1]), -1, 1)), details=details)


def clicks_per_s(
    subject: Subject, features: Features = None, extractor: Extractor | None = None, *, mads: float = 12.0
) -> Outcome:
    """Lone jumps per second: the second difference exceeds 12 times its median size, but not shortly before or after.

    An attack of a sound rings on; a click, as at a bad splice, does not.
    """
    del features, extractor
    found = _audible(subject)
    if isinstance(found, Outcome):
        return found
    audio, rate_hz = found
    near, far = (max(1, round(seconds * rate_hz)) for seconds in _CLICK_GUARD_S)
    if audio.shape[1] < 2 * far + 3:
        return abstain(f"found {audio.shape[1]} samples, expected at least {2 * far + 3}")
    bend = np.abs(np.diff(audio.astype(np.float64), n=2, axis=1)).max(axis=0)
    limit = max(_LEAST_CLICK, mads * float(np.median(bend)))
    return Outcome(value=len(_lone_peaks(bend, limit, near, far)) / (audio.shape[1] / rate_hz))


def _lone_peaks(curve: NDArray[np.float64], limit: float, near: int, far: int) -> list[int]:
    """Places above the limit without a value of half the limit or of a quarter of theirs from `near` to `far` away."""
    padded = np.pad(curve, far)
    width = far - near + 1
    # Largest value in the ring on either side: a window of `width` whose middle lies (near + far) / 2 away.
    rings = maximum_filter1d(padded, width)
    middle = (near + far) // 2
    places = np.flatnonzero(curve >= limit)
    lone = [
        int(place)
        for place in places
        if max(rings[place + far - middle], rings[place + far + middle]) < min(limit, curve[place]) / 2
    ]
    return [place for number, place in enumerate(lone) if number == 0 or place - lone[number - 1] > near]


def hum_ratio(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Share of the power in lines at the first six multiples of 50 or of 60 Hz, above the level beside the lines.

    A constant is no sound and no part of the power.
    """
    del features, extractor
    found = _audible(subject, 1.0)
    if isinstance(found, Outcome):
        return found
    audio, rate_hz = found
    window = np.hanning(audio.shape[1])
    heard = audio.astype(np.float64) - audio.mean(axis=1, keepdims=True, dtype=np.float64)
    power = (np.abs(np.fft.rfft(heard * window)) ** 2).sum(axis=0)
    if not power.any():
        return abstain("the sound is a constant")
    resolution_hz = rate_hz / audio.shape[1]
    shares = {mains: _line_share(power, resolution_hz, mains) for mains in (50, 60)}
    mains = max(shares, key=lambda key: shares[key])
    return Outcome(value=shares[mains], details={"mains_hz": mains})


def _line_share(power: NDArray[np.float64], resolution_hz: float, mains_hz: int) -> float:
    inside = 0.0
    for harmonic in range(1, _HUM_HARMONICS + 1):
        centre = round(harmonic * mains_hz / resolution_hz)
        half = max(2, round(1.0 / resolution_hz))
        if centre + 4 * half >= len(power):
            break
        line = power[centre - half : centre + half + 1]
        beside = np.concatenate(
            [power[centre - 4 * half : centre - half], power[centre + half + 1 : centre + 4 * half]]
        )
        inside += max(0.0, float(line.sum()) - len(line) * float(beside.mean()))
    return min(1.0, inside / float(power.sum()))


def _waveform(subject: Subject, least_s: float) -> Waveform | Outcome:
    clip = subject.clip
    if clip.audio is None or clip.rate_hz is None:
        raise NotApplicable("the clip has no audio; this metric looks at the sound")
    least = max(1, round(least_s * clip.rate_hz))
    if clip.audio.shape[1] < least or not len(clip.audio):
        return abstain(f"found {clip.audio.shape[1]} samples at {clip.rate_hz} Hz, expected at least {least}")
    return clip.audio, clip.rate_hz


def _audible(subject: Subject, least_s: float = FRAME_S) -> Waveform | Outcome:
    found = _waveform(subject, least_s)
    if not isinstance(found, Outcome) and np.abs(found[0]).max() < SILENCE:
        return abstain(f"the sound is silent: its peak is below {20 * np.log10(SILENCE):.0f} dBFS")
    return found
