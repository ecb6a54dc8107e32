"""Bootstrap-t limits of means that hold their level on few, skewed and bounded values: the default of every table.

Plain bootstrap-t holds its level on skewed means, is too narrow on heavy tails and may run away where draws lose all
spread. Corrections, measured together in `benchmarks/statistics`, mend that; see `studentised_limits`. Limits of a
bounded metric are besides never farther from the mean than the exact ones of a share; see `within`.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import betaincinv, ndtr, stdtrit

from ltx2_reports.statistics.draws import Array, bootstrap_means

Range = tuple[float | None, float | None]
"""Least and largest value that a metric can have; None: no bound."""

LEAST_RESAMPLED = 8
"""Values below which drawing again says too little: Student's t is then the least width."""
_SHRINK = 0.5
"""Degrees of freedom of the sample's own variance that are mixed into that of every draw."""
_LEAST_ERROR = 0.5
"""Share of the sample's error that the error of a draw never falls below."""
_LONG_TAIL = 90.0
"""Weight of (skewness / n)² in the widening of the long side; found on gamma distributions of skewness 0 to 3."""


def studentised_limits(arrays: Sequence[Array], level: float, resamples: int, seed: int) -> list[tuple[float, float]]:
    """Limits of the mean of each array.

    Quantiles of t* = (mean* - mean) / error* become limits mean - t* error, with

    1. error* mixed with a little of the sample's own, and never below half of it: where few prompts differ from the
       rest, many draws hold none of them, and their small errors would make limits many times too wide;
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
    errors = np.maximum(np.sqrt((spread + _SHRINK) / (count - 1 + _SHRINK)), _LEAST_ERROR) / np.sqrt(count)
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
    """Limits cut to what the metric can be; between two bounds, to what the exact limits of a share allow.

    Of values that all lie at one bound or the other, the exact limits themselves (Clopper and Pearson 1934): also of
    values that are all the same bound. Of values between two bounds they are the farthest that limits go, since no
    values of that mean have a larger spread.

    Args:
        limits: low and high.
        values: (n,) of the prompts.
        allowed: range of the metric.
        level: of the interval.
    """
    low, high = limits
    floor, ceiling = allowed
    value = float(values.mean())
    if floor is not None and ceiling is not None and floor < ceiling and (np.ptp(values) > 0 or value in allowed):
        exact = exact_share((value - floor) / (ceiling - floor), len(values), level)
        least, most = (floor + (ceiling - floor) * share for share in exact)
        if is_yes_or_no(values, allowed):
            low, high = least, most
        low, high = max(low, least), min(high, most)
    low = low if floor is None else min(value, max(low, floor))
    high = high if ceiling is None else max(value, min(high, ceiling))
    return low, high


def is_yes_or_no(values: Array, allowed: Range) -> bool:
    """Whether a metric has two bounds and every value is one of them."""
    floor, ceiling = allowed
    return floor is not None and ceiling is not None and bool(((values == floor) | (values == ceiling)).all())


def exact_share(share: float, count: int, level: float) -> tuple[float, float]:
    """Clopper and Pearson's limits of a share of `count`; between whole numbers of them, of the beta distribution.

    >>> [round(limit, 3) for limit in exact_share(59 / 60, 60, 0.95)]
    [0.911, 1.0]
    """
    yes, tail = min(max(share, 0.0), 1.0) * count, (1 - level) / 2
    low = float(betaincinv(yes, count - yes + 1, tail)) if yes > 0 else 0.0
    high = float(betaincinv(yes + 1, count - yes, 1 - tail)) if yes < count else 1.0
    return low, high
