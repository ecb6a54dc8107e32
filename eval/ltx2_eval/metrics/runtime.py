"""What it cost to make a clip, from the stages in its record."""

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.extractors.base import Extractor, NotApplicable
from ltx2_eval.metrics.base import Outcome, Subject, abstain
from ltx2_reports.records import Stage

WRITE_STAGE = "write"
"""Added by the runner; not the model's work."""

Features = NDArray[np.float32] | None


def generate_s(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Seconds that the model's stages took together; writing the file is not among them.

    Raises:
        NotApplicable: the clip was not made here.
    """
    del features, extractor
    stages = _stages(subject)
    return Outcome(value=_seconds(stages), details={f"{stage.name}_s": stage.seconds for stage in stages})


def real_time_factor(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Seconds of clip made per second of work; above 1: faster than it plays.

    Raises:
        NotApplicable: the clip was not made here.
    """
    del features, extractor
    seconds = _seconds(_stages(subject))
    clip_s = max(subject.clip.video_duration_s or 0.0, subject.clip.audio_duration_s or 0.0)
    if seconds <= 0 or clip_s <= 0:
        return abstain(f"{clip_s:g} s of clip in {seconds:g} s of work give no ratio")
    return Outcome(value=clip_s / seconds, details={"clip_s": clip_s})


def peak_bytes(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Largest peak of memory of the model's stages.

    Raises:
        NotApplicable: the clip was not made here, or no stage could measure its memory.
    """
    del features, extractor
    measured = {stage.name: stage.peak_bytes for stage in _stages(subject) if stage.peak_bytes is not None}
    if not measured:
        raise NotApplicable(
            "no stage of this clip has a peak of memory: not every device tells it, and on a CPU it is of the whole "
            "process, so that of several systems of one command only the first has it; run this one by itself"
        )
    largest = max(measured, key=lambda name: measured[name])
    return Outcome(value=float(measured[largest]), details={"stage": largest})


def _stages(subject: Subject) -> tuple[Stage, ...]:
    stages = tuple(stage for stage in subject.record.stages if stage.name != WRITE_STAGE)
    if not stages:
        raise NotApplicable("no timings: the clip was taken as a file, no model made it here")
    return stages


def _seconds(stages: tuple[Stage, ...]) -> float:
    return float(sum(stage.seconds for stage in stages))
