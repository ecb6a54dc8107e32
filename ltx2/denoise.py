"""From noisy latents to guided clean estimates: the transformer passes of one sampling step."""

import copy
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ltx2.guidance import Guidance, Pass, Weights, guide
from ltx2.pass_tree import plan_passes
from ltx2.rope import StreamRope
from ltx2.sample import Latents
from ltx2.text import TextEmbeddings
from ltx2.transformer import LTX2Transformer, StreamInput

_BATCH_UP_TO_TOKENS = 2048
"""Rows this short leave hardware idle, so that the passes of a step are quicker as one batch. On one CPU core a small
model takes 1.5 times as long pass by pass at 114 tokens, 1.15 times at 303, and the same at 1973. Not measured on
a GPU, where the crossing is elsewhere: say `batch_passes` there."""


def is_batched(batch_passes: bool | None, tokens: int) -> bool:
    """Whether the passes of a step run as one batch, for so many tokens of both streams."""
    return tokens <= _BATCH_UP_TO_TOKENS if batch_passes is None else batch_passes


BOTH = (True, True)
"""Both streams, video and audio, are computed."""


class Denoiser(Protocol):
    """What estimates clean latents."""

    nfe: int

    def __call__(self, x: Latents, sigma: float, runs: Sequence[bool] = BOTH) -> Latents:
        """Clean latents for `x` at noise level sigma; of a stream that does not run, anything."""


class GuidedDenoiser:
    """Estimates clean latents of one sample, with guidance.

    What depends on text and positions only (keys and values of the text, rotary tables) is computed once, here.

    Args:
        transformer: The model.
        embeddings: Text of the prompt (row 0) and, if the guidance has a text term, of the negative prompt (row 1).
        video_rope: From `transformer.video_rope`, one row.
        audio_rope: From `transformer.audio_rope`, one row.
        guidance: Which passes to run, and how to combine them.
        batch_passes: Run a layer on all passes at once, or on one after the other, which needs less memory; None
            decides by length.
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
        self._levels = tuple(map(_levels, masks))
        self._guidance = guidance
        self._dtype = transformer.patchify_proj.weight.dtype
        tokens = sum(rope.own.cos.shape[2] for rope in self._ropes)
        self._plan = plan_passes(
            guidance,
            num_layers=transformer.config.num_layers,
            device=embeddings.video.device,
            rows_at_once=None if is_batched(batch_passes, tokens) else 1,
        )
        rows = [1, 0] if "text" in guidance.passes else [0]
        self._contexts = (
            transformer.video_context(embeddings.video[rows]),
            transformer.audio_context(embeddings.audio[rows]),
        )
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
        other._ropes, other._levels, other.nfe = (video_rope, audio_rope), tuple(map(_levels, masks)), 0
        return other

    def __call__(self, x: Latents, sigma: float, runs: Sequence[bool] = BOTH) -> Latents:
        """Guided estimate of the clean latents, float32, for latents `(1, t, c)` at noise level sigma.

        Args:
            x: Both streams.
            sigma: Their noise level.
            runs: Which of them to compute; one that does not run is not seen by the other, and returned as it is.
        """
        streams = [
            StreamInput(tokens.to(self._dtype), levels.timestep(sigma, tokens.device), rope, context, levels.level)
            if run
            else None
            for run, tokens, levels, rope, context in zip(
                runs, x, self._levels, self._ropes, self._contexts, strict=True
            )
        ]
        velocities = self._transformer(*streams, self._plan.blocks)
        self.nfe += len(self._guidance.passes)
        passes = (self._plan.video, self._plan.audio)
        weights = (self._guidance.video_weights, self._guidance.audio_weights)
        given = zip(x, self._levels, velocities, passes, weights, strict=True)
        return Latents(*(_guided(*stream, sigma) if stream[2] is not None else stream[0] for stream in given))


class SkippingDenoiser:
    """Computes a stream only at every (n + 1)-th step; in between its last estimate is given again.

    Args:
        denoiser: What computes.
        skip_steps: The n of video and audio.
    """

    def __init__(self, denoiser: Denoiser, skip_steps: tuple[int, int]) -> None:
        self._denoiser = denoiser
        self._skip_steps = skip_steps
        self._step = 0
        self._last: Latents | None = None

    @property
    def nfe(self) -> int:
        """Transformer passes so far."""
        return self._denoiser.nfe

    def __call__(self, x: Latents, sigma: float) -> Latents:
        """Estimate of the clean latents; called once per step."""
        runs = [self._step % (skip + 1) == 0 for skip in self._skip_steps]
        self._step += 1
        if any(runs):
            made = self._denoiser(x, sigma, runs)
            last = made if self._last is None else self._last
            self._last = Latents(*(new if run else old for run, new, old in zip(runs, made, last, strict=True)))
        assert self._last is not None
        return self._last


class _Levels(NamedTuple):
    """The noise levels within one stream, as shares of the step's."""

    shares: Tensor | None
    """`(1, l)`: those that occur; None where all tokens have the step's own."""
    level: Tensor | None
    """The level of each token, `(t,)`; None where all have the same."""

    def timestep(self, sigma: float, device: torch.device) -> Tensor:
        """Noise levels `(1, l)`."""
        if self.shares is None:
            return torch.full((1, 1), sigma, dtype=torch.float32, device=device)
        return sigma * self.shares

    def per_token(self, sigma: float, device: torch.device) -> Tensor:
        """Noise level of each token, `(1, 1 or t, 1)`."""
        timestep = self.timestep(sigma, device)
        return (timestep if self.level is None else timestep[:, self.level])[..., None]


def _guided(
    tokens: Tensor, levels: _Levels, velocity: Tensor, passes: Sequence[Pass], weights: Weights, sigma: float
) -> Tensor:
    """One stream's estimate, from the velocities of all passes."""
    denoised = (tokens - levels.per_token(sigma, tokens.device) * velocity.float()).split(1)
    return guide(dict(zip(passes, denoised, strict=True)), weights)


def _levels(mask: Tensor | None) -> _Levels:
    """The few values that a mask has: what depends on the noise level is computed once for each, not for each token."""
    if mask is None:
        return _Levels(None, None)
    shares, index = mask[0].unique(return_inverse=True)
    return _Levels(shares[None], index if len(shares) > 1 else None)
