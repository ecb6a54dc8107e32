"""The log-mel spectrogram that the audio autoencoder reads (Lightricks/LTX-2, `model/audio_vae/ops.py`)."""

import math
from functools import lru_cache

import torch
from einops import rearrange
from torch import Tensor

from ltx2.config import AudioVAEConfig

LOG_MEL_FLOOR = 1e-5
"""Magnitudes are clamped here before the logarithm, so silence is ln(1e-5) = -11.5129."""

_LINEAR_HZ = 200.0 / 3  # hertz per mel below the break
_BREAK_HZ = 1000.0
_LOG_STEP = math.log(6.4) / 27  # logarithm of hertz per mel above it


def log_mel(waveform: Tensor, config: AudioVAEConfig) -> Tensor:
    """Natural logarithm of the mel magnitudes, each channel by itself.

    Frames are centred (the ends are padded by reflection): frame `i` is about sample `i * hop_length`.

    Args:
        waveform: (b, c, n) at `config.rate_hz` (16 kHz), in -1..1, n above half the window (512).
        config: `rate_hz`, `filter_length`, `hop_length`, `mel_bins`, `mel_fmin_hz` and `mel_fmax_hz` are used.

    Returns:
        (b, c, 1 + n // hop_length, mel_bins), float32, at least -11.5129.

    Raises:
        ValueError: not three axes, or shorter than half a window.
    """
    if waveform.ndim != 3:
        raise ValueError(f"waveform of shape {tuple(waveform.shape)}; log_mel takes (batch, channels, samples)")
    shortest = config.filter_length // 2 + 1
    if waveform.shape[2] < shortest:
        raise ValueError(
            f"waveform of {waveform.shape[2]} samples; log_mel needs at least {shortest} "
            f"({1000 * shortest / config.rate_hz:.0f} ms at {config.rate_hz} Hz): append silence"
        )
    magnitude = _magnitude(rearrange(waveform.float(), "b c n -> (b c) n"), config)
    mel = _filters(config, waveform.device) @ magnitude
    return rearrange(mel.clamp(min=LOG_MEL_FLOOR).log(), "(b c) m t -> b c t m", b=waveform.shape[0])


def hz_to_mel(hz: Tensor) -> Tensor:
    """Slaney's mel scale: linear up to 1000 Hz (15 mel), logarithmic above. Any shape, float64."""
    hz = hz.double()
    above = 15 + (hz.clamp(min=_BREAK_HZ) / _BREAK_HZ).log() / _LOG_STEP
    return torch.where(hz < _BREAK_HZ, hz / _LINEAR_HZ, above)


def mel_to_hz(mel: Tensor) -> Tensor:
    """Inverse of `hz_to_mel`."""
    mel = mel.double()
    return torch.where(mel < 15, mel * _LINEAR_HZ, _BREAK_HZ * ((mel.clamp(min=15) - 15) * _LOG_STEP).exp())


def mel_filterbank(config: AudioVAEConfig) -> Tensor:
    """Triangular filters of equal area, (filter_length / 2 + 1, mel_bins), float32 on the CPU."""
    limits = hz_to_mel(torch.tensor([config.mel_fmin_hz, config.mel_fmax_hz], device="cpu"))
    places = torch.linspace(0, 1, config.mel_bins + 2, dtype=torch.float64, device="cpu")
    corners = mel_to_hz(torch.lerp(limits[0], limits[1], places))
    num_bins = config.filter_length // 2 + 1
    bins = torch.linspace(0, config.rate_hz / 2, num_bins, dtype=torch.float64, device="cpu")[:, None]
    low, centre, high = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return (torch.minimum(rising, falling).clamp(min=0) * 2 / (high - low)).float()


@lru_cache(maxsize=8)
def _filters(config: AudioVAEConfig, device: torch.device) -> Tensor:
    """The filters transposed, built once per configuration and device."""
    with torch.inference_mode(False):  # a tensor born in inference mode could not be used in training later
        return mel_filterbank(config).T.to(device)


def _magnitude(waveform: Tensor, config: AudioVAEConfig) -> Tensor:
    """(b, n) -> magnitudes (b, filter_length / 2 + 1, frames) under a periodic Hann window."""
    window = torch.hann_window(config.filter_length, dtype=waveform.dtype, device=waveform.device)
    spectrum = torch.stft(
        waveform, config.filter_length, config.hop_length, window=window, center=True, return_complex=True
    )
    return spectrum.abs()
