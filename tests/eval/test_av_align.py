"""Onsets and motion peaks are matched one to one, as many as possible, and the level of chance is taken off."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from ltx2_benchmarks.synthetic import render, sample_scene
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.metrics.av_align import agreement, av_align, chance_iou, count_matches
from ltx2_eval.metrics.base import Subject
from ltx2_reports.records import ClipRecord

RECORD = ClipRecord(sample="a-s0", prompt_id="a", seed=0, file="a.mkv", sha256="0" * 64)
TIMES = st.lists(st.integers(0, 60), max_size=12).map(lambda values: np.array(sorted(values), np.float64))


def world(seed: int, family: str = "impacts") -> Clip:
    rendered = render(sample_scene(seed, family=family, frames=73, width=64, height=48))
    return Clip(video=rendered.video, fps=rendered.fps, audio=rendered.audio, rate_hz=rendered.rate_hz)


def judged(video: NDArray[np.uint8], audio: NDArray[np.float32]) -> Subject:
    clip = Clip(video=video, fps=Fraction(24), audio=audio, rate_hz=24000)
    return Subject(clip=clip, record=RECORD, prompt=None)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(left=TIMES, right=TIMES, tolerance=st.integers(0, 6))
def test_matching_is_maximum(left: NDArray[np.float64], right: NDArray[np.float64], tolerance: int) -> None:
    near = np.abs(left[:, None] - right[None, :]) <= tolerance
    expected = 0
    if near.size:
        expected = int((maximum_bipartite_matching(csr_array(near), perm_type="column") >= 0).sum())
    assert count_matches(left, right, tolerance) == expected
    assert count_matches(right, left, tolerance) == expected


def test_one_peak_never_answers_for_two_onsets() -> None:
    """Two onsets beside one peak: early copies of the metric give 2 / (2 + 1 - 2) = 2."""
    found = agreement(np.array([1.0, 1.01]), np.array([1.0]), 0.05)
    assert (found.precision, found.recall, found.iou) == (0.5, 1.0, 0.5)
    assert found.f1 == pytest.approx(2 / 3)


def test_smallest_difference_first_would_lose_a_pair() -> None:
    assert count_matches(np.array([0.0, 1.0]), np.array([0.9, 1.9]), 0.95) == 2


def test_chance_is_repeatable_and_grows_with_the_number_of_events() -> None:
    few, many = np.arange(0.2, 5, 1.3), np.arange(0.1, 5, 0.11)
    assert chance_iou(few, few, 0.04, 5.0, 50) == chance_iou(few, few, 0.04, 5.0, 50)
    assert chance_iou(few, many, 0.04, 5.0, 50) < chance_iou(many, many, 0.04, 5.0, 50) <= 1.0
    assert chance_iou(few, np.zeros(0), 0.04, 5.0, 50) == 0.0


def test_the_world_aligns_with_itself_and_not_with_another() -> None:
    clips = [world(seed) for seed in range(12)]
    own = [av_align(Subject(clip=clip, record=RECORD, prompt=None)).value for clip in clips]
    other = [av_align(judged(a.video, b.audio)).value for a, b in itertools.pairwise(clips)]  # type: ignore[arg-type]
    assert min(value or 0.0 for value in own) > 0.3
    assert np.mean([value or 0.0 for value in own]) > 0.7
    assert abs(np.mean([value or 0.0 for value in other])) < 0.15


def test_late_sound_costs_the_score() -> None:
    clip = world(3)
    assert clip.audio is not None
    late = np.pad(clip.audio, ((0, 0), (24000 // 5, 0)))[:, : clip.audio.shape[1]]
    value = av_align(judged(clip.video, late)).value  # type: ignore[arg-type]
    assert value is not None
    assert value < 0.3


def test_details_are_consistent() -> None:
    outcome = av_align(Subject(clip=world(1), record=RECORD, prompt=None))
    details = {key: float(item) for key, item in outcome.details.items() if item is not None}
    assert outcome.value == pytest.approx(details["iou"] - details["chance"])
    matches = details["precision"] * details["num_onsets"]
    assert matches == pytest.approx(details["recall"] * details["num_motions"])
    assert details["f1"] == pytest.approx(2 * matches / (details["num_onsets"] + details["num_motions"]))


def test_nothing_to_compare_is_no_score() -> None:
    still, silence = np.full((24, 48, 64, 3), 90, np.uint8), np.zeros((1, 24000), np.float32)
    outcome = av_align(judged(still, silence))
    assert outcome.value is None
    assert outcome.reason is not None
    assert outcome.reason.kind == "abstained"
    click = silence.copy()
    click[0, 12000:12050] = 0.5
    assert av_align(judged(still, click)).value == 0.0
    for video, audio in ((still[:0], silence), (still[:1], silence), (still, silence[:, :0])):
        assert av_align(judged(video, audio)).value is None
    with pytest.raises(NotApplicable, match="no audio"):
        av_align(
            Subject(clip=Clip(video=still, fps=Fraction(24), audio=None, rate_hz=None), record=RECORD, prompt=None)
        )
