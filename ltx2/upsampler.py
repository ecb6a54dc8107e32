"""The latent upsamplers: raw video latents to more cells or more frames, between the stages of a two-stage pipeline.

Module and parameter names are those of the published files (Lightricks/LTX-2, `model/upsampler`); the files hold bare
keys. Group norms see the whole clip, so a latent cannot be cut into pieces here without changing the result.
"""

from fractions import Fraction

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2.config import UpsamplerConfig
from ltx2.latent_statistics import PerChannelStatistics
from ltx2.pixel_norm import add

_GROUPS = 32
_RATIONAL_SCALES = (0.75, 1.5, 2.0, 4.0)
_BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


class LatentUpsampler(nn.Module):
    """Residual blocks, one change of resolution, residual blocks.

    Args:
        config: sizes; `ltx2.config.SPATIAL_UPSAMPLER_X2` and `TEMPORAL_UPSAMPLER_X2` are the published ones.

    Raises:
        ValueError: a width that 32 groups do not divide, nothing to upsample, or a scale that is not published.
    """

    def __init__(self, config: UpsamplerConfig) -> None:
        super().__init__()
        _check_config(config)
        self.config = config
        width = config.mid_channels
        self.initial_conv = nn.Conv3d(config.in_channels, width, 3, padding=1)
        self.initial_norm = nn.GroupNorm(_GROUPS, width)
        self.res_blocks = nn.ModuleList(ResBlock(width) for _ in range(config.num_blocks_per_stage))
        self.upsampler = _resampler(config)
        self.post_upsample_res_blocks = nn.ModuleList(ResBlock(width) for _ in range(config.num_blocks_per_stage))
        self.final_conv = nn.Conv3d(width, config.in_channels, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        """Upsample a raw (not normalised) latent; `upsample` takes normalised ones.

        Args:
            latent: (b, in_channels, f, h, w).

        Returns:
            (b, in_channels, *config.output_size(f, h, w)).

        Raises:
            ValueError: wrong number of dimensions or channels.
        """
        _check_latent(latent, self.config)
        x = _silu(self.initial_norm(self.initial_conv(latent)))
        for block in self.res_blocks:
            x = block(x)
        if self.config.temporal_upsample:
            x = self.upsampler(x)[:, :, 1:]  # like the decoder's: the first latent frame stands for one frame only
        else:
            frames = x.shape[2]
            x = self.upsampler(rearrange(x, "b c f h w -> (b f) c h w"))
            x = rearrange(x, "(b f) c h w -> b c f h w", f=frames)
        for block in self.post_upsample_res_blocks:
            x = block(x)
        return self.final_conv(x)


def upsample(upsampler: LatentUpsampler, latent: Tensor, statistics: PerChannelStatistics) -> Tensor:
    """Upsample a normalised latent.

    Args:
        upsampler: trained on raw latents of the same autoencoder.
        latent: (b, c, f, h, w), normalised, as the transformer works on it.
        statistics: `per_channel_statistics` of the video autoencoder.

    Returns:
        (b, c, *upsampler.config.output_size(f, h, w)), normalised, of the latent's dtype.
    """
    raw = statistics.denormalize(latent).to(upsampler.final_conv.weight.dtype)
    return statistics.normalize(upsampler(raw)).to(latent.dtype)


class ResBlock(nn.Module):
    """`silu(x + norm(conv(silu(norm(conv(x))))))`: unlike the autoencoder's, the activation follows the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm1 = nn.GroupNorm(_GROUPS, channels)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(_GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, f, h, w) -> same shape."""
        h = _silu(self.norm1(self.conv1(x)))
        return _silu(add(self.norm2(self.conv2(h)), x))


class Shuffle(nn.Module):
    """Unfolds channels into neighbours along time, height and width; the channel index is outermost."""

    def __init__(self, pattern: str, **factors: int) -> None:
        super().__init__()
        self.pattern = pattern
        self.factors = factors

    def forward(self, x: Tensor) -> Tensor:
        """Rearranged by the pattern."""
        return rearrange(x, self.pattern, **self.factors)


class RationalResampler(nn.Module):
    """Scales height and width of single frames: up by the numerator of `scale`, blurred, thinned by its denominator."""

    def __init__(self, channels: int, scale: Fraction) -> None:
        super().__init__()
        self.factor = scale.numerator
        self.conv = nn.Conv2d(channels, channels * self.factor**2, 3, padding=1)
        self.blur_down = BlurDownsample(scale.denominator)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, ceil(scale * h), ceil(scale * w))."""
        x = rearrange(self.conv(x), "b (c ph pw) h w -> b c (h ph) (w pw)", ph=self.factor, pw=self.factor)
        return self.blur_down(x)


class BlurDownsample(nn.Module):
    """Keeps every `stride`-th row and column after a 5x5 binomial blur; a stride of 1 changes nothing."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride
        weights = torch.tensor(_BINOMIAL) / sum(_BINOMIAL)
        self.register_buffer("kernel", torch.outer(weights, weights)[None, None])

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, ceil(h / stride), ceil(w / stride))."""
        if self.stride == 1:
            return x
        kernel = self.get_buffer("kernel").expand(x.shape[1], 1, -1, -1)
        return F.conv2d(x, kernel, stride=self.stride, padding=len(_BINOMIAL) // 2, groups=x.shape[1])


def _resampler(config: UpsamplerConfig) -> nn.Module:
    width = config.mid_channels
    if config.spatial_upsample and config.temporal_upsample:
        shuffle = Shuffle("b (c pf ph pw) f h w -> b c (f pf) (h ph) (w pw)", pf=2, ph=2, pw=2)
        return nn.Sequential(nn.Conv3d(width, 8 * width, 3, padding=1), shuffle)
    if config.temporal_upsample:
        shuffle = Shuffle("b (c pf) f h w -> b c (f pf) h w", pf=2)
        return nn.Sequential(nn.Conv3d(width, 2 * width, 3, padding=1), shuffle)
    if config.rational_resampler:
        return RationalResampler(width, Fraction(config.spatial_scale))
    shuffle = Shuffle("b (c ph pw) h w -> b c (h ph) (w pw)", ph=2, pw=2)
    return nn.Sequential(nn.Conv2d(width, 4 * width, 3, padding=1), shuffle)


def _silu(x: Tensor) -> Tensor:
    return F.silu(x, inplace=not x.requires_grad)


def _check_config(config: UpsamplerConfig) -> None:
    if config.mid_channels % _GROUPS:
        raise ValueError(f"upsampler with mid_channels {config.mid_channels}; it must be a multiple of {_GROUPS}")
    if not (config.spatial_upsample or config.temporal_upsample):
        raise ValueError("upsampler with neither spatial_upsample nor temporal_upsample; one of them must be true")
    published = _RATIONAL_SCALES if config.is_rational else (2.0,)
    if config.spatial_upsample and config.spatial_scale not in published:
        kind = "with" if config.is_rational else "without"
        listed = ", ".join(map(str, published))
        raise ValueError(f"upsampler of scale {config.spatial_scale}; {kind} a rational resampler it must be {listed}")


def _check_latent(latent: Tensor, config: UpsamplerConfig) -> None:
    if latent.ndim != 5 or latent.shape[1] != config.in_channels:
        raise ValueError(
            f"video latent of shape {tuple(latent.shape)}; "
            f"the upsampler takes (batch, {config.in_channels}, frames, height, width)"
        )
