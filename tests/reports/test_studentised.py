"""The default interval of means: against a plain loop, against exact limits, and what it must never do."""

import math

import numpy as np
import pytest
import scipy.stats

from ltx2_reports.statistics import mean_interval, mean_intervals, paired_differences
from ltx2_reports.statistics.sets import jackknife_error, kernel_error, u_statistic_error
from ltx2_reports.statistics.studentised import LEAST_RESAMPLED, range_of_differences

DRAWS = 2000


def _by_prompt(values: np.ndarray) -> dict[str, list[float]]:
    return {f"p{index:04}": [float(value)] for index, value in enumerate(values)}


def _plain_loop(values: np.ndarray, level: float, seed: int) -> tuple[float, float]:
    """The definition, draw by draw, without standardising."""
    n, random = len(values), np.random.default_rng(seed)
    mean, error = values.mean(), values.std(ddof=1) / math.sqrt(n)
    ts, means = [], []
    for row in random.integers(0, n, (DRAWS, n)):
        drawn = values[row]
        squares = ((drawn - drawn.mean()) ** 2).sum() + 0.5 * values.var(ddof=1)
        ts.append((drawn.mean() - mean) / max(math.sqrt(squares / (n - 0.5) / n), error / 2))
        means.append(drawn.mean())
    low, high = np.quantile(ts, [(1 - level) / 2, (1 + level) / 2])
    skewness = scipy.stats.skew(values)
    longer = math.sqrt(1 + 90 * (skewness / n) ** 2)
    share = scipy.stats.norm.cdf(-math.sqrt(n / (n - 1)) * scipy.stats.t.ppf((1 + level) / 2, n - 1))
    least, most = np.quantile(means, [share, 1 - share])
    return (
        min(least, mean - high * error * (longer if skewness < 0 else 1)),
        max(most, mean - low * error * (longer if skewness > 0 else 1)),
    )


@pytest.mark.parametrize("count", [8, 12, 40])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_limits_are_those_of_a_plain_loop_on_the_same_draws(count: int, level: float) -> None:
    values = 5 + np.random.default_rng(count).gamma(0.5, size=count)
    for sign in (1, -1):
        ours = mean_interval(_by_prompt(sign * values), level=level, resamples=DRAWS, seed=3)
        assert (ours.low, ours.high) == pytest.approx(_plain_loop(sign * values, level, 3), rel=1e-9)
        assert ours.made == "studentised"


def test_units_and_origin_do_not_matter_and_a_mirror_mirrors() -> None:
    values = np.random.default_rng(0).lognormal(size=20)
    plain, moved, mirrored = (
        mean_interval(_by_prompt(v), resamples=DRAWS) for v in (values, 1000 + 8 * values, -values)
    )
    assert (moved.low, moved.high) == pytest.approx((1000 + 8 * plain.low, 1000 + 8 * plain.high), rel=1e-9)
    assert (mirrored.low, mirrored.high) == pytest.approx((-plain.high, -plain.low), rel=1e-9)


@pytest.mark.parametrize("count", range(2, LEAST_RESAMPLED))
def test_few_values_have_at_least_the_width_of_student(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    half = scipy.stats.t.ppf(0.975, count - 1) * scipy.stats.sem(values)
    ours = mean_interval(_by_prompt(values), resamples=DRAWS)
    assert ours.low <= values.mean() - half + 1e-12
    assert ours.high >= values.mean() + half - 1e-12


@pytest.mark.parametrize("count", [8, 12, 60, 200])
def test_one_value_unlike_all_others_leaves_limits_of_the_size_of_the_values(count: int) -> None:
    values = np.zeros(count)
    values[0] = 100.0
    ours = mean_interval(_by_prompt(values), resamples=DRAWS)
    assert ours.low < ours.value < ours.high
    exact = scipy.stats.binomtest(1, count).proportion_ci(method="exact")
    assert ours.high - ours.low < 1.9 * 100 * (exact.high - exact.low)


@pytest.mark.parametrize("count", [3, 12, 60])
def test_a_check_of_yes_or_no_has_the_exact_interval(count: int) -> None:
    for passed in range(count + 1):
        values = np.repeat([1.0, 0.0], [passed, count - passed])
        ours = mean_interval(_by_prompt(values), allowed=(0.0, 1.0), resamples=200)
        exact = scipy.stats.binomtest(passed, count).proportion_ci(method="exact")
        assert (ours.low, ours.high) == pytest.approx((exact.low, exact.high), abs=1e-12)
        assert ours.made == "exact"


@pytest.mark.parametrize(("count", "most"), [(12, 1.9), (60, 1.5)])
def test_few_prompts_that_differ_make_no_absurd_interval_even_of_an_unbounded_metric(count: int, most: float) -> None:
    for failed in range(1, count // 2):
        values = np.repeat([0.0, 1.0], [failed, count - failed])
        ours = mean_interval(_by_prompt(values), resamples=DRAWS)
        exact = scipy.stats.binomtest(count - failed, count).proportion_ci(method="exact")
        assert 0.6 < (ours.high - ours.low) / (exact.high - exact.low) < most


@pytest.mark.parametrize("count", [12, 60])
def test_shares_of_a_prompts_clips_are_at_most_as_unsure_as_one_clip_of_each_would_be(count: int) -> None:
    for failed in range(1, count + 1):
        values = np.repeat([0.75, 1.0], [failed, count - failed])
        ours = mean_interval(_by_prompt(values), allowed=(0.0, 1.0), resamples=DRAWS)
        alone = scipy.stats.binomtest(count - math.ceil(failed / 4), count).proportion_ci(method="exact")
        assert ours.low >= alone.low - 1e-12
        assert ours.low <= values.mean() <= ours.high <= 1


def test_equal_values_inside_a_range_or_with_one_end_have_no_width() -> None:
    for value, allowed in ((0.5, (0.0, 1.0)), (0.0, (0.0, None)), (0.1, (None, None))):
        found = mean_interval(_by_prompt(np.full(9, value)), allowed=allowed)
        assert (found.low, found.high) == pytest.approx((value, value), abs=1e-15)


def test_the_cut_to_exact_limits_holds_its_level_where_it_cuts_most() -> None:
    random, studies = np.random.default_rng(2), 1000
    for count in (5, 12, 40):
        passed = random.binomial(2, 0.9, (studies, count)) / 2
        made = mean_intervals([_by_prompt(row) for row in passed], resamples=500, ranges=[(0.0, 1.0)] * studies)
        assert np.mean([found.low <= 0.9 <= found.high for found in made]) > 0.935


def test_limits_do_not_depend_on_neighbours_and_ranges_go_with_their_columns() -> None:
    random = np.random.default_rng(4)
    columns = [_by_prompt(random.beta(8, 1, n)) for n in (12, 5, 12, 1)]
    ranges = [(None, 1.0), (0.0, 1.0), (None, None), (0.0, 1.0)]
    together = mean_intervals(columns, resamples=DRAWS, ranges=ranges)
    assert together == [
        mean_interval(column, resamples=DRAWS, allowed=allowed) for column, allowed in zip(columns, ranges, strict=True)
    ]
    assert together[0].high <= 1
    assert together[3].low is None
    assert together[3].made == "none"


def test_differences_stay_in_theirs() -> None:
    assert range_of_differences((0.0, None)) == (None, None)
    first, second = _by_prompt(np.array([1.0, 1.0, 0.0])), _by_prompt(np.array([0.0, 0.0, 0.0]))
    wide, cut = (
        paired_differences([(first, second)], ranges=ranges)[0] for ranges in (None, [range_of_differences((0.0, 1.0))])
    )
    assert wide is not None
    assert cut is not None
    assert wide.interval.high > 1
    assert 0.99 < cut.interval.high <= 1
    assert wide.interval.low < cut.interval.low - 0.2 < -0.8


def test_skewed_values_on_few_prompts_are_covered_where_the_percentiles_fall_short() -> None:
    random, studies = np.random.default_rng(11), 400
    columns = [_by_prompt(row) for row in random.gamma(4 / 9, 9 / 4, (studies, 12))]
    shares = {}
    for method in ("studentised", "expanded"):
        made = mean_intervals(columns, resamples=1000, method=method)
        shares[method] = np.mean([found.low <= 1 <= found.high for found in made])
    assert shares["studentised"] > 0.91
    assert shares["expanded"] < 0.89


def test_the_jackknife_of_a_kernel_distance_leaves_out_one_item_at_a_time() -> None:
    random = np.random.default_rng(5)
    x = random.normal(1, 1, (9, 2))
    terms = x @ x.T

    def mean(kept: np.ndarray) -> float:
        part = terms[np.ix_(kept, kept)]
        return (part.sum() - np.trace(part)) / (len(kept) * (len(kept) - 1))

    without = np.array([mean(np.delete(np.arange(9), left)) for left in range(9)])
    expected = math.sqrt(8 / 9 * ((without - without.mean()) ** 2).sum())
    assert jackknife_error(terms) == pytest.approx(expected)
    assert jackknife_error(terms) > u_statistic_error(terms)
    assert kernel_error(terms) ** 2 == pytest.approx((expected**2 + u_statistic_error(terms) ** 2) / 2)
    assert jackknife_error(np.ones((3, 3))) is kernel_error(np.ones((3, 3))) is None
