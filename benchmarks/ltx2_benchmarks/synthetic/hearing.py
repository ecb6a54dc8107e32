"""What a program hears in a waveform: onsets, the class and side of each, and what sounds under everything."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ltx2_benchmarks.synthetic.sounding import HUM_HZ, TONE_HZ, beep_kernel, impact_kernel, voice_wave
from ltx2_benchmarks.synthetic.vocabulary import MATERIALS, SIZES, SOUNDS

Floats = NDArray[np.float64]

_WINDOW_S, _HOP_S = 0.0214, 0.004
_EDGES_HZ = np.geomspace(60.0, 11_500.0, 25)
_BEFORE_S, _SLICES_S = (0.05, 0.014), ((0.0, 0.03), (0.03, 0.08), (0.08, 0.16), (0.16, 0.3))
_LEAST_GAP_S, _SILENT_RMS, _THRESHOLD = 0.13, 6e-3, 0.33
_TEMPLATE_HZ = 24_000


class Onset(NamedTuple):
    """Something that begins to sound: when, which class of sound, and where from left (−1) to right (1)."""

    time_s: float
    sound: str
    x: float


class Heard(NamedTuple):
    """All that is measured in a waveform; ``ambient`` is what never stops: "none", "hum" or "tone"."""

    silent: bool
    onsets: tuple[Onset, ...]
    ambient: str


class _Bands(NamedTuple):
    """Power per channel, band and hop (c, b, t); ``hop_s`` apart, the first centred on time 0."""

    power: Floats
    hop_s: float

    def span(self, start_s: float, end_s: float) -> Floats:
        start = max(0, round(start_s / self.hop_s))
        return self.power[..., start : max(start + 1, round(end_s / self.hop_s))]


def hear(audio: NDArray[np.float32], rate_hz: int) -> Heard:
    """Measures a waveform (c, n) in −1..1; knows nothing of the scene that made it."""
    wave = np.asarray(audio, np.float64)
    if _loudest_rms(wave, rate_hz) < _SILENT_RMS:
        return Heard(True, (), "none")
    bands = _band_powers(wave, rate_hz)
    ambient = _ambient(bands)
    times = _onset_times(bands)
    return Heard(False, tuple(_onset(bands, time, times) for time in times), ambient)


def _loudest_rms(wave: Floats, rate_hz: int) -> float:
    """The loudest 50 ms of any channel; a short clack in a silent clip counts, faint noise does not."""
    size = max(1, round(0.05 * rate_hz))
    total = np.cumsum(np.pad(wave**2, ((0, 0), (1, size))), axis=1)
    return float(np.sqrt(np.max((total[:, size:] - total[:, :-size]) / size, initial=0.0)))


def _band_powers(wave: Floats, rate_hz: int) -> _Bands:
    size, hop = round(_WINDOW_S * rate_hz), round(_HOP_S * rate_hz)
    padded = np.pad(wave, ((0, 0), (size // 2, size)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, : wave.shape[1] + hop : hop]
    window = np.hanning(size)
    power = np.abs(np.fft.rfft(frames * window, axis=-1)) ** 2 / np.sum(window) ** 2
    hz = np.fft.rfftfreq(size, 1 / rate_hz).astype(np.float64)
    member = np.searchsorted(_EDGES_HZ, hz) - 1
    matrix = (member[None, :] == np.arange(len(_EDGES_HZ) - 1)[:, None]).astype(np.float64)
    _share_thin_bands(matrix, hz)
    return _Bands(np.einsum("ctk,bk->cbt", power, matrix), hop / rate_hz)


def _share_thin_bands(matrix: Floats, hz: Floats) -> None:
    """Low bands that are thinner than the bins take a share of the bin nearest to them."""
    centres = np.sqrt(_EDGES_HZ[1:] * _EDGES_HZ[:-1])
    nearest = np.argmin(np.abs(hz[None, :] - centres[:, None]), axis=1)
    for band in np.flatnonzero((matrix.sum(axis=1) == 0) & (centres < hz[-1])):
        matrix[band, nearest[band]] = 0.5


def _onset_times(bands: _Bands) -> list[float]:
    """Peaks of the rise of compressed band powers: compressed, so that a click stands out of a ringing tail."""
    level = bands.power.sum(axis=0) ** 0.2
    lag = 3
    quiet = np.repeat(np.full((len(level), 1), 1e-8**0.2), lag, axis=1)
    before = np.concatenate([quiet, level], axis=1)[:, : level.shape[1]]
    rise = np.maximum(level - before, 0.0).sum(axis=0)
    return _peaks(rise, bands.hop_s, lag)


def _peaks(rise: Floats, hop_s: float, lag: int) -> list[float]:
    threshold = max(_THRESHOLD * float(rise.max()), 0.25)
    gap = round(_LEAST_GAP_S / hop_s)
    times: list[float] = []
    left = rise.copy()
    while left.max() >= threshold:
        top = int(left.argmax())
        times.append((top - (lag - 1) / 2 + 0.96) * hop_s)
        left[max(0, top - gap) : top + gap + 1] = 0.0
    # The wave's own edges are no onsets: there the window reaches beyond it.
    return sorted(time for time in times if 0.03 < time < len(rise) * hop_s - 0.03)


def _onset(bands: _Bands, time_s: float, times: list[float]) -> Onset:
    later = [time for time in times if time > time_s]
    until_s = min([*later, bands.power.shape[2] * bands.hop_s]) - 0.012
    feature, weight = _feature(bands, time_s, until_s)
    names, templates = _templates()
    score = np.sum(templates * feature * weight, axis=1) / np.sqrt(
        np.sum(templates**2 * weight, axis=1) * np.sum(feature**2 * weight) + 1e-12
    )
    return Onset(time_s, names[int(score.argmax())], _place(bands, time_s, until_s))


def _feature(bands: _Bands, time_s: float, until_s: float) -> tuple[Floats, Floats]:
    """Compressed power per band and slice of time, above what was there before the onset; and which slices count."""
    power = bands.power.sum(axis=0)
    before = _before(_Bands(power, bands.hop_s), time_s)
    values, weights = [], []
    for start, end in _SLICES_S:
        heard = time_s + start + 0.008 < until_s
        part = _Bands(power, bands.hop_s).span(time_s + start, min(time_s + end, max(until_s, time_s + start + 0.008)))
        values.append(np.maximum(part.mean(axis=-1) - before, 0.0) ** 0.25 if heard else np.zeros(len(power)))
        weights.append(np.full(len(power), float(heard)))
    return np.concatenate(values), np.concatenate(weights)


def _before(bands: _Bands, time_s: float) -> Floats:
    if time_s < _BEFORE_S[0]:
        return np.zeros(bands.power.shape[:-1])
    return bands.span(time_s - _BEFORE_S[0], time_s - _BEFORE_S[1]).mean(axis=-1)


def _place(bands: _Bands, time_s: float, until_s: float) -> float:
    """Left to right by constant-power panning: power right minus left is sin(πx/2) of the sum."""
    part = bands.span(time_s, min(time_s + 0.06, until_s)).mean(axis=-1) - _before(bands, time_s)
    if len(part) != 2:
        return 0.0
    left, right = np.maximum(part, 0.0).sum(axis=1)
    return float(np.arcsin((right - left) / (right + left + 1e-15)) * 2 / np.pi)


def _ambient(bands: _Bands) -> str:
    """What is there even in the quietest moments."""
    floor = np.quantile(bands.power.sum(axis=0)[:, 8:-8], 0.1, axis=-1)
    if np.sqrt(floor.sum()) < 4e-3:
        return "none"
    centre = np.searchsorted(_EDGES_HZ, (HUM_HZ, TONE_HZ)) - 1
    hum, tone = floor[max(0, centre[0] - 2) : centre[0] + 5].sum(), floor[centre[1] - 1 : centre[1] + 2].sum()
    name, strongest = ("hum", hum) if hum > tone else ("tone", tone)
    return name if strongest > 0.6 * floor.sum() else "none"


@cache
def _templates() -> tuple[list[str], Floats]:
    """The features of every class of sound in every size, measured on its own."""
    names, features = [], []
    for sound in SOUNDS:
        for size in SIZES if sound in MATERIALS else ("medium",):
            start = round(0.2 * _TEMPLATE_HZ)
            kernel = _kernel(sound, size)[: start * 3]
            wave = np.zeros((1, start * 4))
            wave[0, start : start + len(kernel)] = kernel
            names.append(sound)
            features.append(_feature(_band_powers(wave, _TEMPLATE_HZ), 0.2, 0.8)[0])
    return names, np.array(features)


def _kernel(sound: str, size: str) -> NDArray[np.float32]:
    if sound in MATERIALS:
        return impact_kernel(sound, size, _TEMPLATE_HZ)
    if sound == "beep":
        return beep_kernel(_TEMPLATE_HZ)
    return voice_wave(sound, _TEMPLATE_HZ, _TEMPLATE_HZ)
