"""Paired tests against scipy, against enumeration, and worked by hand; what they say where there is nothing to say."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from ltx2_reports import statistics
from ltx2_reports.statistics import draws, paired
from ltx2_reports.statistics.crossed import crossed_error, mean_squares, prompt_error


def test_sign_flips_worked_by_hand() -> None:
    """Differences 1, 2, 4: of the eight sums only 7 is as large as 7, only 7 and -7 as far from zero."""
    differences = np.array([1.0, 2.0, 4.0])
    assert statistics.sign_flip_p(differences, "greater") == 1 / 8
    assert statistics.sign_flip_p(differences) == 2 / 8
    assert statistics.sign_flip_p(differences, "less") == 1.0


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_exact_sign_flips_are_those_of_scipy(alternative: str) -> None:
    differences = np.random.default_rng(0).normal(0.3, 1, 9)
    theirs = scipy.stats.permutation_test(
        (differences, np.zeros(9)), lambda x, y: np.mean(x - y), permutation_type="samples", alternative=alternative
    )
    assert statistics.sign_flip_p(differences, alternative) == pytest.approx(theirs.pvalue, abs=1e-12)


def test_drawn_flips_come_near_the_exact_p(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(1).normal(0.4, 1, 14)
    exact = statistics.sign_flip_p(differences)
    monkeypatch.setattr(paired, "_EXACT_UP_TO", 0)
    assert statistics.sign_flip_p(differences, flips=40_000) == pytest.approx(exact, abs=0.01)


def test_flips_of_a_column_do_not_depend_on_its_neighbours() -> None:
    random = np.random.default_rng(2)
    columns = [random.normal(size=size) for size in (40, 12, 40, 1)]
    together = statistics.sign_flip_ps(columns, flips=500)
    assert together == [statistics.sign_flip_p(column, flips=500) for column in columns]


def test_prompts_that_are_equal_change_no_p() -> None:
    differences = np.array([0.3, -0.1, 0.5, 0.2, 0.9])
    assert statistics.sign_flip_p(np.append(differences, np.zeros(30))) == statistics.sign_flip_p(differences)


def test_no_difference_and_one_prompt_are_never_significant() -> None:
    assert statistics.sign_flip_p(np.zeros(20)) == 1.0
    assert statistics.wilcoxon_p(np.zeros(20)) == 1.0
    assert statistics.sign_flip_p(np.array([5.0])) == 1.0


@pytest.mark.parametrize("values", [[], [1.0, math.nan]])
def test_what_is_no_difference_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="expected at least one and all of them finite"):
        statistics.sign_flip_p(np.array(values))


def test_holm_rejects_what_the_step_down_procedure_rejects() -> None:
    random = np.random.default_rng(3)
    for _ in range(50):
        ps = random.uniform(size=8) ** 3
        rejected, order = set(), np.argsort(ps)
        for rank, place in enumerate(order):
            if ps[place] > 0.05 / (8 - rank):
                break
            rejected.add(int(place))
        assert {place for place, p in enumerate(statistics.holm(ps)) if p <= 0.05} == rejected
    assert statistics.holm([]) == []


@pytest.mark.parametrize(("wins", "n"), [(0, 12), (7, 12), (200, 200)])
def test_wilson_is_that_of_scipy(wins: int, n: int) -> None:
    theirs = scipy.stats.binomtest(wins, n).proportion_ci(method="wilson")
    assert statistics.wilson(wins / n, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_ties_count_half() -> None:
    rate = statistics.win_rate(np.array([1.0, -1.0, 0.0, 0.0]))
    assert (rate.wins, rate.losses, rate.ties, rate.rate) == (1, 1, 2, 0.5)


def test_the_detectable_difference_is_found_as_often_as_it_says() -> None:
    random = np.random.default_rng(4)
    least = statistics.detectable(1 / math.sqrt(30), 30)
    studies = random.normal(least, 1, (4000, 30))
    found = scipy.stats.ttest_1samp(studies, 0, axis=1).pvalue < 0.05
    assert np.mean(found) == pytest.approx(0.8, abs=0.025)
    assert statistics.detectable(0.02 / math.sqrt(100), 100) == pytest.approx(2.8 * 0.02 / 10, rel=0.02)


def test_the_prompts_needed_are_enough() -> None:
    needed = statistics.prompts_needed(1.0, 0.25)
    assert statistics.detectable(1 / math.sqrt(needed), needed) <= 0.25
    assert statistics.detectable(1 / math.sqrt(needed - 6), needed - 6) > 0.25


def test_margins_are_tested_as_scipy_tests_a_shifted_mean() -> None:
    differences = np.random.default_rng(5).normal(-0.01, 0.1, 40)
    found = statistics.non_inferior(differences, margin=0.05)
    theirs = scipy.stats.ttest_1samp(differences, -0.05, alternative="greater")
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.holds is (found.limit > -0.05)
    both = statistics.equivalent(differences, margin=0.05)
    assert both.p == max(found.p, statistics.non_inferior(-differences, margin=0.05).p)


def test_equivalence_needs_both_sides() -> None:
    near, far = np.linspace(-0.01, 0.01, 20), np.linspace(0.19, 0.21, 20)
    assert statistics.equivalent(near, 0.1).holds
    assert statistics.non_inferior(far, 0.1).holds
    assert not statistics.equivalent(far, 0.1).holds


@pytest.mark.parametrize(("values", "margin"), [([1.0], 0.1), ([1.0, 2.0], 0.0)])
def test_margins_that_cannot_be_tested_are_refused(values: list[float], margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        statistics.non_inferior(np.array(values), margin)


def test_effects_without_spread_have_no_size() -> None:
    assert statistics.effect_size(np.array([1.0])) is None
    assert statistics.effect_size(np.full(5, 0.1)) is None
    assert statistics.effect_size(np.array([1.0, 3.0])) == pytest.approx(2 / math.sqrt(2))


def test_bca_is_that_of_scipy_on_the_same_draws() -> None:
    values = np.random.default_rng(6).gamma(1.5, size=40)
    ours = statistics.mean_interval(
        {f"{i:03}": [v] for i, v in enumerate(values)}, resamples=4000, seed=5, method="bca"
    )
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="BCa", rng=np.random.default_rng(5)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=2e-3)


def test_the_expanded_interval_of_normal_values_is_that_of_student() -> None:
    values = scipy.stats.norm.ppf((np.arange(15) + 0.5) / 15)
    column = {f"{i:03}": [v] for i, v in enumerate(values)}
    ours = statistics.mean_interval(column, resamples=100_000, method="expanded")
    half = scipy.stats.t.ppf(0.975, 14) * values.std(ddof=1) / math.sqrt(15)
    assert (ours.low, ours.high) == pytest.approx((-half, half), rel=0.05)


def test_the_studentised_interval_leans_to_the_long_tail() -> None:
    values = np.random.default_rng(7).lognormal(0, 1, 30)
    made = {
        method: statistics.mean_interval({f"{i:03}": [v] for i, v in enumerate(values)}, method=method)
        for method in ("expanded", "studentised")
    }
    assert made["studentised"].high > made["expanded"].high
    assert statistics.mean_interval({"a": [2.0], "b": [2.0]}, method="studentised").high == 2.0


def test_two_levels_are_wider_than_one_and_need_no_equal_numbers_of_seeds() -> None:
    random = np.random.default_rng(8)
    values = {f"{i}": random.normal(0, 1, 2 + i % 3).tolist() for i in range(30)}
    one, two = statistics.mean_interval(values), statistics.two_level_interval(values)
    assert one.value == two.value
    assert two.high - two.low > one.high - one.low
    assert statistics.two_level_interval({"a": [1.0, 2.0]}).low is None


def test_two_levels_of_one_seed_are_the_plain_bootstrap() -> None:
    values = [[value] for value in np.random.default_rng(9).normal(size=20)]
    plain = statistics.bootstrap_means([np.array(values).ravel()], 20_000, seed=1)[0]
    assert statistics.two_level_means(values, 20_000, seed=1).std() == pytest.approx(plain.std(), rel=0.02)


def test_all_flips_are_all_flips() -> None:
    values = np.array([1.0, 2.0, 4.0, 8.0])
    every = sorted(itertools.chain.from_iterable(piece[0] for piece in draws.every_flipped_sum([values])))
    assert every == sorted(float(np.dot(signs, values)) for signs in itertools.product((-1, 1), repeat=4))


def test_the_error_of_prompts_and_seeds_is_that_of_the_analysis_of_variance() -> None:
    """By hand: rows 1 and 2 apart, columns 0, 2, 4, 6 apart, nothing left over."""
    table = np.array([[0.0, 2, 4, 6], [1, 3, 5, 7], [2, 4, 6, 8]])
    between, rest = mean_squares(table)
    assert (between, rest) == (pytest.approx(3 * 20 / 3), pytest.approx(0))
    found = crossed_error(table.mean(axis=1), [table])
    assert found is not None
    prompts, seeds = 1.0 / 3, 20.0 / 12
    assert found.value == pytest.approx((prompts + seeds) ** 0.5)
    assert found.freedom == pytest.approx((prompts + seeds) ** 2 / (prompts**2 / 2 + seeds**2 / 3))
    assert crossed_error(table.mean(axis=1), [table[:, :3]]) is None
    alone = prompt_error(table.mean(axis=1))
    flat = crossed_error(table.mean(axis=1), [table - table.mean(axis=0)])
    assert (flat, flat and flat.value) == (alone, pytest.approx(3**-0.5))


def test_counting_seeds_keeps_its_level_where_prompts_alone_do_not() -> None:
    random, alone, counted = np.random.default_rng(6), 0, 0
    for _ in range(300):
        table = random.normal(0, 1, (30, 4)) + random.normal(0, 0.5, 4)
        means = table.mean(axis=1)
        by_prompts, by_both = prompt_error(means), crossed_error(means, [table])
        assert by_prompts is not None
        assert by_both is not None
        alone += by_prompts.p(float(means.mean())) < 0.05
        counted += by_both.p(float(means.mean())) < 0.05
    assert alone > 90
    assert counted < 27
