"""The Fréchet distance against 50 digits, SciPy, closed forms, and itself in pieces."""

import mpmath
import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltx2_eval.metrics.frechet import (
    FrechetDistance,
    FrechetOverClips,
    frechet_distance,
    frechet_from_statistics,
    rank_warning,
)


def _sets(seed, n, m, d, *, spread=1.0):
    random = np.random.default_rng(seed)
    scales = np.geomspace(1, spread, d)
    mix = np.linalg.qr(random.normal(size=(d, d)))[0]
    return random.normal(size=(n, d)) * scales, random.normal(size=(m, d)) @ mix * scales[::-1] * 1.3 + 0.2


def _fifty_digits(x, y):
    """tr (S1 S2)^½ as the sum of square roots of the eigenvalues of L1ᵀ S2 L1 with S1 = L1 L1ᵀ, in 50 digits."""
    with mpmath.workdps(50):
        means, covariances = [], []
        for rows in (x, y):
            n, d = rows.shape
            exact = mpmath.matrix(rows.tolist())
            mean = [mpmath.fsum(exact[i, j] for i in range(n)) / n for j in range(d)]
            centred = mpmath.matrix(n, d)
            for i in range(n):
                for j in range(d):
                    centred[i, j] = exact[i, j] - mean[j]
            means.append(mean)
            covariances.append(centred.T * centred / (n - 1))
        lower = mpmath.cholesky(covariances[0])
        eigenvalues = mpmath.eigsy(lower.T * covariances[1] * lower, eigvals_only=True)
        offset = mpmath.fsum((a - b) ** 2 for a, b in zip(*means, strict=True))
        trace = sum(mpmath.fsum(c[i, i] for i in range(c.rows)) for c in covariances)
        return offset + trace - 2 * mpmath.fsum(mpmath.sqrt(value) for value in eigenvalues)


def _by_sqrtm(x, y):
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(s1 @ s2).real
    return float(np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(s1 + s2 - 2 * root))


def _in_pieces(x, y, pieces=3):
    metric = FrechetDistance(dimension=x.shape[1])
    for rows, real in ((x, False), (y, True)):
        for part in np.array_split(rows, min(pieces, len(rows))):
            metric.update(torch.from_numpy(part), real=real)
    return float(metric.compute())


@pytest.mark.parametrize(("d", "spread"), [(1, 1.0), (2, 1.0), (8, 1e3), (24, 10.0), (64, 1.0)])
def test_equals_fifty_digit_arithmetic(d, spread):
    x, y = _sets(d, d + 20, d + 30, d, spread=spread)
    exact = _fifty_digits(x, y)
    assert abs((frechet_distance(x, y) - exact) / exact) <= 1e-9
    assert abs((_in_pieces(x, y) - exact) / exact) <= 1e-9


@pytest.mark.parametrize(("n", "m", "d"), [(200, 300, 16), (500, 400, 100)])
def test_equals_scipy(n, m, d):
    x, y = _sets(1, n, m, d)
    expected = _by_sqrtm(x, y)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-7)
    statistics = (x.mean(0), np.cov(x, rowvar=False), y.mean(0), np.cov(y, rowvar=False))
    assert frechet_from_statistics(*statistics) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(("n", "m"), [(10, 12), (10, 200), (200, 10), (65, 64)])
def test_singular_covariances_agree_whichever_way(n, m):
    """With fewer rows than dimensions, features and statistics give the same."""
    x, y = _sets(2, n, m, 64)
    assert _in_pieces(x, y) == pytest.approx(frechet_distance(x, y), rel=1e-6)


def test_closed_forms():
    x, _ = _sets(3, 100, 2, 12)
    shift = np.arange(12.0)
    assert frechet_distance(x, x + shift) == pytest.approx(np.sum(shift**2), rel=1e-9)
    trace = np.trace(np.cov(x, rowvar=False))
    assert frechet_distance(x, 3 * (x - x.mean(0)) + x.mean(0)) == pytest.approx(4 * trace, rel=1e-9)
    a, b = np.array([1.0, 4.0, 9.0]), np.array([4.0, 1.0, 16.0])
    diagonal = frechet_from_statistics(np.zeros(3), np.diag(a), np.ones(3), np.diag(b))
    assert diagonal == pytest.approx(3 + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2), rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(300, 40), (20, 200), (2, 5)])
def test_a_set_is_at_distance_zero_from_itself(n, d):
    x, _ = _sets(4, n, 2, d)
    trace = np.sum(x.var(axis=0, ddof=1))
    assert 0 <= frechet_distance(x, x) < 1e-8 * trace
    assert 0 <= _in_pieces(x, x) < 1e-6 * trace


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(2, 30), st.integers(1, 20), st.floats(0.01, 100))
def test_symmetric_scaling_and_blind_to_order(seed, n, m, d, factor):
    x, y = _sets(seed, n, m, d)
    value = frechet_distance(x, y)
    assert frechet_distance(y, x) == pytest.approx(value, rel=1e-9)
    assert frechet_distance(x * factor, y * factor) == pytest.approx(value * factor**2, rel=1e-9)
    order = np.random.default_rng(seed).permutation(n)
    assert frechet_distance(x[order], y) == pytest.approx(value, rel=1e-9)


def test_grows_with_noise():
    x, y = _sets(5, 400, 400, 16)
    y = np.random.default_rng(6).normal(size=(400, 16))
    noise = np.random.default_rng(7).normal(size=x.shape)
    x = np.random.default_rng(8).normal(size=x.shape)
    values = [frechet_distance(x + amount * noise, y) for amount in (0, 0.5, 1, 2, 4)]
    assert values == sorted(values)


def test_a_mean_far_from_the_origin_costs_no_digits():
    x, y = _sets(9, 100, 100, 8)
    assert _in_pieces(x + 1e6, y + 1e6) == pytest.approx(_in_pieces(x, y), rel=1e-6)


def test_merged_states_equal_one_pass():
    x, y = _sets(10, 90, 70, 10)
    first, second = FrechetDistance(dimension=10), FrechetDistance(dimension=10)
    first.update(torch.from_numpy(x[:50]), real=False)
    second.update(torch.from_numpy(x[50:]), real=False)
    second.update(torch.from_numpy(y), real=True)
    first.merge_state(second)
    assert float(first.compute()) == pytest.approx(frechet_distance(x, y), rel=1e-10)


def _one_rank(rank, folder, values):
    torch.set_num_threads(1)  # a forked process has lost its parent's threads and would wait for them
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    x, y = _sets(10, 90, 71, 10)
    metric = FrechetDistance(dimension=10)
    metric.update(torch.from_numpy(x[rank::2]), real=False)
    metric.update(torch.from_numpy(y[rank::2]), real=True)
    values.put(float(metric.compute()))
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_two_processes_equal_one(tmp_path):
    context = torch.multiprocessing.get_context("fork")
    values = context.SimpleQueue()
    workers = [context.Process(target=_one_rank, args=(rank, tmp_path, values)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    x, y = _sets(10, 90, 71, 10)
    assert values.get() == values.get() == pytest.approx(frechet_distance(x, y), rel=1e-10)


@pytest.mark.parametrize("sizes", [(1,) * 20, (3, 1, 9, 2), (8, 1), (9, 4), (1, 30)])
def test_pieces_added_in_place_equal_the_whole(sizes):
    """Width 8: the rows themselves are kept up to eight, their scatter beyond; the changes between are crossed here."""
    random = np.random.default_rng(3)
    x, y = 1e4 + random.normal(size=(sum(sizes), 8)), 1e4 + random.normal(size=(11, 8))
    metric, start = FrechetDistance(8), 0
    before = metric.generated
    metric.update(torch.from_numpy(y), real=True)
    for size in sizes:
        metric.update(torch.from_numpy(x[start : start + size]), real=False)
        start += size
    assert metric.generated is before
    assert float(metric.compute()) == pytest.approx(frechet_distance(x, y), rel=1e-8)
    metric.reset()
    assert not metric.generated.any()


def test_a_state_made_under_inference_can_be_added_to_outside():
    metric = FrechetDistance(1)
    with torch.inference_mode():
        metric.reset()
        metric.update(torch.tensor([[0.0], [2.0]]), real=False)
    metric.update(torch.tensor([[3.0], [5.0]]), real=True)
    assert float(metric.compute()) == pytest.approx(9.0)


@pytest.mark.parametrize("dimension", [0, -1, "a", 2.0])
def test_a_width_is_a_number_of_at_least_one(dimension):
    with pytest.raises(ValueError, match="whole number of at least 1"):
        FrechetDistance(dimension)


def test_memory_does_not_grow_with_the_set():
    metric = FrechetDistance(dimension=4)
    size = sum(state.numel() for state in metric.metric_state.values())
    for _ in range(100):
        metric.update(torch.randn(10, 4), real=False)
    assert sum(state.numel() for state in metric.metric_state.values()) == size == 2 * (1 + 4 + 16)


def test_small_sets_are_told():
    assert rank_warning(500, 500, 400) is None
    assert rank_warning(401, 400, 400) == pytest.approx(rank_warning(401, 400, 400))
    assert "rank_deficient: 60 generated and 24 reference vectors for 400 dimensions" in rank_warning(60, 24, 400)
    metric = FrechetDistance(dimension=3)
    metric.update(torch.eye(3), real=False)
    metric.update(torch.randn(9, 3), real=True)
    assert len(metric.warnings) == 1
    assert "3 generated" in metric.warnings[0]


def test_statistics_that_are_none_are_refused():
    good = np.eye(2)
    for bad in (np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([[1.0, 0.5], [0.0, 1.0]]), np.eye(3)):
        with pytest.raises(ValueError, match="covariance of y"):
            frechet_from_statistics(np.zeros(2), good, np.zeros(2), bad)


def test_values_whose_squares_overflow_are_refused():
    x, y = _sets(11, 10, 10, 3)
    with pytest.raises(ValueError, match=r"overflow|unusable|not finite"):
        frechet_distance(x * 1e200, y * 1e200)


def test_draws_equal_sets_made_by_hand():
    random = np.random.default_rng(12)
    clips = [random.normal(size=(k, 6)).astype(np.float32) for k in (1, 3, 2, 4)]
    real = [random.normal(size=(2, 6)).astype(np.float32) for _ in range(9)]
    counts = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [0, 0, 4, 0]])
    distance = FrechetOverClips()
    for found, row in zip(distance.on_draws(clips, real, counts), counts, strict=True):
        drawn = [clip for clip, times in zip(clips, row, strict=True) for _ in range(times)]
        assert found == pytest.approx(distance(drawn, real), rel=1e-9)
