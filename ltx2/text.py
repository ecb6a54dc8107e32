"""From a language model's hidden states to the two text contexts: normalisation, projection, connectors.

Source: arXiv 2601.03233 section 3.2 and Lightricks/LTX-2, `ltx_core/text_encoders/gemma/`; parameter names as
published.
"""

from typing import NamedTuple

import torch
from einops import rearrange, reduce, repeat
from torch import Tensor, nn

from ltx2.attention import Attention, FeedForward, rms_norm
from ltx2.config import TextConfig
from ltx2.rope import RotaryTable, rotary_table


class TextEmbeddings(NamedTuple):
    """One context per stream, `(b, s, d)` each; every position is valid, so no mask goes with them."""

    video: Tensor
    audio: Tensor


class TextConnectors(nn.Module):
    """The part of the text path that belongs to LTX-2: one projection, then one connector per stream.

    Args:
        config: Sizes.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.text_embedding_projection = _Projection(config)
        self.video_embeddings_connector = _Connector(config)
        self.audio_embeddings_connector = _Connector(config)

    def forward(self, hidden_states: Tensor, mask: Tensor) -> TextEmbeddings:
        """Contexts of both streams.

        Args:
            hidden_states: All hidden states of the language model, `(b, s, d, layers)`.
            mask: `(b, s)`, true (or 1) for tokens of the prompt. s is a multiple of the number of registers.

        Raises:
            ValueError: Another number of layers or channels, or a length the registers cannot fill.
        """
        config = self.config
        expected = (config.hidden_size, config.num_hidden_states)
        if hidden_states.shape[2:] != expected:
            raise ValueError(
                f"hidden states of {hidden_states.shape[2]} channels x {hidden_states.shape[3]} layers; this model "
                f"takes {expected[0]} x {expected[1]}: load the text encoder it was trained with"
            )
        if hidden_states.shape[1] % config.connector_num_learnable_registers:
            raise ValueError(
                f"{hidden_states.shape[1]} text tokens; the length must be a multiple of "
                f"{config.connector_num_learnable_registers}, the number of registers"
            )
        mask = mask.bool()
        features = self.text_embedding_projection(normalize_hidden_states(hidden_states, mask))
        rope = self._rope(features)
        return TextEmbeddings(
            self.video_embeddings_connector(features, mask, rope),
            self.audio_embeddings_connector(features, mask, rope),
        )

    def _rope(self, features: Tensor) -> RotaryTable:
        config = self.config
        positions = torch.arange(features.shape[1], dtype=torch.float32, device=features.device)
        return rotary_table(
            positions[None, None],
            width=features.shape[2],
            heads=config.connector_num_attention_heads,
            max_pos=(config.connector_positional_embedding_max_pos,),
            theta=config.positional_embedding_theta,
        )


def normalize_hidden_states(hidden_states: Tensor, mask: Tensor) -> Tensor:
    """Centre and scale each layer to about -8..8 over its valid entries, and put the layers beside each other.

    Args:
        hidden_states: `(b, s, d, layers)`.
        mask: Boolean `(b, s)`; the content of other positions does not matter.

    Returns:
        `(b, s, d * layers)`, layers fastest, zero where the mask is false; computed in float32.
    """
    eps = 1e-6
    dtype, hidden_states = hidden_states.dtype, hidden_states.float()
    valid = rearrange(mask, "b s -> b s 1 1")
    entries = reduce(valid, "b s 1 1 -> b 1 1 1", "sum") * hidden_states.shape[2]
    total = hidden_states.masked_fill(~valid, 0).sum(dim=(1, 2), keepdim=True)
    low = hidden_states.masked_fill(~valid, torch.inf).amin(dim=(1, 2), keepdim=True)
    high = hidden_states.masked_fill(~valid, -torch.inf).amax(dim=(1, 2), keepdim=True)
    normalized = 8 * (hidden_states - total / (entries + eps)) / (high - low + eps)
    return rearrange(normalized.masked_fill(~valid, 0).to(dtype), "b s d l -> b s (d l)")


def fill_registers(features: Tensor, mask: Tensor, registers: Tensor) -> Tensor:
    """Move each row's valid tokens to the front, in order, and put learnable registers everywhere else.

    Position p behind the valid tokens takes register `p mod r`: counted from the start, not from the last token.

    Args:
        features: `(b, s, d)`.
        mask: Boolean `(b, s)`.
        registers: `(r, d)`; s is a multiple of r.
    """
    order = torch.argsort(~mask, dim=1, stable=True)
    moved = features.gather(1, repeat(order, "b s -> b s d", d=features.shape[2]))
    is_valid = mask.gather(1, order)
    tiled = repeat(registers.to(features.dtype), "r d -> (n r) d", n=features.shape[1] // registers.shape[0])
    return torch.where(rearrange(is_valid, "b s -> b s 1"), moved, tiled)


class _Projection(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.aggregate_embed = nn.Linear(config.hidden_size * config.num_hidden_states, config.hidden_size, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.aggregate_embed(features)
        return out


class _Connector(nn.Module):
    """A small bidirectional transformer over the prompt's tokens and the registers."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.eps = config.norm_eps
        registers = torch.rand(config.connector_num_learnable_registers, config.hidden_size) * 2 - 1
        self.learnable_registers = nn.Parameter(registers)
        self.transformer_1d_blocks = nn.ModuleList(_Layer(config) for _ in range(config.connector_num_layers))

    def forward(self, features: Tensor, mask: Tensor, rope: RotaryTable) -> Tensor:
        x = fill_registers(features, mask, self.learnable_registers)
        for layer in self.transformer_1d_blocks:
            x = layer(x, rope)
        return rms_norm(x, self.eps)


class _Layer(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        dim, heads, head_dim = (
            config.hidden_size,
            config.connector_num_attention_heads,
            config.connector_attention_head_dim,
        )
        self.eps = config.norm_eps
        self.attn1 = Attention(dim, dim, heads=heads, head_dim=head_dim, eps=config.norm_eps)
        self.ff = FeedForward(dim)

    def forward(self, x: Tensor, rope: RotaryTable) -> Tensor:
        normed = rms_norm(x, self.eps)
        x = x + self.attn1(normed, self.attn1.keys_values(normed, rope), rope=rope)
        out: Tensor = x + self.ff(rms_norm(x, self.eps))
        return out
