"""The dual-stream diffusion transformer of LTX-2: noisy video and audio tokens to velocities.

Source: arXiv 2601.03233 section 3.1 and Lightricks/LTX-2, `ltx_core/model/transformer/`; parameter names as published.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from ltx2.attention import Attention, additive_mask
from ltx2.block import Block, table
from ltx2.config import TransformerConfig
from ltx2.linear import Linear, linear_gelu
from ltx2.modulation import Modulation, TimestepModulation, modulate
from ltx2.perturbation import BlockPlan
from ltx2.rope import StreamRope, middle, rotary_table
from ltx2.streams import StreamContext, StreamInput, StreamState

__all__ = ["LTX2Transformer", "StreamContext", "StreamInput"]


class LTX2Transformer(nn.Module):
    """Predicts the velocity (noise minus clean latent) of both streams.

    Args:
        config: Sizes.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        video, audio, eps = config.width, config.audio_width, config.norm_eps
        self.patchify_proj = Linear(config.in_channels, video)
        self.audio_patchify_proj = Linear(config.audio_in_channels, audio)
        self.caption_projection = _CaptionProjection(config.caption_channels, video)
        self.audio_caption_projection = _CaptionProjection(config.caption_channels, audio)
        self.adaln_single = TimestepModulation(video, 6)
        self.audio_adaln_single = TimestepModulation(audio, 6)
        self.av_ca_video_scale_shift_adaln_single = TimestepModulation(video, 4)
        self.av_ca_audio_scale_shift_adaln_single = TimestepModulation(audio, 4)
        self.av_ca_a2v_gate_adaln_single = TimestepModulation(video, 1)
        self.av_ca_v2a_gate_adaln_single = TimestepModulation(audio, 1)
        self.transformer_blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.scale_shift_table = table(2, video)
        self.audio_scale_shift_table = table(2, audio)
        self.norm_out = nn.LayerNorm(video, eps=eps, elementwise_affine=False)
        self.audio_norm_out = nn.LayerNorm(audio, eps=eps, elementwise_affine=False)
        self.proj_out = Linear(video, config.out_channels)
        self.audio_proj_out = Linear(audio, config.audio_out_channels)

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
            plan: From `ltx2.perturbation.plan_blocks`, with as many rows as the batch; None for no perturbation. A
                plan with forks (`ltx2.pass_tree`) returns the rows that it ends with.
        """
        plan = plan or (BlockPlan(),) * self.config.num_layers
        joint = video is not None and audio is not None and plan[0].crosses
        v = a = video_state = audio_state = None
        if video is not None:
            v, video_state = self._enter(self._video_ends(), video, joint)
        if audio is not None:
            a, audio_state = self._enter(self._audio_ends(), audio, joint)
        for i, (block, block_plan) in enumerate(zip(self.transformer_blocks, plan, strict=True)):
            if video is not None and video_state is not None:
                video_state = video_state._replace(text=video.context.keys_values[i])
            if audio is not None and audio_state is not None:
                audio_state = audio_state._replace(text=audio.context.keys_values[i])
            v, a = block(v, a, video_state, audio_state, block_plan)
        return self._leave(self._video_ends(), video_state, v), self._leave(self._audio_ends(), audio_state, a)

    def compile_blocks(self, backend: str = "inductor") -> None:
        """Compile the blocks with `torch.compile`: slow to start, the same result up to rounding.

        One kind of block is compiled, not the whole model, which takes a minute where that would take many. Needs a C++
        compiler (CPU) or Triton (GPU).

        Args:
            backend: Of `torch.compile`.
        """
        for block in self.transformer_blocks:
            block.compile(backend=backend)

    def _blocks(self) -> list[Block]:
        return [cast("Block", block) for block in self.transformer_blocks]

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

    def _enter(self, ends: "_Ends", stream: StreamInput, joint: bool) -> tuple[Tensor, StreamState]:
        """Project the tokens and turn the timestep into the modulations all blocks share."""
        config, level = self.config, stream.level
        hidden = ends.project_in(stream.tokens)
        timestep = stream.timestep if stream.timestep.ndim == 2 else stream.timestep[:, None]
        scaled = timestep.float() * config.timestep_scale_multiplier
        modulation, embedding = ends.modulation(scaled, hidden.dtype)
        cross = None
        if joint:
            gate_scaled = timestep.float() * config.av_ca_timestep_scale_multiplier
            scale_shift, _ = ends.cross_modulation(scaled, hidden.dtype)
            gate, _ = ends.cross_gate(gate_scaled, hidden.dtype)
            cross = Modulation(torch.cat((scale_shift, gate), dim=2), level)
        context = stream.context
        return hidden, StreamState(
            Modulation(modulation, level),
            Modulation(embedding[:, :, None], level),
            cross,
            stream.rope,
            context.keys_values[0],
            context.mask,
        )

    def _leave(self, ends: "_Ends", stream: StreamState | None, hidden: Tensor | None) -> Tensor | None:
        if stream is None or hidden is None:
            return None
        shift, scale = stream.embedding.rows(ends.table)
        out: Tensor = ends.project_out(modulate(ends.norm(hidden), shift, scale))
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
    modulation: TimestepModulation
    cross_modulation: TimestepModulation
    cross_gate: TimestepModulation
    table: Tensor
    norm: nn.LayerNorm
    project_out: nn.Linear


class _CaptionProjection(nn.Module):
    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.linear_1 = Linear(dim_in, dim_out)
        self.linear_2 = Linear(dim_out, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear_2(linear_gelu(self.linear_1, x))
        return out


def _context(
    projection: _CaptionProjection, layers: Sequence[Attention], embeddings: Tensor, mask: Tensor | None
) -> StreamContext:
    projected = projection(embeddings.to(projection.linear_1.weight.dtype))
    bias = None if mask is None else additive_mask(mask, projected.dtype)
    return StreamContext(tuple(layer.keys_values(projected) for layer in layers), bias)
