"""The vocoder: stereo log-mel spectrogram to waveform, in the manner of HiFi-GAN (Kong et al., 2020).

Module and parameter names are those of the published files (Lightricks/LTX-2, `model/audio_vae/vocoder.py`).
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2.config import VocoderConfig
from ltx2.pixel_norm import add

_SLOPE = 0.1
_LAST_SLOPE = 0.01  # the published model was trained with PyTorch's default in front of the last convolution


class Vocoder(nn.Module):
    """Upsamples mel frames to samples, each step followed by the mean of residual blocks of several kernel sizes.

    Args:
        config: sizes; `ltx2.config.LTX2_19B.vocoder` are the published ones.
    """

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.upsample_initial_channel
        self.conv_pre = nn.Conv1d(config.in_channels, width, 7, padding=3)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()  # flat, as published: stage * number of kernels + kernel
        for kernel_size, rate in zip(config.upsample_kernel_sizes, config.upsample_rates, strict=True):
            padding = (kernel_size - rate) // 2
            self.ups.append(nn.ConvTranspose1d(width, width // 2, kernel_size, rate, padding))
            width //= 2
            for size, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True):
                self.resblocks.append(ResnetBlock1d(width, size, dilations))
        self.conv_post = nn.Conv1d(width, config.out_channels, 7, padding=3)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Synthesise the waveform.

        Args:
            log_mel: (b, 2, t, m) as the audio autoencoder decodes it, 2 * m = `config.in_channels`.

        Returns:
            (b, 2, 240 * t) in -1..1 at `config.rate_hz` (24 kHz).

        Raises:
            ValueError: the shape does not fit `config.in_channels`.
        """
        if log_mel.ndim != 4 or log_mel.shape[1] * log_mel.shape[3] != self.config.in_channels:
            raise ValueError(
                f"log-mel of shape {tuple(log_mel.shape)}; the vocoder takes (batch, channels, frames, mel bins) "
                f"with channels * mel bins = {self.config.in_channels}"
            )
        x = self.conv_pre(rearrange(log_mel, "b c t m -> b (c m) t"))
        per_stage = len(self.config.resblock_kernel_sizes)
        for stage, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, _SLOPE, inplace=not x.requires_grad))
            x = _mean_of(self.resblocks[stage * per_stage : (stage + 1) * per_stage], x)
        return torch.tanh(self.conv_post(F.leaky_relu(x, _LAST_SLOPE)))


class ResnetBlock1d(nn.Module):
    """Pairs of convolutions with a residual each, the first of a pair dilated (HiFi-GAN's block of type 1)."""

    def __init__(self, channels: int, kernel_size: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_same_conv(channels, kernel_size, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(_same_conv(channels, kernel_size, 1) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, n) -> same shape."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            h = dilated(F.leaky_relu(x, _SLOPE))
            x = add(plain(F.leaky_relu(h, _SLOPE, inplace=not h.requires_grad)), x)
        return x


def _same_conv(channels: int, kernel_size: int, dilation: int) -> nn.Conv1d:
    padding = dilation * (kernel_size - 1) // 2
    return nn.Conv1d(channels, channels, kernel_size, dilation=dilation, padding=padding)


def _mean_of(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    first, *others = blocks
    total = first(x)
    for block in others:
        total = add(total, block(x))
    return total / len(blocks)
