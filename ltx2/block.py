"""One block of the transformer: self-attention and text for each stream, exchange between them, feed-forward.

Source: arXiv 2601.03233 section 3.1 and Lightricks/LTX-2, `ltx_core/model/transformer/transformer.py`; parameter names
as published.
"""

import math
from functools import partial
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from ltx2.attention import Attention, FeedForward, KeyValue, rms_norm
from ltx2.config import TransformerConfig
from ltx2.modulation import modulate
from ltx2.perturbation import BlockPlan, StreamPlan
from ltx2.rope import RotaryTable
from ltx2.rows import add_rows, fork, in_parts, pick
from ltx2.streams import StreamState


class _Layers(NamedTuple):
    """The layers of one stream, under names that do not depend on the stream."""

    attention: Attention
    text_attention: Attention
    table: Tensor


class Block(nn.Module):
    """Updates the hidden tokens of both streams.

    Args:
        config: Sizes.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        video, audio, eps = config.width, config.audio_width, config.norm_eps
        heads = config.num_attention_heads
        wide = partial(Attention, heads=heads, head_dim=config.attention_head_dim, eps=eps)
        narrow = partial(Attention, heads=heads, head_dim=config.audio_attention_head_dim, eps=eps)
        self.eps = eps
        self.attn1 = wide(video, video)
        self.attn2 = wide(video, video)
        self.audio_attn1 = narrow(audio, audio)
        self.audio_attn2 = narrow(audio, audio)
        self.audio_to_video_attn = narrow(video, audio)
        self.video_to_audio_attn = narrow(audio, video)
        self.ff = FeedForward(video)
        self.audio_ff = FeedForward(audio)
        self.scale_shift_table = table(6, video)
        self.audio_scale_shift_table = table(6, audio)
        self.scale_shift_table_a2v_ca_video = table(5, video)
        self.scale_shift_table_a2v_ca_audio = table(5, audio)

    def forward(
        self,
        v: Tensor | None,
        a: Tensor | None,
        video: StreamState | None,
        audio: StreamState | None,
        plan: BlockPlan,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Hidden tokens `(b, t, d)` of both streams after this block; None for an absent stream."""
        video_layers = _Layers(self.attn1, self.attn2, self.scale_shift_table)
        audio_layers = _Layers(self.audio_attn1, self.audio_attn2, self.audio_scale_shift_table)
        video_feed = audio_feed = None
        if v is not None and video is not None:
            v, video_feed = self._attend(v, video, video_layers, plan.video, plan.rows_at_once)
        if a is not None and audio is not None:
            a, audio_feed = self._attend(a, audio, audio_layers, plan.audio, plan.rows_at_once)
        if v is not None and a is not None and video is not None and audio is not None and plan.crosses:
            v, a = self._exchange(v, a, video, audio, plan)
        if v is not None and video_feed is not None:
            v = self._feed(v, self.ff, video_feed, plan.rows_at_once)
        if a is not None and audio_feed is not None:
            a = self._feed(a, self.audio_ff, audio_feed, plan.rows_at_once)
        return v, a

    def _attend(
        self, x: Tensor, stream: StreamState, layers: _Layers, plan: StreamPlan, at_once: int | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Self-attention and text cross-attention; also returns shift, scale and gate of the feed-forward."""
        modulation = stream.modulation.rows(layers.table)
        x = fork(x, plan.fork_before)
        x = self._attend_self(x, layers.attention, stream.rope.own, modulation[:3], plan, at_once)
        x = fork(x, plan.fork_after_self)
        x = self._read_text(x, layers.text_attention, stream, plan.readers, at_once)
        return fork(x, plan.fork_after_text), modulation[3:]

    def _attend_self(
        self,
        x: Tensor,
        attention: Attention,
        rope: RotaryTable,
        modulation: tuple[Tensor, ...],
        plan: StreamPlan,
        at_once: int | None,
    ) -> Tensor:
        shift, scale, gate = modulation

        def attend(x: Tensor, shift: Tensor, scale: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
            rope = RotaryTable(cos, sin)
            normed = modulate(rms_norm(x, self.eps), shift, scale)
            return attention(normed, attention.keys_values(normed, rope), rope=rope)

        def pass_values(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
            return attention.pass_values(modulate(rms_norm(x, self.eps), shift, scale))

        out = x
        if plan.attends:
            rows = plan.attending
            given = (pick(y, rows) for y in (shift, scale, *rope))
            out = add_rows(out, pick(gate, rows), in_parts(attend, at_once, pick(x, rows), *given), rows)
        if plan.passes:
            rows = plan.passing
            given = (pick(y, rows) for y in (shift, scale))
            out = add_rows(out, pick(gate, rows), in_parts(pass_values, at_once, pick(x, rows), *given), rows)
        return out

    def _read_text(
        self, x: Tensor, layer: Attention, stream: StreamState, readers: tuple[int, ...] | None, at_once: int | None
    ) -> Tensor:
        text, mask = stream.text, stream.text_mask
        if readers is None:
            return x + layer(rms_norm(x, self.eps), text, mask=mask)
        parts = []
        for i, rows in enumerate(x.split(readers)):
            bias = None if mask is None else mask[i : i + 1]
            read = partial(self._read_one_text, layer=layer, text=KeyValue(*(y[i : i + 1] for y in text)), mask=bias)
            parts.append(in_parts(read, at_once, rows))
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _read_one_text(self, x: Tensor, *, layer: Attention, text: KeyValue, mask: Tensor | None) -> Tensor:
        """Rows that read the same text are one long row: queries have no positions here, and keys are fetched once."""
        queries = rearrange(rms_norm(x, self.eps), "b t d -> 1 (b t) d")
        return x + rearrange(layer(queries, text, mask=mask), "1 (b t) d -> b t d", b=x.shape[0])

    def _exchange(
        self, v: Tensor, a: Tensor, video: StreamState, audio: StreamState, plan: BlockPlan
    ) -> tuple[Tensor, Tensor]:
        """Both audio-video cross-attentions, each reading the other stream as it was before either update."""
        assert video.cross is not None
        assert audio.cross is not None
        rows, at_once = plan.cross_rows, plan.rows_at_once
        video_scale, video_shift, video_scale_v2a, video_shift_v2a, video_gate = (
            pick(y, rows) for y in video.cross.rows(self.scale_shift_table_a2v_ca_video)
        )
        audio_scale, audio_shift, audio_scale_v2a, audio_shift_v2a, audio_gate = (
            pick(y, rows) for y in audio.cross.rows(self.scale_shift_table_a2v_ca_audio)
        )
        video_rope, audio_rope = (tuple(pick(y, rows) for y in s.rope.cross) for s in (video, audio))
        nv, na = rms_norm(pick(v, rows), self.eps), rms_norm(pick(a, rows), self.eps)
        modulation = (video_shift, video_scale, audio_shift, audio_scale)
        a2v = partial(_cross, self.audio_to_video_attn)
        to_video = in_parts(a2v, at_once, nv, na, *modulation, *video_rope, *audio_rope)
        modulation = (audio_shift_v2a, audio_scale_v2a, video_shift_v2a, video_scale_v2a)
        v2a = partial(_cross, self.video_to_audio_attn)
        to_audio = in_parts(v2a, at_once, na, nv, *modulation, *audio_rope, *video_rope)
        return add_rows(v, video_gate, to_video, rows), add_rows(a, audio_gate, to_audio, rows)

    def _feed(self, x: Tensor, layer: FeedForward, modulation: tuple[Tensor, ...], at_once: int | None) -> Tensor:
        shift, scale, gate = modulation

        def feed(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
            return layer(modulate(rms_norm(x, self.eps), shift, scale))

        return torch.addcmul(x, gate, in_parts(feed, at_once, x, shift, scale))


def _cross(
    attention: Attention,
    x: Tensor,
    other: Tensor,
    shift: Tensor,
    scale: Tensor,
    other_shift: Tensor,
    other_scale: Tensor,
    cos: Tensor,
    sin: Tensor,
    other_cos: Tensor,
    other_sin: Tensor,
) -> Tensor:
    """What one stream reads in the other; both normalised, each with its own modulation and rotation."""
    keys_values = attention.keys_values(modulate(other, other_shift, other_scale), RotaryTable(other_cos, other_sin))
    return attention(modulate(x, shift, scale), keys_values, rope=RotaryTable(cos, sin))


def table(rows: int, dim: int) -> nn.Parameter:
    """Learned modulation vectors, `(rows, dim)`."""
    return nn.Parameter(torch.randn(rows, dim) / math.sqrt(dim))
