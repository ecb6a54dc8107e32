"""What the transformer is given about each of its two streams, and what its blocks keep of it."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ltx2.attention import KeyValue
from ltx2.modulation import Modulation
from ltx2.rope import StreamRope


class StreamContext(NamedTuple):
    """The text as one stream's blocks see it: computed once per generation, used at every step."""

    keys_values: tuple[KeyValue, ...]
    mask: Tensor | None = None
    """Additive bias `(b, 1, 1, t)`."""

    def rows(self, indices: Sequence[int]) -> "StreamContext":
        """The context of a batch made of the given rows of this one (rows may repeat)."""
        chosen = torch.tensor(indices, device=self.keys_values[0].key.device)
        keys_values = tuple(KeyValue(*(x.index_select(0, chosen) for x in pair)) for pair in self.keys_values)
        return StreamContext(keys_values, None if self.mask is None else self.mask.index_select(0, chosen))


class StreamInput(NamedTuple):
    """What the transformer needs to know of one stream. A batch of 1 in `timestep` or `rope` serves all rows."""

    tokens: Tensor
    """Noisy latent, `(b, t, c)`."""
    timestep: Tensor
    """Noise level 0..1: `(b,)`, or per token `(b, t)` (0 where a token is given, not generated), or `(b, l)` with
    `level`."""
    rope: StreamRope
    context: StreamContext
    level: Tensor | None = None
    """Which of the l timesteps each token has, integers `(t,)`: where tokens share few, far less is computed."""


class StreamState(NamedTuple):
    """What a block is given of a stream besides its hidden tokens."""

    modulation: Modulation
    """Six rows: shift, scale and gate of the self-attention, then of the feed-forward."""
    embedding: Modulation
    """One row, for the way out."""
    cross: Modulation | None
    """Five rows: scale and shift for audio-to-video, scale and shift for video-to-audio, gate."""
    rope: StreamRope
    text: KeyValue
    """Of this block; all else is the same for all blocks."""
    text_mask: Tensor | None
