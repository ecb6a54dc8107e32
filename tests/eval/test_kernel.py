"""Kernel distances against two loops, and unbiased."""

import numpy as np
import pytest
import torch

from ltx2_eval.metrics import kernel as module
from ltx2_eval.metrics.kernel import (
    KernelDistance,
    KernelOverClips,
    gaussian_kernel,
    median_bandwidth,
    mmd2_unbiased,
    polynomial_kernel,
)


def _sets(seed, n, m, d):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, d)), random.normal(0.3, 1.2, size=(m, d))


def _rows(x):
    """Each row a clip of its own."""
    return [row[None].astype(np.float32) for row in x]


def _loops(x, y, k):
    within = [np.mean([k(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j]) for s in (x, y)]
    return sum(within) - 2 * np.mean([k(a, b) for a in x for b in y])


@pytest.mark.parametrize(("n", "m", "d"), [(2, 2, 1), (7, 5, 3), (20, 31, 8)])
def test_equals_two_loops(n, m, d):
    x, y = _sets(n, n, m, d)
    assert mmd2_unbiased(x, y) == pytest.approx(_loops(x, y, lambda a, b: (a @ b / d + 1) ** 3), rel=1e-10)
    h = median_bandwidth(y)
    expected = _loops(x, y, lambda a, b: np.exp(-np.sum((a - b) ** 2) / (2 * h**2)))
    assert mmd2_unbiased(x, y, gaussian_kernel(h)) == pytest.approx(expected, rel=1e-9)


def test_bandwidth_is_the_median_distance_of_the_reference():
    y = np.array([[0.0], [1.0], [3.0]])
    assert median_bandwidth(y) == 2.0
    x = np.random.default_rng(0).normal(size=(50, 4)) * 100
    found = KernelOverClips("gaussian", 100.0)(_rows(x), _rows(y.repeat(4, axis=1)))
    h = median_bandwidth(y.repeat(4, axis=1))
    assert found == pytest.approx(100 * mmd2_unbiased(x.astype(np.float32), y.repeat(4, axis=1), gaussian_kernel(h)))


@pytest.mark.parametrize("make", [lambda y: polynomial_kernel, lambda y: gaussian_kernel(median_bandwidth(y))])
def test_unbiased_for_equal_distributions(make):
    """The mean over many pairs of small sets of one distribution is zero within four standard errors."""
    random = np.random.default_rng(0)
    kernel = make(random.normal(size=(200, 5)))
    values = [mmd2_unbiased(random.normal(size=(12, 5)), random.normal(size=(9, 5)), kernel) for _ in range(400)]
    assert min(values) < 0
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))


def _segments(random, clips, windows=6, d=5):
    """Windows that share most of what their clip is, as those of one recording do."""
    return [random.normal(size=d) + 0.3 * random.normal(size=(windows, d)) for _ in range(clips)]


@pytest.mark.parametrize("name", ["polynomial", "gaussian"])
def test_unbiased_for_clips_of_several_windows(name):
    """Zero within four standard errors; counting windows as if they were independent is far off."""
    random = np.random.default_rng(1)
    values, naive = [], []
    for _ in range(300):
        x, y = _segments(random, 10), _segments(random, 12)
        distance = KernelOverClips(name, 1.0)
        distance.fitted = lambda reference: polynomial_kernel if name == "polynomial" else gaussian_kernel(3.0)
        values.append(distance(x, y))
        naive.append(mmd2_unbiased(np.concatenate(x), np.concatenate(y), distance.fitted(None)))
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    assert np.mean(naive) > 20 * error


@pytest.mark.parametrize("name", ["polynomial", "gaussian"])
def test_pairs_within_a_clip_do_not_count(name):
    """Against loops over clips of unequal numbers of windows, in blocks that cut through them."""
    random = np.random.default_rng(2)
    x, y = ([random.normal(size=(k, 4)) for k in sizes] for sizes in ((1, 3, 2, 5), (2, 2, 4)))
    distance = KernelOverClips(name, 1.0)
    kernel = distance.fitted(np.concatenate(y))

    def within(clips):
        values = [kernel(*map(torch.from_numpy, (a, b))) for a in clips for b in clips if a is not b]
        return np.concatenate([value.numpy().ravel() for value in values]).mean()

    between = kernel(*(torch.from_numpy(np.concatenate(side)) for side in (x, y))).mean()
    expected = within(x) + within(y) - 2 * float(between)
    assert distance(x, y) == pytest.approx(expected, rel=1e-9)
    metric = KernelDistance(name, clustered=True)
    for side, real in ((x, False), (y, True)):
        for clip in side:
            metric.update(torch.from_numpy(clip), real=real)
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-4)


def test_one_clip_is_no_set_however_many_windows():
    metric = KernelDistance(clustered=True)
    metric.update(torch.randn(9, 3), real=False)
    metric.update(torch.randn(9, 3), real=True)
    with pytest.raises(ValueError, match="found 1 clips, at least 2"):
        metric.compute()
    with pytest.raises(ValueError, match="found 1 clips, at least 2"):
        KernelOverClips("polynomial", 1.0)(_rows(np.eye(3)), [np.eye(3)])


def test_grows_with_the_shift():
    x, y = _sets(1, 100, 100, 6)
    y = np.random.default_rng(2).normal(size=(100, 6))
    for kernel in (polynomial_kernel, gaussian_kernel(median_bandwidth(y))):
        values = [mmd2_unbiased(x + shift, y, kernel) for shift in (0, 0.5, 1, 2)]
        assert values == sorted(values)


def test_blocks_do_not_change_the_value(monkeypatch):
    x, y = _sets(3, 50, 41, 4)
    clips = [[part.astype(np.float32) for part in np.array_split(s, 7)] for s in (x, y)]
    whole, over = mmd2_unbiased(x, y), KernelOverClips("gaussian", 1.0).on_draws(*clips, np.ones((1, 7), np.int64))
    monkeypatch.setattr(module, "_BLOCK", 8)
    assert mmd2_unbiased(x, y) == pytest.approx(whole, rel=1e-12)
    assert KernelOverClips("gaussian", 1.0).on_draws(*clips, np.ones((1, 7), np.int64)) == pytest.approx(over)
    monkeypatch.setattr(module, "_BLOCK", 3)
    assert KernelOverClips("gaussian", 1.0).on_draws(*clips, np.ones((1, 7), np.int64)) == pytest.approx(over)


def test_many_reference_rows_are_thinned_evenly(monkeypatch):
    y = np.random.default_rng(4).normal(size=(600, 3))
    monkeypatch.setattr(module, "_MEDIAN_ROWS", 300)
    assert median_bandwidth(y) == pytest.approx(float(np.median(torch.pdist(torch.from_numpy(y)))), rel=0.05)


@pytest.mark.parametrize(("name", "scale"), [("polynomial", 1.0), ("gaussian", 100.0)])
def test_pieces_and_merged_states_equal_one_pass(name, scale):
    x, y = (s.astype(np.float32) for s in _sets(5, 40, 30, 6))
    first, second = KernelDistance(name, scale), KernelDistance(name, scale)
    first.update(torch.from_numpy(x[:10]), real=False)
    first.update(torch.from_numpy(y), real=True)
    second.update(torch.from_numpy(x[10:]), real=False)
    first.merge_state(second)
    assert float(first.compute()) == pytest.approx(KernelOverClips(name, scale)(_rows(x), _rows(y)), rel=1e-9)


@pytest.mark.parametrize("name", ["polynomial", "gaussian"])
def test_draws_equal_sets_made_by_hand(name):
    random = np.random.default_rng(6)
    clips = [random.normal(size=(k, 5)).astype(np.float32) for k in (1, 3, 2)]
    real = [random.normal(size=(2, 5)).astype(np.float32) for _ in range(6)]
    counts = np.array([[1, 1, 1], [2, 0, 1], [0, 3, 0]])
    distance = KernelOverClips(name, 100.0)
    for found, row in zip(distance.on_draws(clips, real, counts), counts, strict=True):
        drawn = [clip for clip, times in zip(clips, row, strict=True) for _ in range(times)]
        assert found == pytest.approx(distance(drawn, real), rel=1e-9)


def test_what_has_no_bandwidth_is_refused():
    with pytest.raises(ValueError, match="alike"):
        median_bandwidth(np.ones((5, 3)))
    with pytest.raises(ValueError, match="overflow"):
        mmd2_unbiased(*(s * 1e200 for s in _sets(7, 4, 4, 2)))
    with pytest.raises(ValueError, match="polynomial"):
        KernelDistance("linear")
