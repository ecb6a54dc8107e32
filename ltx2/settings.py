"""How a clip is sampled."""

from dataclasses import dataclass

from ltx2.guidance import TEXT_AND_MODALITY, Guidance
from ltx2.schedule import ScheduleName


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingSettings:
    """Everything that changes a sample besides prompt, seed and size."""

    steps: int = 40
    guidance: Guidance = TEXT_AND_MODALITY
    schedule: ScheduleName | tuple[float, ...] = "ltx2"
    """A schedule's name, or the sigmas themselves (`steps + 1` values that fall to 0)."""
    batch_passes: bool | None = None
    """Run the guidance passes of a step as one batch. None: where that is quicker, which is with few tokens. The
    result is the same up to rounding."""
