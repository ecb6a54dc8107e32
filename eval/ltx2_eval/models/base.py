"""The one protocol of everything that can make a clip for a prompt."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.clip import Clip
from ltx2_eval.noise import NOISE_PLAN
from ltx2_reports.records import ClipShape, Scalar, Stage

NoisePlan = Literal["prompt-seed", "none"] | None
"""See `RunSpec.noise`."""


class DamagedInput(ValueError):
    """A file that a model is given cannot be read: the file is at fault, and not the command."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationRequest:
    """One sample to make."""

    sample: str
    """Id of the sample, `PROMPT-sSEED`."""
    prompt_id: str
    prompt: str
    seed: int
    """Of the noise: `noise.noise_seed` of the prompt and the sample's seed."""
    num_frames: int
    height: int
    width: int
    fps: Fraction

    @property
    def duration_s(self) -> float:
        """Length of the clip that is asked for."""
        return float(self.num_frames / self.fps)


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What a model computed for one clip, as far as it can say."""

    flops: dict[str, int] = field(default_factory=dict)
    """By name of the stage; a multiply and an add count as two."""
    reason: str | None = None
    """Why there are none."""
    dtype: str | None = None
    load_s: float | None = None
    """Seconds of loading the weights, once per process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """What a model made: a clip in memory, or a finished media file that is taken as it is."""

    clip: Clip | None = None
    file: Path | None = None
    stages: tuple[Stage, ...] = ()
    """Cost of each stage inside the model; the runner adds `write`."""
    details: dict[str, Scalar] = field(default_factory=dict)
    latents: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    """What the decoders were given, by name, of models that have such; kept only where the user asks."""
    work: Callable[[], Work] | None = field(default=None, repr=False)
    """Says what was computed; called after the clock has stopped."""
    finished_s: float | None = None
    """When the last stage ended, on `time.perf_counter`, of models whose stages follow each other without a pause."""


class Model(Protocol):
    """Makes clips. One instance serves a whole run and may keep weights loaded.

    One that draws no noise from the request's seed says so by an attribute `noise`, see `noise_of`.
    """

    def identity(self) -> dict[str, Scalar]:
        """Everything that decides the output besides the request: weights' SHA-256, settings, device, dtype."""

    def preferred_shape(self) -> ClipShape | None:
        """Size and frame rate to ask for where the user names none; None where it does not matter."""

    def check(self, request: GenerationRequest) -> None:
        """Refuse, before any work, what this model can never make.

        Raises:
            ValueError: what was found and what was expected; the whole run is wrong use.
        """

    def generate(self, request: GenerationRequest) -> Generated:
        """Make one clip; an exception concerns this sample only."""


def noise_of(model: Model) -> NoisePlan:
    """How a model's noise comes about: from the request's seed, unless its attribute `noise` says otherwise."""
    noise: NoisePlan = getattr(model, "noise", NOISE_PLAN)
    return noise
