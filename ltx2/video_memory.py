"""How much memory decoding a video takes, and which way of decoding fits a budget."""

from collections.abc import Iterator
from typing import NamedTuple

import torch

from ltx2.config import VideoVAEConfig
from ltx2.free_memory import free_bytes
from ltx2.streaming import Axis, Streaming
from ltx2.types import VideoLatentShape

DEFAULT_BYTES = 4 * 2**30
"""Enough for 121 frames of 1216x704 in float32, eight frames at once."""
_SIZES: tuple[tuple[Axis, int], ...] = (
    *(("time", size) for size in (16, 8, 4, 2)),
    *((axis, size) for size in (16, 8, 4, 2) for axis in ("width", "height")),
    *((axis, 1) for axis in ("time", "width", "height")),
)
"""In order of preference: frames come out as they play, larger slices are faster, and all give the same pixels."""


def plan_decode(
    config: VideoVAEConfig, shape: VideoLatentShape, dtype: torch.dtype, *, budget_bytes: int = DEFAULT_BYTES
) -> Streaming | None:
    """The first way of decoding that fits the budget, else the one that takes least.

    Args:
        config: Of the autoencoder.
        shape: Of the latent.
        dtype: Of weights and activations.
        budget_bytes: For activations; weights and decoded frames are not counted.

    Returns:
        The slices to decode in; None to decode the clip whole.
    """

    def peak(streaming: Streaming | None) -> int:
        return decode_peak_bytes(config, shape, dtype, streaming)

    if peak(None) <= budget_bytes:
        return None
    ways = [Streaming(axis=axis, size=size) for axis, size in _SIZES]
    return next((way for way in ways if peak(way) <= budget_bytes), min(ways, key=peak))


def least_decode_bytes(config: VideoVAEConfig, shape: VideoLatentShape, dtype: torch.dtype) -> int:
    """Of the smallest slices."""
    return min(decode_peak_bytes(config, shape, dtype, Streaming(axis=axis, size=size)) for axis, size in _SIZES)


def decode_budget_bytes(device: torch.device) -> int:
    """`DEFAULT_BYTES`; on a GPU half of what is free, since kernels need workspace too."""
    return free_bytes(device) // 2 if device.type == "cuda" else DEFAULT_BYTES


def decode_peak_bytes(
    config: VideoVAEConfig, shape: VideoLatentShape, dtype: torch.dtype, streaming: Streaming | None
) -> int:
    """Estimate of the activations alive at once while decoding, without weights and decoded frames; seldom too low.

    At its busiest a layer has four activations alive; the last, two and two of the width of its output. Of a clip in
    slices, those are the slice's, and besides each convolution keeps two positions, each residual sum two more, and
    before each finer level waits a slice of two of its sizes.
    """
    levels = list(_levels(config, shape))
    if streaming is None:
        return max(level.busy("time") * (level.frames + 2) for level in levels) * dtype.itemsize
    axis, size = streaming.axis, streaming.size
    held = sum(level.channels * level.across(axis) * (6 * level.resnets + 4 + 2 * size) for level in levels)
    at_work = max(level.busy(axis) for level in levels) * (size + 2)
    return (held + at_work) * dtype.itemsize


class _Level(NamedTuple):
    """One resolution inside the decoder."""

    batch: int
    channels: int
    out_channels: int
    """Of the last convolution of this level."""
    frames: int
    height: int
    width: int
    resnets: int

    def across(self, axis: Axis, *, padding: int = 0) -> int:
        """Positions of one slice of size 1 along the axis, in all samples."""
        sizes = {"time": self.frames, "height": self.height, "width": self.width}
        other = [size + padding for name, size in sizes.items() if name != axis]
        return self.batch * other[0] * other[1]

    def busy(self, axis: Axis) -> int:
        """Values alive in one position along the axis at the busiest layer."""
        channels = max(4 * self.channels, 2 * self.channels + 2 * self.out_channels)
        return channels * self.across(axis, padding=2)


def _levels(config: VideoVAEConfig, shape: VideoLatentShape) -> Iterator[_Level]:
    channels = config.decoder_base_channels
    for kind, n in config.decoder_blocks:
        channels *= 1 if kind == "res_x" else n
    frames, height, width, resnets = shape.frames, shape.height, shape.width, 0
    for kind, n in reversed(config.decoder_blocks):
        if kind == "res_x":
            resnets += n
            continue
        # What an upsampling gives lies with the finer level that it is unfolded to.
        yield _Level(shape.batch, channels, channels, frames, height, width, resnets)
        channels, resnets = channels // n, 0
        if kind != "compress_space":
            frames = 2 * frames - 1
        if kind != "compress_time":
            height, width = 2 * height, 2 * width
    pixels = config.out_channels * config.patch_size**2
    yield _Level(shape.batch, channels, pixels, frames, height, width, resnets)
