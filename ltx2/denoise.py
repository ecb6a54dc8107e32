"""From noisy latents to guided clean estimates: the transformer passes of one sampling step."""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ltx2.guidance import Guidance, Pass, guide
from ltx2.perturbation import BlockPlan, plan_blocks
from ltx2.rope import StreamRope
from ltx2.sample import Latents
from ltx2.text import TextEmbeddings
from ltx2.transformer import LTX2Transformer, StreamContext, StreamInput

_BATCH_UP_TO_TOKENS = 2048
"""Rows this short leave hardware idle, so that the passes of a step are quicker as one batch."""


class _Call(NamedTuple):
    """One run of the transformer: a batch of passes, with all that stays the same from step to step."""

    passes: tuple[Pass, ...]
    video: StreamContext
    audio: StreamContext
    plan: tuple[BlockPlan, ...]


class GuidedDenoiser:
    """Estimates clean latents of one sample, with guidance.

    What depends on text and positions only (keys and values of the text, rotary tables) is computed once, here.

    Args:
        transformer: The model.
        embeddings: Text of the prompt (row 0) and, if the guidance has a text term, of the negative prompt (row 1).
        video_rope: From `transformer.video_rope`, one row.
        audio_rope: From `transformer.audio_rope`, one row.
        guidance: Which passes to run, and how to combine them.
        batch_passes: One batch a step, or one pass after the other; None decides by length.
        masks: Of video and audio, `(1, t)`: the share of noise in each token, 0 where it is given and 1 where it is
            generated; None where all of a stream is generated.
    """

    def __init__(
        self,
        transformer: LTX2Transformer,
        embeddings: TextEmbeddings,
        *,
        video_rope: StreamRope,
        audio_rope: StreamRope,
        guidance: Guidance,
        batch_passes: bool | None = None,
        masks: tuple[Tensor | None, Tensor | None] = (None, None),
    ) -> None:
        self._transformer = transformer
        self._ropes = (video_rope, audio_rope)
        self._masks = masks
        self._guidance = guidance
        self._dtype = transformer.patchify_proj.weight.dtype
        tokens = sum(rope.own.cos.shape[2] for rope in self._ropes)
        batched = tokens <= _BATCH_UP_TO_TOKENS if batch_passes is None else batch_passes
        passes = guidance.passes
        self._calls = self._prepare(embeddings, [passes] if batched else [(name,) for name in passes])
        self.nfe = 0
        """Transformer passes so far, each pass of a batch counted."""

    def at(
        self,
        *,
        video_rope: StreamRope,
        audio_rope: StreamRope,
        masks: tuple[Tensor | None, Tensor | None] = (None, None),
    ) -> "GuidedDenoiser":
        """The same model, text and guidance for tokens at other places; shares what was computed from the text."""
        other = copy.copy(self)
        other._ropes, other._masks, other.nfe = (video_rope, audio_rope), masks, 0
        return other

    def __call__(self, x: Latents, sigma: float) -> Latents:
        """Guided estimate of the clean latents, float32, for latents `(1, t, c)` at noise level sigma."""
        video: dict[Pass, Tensor] = {}
        audio: dict[Pass, Tensor] = {}
        for call in self._calls:
            denoised = self._run(call, x, sigma)
            for i, name in enumerate(call.passes):
                video[name], audio[name] = denoised.video[i : i + 1], denoised.audio[i : i + 1]
            self.nfe += len(call.passes)
        return Latents(
            guide(video, self._guidance.video_weights),
            guide(audio, self._guidance.audio_weights),
        )

    def _run(self, call: _Call, x: Latents, sigma: float) -> Latents:
        timesteps = [self._timestep(sigma, mask, x.video.device) for mask in self._masks]
        contexts = (call.video, call.audio)
        streams = (
            StreamInput(tokens.to(self._dtype).expand(len(call.passes), -1, -1), timestep, rope, context)
            for tokens, timestep, rope, context in zip(x, timesteps, self._ropes, contexts, strict=True)
        )
        velocities = self._transformer(*streams, call.plan)
        return Latents(
            *(tokens - time[..., None] * v.float() for tokens, time, v in zip(x, timesteps, velocities, strict=True))
        )

    def _timestep(self, sigma: float, mask: Tensor | None, device: torch.device) -> Tensor:
        """Noise level of all tokens, `(1, 1)`, or of each, `(1, t)`."""
        return torch.full((1, 1), sigma, dtype=torch.float32, device=device) if mask is None else sigma * mask

    def _prepare(self, embeddings: TextEmbeddings, batches: Sequence[tuple[Pass, ...]]) -> tuple[_Call, ...]:
        video = self._transformer.video_context(embeddings.video)
        audio = self._transformer.audio_context(embeddings.audio)
        contexts: dict[tuple[int, ...], tuple[StreamContext, StreamContext]] = {}
        calls = []
        for passes in batches:
            rows = tuple(int(name == "text") for name in passes)
            if rows not in contexts:
                contexts[rows] = (video.rows(rows), audio.rows(rows))
            plan = plan_blocks(
                [self._guidance.perturbation(name) for name in passes],
                num_layers=self._transformer.config.num_layers,
                device=embeddings.video.device,
            )
            calls.append(_Call(passes, *contexts[rows], plan))
        return tuple(calls)
