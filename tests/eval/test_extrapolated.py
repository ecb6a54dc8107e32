"""FVD-∞ and FAD-∞ on sets whose true distance is known, and where there is no answer."""

import dataclasses

import numpy as np
import pytest
import torch

from ltx2_eval.metrics.base import Declined
from ltx2_eval.metrics.catalogue import BUILT_IN
from ltx2_eval.metrics.extrapolated import DRAWS, FrechetAtInfinity, FrechetAtInfinityOverClips, _counts, _line
from ltx2_eval.metrics.frechet import FrechetOverClips, gaussian
from ltx2_eval.sets import _of_sets
from ltx2_reports.statistics.sets import ERROR_BY

D = 12
SHIFT = 0.25
TRUE = gaussian(np.full(D, SHIFT), np.eye(D) * 1.44, "reference")
DISTANCE = D * (SHIFT**2 + 0.2**2)
"""|m1 - m2|² + d (1 - 1.2)² between N(0, 1) and N(0.25, 1.44)."""


def _clips(seed, n, windows=1):
    random = np.random.default_rng(seed)
    return [random.normal(size=(windows, D)).astype(np.float32) for _ in range(n)]


def test_the_bias_of_a_small_set_is_taken_away():
    """Over 20 sets of 100 clips, against the exact reference: plain values are too large, extrapolated ones are not."""
    sets = [_clips(seed, 100) for seed in range(20)]
    plain = np.array([FrechetOverClips()(clips, TRUE) for clips in sets])
    found = np.array([FrechetAtInfinityOverClips(D)(clips, TRUE) for clips in sets])
    error = found.std() / np.sqrt(len(found))
    assert plain.mean() - DISTANCE > 5 * error
    assert abs(found.mean() - DISTANCE) < 3 * error


def test_the_standard_error_is_that_of_many_sets():
    sets = [_clips(100 + seed, 100) for seed in range(12)]
    distance = FrechetAtInfinityOverClips(D)
    values = [distance(clips, TRUE) for clips in sets]
    errors = [distance.standard_error(clips, TRUE, [str(i) for i in range(100)]) for clips in sets[:4]]
    assert 0.4 < np.mean(errors) / np.std(values, ddof=1) < 2.5


def test_parts_are_drawn_by_clip_without_replacement_evenly_over_one_over_n():
    counts = _counts(200, 40)
    assert set(np.unique(counts)) == {0, 1}
    sizes = counts.sum(axis=1)
    assert (sizes[0], sizes.min()) == (200, 40)
    steps = np.diff(1 / np.unique(sizes)[::-1])
    assert steps == pytest.approx(np.full(9, (1 / 40 - 1 / 200) / 9), rel=0.3)
    assert np.array_equal(counts, _counts(200, 40))


def test_it_declines_where_there_is_no_answer():
    distance = FrechetAtInfinityOverClips(D)
    with pytest.raises(Declined, match="60 clips, at least 64 are needed"):
        distance(_clips(0, 60), TRUE)
    far = gaussian(np.full(D, 1e4), np.eye(D), "reference")
    with pytest.raises(Declined, match="not on a line over 1/n: R²"):
        distance(_clips(0, 64), far)
    with pytest.raises(Declined, match="at least 802"):
        FrechetAtInfinityOverClips(400)([np.zeros((1, 400), np.float32)] * 700, [np.zeros((1, 400), np.float32)] * 2)


def test_windows_of_a_clip_stay_together_and_the_class_equals_the_function():
    clips, real = _clips(1, 70, windows=3), _clips(2, 400)
    metric = FrechetAtInfinity(dimension=D)
    other = FrechetAtInfinity(dimension=D)
    for clip in clips:
        metric.update(torch.from_numpy(clip), real=False)
    for clip in real:
        other.update(torch.from_numpy(clip), real=True)
    metric.merge_state(other)
    assert float(metric.compute()) == pytest.approx(FrechetAtInfinityOverClips(D)(clips, real), rel=1e-9)
    assert metric.warnings == ()


def test_the_line_is_that_of_all_draws_with_the_whole_set_ten_times():
    """Least squares over every single draw, by NumPy; R² by hand over the means of the sizes."""
    clips = _clips(3, 90)
    counts = _counts(90, 32)
    values = np.array(FrechetOverClips().on_draws(clips, TRUE, counts))
    sizes = counts.sum(axis=1)
    repeats = np.where(sizes == 90, DRAWS, 1)
    slope, intercept = np.polyfit(np.repeat(1 / sizes, repeats), np.repeat(values, repeats), 1)
    found = FrechetAtInfinityOverClips(D).line(clips, TRUE)
    assert (found.intercept, found.slope) == pytest.approx((intercept, slope), rel=1e-9)
    means = np.array([values[sizes == size].mean() for size in np.unique(sizes)])
    off = means - intercept - slope / np.unique(sizes)
    assert found.r2 == pytest.approx(1 - off @ off / ((means - means.mean()) @ (means - means.mean())), abs=1e-3)


def test_a_line_by_hand():
    line = _line(np.array([0.0, 1.0, 1.0]), np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.25, 0.25]))
    assert (line.intercept, line.slope) == pytest.approx((1, 2))
    assert line.r2 == pytest.approx(1 / 1.5)  # spread 0.5 * 1 + 0.25 * 0 + 0.25 * 4; explained 4 * 0.25
    assert _line(np.array([0.0, 1.0]), np.array([2.0, 2.0]), np.array([0.5, 0.5])).r2 == 0


def test_what_was_accepted_is_recorded_with_its_line():
    clips, real = _clips(1, 70), _clips(2, 400)
    entry = dataclasses.replace(BUILT_IN["fad_soundnet_inf"], settings={"dimension": D})
    made = _of_sets(entry, clips, real, [str(i) for i in range(70)])
    line = FrechetAtInfinityOverClips(D).line(clips, real)
    assert made.value == pytest.approx(line.intercept)
    assert made.details.pop(ERROR_BY) == "extrapolation"
    assert made.details == pytest.approx({"standard_error": made.details["standard_error"], **_facts(line)})
    assert line.r2 >= 0.9


def _facts(line):
    return {"r2": line.r2, "slope": line.slope}


def test_a_small_reference_set_is_told():
    metric = FrechetAtInfinity(dimension=D)
    for clip in _clips(1, 64):
        metric.update(torch.from_numpy(clip), real=False)
        metric.update(torch.from_numpy(clip), real=True)
    assert "64 reference clips for 64 generated ones" in metric.warnings[0]
