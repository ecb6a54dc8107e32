"""Cost metrics add up the model's stages, and say so when there are none."""

from fractions import Fraction

import numpy as np
import pytest

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.metrics.base import Subject
from ltx2_eval.metrics.runtime import generate_s, peak_bytes, real_time_factor
from ltx2_reports.records import ClipRecord, Stage

CLIP = Clip(
    video=np.zeros((48, 8, 8, 3), np.uint8), fps=Fraction(24), audio=np.zeros((1, 24000), np.float32), rate_hz=8000
)


def made(*stages: Stage) -> Subject:
    record = ClipRecord(sample="a-s0", prompt_id="a", seed=0, file="a.mkv", sha256="0" * 64, stages=stages)
    return Subject(clip=CLIP, record=record, prompt=None)


STAGES = (
    Stage(name="text", seconds=0.5, peak_bytes=100),
    Stage(name="denoise", seconds=5.0, peak_bytes=900),
    Stage(name="decode", seconds=0.5, peak_bytes=None),
    Stage(name="write", seconds=7.0, peak_bytes=5000),
)


def test_stages_add_up_without_writing() -> None:
    outcome = generate_s(made(*STAGES))
    assert outcome.value == pytest.approx(6.0)
    assert outcome.details == {"text_s": 0.5, "denoise_s": 5.0, "decode_s": 0.5}


def test_real_time_factor_is_clip_time_over_work() -> None:
    outcome = real_time_factor(made(*STAGES))
    assert outcome.value == pytest.approx(3.0 / 6.0)  # the sound, 3 s, is longer than the picture, 2 s
    assert real_time_factor(made(Stage(name="all", seconds=0.0, peak_bytes=None))).reason is not None


def test_peak_is_the_largest_of_the_models_stages() -> None:
    outcome = peak_bytes(made(*STAGES))
    assert outcome.value == 900
    assert outcome.details == {"stage": "denoise"}
    with pytest.raises(NotApplicable, match="no stage of this clip has a peak"):
        peak_bytes(made(STAGES[2]))


@pytest.mark.parametrize("metric", [generate_s, real_time_factor, peak_bytes])
def test_clips_made_elsewhere_have_no_cost(metric: object) -> None:
    assert callable(metric)
    for stages in ((), (STAGES[3],)):
        with pytest.raises(NotApplicable, match="no timings: the clip was taken as a file"):
            metric(made(*stages))
