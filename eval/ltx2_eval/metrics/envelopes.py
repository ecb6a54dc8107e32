"""When something begins to sound and when something begins to move: onset strength, visual change, and their peaks."""

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d
from scipy.signal import find_peaks, get_window

from ltx2_eval.metrics.memo import per_array
from ltx2_eval.metrics.picture import video_statistics

HOP_S = 0.005
SILENCE = 1e-4
"""Peak amplitude below which a waveform counts as silent (-80 dBFS)."""

_RATE_HZ = 48_000
_HOP = 240
_WINDOW = 480
_BANDS = 40
_LOWEST_HZ, _HIGHEST_HZ = 40.0, 16_000.0
_DYNAMIC_DB, _FLOOR_DB = 70.0, -100.0
_LEAST_RISE_DB = 3.0
_LEAST_DISTANCE_S = 0.06
_LEAST_MOTION_DISTANCE_S = 0.15
_LEAST_CHANGE = 0.25
_MAD_TO_SIGMA = 1.4826


@per_array
def onset_strength(audio: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    """Spectral flux: how much louder, in dB, the frequency bands become from one 5 ms step to the next.

    The channels' powers are added, so that sound in opposite phase is not lost. Bands are 40 on the mel scale, from
    40 Hz to 16 kHz; a band's level is compared with the loudest of its neighbours a step before, and falls are not
    counted (after Böck and Widmer, "Maximum filter vibrato suppression for onset detection", DAFx 2013).

    Args:
        audio: (c, n) in -1..1.
        rate_hz: of `audio`; other rates than 48 kHz are resampled.

    Returns:
        (k,) dB, not negative; value i belongs to the time i * HOP_S after the first sample. All 0 for silence.
    """
    if audio.shape[1] == 0 or np.abs(audio).max() < SILENCE:
        return np.zeros(max(1, round(audio.shape[1] / rate_hz / HOP_S)))
    at_48k = audio if rate_hz == _RATE_HZ else _resampled(audio, rate_hz)
    level = 10 * np.log10(_band_powers(at_48k) + 1e-20)
    level = np.maximum(level, max(_FLOOR_DB, float(level.max()) - _DYNAMIC_DB))
    before = maximum_filter1d(level[:-1], size=3, axis=1)
    return np.concatenate([[0.0], np.maximum(level[1:] - before, 0.0).mean(axis=1)])


def _resampled(audio: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    return np.ascontiguousarray(soxr.resample(audio.T, rate_hz, _RATE_HZ, quality="HQ").T)


def _band_powers(audio: NDArray[np.float32]) -> NDArray[np.float64]:
    """(k, bands) power of windows centred on i * HOP_S."""
    padded = np.pad(audio, ((0, 0), (_WINDOW // 2, _WINDOW // 2)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW, axis=1)[:, ::_HOP]
    window = get_window("hann", _WINDOW).astype(np.float32)
    spectra = np.fft.rfft(windows * window, axis=2)
    power = (np.abs(spectra) ** 2).sum(axis=0) / float(window.sum()) ** 2
    return power @ _mel_weights().T


def _mel_weights() -> NDArray[np.float64]:
    """(bands, bins) triangles; bands narrower than a bin take the nearest bin."""
    lowest, highest = (2595 * float(np.log10(1 + hz / 700)) for hz in (_LOWEST_HZ, _HIGHEST_HZ))
    mel = np.linspace(lowest, highest, _BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    bins = np.fft.rfftfreq(_WINDOW, 1 / _RATE_HZ)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    weights = np.maximum(0.0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    empty = ~weights.any(axis=1)
    weights[empty, np.abs(bins - centre).argmin(axis=1)[empty]] = 1.0
    return weights


def visual_change(video: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How much each frame differs from the one before it.

    Args:
        video: (f, h, w, 3) RGB.

    Returns:
        (f - 1,) mean absolute luma difference, 0..255, of frames reduced to at most 128 pixels on the short side.
        Value i belongs to the time half-way between frames i and i + 1: an event is first visible on the frame that
        follows it, half a frame later on average.
    """
    return 255 * video_statistics(video).small_change


def change_times_s(frame_times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """(f - 1,) times that belong to `visual_change`."""
    return (frame_times_s[1:] + frame_times_s[:-1]) / 2


def sudden_rise(change: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the change exceeds that of the two steps before: steady motion gives 0, an impact or a flash a pulse."""
    before = np.concatenate([change[:1], change[:1], change])
    return np.maximum(0.0, change - np.maximum(before[1:-1], before[:-2]))


def pick_onsets(strength: NDArray[np.float64], mads: float = 6.0) -> NDArray[np.intp]:
    """Indices of the peaks of an onset strength that stand out: see `peaks_above`; at least 60 ms apart."""
    return peaks_above(strength, mads, _LEAST_RISE_DB, distance=round(_LEAST_DISTANCE_S / HOP_S))


def pick_changes(change: NDArray[np.float64], fps: float, mads: float = 3.0) -> NDArray[np.intp]:
    """Indices of the peaks of a visual change that stand out: see `peaks_above`; at least 150 ms apart, so that what
    an impact leaves behind (a flash that fades, a body that rebounds) is not counted again."""
    return peaks_above(change, mads, _LEAST_CHANGE, distance=max(1, round(_LEAST_MOTION_DISTANCE_S * fps)))


def peaks_above(curve: NDArray[np.float64], mads: float, least: float, distance: int) -> NDArray[np.intp]:
    """Indices of local maxima whose prominence is at least `least` and which reach median + mads * MAD.

    MAD is the median absolute deviation from the median, scaled to the standard deviation of normal noise. The curve's
    first and last values may be peaks: it is taken to be 0 outside.
    """
    if not len(curve):
        return np.zeros(0, np.intp)
    median = float(np.median(curve))
    spread = _MAD_TO_SIGMA * float(np.median(np.abs(curve - median)))
    height = median + max(least, mads * spread)
    bordered = np.concatenate([[0.0], curve, [0.0]])
    peaks, _ = find_peaks(bordered, height=height, prominence=max(least, mads * spread / 2), distance=distance)
    return peaks - 1
