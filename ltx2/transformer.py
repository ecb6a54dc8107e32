"""The dual-stream diffusion transformer of LTX-2: noisy video and audio tokens to velocities.

Source: arXiv 2601.03233 section 3.1 and Lightricks/LTX-2, `ltx_core/model/transformer/`; parameter names as published.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ltx2.attention import Attention, FeedForward, KeyValue, additive_mask, rms_norm
from ltx2.config import TransformerConfig
from ltx2.perturbation import BlockPlan, SelfPlan
from ltx2.rope import RotaryTable, StreamRope, middle, rotary_table

_TIMESTEP_CHANNELS = 256


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
    """Noise level 0..1: `(b,)`, or per token `(b, t)` (0 where a token is given, not generated)."""
    rope: StreamRope
    context: StreamContext


class LTX2Transformer(nn.Module):
    """Predicts the velocity (noise minus clean latent) of both streams.

    Args:
        config: Sizes.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        video, audio, eps = config.width, config.audio_width, config.norm_eps
        self.patchify_proj = nn.Linear(config.in_channels, video)
        self.audio_patchify_proj = nn.Linear(config.audio_in_channels, audio)
        self.caption_projection = _CaptionProjection(config.caption_channels, video)
        self.audio_caption_projection = _CaptionProjection(config.caption_channels, audio)
        self.adaln_single = _TimestepModulation(video, 6)
        self.audio_adaln_single = _TimestepModulation(audio, 6)
        self.av_ca_video_scale_shift_adaln_single = _TimestepModulation(video, 4)
        self.av_ca_audio_scale_shift_adaln_single = _TimestepModulation(audio, 4)
        self.av_ca_a2v_gate_adaln_single = _TimestepModulation(video, 1)
        self.av_ca_v2a_gate_adaln_single = _TimestepModulation(audio, 1)
        self.transformer_blocks = nn.ModuleList(_Block(config) for _ in range(config.num_layers))
        self.scale_shift_table = _table(2, video)
        self.audio_scale_shift_table = _table(2, audio)
        self.norm_out = nn.LayerNorm(video, eps=eps, elementwise_affine=False)
        self.audio_norm_out = nn.LayerNorm(audio, eps=eps, elementwise_affine=False)
        self.proj_out = nn.Linear(video, config.out_channels)
        self.audio_proj_out = nn.Linear(audio, config.audio_out_channels)

    def video_context(self, embeddings: Tensor, mask: Tensor | None = None) -> StreamContext:
        """Keys and values of every block for text embeddings `(b, t, caption_channels)`.

        Args:
            embeddings: The video connector's output.
            mask: `(b, t)`, true where a token may be attended to; None for all.
        """
        layers = [block.attn2 for block in self._blocks()]
        return _context(self.caption_projection, layers, embeddings, mask)

    def audio_context(self, embeddings: Tensor, mask: Tensor | None = None) -> StreamContext:
        """As `video_context`, for the audio connector's output."""
        layers = [block.audio_attn2 for block in self._blocks()]
        return _context(self.audio_caption_projection, layers, embeddings, mask)

    def video_rope(self, positions: Tensor) -> StreamRope:
        """Rotary tables for video token bounds `(b, 3, t, 2)` in seconds and pixels."""
        return self._rope(positions, self.config.width, self.config.positional_embedding_max_pos)

    def audio_rope(self, positions: Tensor) -> StreamRope:
        """Rotary tables for audio token bounds `(b, 1, t, 2)` in seconds."""
        return self._rope(positions, self.config.audio_width, self.config.audio_positional_embedding_max_pos)

    def forward(
        self,
        video: StreamInput | None,
        audio: StreamInput | None,
        plan: Sequence[BlockPlan] | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Velocities of both streams, each shaped as its tokens; None for an absent stream.

        Args:
            video: Video stream, or None to run audio alone (as if isolated).
            audio: Audio stream, or None to run video alone.
            plan: From `ltx2.perturbation.plan_blocks`, with as many rows as the batch; None for no perturbation.
        """
        plan = plan or (BlockPlan(),) * self.config.num_layers
        joint = video is not None and audio is not None and plan[0].crosses
        video_stream = None if video is None else self._enter(self._video_ends(), video, joint)
        audio_stream = None if audio is None else self._enter(self._audio_ends(), audio, joint)
        v = None if video_stream is None else video_stream.hidden
        a = None if audio_stream is None else audio_stream.hidden
        for i, (block, block_plan) in enumerate(zip(self._blocks(), plan, strict=True)):
            v, a = block(i, v, a, video_stream, audio_stream, block_plan)
        return self._leave(self._video_ends(), video_stream, v), self._leave(self._audio_ends(), audio_stream, a)

    def _blocks(self) -> "list[_Block]":
        return [block for block in self.transformer_blocks if isinstance(block, _Block)]

    def _rope(self, positions: Tensor, width: int, max_pos: tuple[int, ...]) -> StreamRope:
        config = self.config
        heads, theta = config.num_attention_heads, config.positional_embedding_theta
        centres = middle(positions)
        cross_pos = max(config.positional_embedding_max_pos[0], config.audio_positional_embedding_max_pos[0])
        return StreamRope(
            own=rotary_table(centres, width=width, heads=heads, max_pos=max_pos, theta=theta),
            cross=rotary_table(
                centres[:, :1], width=config.audio_width, heads=heads, max_pos=(cross_pos,), theta=theta
            ),
        )

    def _enter(self, ends: "_Ends", stream: StreamInput, joint: bool) -> "_Stream":
        """Project the tokens and turn the timestep into the modulations all blocks share."""
        config = self.config
        hidden = ends.project_in(stream.tokens)
        timestep = stream.timestep if stream.timestep.ndim == 2 else stream.timestep[:, None]
        scaled = timestep.float() * config.timestep_scale_multiplier
        modulation, embedding = ends.modulation(scaled, hidden.dtype)
        cross = None
        if joint:
            gate_scaled = timestep.float() * config.av_ca_timestep_scale_multiplier
            scale_shift, _ = ends.cross_modulation(scaled, hidden.dtype)
            gate, _ = ends.cross_gate(gate_scaled, hidden.dtype)
            cross = torch.cat((scale_shift, gate), dim=2)
        return _Stream(hidden, modulation, embedding, cross, stream.rope, stream.context)

    def _leave(self, ends: "_Ends", stream: "_Stream | None", hidden: Tensor | None) -> Tensor | None:
        if stream is None or hidden is None:
            return None
        shift, scale = (ends.table + stream.embedding[:, :, None]).unbind(2)
        out: Tensor = ends.project_out(_modulate(ends.norm(hidden), shift, scale))
        return out

    def _video_ends(self) -> "_Ends":
        return _Ends(
            self.patchify_proj,
            self.adaln_single,
            self.av_ca_video_scale_shift_adaln_single,
            self.av_ca_a2v_gate_adaln_single,
            self.scale_shift_table,
            self.norm_out,
            self.proj_out,
        )

    def _audio_ends(self) -> "_Ends":
        return _Ends(
            self.audio_patchify_proj,
            self.audio_adaln_single,
            self.av_ca_audio_scale_shift_adaln_single,
            self.av_ca_v2a_gate_adaln_single,
            self.audio_scale_shift_table,
            self.audio_norm_out,
            self.audio_proj_out,
        )


class _Ends(NamedTuple):
    """The layers of one stream before and after the blocks, under names that do not depend on the stream."""

    project_in: nn.Linear
    modulation: "_TimestepModulation"
    cross_modulation: "_TimestepModulation"
    cross_gate: "_TimestepModulation"
    table: Tensor
    norm: nn.LayerNorm
    project_out: nn.Linear


class _Stream(NamedTuple):
    """One stream on its way through the blocks; all but `hidden` stays as it is."""

    hidden: Tensor
    modulation: Tensor
    """`(b, t or 1, 6, d)`."""
    embedding: Tensor
    """`(b, t or 1, d)`."""
    cross: Tensor | None
    """`(b, t or 1, 5, d)`: scale and shift for a2v, scale and shift for v2a, gate."""
    rope: StreamRope
    context: StreamContext


class _Layers(NamedTuple):
    """The layers of one stream in one block."""

    attention: Attention
    text_attention: Attention
    feed_forward: FeedForward
    table: Tensor


class _Block(nn.Module):
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
        self.scale_shift_table = _table(6, video)
        self.audio_scale_shift_table = _table(6, audio)
        self.scale_shift_table_a2v_ca_video = _table(5, video)
        self.scale_shift_table_a2v_ca_audio = _table(5, audio)

    def forward(
        self,
        index: int,
        v: Tensor | None,
        a: Tensor | None,
        video: _Stream | None,
        audio: _Stream | None,
        plan: BlockPlan,
    ) -> tuple[Tensor | None, Tensor | None]:
        video_layers = _Layers(self.attn1, self.attn2, self.ff, self.scale_shift_table)
        audio_layers = _Layers(self.audio_attn1, self.audio_attn2, self.audio_ff, self.audio_scale_shift_table)
        video_feed = audio_feed = None
        if v is not None and video is not None:
            v, video_feed = self._attend(index, v, video, video_layers, plan.video)
        if a is not None and audio is not None:
            a, audio_feed = self._attend(index, a, audio, audio_layers, plan.audio)
        if v is not None and a is not None and video is not None and audio is not None and plan.crosses:
            v, a = self._exchange(v, a, video, audio, plan.cross_rows)
        if v is not None and video_feed is not None:
            v = self._feed(v, self.ff, video_feed)
        if a is not None and audio_feed is not None:
            a = self._feed(a, self.audio_ff, audio_feed)
        return v, a

    def _attend(
        self, index: int, x: Tensor, stream: _Stream, layers: _Layers, plan: SelfPlan
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Self-attention and text cross-attention; also returns shift, scale and gate of the feed-forward."""
        shift, scale, gate, *feed = (layers.table + stream.modulation).unbind(2)
        if plan.rows is None or len(plan.rows):
            rope = _table_rows(stream.rope.own, plan.rows)
            chosen = _pick(x, plan.rows)
            normed = _modulate(rms_norm(chosen, self.eps), _pick(shift, plan.rows), _pick(scale, plan.rows))
            keys_values = layers.attention.keys_values(normed, rope)
            y = layers.attention(normed, keys_values, rope=rope, pass_values=plan.pass_values)
            x = _add_rows(x, _pick(gate, plan.rows), y, plan.rows)
        context = stream.context
        text = layers.text_attention(rms_norm(x, self.eps), context.keys_values[index], mask=context.mask)
        return x + text, tuple(feed)

    def _exchange(
        self, v: Tensor, a: Tensor, video: _Stream, audio: _Stream, rows: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Both audio-video cross-attentions, each reading the other stream as it was before either update."""
        assert video.cross is not None
        assert audio.cross is not None
        video_rows = (self.scale_shift_table_a2v_ca_video + _pick(video.cross, rows)).unbind(2)
        audio_rows = (self.scale_shift_table_a2v_ca_audio + _pick(audio.cross, rows)).unbind(2)
        video_rope, audio_rope = (_table_rows(s.rope.cross, rows) for s in (video, audio))
        nv, na = rms_norm(_pick(v, rows), self.eps), rms_norm(_pick(a, rows), self.eps)

        a2v = self.audio_to_video_attn
        keys_values = a2v.keys_values(_modulate(na, audio_rows[1], audio_rows[0]), audio_rope)
        to_video = a2v(_modulate(nv, video_rows[1], video_rows[0]), keys_values, rope=video_rope)

        v2a = self.video_to_audio_attn
        keys_values = v2a.keys_values(_modulate(nv, video_rows[3], video_rows[2]), video_rope)
        to_audio = v2a(_modulate(na, audio_rows[3], audio_rows[2]), keys_values, rope=audio_rope)
        return _add_rows(v, video_rows[4], to_video, rows), _add_rows(a, audio_rows[4], to_audio, rows)

    def _feed(self, x: Tensor, layer: FeedForward, modulation: tuple[Tensor, ...]) -> Tensor:
        shift, scale, gate = modulation
        return torch.addcmul(x, gate, layer(_modulate(rms_norm(x, self.eps), shift, scale)))


class _CaptionProjection(nn.Module):
    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(dim_in, dim_out)
        self.linear_2 = nn.Linear(dim_out, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear_2(F.gelu(self.linear_1(x), approximate="tanh"))
        return out


class _TimestepMLP(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(_TIMESTEP_CHANNELS, dim)
        self.linear_2 = nn.Linear(dim, dim)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.linear_2(F.silu(self.linear_1(features)))
        return out


class _TimestepEmbedding(nn.Module):
    """Holds the MLP under the name it is published under."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.timestep_embedder = _TimestepMLP(dim)

    def forward(self, timestep: Tensor, dtype: torch.dtype) -> Tensor:
        out: Tensor = self.timestep_embedder(timestep_features(timestep).to(dtype))
        return out


class _TimestepModulation(nn.Module):
    """From scaled timesteps `(b, t)` to `rows` modulation vectors, and the embedding they are computed from."""

    def __init__(self, dim: int, rows: int) -> None:
        super().__init__()
        self.rows = rows
        self.emb = _TimestepEmbedding(dim)
        self.linear = nn.Linear(dim, rows * dim)

    def forward(self, timestep: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        embedding = self.emb(timestep, dtype)
        rows = self.linear(F.silu(embedding))
        return rearrange(rows, "b t (r d) -> b t r d", r=self.rows), embedding


def timestep_features(timestep: Tensor) -> Tensor:
    """128 cosines, then 128 sines of a timestep (already multiplied by 1000), float32 `(..., 256)`."""
    half = _TIMESTEP_CHANNELS // 2
    exponents = torch.arange(half, dtype=torch.float32, device=timestep.device) * (-math.log(10000.0) / half)
    angles = timestep.float()[..., None] * exponents.exp()
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


def _context(
    projection: _CaptionProjection, layers: Sequence[Attention], embeddings: Tensor, mask: Tensor | None
) -> StreamContext:
    projected = projection(embeddings.to(projection.linear_1.weight.dtype))
    bias = None if mask is None else additive_mask(mask, projected.dtype)
    return StreamContext(tuple(layer.keys_values(projected) for layer in layers), bias)


def _table(rows: int, dim: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(rows, dim) / math.sqrt(dim))


def _modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return torch.addcmul(shift, x, 1 + scale)


def _pick(x: Tensor, rows: Tensor | None) -> Tensor:
    """The given rows of a batch; a batch of 1 stands for all rows."""
    return x if rows is None or x.shape[0] == 1 else x.index_select(0, rows)


def _table_rows(table: RotaryTable, rows: Tensor | None) -> RotaryTable:
    return RotaryTable(_pick(table.cos, rows), _pick(table.sin, rows))


def _add_rows(x: Tensor, gate: Tensor, update: Tensor, rows: Tensor | None) -> Tensor:
    """Add the gated update to the given rows; the other rows keep their bits."""
    return torch.addcmul(x, gate, update) if rows is None else x.index_add(0, rows, gate * update)
