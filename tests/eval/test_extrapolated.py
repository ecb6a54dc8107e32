"""FVD-∞ and FAD-∞ on sets whose true distance is known, and where there is no answer."""

import numpy as np
import pytest
import torch

from ltx2_eval.metrics.base import Declined
from ltx2_eval.metrics.extrapolated import FrechetAtInfinity, FrechetAtInfinityOverClips, _counts
from ltx2_eval.metrics.frechet import FrechetOverClips, gaussian

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


def test_a_small_reference_set_is_told():
    metric = FrechetAtInfinity(dimension=D)
    for clip in _clips(1, 64):
        metric.update(torch.from_numpy(clip), real=False)
        metric.update(torch.from_numpy(clip), real=True)
    assert "64 reference clips for 64 generated ones" in metric.warnings[0]
