"""Guidance of both streams by text, by the other modality and by perturbed self-attention, on denoised latents.

Source: arXiv 2601.03233 section 4.1 and Lightricks/LTX-2, `ltx_core/components/guiders.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from ltx2.perturbation import Perturbation, StgKind

Pass = Literal["conditional", "text", "stg", "modality"]
"""Forward passes of a guided step: the prompt; the negative prompt; the prompt with self-attention perturbed; the
prompt with the streams isolated from each other."""
Convention = Literal["code", "paper"]
"""How scales are meant. `code`: a term's weight is its scale minus 1, so 1 is neutral. `paper`: the weight is the
scale itself, so 0 is neutral."""


class Weights(NamedTuple):
    """Additive weights of one stream's terms; 0 is neutral in all of them."""

    text: float
    modality: float
    stg: float
    rescale: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamGuidance:
    """Scales of one stream; `text` and `modality` are read by the convention of the `Guidance` they are part of."""

    text: float
    modality: float
    stg: float = 0.0
    rescale: float = 0.0
    """0..1: how far the result's standard deviation is pulled back to that of the conditional prediction."""
    skip_steps: int = 0
    """Steps after each computed one that reuse its estimate of this stream. A step that both streams skip does not run
    the model; in one that only this stream skips the other is computed alone. Lossy; Euler sampler only."""

    def __post_init__(self) -> None:
        if self.skip_steps < 0:
            raise ValueError(f"skip_steps is {self.skip_steps}; it must be 0 (compute each step) or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class Guidance:
    """Guidance of both streams. They share the passes; a term that is neutral in both costs none."""

    video: StreamGuidance
    audio: StreamGuidance
    stg_blocks: tuple[int, ...] = ()
    """Transformer blocks (from 0) whose self-attention the `stg` pass perturbs."""
    stg_kind: StgKind = "value"
    convention: Convention = "code"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("convention", self.convention, Convention),
            ("stg_kind", self.stg_kind, StgKind),
        ):
            if value not in get_args(known):
                raise ValueError(f"{name} is {value!r}; known: {', '.join(get_args(known))}")
        if bool(self.stg_blocks) != any(s.stg != 0 for s in (self.video, self.audio)):
            raise ValueError(
                f"stg scales {self.video.stg} and {self.audio.stg} with stg_blocks {self.stg_blocks}: "
                "give both scales and blocks, or neither"
            )

    @property
    def video_weights(self) -> Weights:
        """Additive weights of the video stream."""
        return self._weights(self.video)

    @property
    def audio_weights(self) -> Weights:
        """Additive weights of the audio stream."""
        return self._weights(self.audio)

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The passes one step needs, the conditional one first."""
        streams = (self.video_weights, self.audio_weights)
        terms: tuple[tuple[Pass, bool], ...] = (
            ("text", any(w.text != 0 for w in streams)),
            ("stg", any(w.stg != 0 for w in streams)),
            ("modality", any(w.modality != 0 for w in streams)),
        )
        return ("conditional", *(name for name, needed in terms if needed))

    @property
    def skip_steps(self) -> tuple[int, int]:
        """Of video and audio."""
        return self.video.skip_steps, self.audio.skip_steps

    def perturbation(self, name: Pass) -> Perturbation:
        """What a pass changes inside the transformer."""
        if name == "modality":
            return Perturbation(isolate=True)
        if name == "stg":
            return Perturbation(
                video_blocks=self.stg_blocks if self.video.stg != 0 else (),
                audio_blocks=self.stg_blocks if self.audio.stg != 0 else (),
                stg_kind=self.stg_kind,
            )
        return Perturbation()

    def _weights(self, stream: StreamGuidance) -> Weights:
        neutral = 1.0 if self.convention == "code" else 0.0
        return Weights(stream.text - neutral, stream.modality - neutral, stream.stg, stream.rescale)


def guide(predictions: Mapping[Pass, Tensor], weights: Weights) -> Tensor:
    """Combine one stream's denoised predictions, each `(b, ...)`.

    The conditional prediction plus each weight times its distance from the pass without that information; then, by
    `rescale`, a pull of each sample's standard deviation back to that of the conditional prediction. In float32.
    """
    conditional = predictions["conditional"].float()
    guided = conditional
    for name, weight in (("text", weights.text), ("stg", weights.stg), ("modality", weights.modality)):
        if weight != 0:
            guided = guided + weight * (conditional - predictions[name].float())  # type: ignore[index]
    if weights.rescale != 0:
        dims = tuple(range(1, conditional.ndim))
        ratio = conditional.std(dims, keepdim=True) / guided.std(dims, keepdim=True)
        guided = guided * torch.lerp(torch.ones_like(ratio), ratio, weights.rescale)
    return guided.to(predictions["conditional"].dtype)


UNGUIDED = Guidance(video=StreamGuidance(text=1, modality=1), audio=StreamGuidance(text=1, modality=1))
"""One pass a step; also what distilled weights use."""

RELEASE = Guidance(video=StreamGuidance(text=4, modality=1), audio=StreamGuidance(text=4, modality=1))
"""Text guidance only, as in the code of the release (5 January 2026); two passes."""

LTX2_DEFAULT = Guidance(
    video=StreamGuidance(text=3, modality=3, stg=1, rescale=0.7),
    audio=StreamGuidance(text=7, modality=3, stg=1, rescale=0.7),
    stg_blocks=(29,),
)
"""The code's defaults for the 19B model since 29 January 2026; four passes."""

PAPER = Guidance(
    video=StreamGuidance(text=3, modality=3),
    audio=StreamGuidance(text=7, modality=3),
    convention="paper",
)
"""Section 4.1 of the paper, read literally; three passes."""

TEXT_AND_MODALITY = Guidance(
    video=StreamGuidance(text=3, modality=3, rescale=0.7),
    audio=StreamGuidance(text=7, modality=3, rescale=0.7),
)
"""The code's defaults without STG, for models of any depth; three passes."""

HQ = Guidance(
    video=StreamGuidance(text=3, modality=3, rescale=0.45),
    audio=StreamGuidance(text=7, modality=3, rescale=1.0),
)
"""The first stage of LTX-2's HQ pipeline (March 2026); three passes."""

PRESETS: Mapping[str, Guidance] = {
    "unguided": UNGUIDED,
    "release": RELEASE,
    "ltx2-default": LTX2_DEFAULT,
    "paper": PAPER,
    "text-and-modality": TEXT_AND_MODALITY,
    "hq": HQ,
}
"""The guidance settings that have a name."""
