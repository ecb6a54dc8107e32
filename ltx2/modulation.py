"""From noise levels to the shifts, scales and gates that steer the blocks (AdaLN).

Source: Lightricks/LTX-2, `ltx_core/model/transformer/{adaln,timestep_embedding}.py`; parameter names as published.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ltx2.linear import Linear

_TIMESTEP_CHANNELS = 256


class Modulation(NamedTuple):
    """Modulation vectors of the noise levels that occur; most often one level for all tokens."""

    values: Tensor
    """`(b, l, r, d)`: r vectors for each of l levels."""
    level: Tensor | None = None
    """The level of each token, integers `(t,)`; None where l is 1 or the number of tokens."""

    def rows(self, table: Tensor) -> tuple[Tensor, ...]:
        """The r vectors with a block's own `(r, d)` added, each `(b, 1 or t, d)`."""
        rows = (table + self.values).unbind(2)
        return rows if self.level is None else tuple(row.index_select(1, self.level) for row in rows)


class TimestepModulation(nn.Module):
    """From scaled timesteps `(b, t)` to `rows` modulation vectors, and the embedding they are computed from."""

    def __init__(self, dim: int, rows: int) -> None:
        super().__init__()
        self.rows = rows
        self.emb = _TimestepEmbedding(dim)
        self.linear = Linear(dim, rows * dim)

    def forward(self, timestep: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """`(b, t, rows, d)` and `(b, t, d)`."""
        embedding = self.emb(timestep, dtype)
        rows = self.linear(F.silu(embedding))
        return rearrange(rows, "b t (r d) -> b t r d", r=self.rows), embedding


class _TimestepEmbedding(nn.Module):
    """Holds the MLP under the name it is published under."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.timestep_embedder = _TimestepMLP(dim)

    def forward(self, timestep: Tensor, dtype: torch.dtype) -> Tensor:
        out: Tensor = self.timestep_embedder(timestep_features(timestep).to(dtype))
        return out


class _TimestepMLP(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear_1 = Linear(_TIMESTEP_CHANNELS, dim)
        self.linear_2 = Linear(dim, dim)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.linear_2(F.silu(self.linear_1(features)))
        return out


def timestep_features(timestep: Tensor) -> Tensor:
    """128 cosines, then 128 sines of a timestep (already multiplied by 1000), float32 `(..., 256)`."""
    half = _TIMESTEP_CHANNELS // 2
    exponents = torch.arange(half, dtype=torch.float32, device=timestep.device) * (-math.log(10000.0) / half)
    angles = timestep.float()[..., None] * exponents.exp()
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """`x * (1 + scale) + shift`."""
    return torch.addcmul(shift, x, 1 + scale)
