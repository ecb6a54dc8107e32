"""What the audio-video encoders hear: the log mels of Synchformer and ImageBind, the cepstra of SyncNet.

All take mono sound at 16 kHz.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from ltx2_eval.extractors.spectrogram import centred_power, frames, hann, htk_filters, power_spectrum

RATE_HZ = 16_000
HOP = 160
_WINDOW = 400
_FLOAT32_EPS = 1.1920929e-07

Array = NDArray[np.float64]


def synchformer_mel(waveform: NDArray[np.floating]) -> NDArray[np.float32]:
    """Log mel of Synchformer's front end, before its normalisation.

    Args:
        waveform: (n,) in -1..1 at 16 kHz.

    Returns:
        (128, 1 + n // 160) float32: ln(power + 1e-6).
    """
    power = centred_power(waveform, hann(_WINDOW, periodic=True), 1024, HOP)
    return np.log(power @ _mels_over_hertz() + 1e-6).T.astype(np.float32)


def kaldi_fbank(waveform: NDArray[np.floating]) -> NDArray[np.float32]:
    """Kaldi's filter bank as ImageBind uses it: mean of the whole removed first, nothing padded, no dither.

    Args:
        waveform: (n,) in -1..1 at 16 kHz, n >= 400.

    Returns:
        (1 + (n - 400) // 160, 128) float32.
    """
    parts = frames(waveform - np.mean(waveform, dtype=np.float64), _WINDOW, HOP)
    parts = parts - parts.mean(axis=1, keepdims=True)
    parts = parts - 0.97 * np.concatenate([parts[:, :1], parts[:, :-1]], axis=1)
    power = power_spectrum(parts, hann(_WINDOW, periodic=False), 512)
    filters = htk_filters(RATE_HZ, 512, 128, 20.0, RATE_HZ / 2, silent="last")
    return np.log(np.maximum(power @ filters, _FLOAT32_EPS)).astype(np.float32)


def syncnet_cepstra(waveform: NDArray[np.floating]) -> NDArray[np.float32]:
    """MFCCs with the defaults of python_speech_features, which SyncNet was trained on.

    Args:
        waveform: (n,) in -1..1 at 16 kHz; its scale becomes that of 16-bit integers, as SyncNet reads them.

    Returns:
        (k, 13) float32, 100 a second; the first is the log energy of the frame.
    """
    samples = np.trunc(np.clip(waveform.astype(np.float64) * 32767, -32768, 32767))
    emphasised = np.append(samples[:1], samples[1:] - 0.97 * samples[:-1])
    count = 1 + max(0, -(-(len(samples) - _WINDOW) // HOP))
    padded = np.pad(emphasised, (0, max(0, (count - 1) * HOP + _WINDOW - len(samples))))
    power = power_spectrum(frames(padded, _WINDOW, HOP), np.ones(_WINDOW), 512) / 512
    tiny = np.finfo(np.float64).eps
    energy, bands = power.sum(axis=1), power @ _integer_mels()
    cepstra = dct(np.log(np.where(bands == 0, tiny, bands)), type=2, axis=1, norm="ortho")[:, :13]
    cepstra = cepstra * (1 + 11 * np.sin(np.pi * np.arange(13) / 22))
    cepstra[:, 0] = np.log(np.where(energy == 0, tiny, energy))
    return cepstra.astype(np.float32)


@cache
def _mels_over_hertz() -> Array:
    """(513, 128) triangles over hertz between equally spaced HTK mels, not of unit area."""
    return _over_hertz(np.linspace(0, RATE_HZ / 2, 513), _mel_points(128, 0.0, RATE_HZ / 2))


@cache
def _integer_mels() -> Array:
    """(257, 26) triangles whose corners lie on bins of the FFT."""
    corners = np.floor(513 * _mel_points(26, 0.0, RATE_HZ / 2) / RATE_HZ)
    return _over_hertz(np.arange(257, dtype=np.float64), corners)


def _mel_points(bands: int, low_hz: float, high_hz: float) -> Array:
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (low_hz, high_hz))
    return 700 * (10 ** (np.linspace(low, high, bands + 2) / 2595) - 1)


def _over_hertz(places: Array, corners: Array) -> Array:
    return np.stack(
        [np.interp(places, corners[i : i + 3], [0, 1, 0], left=0, right=0) for i in range(len(corners) - 2)], axis=1
    )
