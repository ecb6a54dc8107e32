"""Draws are the same for every system, clips of a prompt stay together, intervals are centred on the value."""

import numpy as np
import pytest

from ltx2_eval.metrics.frechet import FrechetOverClips
from ltx2_eval.metrics.kernel import KernelOverClips
from ltx2_eval.metrics.resampling import draw_counts, replicates
from ltx2_reports.statistics import centred_interval


def _clips(seed, n, k=2, d=4, shift=0.0):
    random = np.random.default_rng(seed)
    return [random.normal(shift, 1, size=(k, d)).astype(np.float32) for _ in range(n)]


def test_every_system_gets_the_same_prompts():
    first = draw_counts(["b", "a", "c"], 50, seed=0)
    second = draw_counts(["c", "c", "a", "b"], 50, seed=0)
    assert np.array_equal(first[:, [1, 0, 2]], second[:, [2, 3, 0]])
    assert np.array_equal(second[:, 0], second[:, 1])
    assert not np.array_equal(first, draw_counts(["b", "a", "c"], 50, seed=1))
    assert not np.array_equal(first, draw_counts(["b", "a", "d"], 50, seed=0))
    assert (first.sum(axis=1) == 3).all()


def test_values_do_not_depend_on_the_order_of_clips():
    clips, real, ids = _clips(0, 12), _clips(1, 10), [f"p{i % 4}" for i in range(12)]
    order = np.random.default_rng(2).permutation(12)
    values = replicates(FrechetOverClips(), clips, real, ids, n=20)
    shuffled = replicates(FrechetOverClips(), [clips[i] for i in order], real, [ids[i] for i in order], n=20)
    assert values == pytest.approx(shuffled, rel=1e-9)
    assert len(set(values)) > 5


@pytest.mark.parametrize(
    "distance", [FrechetOverClips(), KernelOverClips("gaussian", 100), KernelOverClips("polynomial", 1)]
)
def test_fast_draws_equal_plain_ones(distance):
    clips, real, ids = _clips(3, 12), _clips(4, 10), [f"p{i // 3}" for i in range(12)]
    fast = replicates(distance, clips, real, ids, n=10)
    plain = replicates(distance.__call__, clips, real, ids, n=10)
    assert fast == pytest.approx(plain, rel=1e-8)


def test_one_prompt_has_no_spread_to_show():
    assert replicates(FrechetOverClips(), _clips(0, 3), _clips(1, 3), ["p", "p", "p"]) == ()


def test_ids_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="2 clips and 3 prompt ids"):
        replicates(FrechetOverClips(), _clips(0, 2), _clips(1, 3), ["a", "b", "c"])


def test_the_interval_covers_what_many_runs_give():
    """The plain quantiles would miss: a bootstrap adds a second bias."""
    real = _clips(100, 400, k=1)
    points = [FrechetOverClips()(_clips(200 + i, 60, k=1, shift=0.4), real) for i in range(40)]
    covered = 0
    for i in range(20):
        clips = _clips(300 + i, 60, k=1, shift=0.4)
        values = replicates(FrechetOverClips(), clips, real, [f"p{j}" for j in range(60)], n=100)
        interval = centred_interval(FrechetOverClips()(clips, real), values)
        assert interval.low is not None
        covered += interval.low <= np.mean(points) <= interval.high
    assert covered >= 15
