"""Intervals against scipy, against a case worked by hand, and their invariances."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from ltx2_reports import statistics
from ltx2_reports.statistics import draws


def _by_prompt(values: np.ndarray) -> dict[str, list[float]]:
    return {f"p{index:04}": [float(value)] for index, value in enumerate(values)}


@pytest.mark.parametrize("count", [2, 7, 60, 333])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_is_that_of_scipy_on_the_same_draws(count: int, level: float) -> None:
    values = np.random.default_rng(count).gamma(2.0, size=count)
    ours = statistics.mean_interval(_by_prompt(values), level=level, resamples=3000, seed=5, method="percentile")
    theirs = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=3000,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval
    assert ours.value == pytest.approx(values.mean(), rel=1e-14)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)
    assert ours.n == count


def test_two_prompts_worked_by_hand() -> None:
    """Values 0 and 1: the mean of two draws is 0, 1/2 or 1 with chances 1/4, 1/2, 1/4."""
    values = {"a": [0.0], "b": [1.0]}
    means = statistics.bootstrap_means([np.array([0.0, 1.0])], 40_000, seed=1)[0]
    assert set(means) == {0.0, 0.5, 1.0}
    for mean, chance in ((0.0, 0.25), (0.5, 0.5), (1.0, 0.25)):
        assert np.mean(means == mean) == pytest.approx(chance, abs=4 * math.sqrt(0.25 / 40_000))
    narrow = statistics.mean_interval(values, level=0.4, method="percentile")
    wide = statistics.mean_interval(values, level=0.6, method="percentile")
    assert (narrow.low, narrow.value, narrow.high) == (0.5, 0.5, 0.5)
    assert (wide.low, wide.value, wide.high) == (0.0, 0.5, 1.0)


def test_three_prompts_against_all_27_draws() -> None:
    values = np.array([1.0, 2.0, 6.0])
    every = sorted(np.mean(draw) for draw in itertools.product(values, repeat=3))
    means = statistics.bootstrap_means([values], 50_000, seed=2)[0]
    for threshold in sorted(set(every)):
        share = np.mean(np.array(every) <= threshold + 1e-9)
        assert np.mean(means <= threshold + 1e-9) == pytest.approx(share, abs=0.01)


def test_seeds_are_averaged_within_their_prompt_first() -> None:
    many = {"a": [1.0, 2.0, 3.0], "b": [5.0], "c": [0.0, 1.0], "empty": []}
    means = {"a": [2.0], "b": [5.0], "c": [0.5]}
    assert statistics.mean_interval(many) == statistics.mean_interval(means)
    assert statistics.mean_interval(many).value == 2.5
    assert statistics.mean_interval(many).n == 3


def test_equal_seeds_give_equal_bits_and_the_order_of_prompts_does_not_matter() -> None:
    values = _by_prompt(np.random.default_rng(0).normal(size=50))
    backwards = dict(reversed(values.items()))
    assert statistics.mean_interval(values) == statistics.mean_interval(backwards)
    assert statistics.mean_interval(values, seed=1) != statistics.mean_interval(values, seed=2)


def test_a_column_does_not_depend_on_its_neighbours() -> None:
    chance = np.random.default_rng(3)
    columns = [_by_prompt(chance.normal(size=size)) for size in (40, 7, 40, 1, 40, 7, 600)]
    assert statistics.mean_intervals(columns, resamples=2000) == [
        statistics.mean_interval(column, resamples=2000) for column in columns
    ]


def test_pieces_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    column = np.random.default_rng(4).normal(size=50)
    whole = statistics.bootstrap_means([column], 500, seed=9)
    monkeypatch.setattr(draws, "_CELLS_AT_A_TIME", 170)
    np.testing.assert_allclose(statistics.bootstrap_means([column], 500, seed=9), whole, rtol=0, atol=1e-14)


def test_one_prompt_has_no_interval() -> None:
    assert statistics.mean_interval({"a": [1.0, 3.0]}) == statistics.Interval(value=2.0, low=None, high=None, n=1)


@pytest.mark.parametrize("values", [{}, {"a": []}])
def test_no_value_is_refused(values: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="found no value"):
        statistics.mean_interval(values)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused_by_prompt(value: float) -> None:
    with pytest.raises(ValueError, match="prompt 'b': found"):
        statistics.mean_interval({"a": [1.0], "b": [value]})


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_levels_outside_their_range_are_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level: found"):
        statistics.mean_interval({"a": [1.0]}, level=level)


def test_a_difference_uses_shared_prompts_only_and_says_how_many_it_left_out() -> None:
    first = {"a": [1.0, 3.0], "b": [4.0], "c": [9.0]}
    second = {"a": [1.0], "b": [1.0], "d": [7.0], "e": []}
    difference = statistics.paired_difference(first, second)
    assert difference.interval.value == 2.0
    assert difference.interval.n == 2
    assert difference.excluded == 2


def test_a_constant_shift_is_certain_however_large_the_spread() -> None:
    values = np.random.default_rng(1).normal(scale=100, size=30).round(3)
    difference = statistics.paired_difference(_by_prompt(values + 0.5), _by_prompt(values))
    assert difference.interval.low == pytest.approx(0.5, abs=1e-9)
    assert difference.interval.high == pytest.approx(0.5, abs=1e-9)
    assert difference.interval.excludes_zero


def test_a_difference_changes_its_sign_with_its_order() -> None:
    chance = np.random.default_rng(2)
    first, second = _by_prompt(chance.normal(size=25)), _by_prompt(chance.normal(size=25))
    there, back = (statistics.paired_difference(*pair).interval for pair in ((first, second), (second, first)))
    assert there.low is not None
    assert there.high is not None
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_systems_without_a_shared_prompt_are_not_compared() -> None:
    with pytest.raises(ValueError, match="no prompt with a value on both sides"):
        statistics.paired_difference({"a": [1.0]}, {"b": [1.0]})
    assert statistics.paired_differences([({"a": [1.0]}, {"b": [1.0]})]) == [None]


def test_a_centred_interval_is_moved_onto_its_point() -> None:
    replicates = np.linspace(100.0, 140.0, 41)
    interval = statistics.centred_interval(80.0, replicates.tolist(), level=0.5)
    assert (interval.low, interval.value, interval.high, interval.n) == (70.0, 80.0, 90.0, 41)
    assert statistics.centred_interval(80.0, ()).low is None


def test_intervals_that_touch_zero_do_not_exclude_it() -> None:
    for low, high, excludes in ((0.0, 1.0, False), (-1.0, 0.0, False), (-1.0, 1.0, False), (0.1, 1.0, True)):
        interval = statistics.Interval(value=0.5, low=low, high=high, n=5)
        assert interval.excludes_zero is excludes
    assert not statistics.Interval(value=0.5, low=None, high=None, n=1).excludes_zero
