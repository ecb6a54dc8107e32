"""Bootstrap-t limits of means that hold their level on few, skewed and bounded values: the default of every table.

Plain bootstrap-t holds its level on skewed means, is too narrow on heavy tails and may run away where draws lose all
spread. Three corrections, each measured in `benchmarks/statistics`, mend that; see `studentised_limits`.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, stdtrit

from ltx2_reports.statistics.draws import Array, bootstrap_means

Range = tuple[float | None, float | None]
"""Least and largest value that a metric can have; None: no bound."""

LEAST_RESAMPLED = 8
"""Values below which drawing again says too little: Student's t is then the least width."""
_SHRINK = 0.5
"""Degrees of freedom of the sample's own variance that are mixed into that of every draw."""
_LONG_TAIL = 90.0
"""Weight of (skewness / n)² in the widening of the long side; found on gamma distributions of skewness 0 to 3."""


def studentised_limits(arrays: Sequence[Array], level: float, resamples: int, seed: int) -> list[tuple[float, float]]:
    """Limits of the mean of each array.

    Quantiles of t* = (mean* - mean) / error* become limits mean - t* error, with

    1. error* mixed with a little of the sample's own, so that a draw of equal values gives no infinite t*;
    2. the side of the longer tail widened by sqrt(1 + 90 (skewness / n)²), since a small sample seldom shows a long
       tail in full (a sample of n has a skewness of at most about sqrt(n), whatever it was drawn from);
    3. neither limit nearer to the mean than that of the expanded percentile bootstrap, or of Student's t for fewer
       than `LEAST_RESAMPLED` values: bootstrap-t is too narrow on symmetric heavy tails, such as those of differences.

    Args:
        arrays: k arrays (n,) of one length n >= 2.
        level: of the interval.
        resamples: bootstrap draws.
        seed: of the draws.

    Returns:
        (low, high) of each; both the mean where all values are equal.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 12.5; Hesterberg, What Teachers
    Should Know About the Bootstrap (2015), section 4.3, for the expanded percentile.
    """
    count = len(arrays[0])
    spreads = np.array([array.std(ddof=1) if np.ptp(array) > 0 else 0.0 for array in arrays])
    alive = [place for place, spread in enumerate(spreads) if spread > 0]
    limits = [(float(array.mean()), float(array.mean())) for array in arrays]
    if not alive:
        return limits
    columns = [(arrays[place] - arrays[place].mean()) / spreads[place] for place in alive]
    drawn = bootstrap_means([*columns, *(column**2 for column in columns)], resamples, seed)
    means, squares = drawn[: len(alive)], drawn[len(alive) :]
    for place, column, mean, square in zip(alive, columns, means, squares, strict=True):
        below, above = _in_errors(column, mean, square, level)
        error = float(spreads[place]) / np.sqrt(count)
        middle = float(arrays[place].mean())
        limits[place] = middle - float(below * error), middle + float(above * error)
    return limits


def _in_errors(column: Array, means: Array, squares: Array, level: float) -> tuple[float, float]:
    """How many standard errors the limits lie below and above the mean of a column of mean 0 and variance 1.

    Args:
        column: (n,).
        means: (b,) of the draws.
        squares: (b,) of the draws, means of squares.
        level: of the interval.
    """
    count, tails = len(column), ((1 - level) / 2, (1 + level) / 2)
    spread = np.maximum(squares - means**2, 0) * count  # sum of squares of each draw
    errors = np.sqrt((spread + _SHRINK) / (count - 1 + _SHRINK) / count)
    low, high = np.quantile(means / errors, tails)
    skewness = float((column**3).mean() / (column**2).mean() ** 1.5)
    longer = np.sqrt(1 + _LONG_TAIL * (skewness / count) ** 2)
    below = high * (longer if skewness < 0 else 1)
    above = -low * (longer if skewness > 0 else 1)
    least = _least(count, means, level)
    return max(float(below), least[0]), max(float(above), least[1])


def _least(count: int, means: Array, level: float) -> tuple[float, float]:
    """Standard errors below and above the mean that the limits have at least."""
    if count < LEAST_RESAMPLED:
        half = float(stdtrit(count - 1, (1 + level) / 2))
        return half, half
    low, high = np.quantile(means, expanded_tails(level, count)) * np.sqrt(count)
    return -float(low), float(high)


def expanded_tails(level: float, n: int) -> tuple[float, float]:
    """Quantiles of a bootstrap of n items that make up for its narrowness: Φ(∓√(n/(n-1)) t).

    A bootstrap mean's variance is (n-1)/n of the unbiased one, and its tails are normal where those of t are due.
    """
    share = float(ndtr(-np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 + level) / 2)))
    return share, 1 - share


def range_of_differences(allowed: Range, *, distances: bool = False) -> Range:
    """Range of the difference of two values of a metric, or of two distances from zero.

    >>> range_of_differences((0.0, 1.0)), range_of_differences((-2.0, 3.0), distances=True)
    ((-1.0, 1.0), (-3.0, 3.0))
    """
    floor, ceiling = allowed
    if floor is None or ceiling is None:
        return None, None
    reach = max(abs(floor), abs(ceiling)) if distances else ceiling - floor
    return -reach, reach


def within(limits: tuple[float, float], values: Array, allowed: Range, level: float) -> tuple[float, float]:
    """Limits cut to what the metric can be; of values that all lie at one end of a bounded range, not of zero width.

    Of n values that all lie at one end, the mean lies farther than a share 1 - α^(1/n) of the range from it with a
    chance below α, whatever the distribution: P(a value lies at the end) is at most one minus that share. That is
    Clopper and Pearson's limit for shares (1934).

    Args:
        limits: low and high.
        values: (n,) of the prompts.
        allowed: range of the metric.
        level: of the interval.
    """
    low, high = limits
    floor, ceiling = allowed
    value = float(values.mean())
    if floor is not None and ceiling is not None and np.ptp(values) == 0 and floor < ceiling:
        reach = (ceiling - floor) * (1 - ((1 - level) / 2) ** (1 / len(values)))
        if values[0] == floor:
            high = max(high, floor + reach)
        elif values[0] == ceiling:
            low = min(low, ceiling - reach)
    low = low if floor is None else min(value, max(low, floor))
    high = high if ceiling is None else max(value, min(high, ceiling))
    return low, high
