"""How sure a set metric is, and whether two systems differ by it: from draws, from terms, from swapped labels.

A set metric has no value per prompt. What there is instead: its values on prompts drawn again (biased for Fréchet
distances, hence centred), the variance of the U-statistic that a kernel distance is, and its values when the labels of
the two systems are swapped on randomly chosen prompts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ltx2_reports.statistics.draws import Array
from ltx2_reports.statistics.intervals import LEVEL, Interval, error_interval
from ltx2_reports.statistics.studentised import expanded_tails

STANDARD_ERROR = "standard_error"
"""Key in the details of a set metric's record, of metrics whose variance has a closed form."""
ERROR_BY = "standard_error_by"
"""Key of how that error was found; records without it have the unbiased error of a U-statistic."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SetDraws:
    """A set metric of two systems on the prompts that both have; differences are second minus first."""

    first: float
    second: float
    draws: tuple[float, ...]
    """Differences on prompts drawn with replacement, the same prompts on both sides."""
    swapped: tuple[float, ...]
    """Differences when the labels of the two are swapped on random prompts; empty where features are not at hand."""
    error: float | None
    """Standard error of the difference from the terms of a U-statistic; None: take the spread of the draws."""
    prompts: int

    @property
    def difference(self) -> float:
        """Second minus first."""
        return self.second - self.first

    @property
    def standard_error(self) -> float | None:
        """Of the difference; None where nothing tells."""
        if self.error is not None:
            return self.error
        return float(np.std(self.draws, ddof=1)) if len(self.draws) > 1 else None


def set_difference(made: SetDraws, level: float = LEVEL) -> Interval:
    """The difference with its interval: by its standard error where there is one, else by its draws, centred."""
    n = made.prompts
    if n < 2 or made.standard_error is None:
        return Interval(value=made.difference, low=None, high=None, n=n)
    if made.error is not None:
        return error_interval(made.difference, made.error, n, level)
    draws = np.asarray(made.draws)
    low, high = made.difference + np.quantile(draws, expanded_tails(level, n)) - draws.mean()
    return Interval(value=made.difference, low=float(low), high=float(high), n=n, made="replicates")


def set_p(made: SetDraws) -> float | None:
    """Two-sided p of "the systems are alike": by swapped labels where there are some, else by the centred draws."""
    if made.swapped:
        return permutation_p(made.difference, made.swapped)
    if len(made.draws) < 2:
        return None
    return permutation_p(made.difference, np.asarray(made.draws) - np.mean(made.draws))


def permutation_p(found: float, drawn: Sequence[float] | Array) -> float:
    """Share of draws at least as far from zero as what was found, which counts as one of them."""
    slack = 1e-9 * max(abs(found), float(np.max(np.abs(drawn))))
    return float((1 + (np.abs(drawn) >= abs(found) - slack).sum()) / (1 + len(drawn)))


def swap_counts(prompts: Sequence[str], permutations: int, seed: int) -> NDArray[np.int64]:
    """Which clips stand for the first system when labels are swapped by prompt, all clips of a prompt together.

    Args:
        prompts: prompt of each clip, the same for both systems.
        permutations: b.
        seed: of the draws.

    Returns:
        (b, 2 n): 1 for clips taken into the first set, of the first system's n clips and then of the second's.
    """
    names = sorted(set(prompts))
    swapped = np.random.default_rng(seed).integers(0, 2, (permutations, len(names)))
    place = {name: index for index, name in enumerate(names)}
    of_clips = swapped[:, [place[prompt] for prompt in prompts]]
    return np.concatenate([1 - of_clips, of_clips], axis=1)


def kernel_error(terms: Array) -> float | None:
    """Standard error of a kernel distance: root mean square of its jackknife and its unbiased error; None below four.

    Value and error of a kernel distance grow together, so that sets which happen to lie near the reference seem surer
    than they are: the unbiased error holds 93 % for 95, the jackknife up to 96.4 (`benchmarks/statistics`).
    """
    jackknife, unbiased = jackknife_error(terms), u_statistic_error(terms)
    return None if jackknife is None or unbiased is None else float(np.sqrt((jackknife**2 + unbiased**2) / 2))


def jackknife_error(terms: Array) -> float | None:
    """Standard error of the mean of terms[i, j] over i ≠ j by leaving out one item at a time; None below four.

    On average it is larger than the spread of the mean (Efron and Stein 1981), most where the mean is near its least
    value.

    Args:
        terms: (n, n) symmetric, as in `u_statistic_error`.
    """
    n = len(terms)
    if n < 4:
        return None
    rows = (terms - np.diag(np.diag(terms))).sum(axis=1)
    without = (rows.sum() - 2 * rows) / ((n - 1) * (n - 2))
    return float(np.sqrt((n - 1) * np.var(without)))


def u_statistic_error(terms: Array) -> float | None:
    """Standard error of the mean of terms[i, j] over i ≠ j, from n independent items; None below four.

    The variance of a U-statistic of order two, 4 (n-2)/(n (n-1)) ζ₁ + 2/(n (n-1)) ζ₂, with unbiased estimates of both
    parts. Its degenerate case, equal distributions, where only ζ₂ is left, is the floor.

    For differences of two kernel distances; for a single one see `kernel_error`.

    Args:
        terms: (n, n) symmetric; of a kernel distance k(i, j) - c(i) - c(j) with c the mean kernel to the reference.

    Source: Hoeffding 1948; Sutherland and Deka, Unbiased estimators for the variance of MMD estimators (2019).
    """
    n = len(terms)
    if n < 4:
        return None
    off = terms - np.diag(np.diag(terms))
    rows, total, squares = off.sum(axis=1), off.sum(), (off**2).sum()
    mean_square = (total**2 - 4 * (rows**2).sum() + 2 * squares) / (n * (n - 1) * (n - 2) * (n - 3))
    first = ((rows**2).sum() - squares) / (n * (n - 1) * (n - 2)) - mean_square
    second = max(squares / (n * (n - 1)) - mean_square, 0.0)
    variance = (4 * (n - 2) * max(first, 0.0) + 2 * second) / (n * (n - 1))
    return float(np.sqrt(variance))
