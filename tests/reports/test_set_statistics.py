"""Set metrics: the variance of a U-statistic, swapped labels, centred draws; votes: Bradley and Terry."""

import numpy as np
import pytest
import scipy.optimize

from ltx2_reports.statistics import Vote, bradley_terry
from ltx2_reports.statistics.preferences import fit
from ltx2_reports.statistics.sets import (
    SetDraws,
    permutation_p,
    set_difference,
    set_p,
    swap_counts,
    u_statistic_error,
)


def _terms(random: np.random.Generator, n: int, mean: float) -> np.ndarray:
    """h(x, y) = x y: the mean over pairs estimates mean squared."""
    x = random.normal(mean, 1, n)
    return np.outer(x, x)


@pytest.mark.parametrize("mean", [0.0, 0.5, 2.0])
def test_the_error_of_a_u_statistic_is_its_spread_over_studies(mean: float) -> None:
    random = np.random.default_rng(0)
    values, variances = [], []
    for _ in range(3000):
        terms = _terms(random, 20, mean)
        values.append((terms.sum() - np.trace(terms)) / (20 * 19))
        variances.append(u_statistic_error(terms) ** 2)
    ratio = np.mean(variances) / np.var(values)
    # Where the distribution degenerates (mean 0) the first part is zero and its estimate, cut at zero, is above it.
    assert 1 < ratio < 2.2 if mean == 0 else 0.9 < ratio < 1.1


def test_fewer_than_four_items_have_no_error() -> None:
    assert u_statistic_error(np.ones((3, 3))) is None


def test_labels_are_swapped_prompt_by_prompt() -> None:
    prompts = ["a", "a", "b", "c"]
    counts = swap_counts(prompts, 50, seed=1)
    first, second = counts[:, :4], counts[:, 4:]
    np.testing.assert_array_equal(first + second, 1)
    np.testing.assert_array_equal(first[:, 0], first[:, 1])
    assert 0 < first[:, 0].mean() < 1


def test_a_permutation_p_counts_what_was_found() -> None:
    assert permutation_p(5.0, [1.0, -2.0, 3.0]) == 1 / 4
    assert permutation_p(2.0, [1.0, -2.0, 3.0]) == 3 / 4
    assert permutation_p(0.0, [0.0, 0.0]) == 1.0


def _draws(**changes: object) -> SetDraws:
    known = {"first": 10.0, "second": 12.0, "draws": (), "swapped": (), "error": None, "prompts": 20}
    return SetDraws(**{**known, **changes})  # type: ignore[arg-type]


def test_draws_are_centred_on_the_difference() -> None:
    spread = np.random.default_rng(1).normal(5, 0.5, 2000)  # biased by 3, as Fréchet distances are
    made = set_difference(_draws(draws=tuple(spread)))
    assert made.value == 2.0
    assert made.low + made.high == pytest.approx(4.0, abs=0.1)
    assert set_p(_draws(draws=tuple(spread))) < 0.01


def test_nothing_to_draw_from_means_no_interval_and_no_p() -> None:
    assert set_difference(_draws()).low is None
    assert set_p(_draws()) is None
    assert set_difference(_draws(error=0.5, prompts=1)).low is None


def test_strengths_of_two_systems_are_the_log_odds() -> None:
    strengths = fit(np.array([[0.0, 30.0], [10.0, 0.0]]), ridge=1e-9)
    assert strengths[0] - strengths[1] == pytest.approx(np.log(3))


def test_strengths_are_the_maximum_of_the_likelihood() -> None:
    wins = np.array([[0, 7, 3.5], [5, 0, 9], [4.5, 2, 0]])

    def loss(b: np.ndarray) -> float:
        return float((wins * np.logaddexp(0, b[None] - b[:, None])).sum() + 0.05 * (b**2).sum())

    theirs = scipy.optimize.minimize(loss, np.zeros(3), tol=1e-10).x
    np.testing.assert_allclose(fit(wins, ridge=0.1), theirs - theirs.mean(), atol=1e-5)


def test_ties_pull_together_and_intervals_know_clusters() -> None:
    votes = [Vote(first="a", second="b", outcome=1, rater=f"r{i % 5}", prompt=f"p{i}") for i in range(30)]
    votes += [Vote(first="b", second="a", outcome=1, rater=f"r{i % 5}", prompt=f"p{i}") for i in range(10)]
    plain = bradley_terry(votes, resamples=200)
    tied = bradley_terry([*votes, *(Vote(first="a", second="b", outcome=0.5) for _ in range(40))], resamples=20)
    assert plain.systems == ("a", "b")
    assert plain.is_connected
    assert 0 < tied.strengths[0].value < plain.strengths[0].value
    assert plain.strengths[0].low < plain.strengths[0].value < plain.strengths[0].high
    alone = [Vote(first=v.first, second=v.second, outcome=v.outcome, prompt=f"p{i}") for i, v in enumerate(votes)]
    whole = [  # one rater whose 20 votes are all alike counts as one, not as 20
        Vote(first="a", second="b", outcome=1 if i < 20 else i % 2, rater=f"r{i if i >= 20 else 0}", prompt=f"p{i}")
        for i in range(40)
    ]
    single = [Vote(first=v.first, second=v.second, outcome=v.outcome, prompt=v.prompt) for v in whole]
    widths = [
        (found.strengths[0].high or 0) - (found.strengths[0].low or 0)
        for found in (bradley_terry(side, resamples=400) for side in (whole, single, alone))
    ]
    assert widths[0] > 1.15 * widths[1]
    assert widths[2] > 0


def test_a_system_that_always_wins_is_finite_and_told() -> None:
    found = bradley_terry([Vote(first="a", second="b", outcome=1)] * 50, resamples=10)
    assert not found.is_connected
    assert np.isfinite(found.strengths[0].value)
    assert found.strengths[0].low is None  # one rater and one prompt: nothing to draw


@pytest.mark.parametrize(
    "votes", [[], [Vote(first="a", second="a", outcome=1)], [Vote(first="a", second="b", outcome=2)]]
)
def test_what_is_no_vote_is_refused(votes: list[Vote]) -> None:
    with pytest.raises(ValueError, match="found"):
        bradley_terry(votes)
