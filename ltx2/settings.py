"""How a clip is sampled, and the settings that make up each named pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from ltx2.guidance import HQ, TEXT_AND_MODALITY, UNGUIDED, Guidance
from ltx2.schedule import DISTILLED_SIGMAS, REFINE_SIGMAS, ScheduleName

SamplerName = Literal["euler", "res_2s"]
"""`euler`: one evaluation per step. `res_2s`: second order with fresh noise, 2n + 1 evaluations for n steps."""
AudioMode = Literal["refine", "keep"]
"""`refine`: noise the sound of the first stage too and denoise it with the picture, as LTX-2's two-stage pipelines do.
`keep`: show it to the model as it is, and deliver it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tiles:
    """Overlapping pieces of a video latent that are refined one by one; sizes in latent frames and cells.

    The default holds 121 frames of 768 x 768 pixels, about the number of tokens of the first stage.
    """

    frames: int = 16
    height: int = 24
    width: int = 24
    overlap_frames: int = 4
    overlap: int = 6
    """Least number of cells that neighbours share, in height and in width."""

    def __post_init__(self) -> None:
        for name, size, overlap in (
            ("frames", self.frames, self.overlap_frames),
            ("height", self.height, self.overlap),
            ("width", self.width, self.overlap),
        ):
            if size < 1 or not 0 <= overlap < size:
                raise ValueError(
                    f"tiles of {size} latent {name} that overlap by {overlap}; the size must be at least 1 and the "
                    "overlap from 0 to less than the size"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class RefineSettings:
    """The second stage: the first stage's latent, doubled in height and width, is partly noised and denoised again."""

    sigmas: tuple[float, ...] = REFINE_SIGMAS
    """Falling noise levels to 0; the first is how much noise is added."""
    guidance: Guidance = UNGUIDED
    sampler: SamplerName = "euler"
    lora_strength: float | None = 1.0
    """Of the pipeline's LoRA during this stage; 0 for weights that need none; None as in `SamplingSettings`."""
    audio: AudioMode = "refine"
    tiles: Tiles | None = None
    """Refine in tiles, to bound memory; None for all at once."""
    double_frames: bool = False
    """The first stage samples half the frames too, at half the frame rate; a temporal upsampler doubles them."""

    def __post_init__(self) -> None:
        _check("sampler", self.sampler, get_args(SamplerName))
        _check("audio", self.audio, get_args(AudioMode))
        _check_skipping(self.guidance, self.sampler)


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingSettings:
    """Everything that changes a sample besides prompt, seed, size and conditions."""

    steps: int = 40
    guidance: Guidance = TEXT_AND_MODALITY
    schedule: ScheduleName | tuple[float, ...] = "ltx2"
    """A schedule's name, or the sigmas themselves (`steps + 1` values that fall to 0)."""
    sampler: SamplerName = "euler"
    lora_strength: float | None = None
    """Of the pipeline's LoRA during the first (or only) stage. None: 0 where the other stage says a strength, else 1,
    so that a LoRA that is loaded is used."""
    refine: RefineSettings | None = None
    """Sample at half height and width first, then refine at full size; None for one stage."""
    batch_passes: bool | None = None
    """Run the guidance passes of a step as one batch. None: where that is quicker, which is with few tokens. The
    result is the same up to rounding."""

    def __post_init__(self) -> None:
        _check("sampler", self.sampler, get_args(SamplerName))
        _check_skipping(self.guidance, self.sampler)

    def resolved(self, *, has_lora: bool) -> "SamplingSettings":
        """The same settings with a number for each LoRA strength that was left open.

        Args:
            has_lora: Whether there is a LoRA to fuse.
        """
        refine = self.refine
        said = self.lora_strength is not None or (refine is not None and refine.lora_strength is not None)
        default = 1.0 if has_lora and not said else 0.0
        if refine is not None and refine.lora_strength is None:
            refine = replace(refine, lora_strength=default)
        strength = default if self.lora_strength is None else self.lora_strength
        return replace(self, lora_strength=strength, refine=refine)


def _check_skipping(guidance: Guidance, sampler: SamplerName) -> None:
    if any(guidance.skip_steps) and sampler != "euler":
        raise ValueError(f"skip_steps is {max(guidance.skip_steps)} and the sampler {sampler}; only euler skips steps")


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} is {value!r}; known: {', '.join(known)}")


_DISTILLED_STEPS = len(DISTILLED_SIGMAS) - 1

PIPELINES: Mapping[str, SamplingSettings] = {
    "one-stage": SamplingSettings(),
    "distilled": SamplingSettings(steps=_DISTILLED_STEPS, guidance=UNGUIDED, schedule="distilled"),
    "two-stage": SamplingSettings(refine=RefineSettings()),
    "distilled-two-stage": SamplingSettings(
        steps=_DISTILLED_STEPS, guidance=UNGUIDED, schedule="distilled", refine=RefineSettings(lora_strength=None)
    ),
    "hq": SamplingSettings(
        steps=15,
        guidance=HQ,
        schedule="ltx2-tokens",
        sampler="res_2s",
        lora_strength=0.25,
        refine=RefineSettings(sampler="res_2s", lora_strength=0.5),
    ),
    "tiled": SamplingSettings(refine=RefineSettings(audio="keep", tiles=Tiles())),
}
"""The pipelines that have a name. `distilled` ones are for distilled weights; `two-stage`, `hq` and `tiled` are for the
full model and its distilled LoRA. `tiled` is our design after section 4.2 of the paper, of which no code is public."""
