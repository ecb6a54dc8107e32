"""Rotary position embedding of LTX-2: positions in seconds and pixels, float64 frequency grid, split rotation.

Source: Lightricks/LTX-2, `ltx_core/model/transformer/rope.py` and `ltx_core/components/patchifiers.py`.
"""

import math
from fractions import Fraction
from typing import NamedTuple

import torch
from einops import rearrange, repeat
from torch import Tensor

from ltx2.config import AudioVAEConfig
from ltx2.types import TIME_FACTOR, AudioLatentShape, VideoLatentShape


class RotaryTable(NamedTuple):
    """Cosines and sines `(b, a, t, k / 2)`, float32; heads do not share frequencies.

    In memory tokens are slower than heads, as in what a linear layer gives, so that a rotation reads straight through.
    """

    cos: Tensor
    sin: Tensor


class StreamRope(NamedTuple):
    """The two tables of one stream: for its self-attention, and for both audio-video cross-attentions."""

    own: RotaryTable
    cross: RotaryTable

    def expand(self, rows: int) -> "StreamRope":
        """The same tables for a batch of `rows`, from tables of one row; no copy."""
        own, cross = (RotaryTable(*(x.expand(rows, -1, -1, -1) for x in table)) for table in self)
        return StreamRope(own, cross)


def video_positions(shape: VideoLatentShape, fps: Fraction | float, device: torch.device | str = "cpu") -> Tensor:
    """Bounds of each video token, float32 `(b, 3, t, 2)`: [start, end) in seconds, y pixels, x pixels.

    Latent frame 0 covers pixel frame 0 only, latent frame i the pixel frames 8i-7 to 8i.
    """
    time = _causal_bounds(shape.frames, TIME_FACTOR, device) / float(fps)
    rows, columns = (_bounds(count, shape.cell_px, device) for count in (shape.height, shape.width))
    sizes = {"f": shape.frames, "h": shape.height, "w": shape.width}
    axes = (
        repeat(time, "f e -> (f h w) e", **sizes),
        repeat(rows, "h e -> (f h w) e", **sizes),
        repeat(columns, "w e -> (f h w) e", **sizes),
    )
    return repeat(torch.stack(axes), "i t e -> b i t e", b=shape.batch)


def audio_positions(
    shape: AudioLatentShape,
    config: AudioVAEConfig,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Bounds of each audio token in seconds, float32 `(b, 1, t, 2)`.

    Multiplied by the hop, then divided by the rate: a product with 0.01 would differ in the last bit of float32,
    which the highest frequencies make visible.
    """
    mel_frames = _causal_bounds(shape.frames, config.time_factor, device)
    seconds = mel_frames * config.hop_length / config.rate_hz
    return repeat(seconds, "t e -> b 1 t e", b=shape.batch)


def rotary_table(positions: Tensor, *, width: int, heads: int, max_pos: tuple[int, ...], theta: float) -> RotaryTable:
    """Cosines and sines for positions `(b, axes, t)`, each divided by its axis' `max_pos` and mapped to -1..1.

    Every axis gets `width // (2 * axes)` frequencies, the axis running fastest; what is missing to `width / 2` is
    filled in front with the identity rotation, then the heads take consecutive slices.
    """
    grid = frequencies(width // (2 * len(max_pos)), theta).to(positions.device)
    scale = torch.tensor(max_pos, dtype=torch.float32, device=positions.device)
    coordinates = rearrange(positions.float(), "b i t -> b t 1 i") / scale * 2 - 1
    angles = rearrange(grid[:, None] * coordinates, "b t j i -> b t (j i)")
    missing = (width // 2 - angles.shape[-1], 0)
    cos = torch.nn.functional.pad(angles.cos(), missing, value=1.0)
    sin = torch.nn.functional.pad(angles.sin(), missing, value=0.0)
    return RotaryTable(*(rearrange(x, "b t (a k) -> b a t k", a=heads) for x in (cos, sin)))


def frequencies(count: int, theta: float) -> Tensor:
    """`theta ** (j / (count - 1)) * pi / 2` for j = 0..count-1, computed in float64 and rounded once to float32."""
    exponents = torch.linspace(0, 1, count, dtype=torch.float64) if count > 1 else torch.zeros(1, dtype=torch.float64)
    return (theta**exponents * (math.pi / 2)).float()


def rotate(x: Tensor, table: RotaryTable) -> Tensor:
    """Rotate `(b, a, t, k)`: the first half of each head's channels is paired with the second half.

    Computed in float32 whatever the dtype of `x`: bfloat16 angles would cost more than all other rounding.
    """
    first, second = x.float().chunk(2, dim=-1)
    cos, sin = table
    turned = (first * cos).addcmul_(second, sin, value=-1), (second * cos).addcmul_(first, sin)
    return torch.cat(turned, dim=-1).to(x.dtype)


def middle(bounds: Tensor) -> Tensor:
    """Middle of [start, end) in the last dimension."""
    start, end = bounds.unbind(-1)
    return (start + end) / 2


def _bounds(count: int, size: int, device: torch.device | str) -> Tensor:
    start = torch.arange(count, dtype=torch.float32, device=device) * size
    return torch.stack((start, start + size), dim=-1)


def _causal_bounds(count: int, factor: int, device: torch.device | str) -> Tensor:
    """Frames covered by each latent frame of a causal encoder: the first covers one, the others `factor`."""
    return (_bounds(count, factor, device) + 1 - factor).clamp(min=0)
