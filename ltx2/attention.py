"""Attention and feed-forward layers, shared by the transformer and the text connectors.

Source: Lightricks/LTX-2, `ltx_core/model/transformer/{attention,feed_forward}.py`; parameter names as published.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ltx2.linear import Linear, linear_gelu
from ltx2.rope import RotaryTable, rotate


class KeyValue(NamedTuple):
    """Keys and values `(b, a, t, k)`, normalised and rotated: ready for any number of queries."""

    key: Tensor
    value: Tensor


class Attention(nn.Module):
    """Multi-head attention whose queries and keys are RMS-normalised over all heads together, before rotation.

    Args:
        query_dim: Width of the queries and of the output.
        context_dim: Width of what keys and values are computed from.
        heads: Number of heads.
        head_dim: Channels per head.
        eps: Of both normalisations.
    """

    def __init__(self, query_dim: int, context_dim: int, *, heads: int, head_dim: int, eps: float) -> None:
        super().__init__()
        inner = heads * head_dim
        self.heads = heads
        self.q_norm = nn.RMSNorm(inner, eps=eps)
        self.k_norm = nn.RMSNorm(inner, eps=eps)
        self.to_q = Linear(query_dim, inner)
        self.to_k = Linear(context_dim, inner)
        self.to_v = Linear(context_dim, inner)
        self.to_out = nn.Sequential(Linear(inner, query_dim))

    def keys_values(self, context: Tensor, rope: RotaryTable | None = None) -> KeyValue:
        """Keys and values of a context `(b, t, d)`."""
        key = self._split(self.k_norm(self.to_k(context)))
        value = self._split(self.to_v(context))
        return KeyValue(key if rope is None else rotate(key, rope), value)

    def forward(
        self,
        x: Tensor,
        keys_values: KeyValue,
        *,
        rope: RotaryTable | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Attend from `(b, t, d)`.

        Args:
            x: Queries.
            keys_values: From `keys_values`.
            rope: Rotation of the queries.
            mask: Additive bias that broadcasts to `(b, a, t, t_context)`.

        Returns:
            `(b, t, d)`.
        """
        query = self._split(self.q_norm(self.to_q(x)))
        query = query if rope is None else rotate(query, rope)
        y = F.scaled_dot_product_attention(query, *keys_values, attn_mask=mask)
        out: Tensor = self.to_out(rearrange(y, "b a t k -> b t (a k)"))
        return out

    def pass_values(self, x: Tensor) -> Tensor:
        """What self-attention of `(b, t, d)` gives where its matrix is the identity: each token reads itself."""
        out: Tensor = self.to_out(self.to_v(x))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return rearrange(x, "b t (a k) -> b a t k", a=self.heads)


class FeedForward(nn.Module):
    """Two linear layers with a tanh-approximated GELU between, four times as wide inside."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(_GeluProjection(dim, 4 * dim), nn.Identity(), Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(b, t, d)` to the same shape."""
        out: Tensor = self.net(x)
        return out


class _GeluProjection(nn.Module):
    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.proj = Linear(dim_in, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        return linear_gelu(self.proj, x)


def rms_norm(x: Tensor, eps: float) -> Tensor:
    """RMS normalisation over the last dimension, without weights."""
    return F.rms_norm(x, (x.shape[-1],), eps=eps)


def additive_mask(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Bias `(b, 1, 1, t)` for a mask `(b, t)` that is true (or 1) where a token may be attended to."""
    bias = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return rearrange(bias.masked_fill(~mask.bool(), torch.finfo(dtype).min), "b t -> b 1 1 t")
