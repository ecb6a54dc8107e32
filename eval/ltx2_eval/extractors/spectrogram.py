"""Spectra and mel filters of the sound encoders: each recipe as its authors trained with it, in float64.

Differences that look small (a window one sample longer, triangles drawn over hertz or over mels) move features by more
than the effects that are measured, so every encoder names its own.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_HTK_FACTOR, _HTK_HZ = 1127.0, 700.0
_SLANEY_HZ_PER_MEL, _SLANEY_KNEE_HZ = 200 / 3, 1000.0
_SLANEY_STEP = np.log(6.4) / 27
"""Above 1 kHz a mel is this step of the logarithm of the frequency."""


def hann(length: int, *, periodic: bool) -> Array:
    """(length,) Hann window; a periodic one is a symmetric one of length + 1 without its last value."""
    return np.hanning(length + 1)[:-1] if periodic else np.hanning(length)


def frames(signal: NDArray[np.floating], length: int, hop: int) -> Array:
    """(k, length) float64, k = 1 + (n - length) // hop; what is left at the end is dropped."""
    return np.lib.stride_tricks.sliding_window_view(signal.astype(np.float64), length)[::hop]


def centred(
    signal: NDArray[np.floating], size: int, mode: Literal["reflect", "constant"] = "reflect"
) -> NDArray[np.floating]:
    """The signal mirrored (or silent) for size // 2 at both ends, so that frame i lies about sample i * hop."""
    return np.pad(signal, size // 2, mode=mode)


def power_spectrum(parts: Array, window: Array, size: int) -> Array:
    """(k, size // 2 + 1) |FFT|² of frames (k, length) under a window, zeros appended up to `size`."""
    spectrum = np.fft.rfft(parts * window, size, axis=1)
    return spectrum.real**2 + spectrum.imag**2


def centred_power(
    signal: NDArray[np.floating],
    window: Array,
    size: int,
    hop: int,
    mode: Literal["reflect", "constant"] = "reflect",
) -> Array:
    """(1 + n // hop, size // 2 + 1) power of centred frames of `size`, under a window that is centred in them."""
    margin = (size - len(window)) // 2
    padded = np.pad(window, (margin, size - len(window) - margin))
    return power_spectrum(frames(centred(signal, size, mode), size, hop), padded, size)


def htk_mel(hertz: NDArray[np.floating] | float) -> Array:
    """1127 ln(1 + f / 700)."""
    return np.asarray(_HTK_FACTOR * np.log1p(np.asarray(hertz, np.float64) / _HTK_HZ))


def slaney_mel(hertz: NDArray[np.floating] | float) -> Array:
    """Slaney's mel: linear up to 1 kHz, logarithmic above."""
    f = np.asarray(hertz, np.float64)
    above = _SLANEY_KNEE_HZ / _SLANEY_HZ_PER_MEL + np.log(np.maximum(f, 1e-9) / _SLANEY_KNEE_HZ) / _SLANEY_STEP
    return np.where(f < _SLANEY_KNEE_HZ, f / _SLANEY_HZ_PER_MEL, above)


def _slaney_hertz(mel: Array) -> Array:
    knee = _SLANEY_KNEE_HZ / _SLANEY_HZ_PER_MEL
    return np.where(mel < knee, mel * _SLANEY_HZ_PER_MEL, _SLANEY_KNEE_HZ * np.exp(_SLANEY_STEP * (mel - knee)))


def htk_filters(
    rate_hz: int, size: int, bands: int, low_hz: float, high_hz: float, *, silent: Literal["first", "last"]
) -> Array:
    """(size // 2 + 1, bands) triangles over HTK mels, as TensorFlow (first bin silent) and Kaldi (last) draw them."""
    weights = _triangles(htk_mel(_bins_hz(rate_hz, size)), np.linspace(htk_mel(low_hz), htk_mel(high_hz), bands + 2))
    weights[0 if silent == "first" else -1] = 0
    return weights


def slaney_filters(rate_hz: int, size: int, bands: int, low_hz: float, high_hz: float) -> Array:
    """(size // 2 + 1, bands) triangles over hertz, equally spaced in Slaney's mels, of unit area."""
    edges = _slaney_hertz(np.linspace(slaney_mel(low_hz), slaney_mel(high_hz), bands + 2))
    weights = _triangles(_bins_hz(rate_hz, size), edges)
    return weights * (2 / (edges[2:] - edges[:-2]))


def _bins_hz(rate_hz: int, size: int) -> Array:
    return np.arange(size // 2 + 1, dtype=np.float64) * (rate_hz / size)


def _triangles(places: Array, edges: Array) -> Array:
    """(len(places), len(edges) - 2): rising from edge i to i + 1, falling to i + 2."""
    x, width = places[:, None], np.diff(edges)
    rising = (x - edges[:-2]) / width[:-1]
    falling = (edges[2:] - x) / width[1:]
    return np.maximum(0, np.minimum(rising, falling))


def decibels(power: Array) -> Array:
    """10 log10 of a power of at least 1e-10."""
    return np.asarray(10 * np.log10(np.maximum(power, 1e-10)))
