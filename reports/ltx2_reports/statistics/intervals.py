"""Intervals for means and for set metrics: seeded bootstrap over prompts.

The unit is the prompt: seeds of one prompt are averaged first, since clips of one prompt are not independent.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from ltx2_reports.statistics.draws import RESAMPLES, SEED, Array, bootstrap_means, two_level_means
from ltx2_reports.statistics.studentised import Range, expanded_tails, is_yes_or_no, studentised_limits, within

Method = Literal["expanded", "percentile", "bca", "studentised"]
"""How the bootstrap becomes limits.

studentised: bootstrap-t, corrected for few and heavy-tailed values (`studentised.py`), the default: the only one that
holds its level on normal, skewed and strongly skewed values alike (`benchmarks/statistics`). expanded: percentile at
levels widened for small n (Hesterberg 2015). percentile: as it is; too narrow below about 60 prompts. bca: bias
corrected and accelerated (Efron 1987).
"""
Made = Method | Literal["exact", "student_t", "replicates", "two_level", "none"]
"""How an interval was made: by one of the methods above; exact: of a check of yes or no, whatever the method;
student_t: from a standard error; replicates: a set metric's values on prompts drawn again, centred; two_level: prompts,
then seeds; none: it has no limits."""
DEFAULT: Method = "studentised"
LEVEL = 0.95

ByPrompt = Mapping[str, Sequence[float]]
"""Values of each prompt, one per seed; prompts without a value are left out or empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A mean over prompts, or a set metric's value, and the interval it lies in."""

    value: float
    low: float | None
    """None: fewer than two prompts, or no replicates."""
    high: float | None
    n: int
    """Prompts, or replicates of a set metric."""
    made: Made = "none"

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def prompt_means(values: ByPrompt) -> dict[str, float]:
    """Mean over seeds for each prompt that has a value, in the order of the prompts' ids.

    Raises:
        ValueError: a value is not finite.
    """
    means = {prompt: _mean(values[prompt]) for prompt in sorted(values) if len(values[prompt])}
    bad = next((prompt for prompt, mean in means.items() if not math.isfinite(mean)), None)
    if bad is not None:
        raise ValueError(f"prompt {bad!r}: found {means[bad]}, expected finite values; leave out what has no value")
    return means


def _mean(values: Sequence[float]) -> float:
    """NumPy's mean; of one value, which is the usual number of seeds, without its cost."""
    return float(values[0]) if len(values) == 1 else float(np.mean(values))


def mean_intervals(
    columns: Sequence[ByPrompt],
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    method: Method = DEFAULT,
    ranges: Sequence[Range] | None = None,
) -> list[Interval]:
    """`mean_interval` of many columns in one pass; `ranges` has one entry for each.

    Raises:
        ValueError: a column has no value, a value is not finite, `level` is outside 0..1, or an unknown method.
    """
    _check(level, method)
    arrays = [np.array(list(prompt_means(column).values())) for column in columns]
    if any(not len(array) for array in arrays):
        raise ValueError("found no value, expected at least one prompt with a value")
    limits = _limits_by_length(arrays, level, resamples, seed, method)
    bounds = ranges or [(None, None)] * len(arrays)
    made = [
        None if found is None else within(found, array, bound, level)
        for found, array, bound in zip(limits, arrays, bounds, strict=True)
    ]
    names: list[Made] = [
        "exact" if is_yes_or_no(array, bound) else method for array, bound in zip(arrays, bounds, strict=True)
    ]
    return [
        _interval(float(array.mean()), found, len(array), name)
        for array, found, name in zip(arrays, made, names, strict=True)
    ]


def _interval(value: float, limits: tuple[float, float] | None, n: int, made: Made) -> Interval:
    if limits is None:
        return Interval(value=value, low=None, high=None, n=n)
    return Interval(value=value, low=limits[0], high=limits[1], n=n, made=made)


def mean_interval(
    values: ByPrompt,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    method: Method = DEFAULT,
    allowed: Range = (None, None),
) -> Interval:
    """Mean over prompts with its bootstrap interval.

    Args:
        values: prompt id -> values of its seeds; they are averaged first.
        level: of the interval, 0..1.
        resamples: bootstrap draws.
        seed: of the draws.
        method: from the draws to the limits.
        allowed: least and largest value that the metric can have; limits never leave it.

    Returns:
        The interval; its limits are None for a single prompt. Of equal values it has no width, unless they all lie at
        one end of a range with two ends.

    Raises:
        ValueError: no value, or one that is not finite.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 12 to 14; Hesterberg, What Teachers
    Should Know About the Bootstrap (2015), section 4.3.
    """
    return mean_intervals([values], level, resamples, seed, method, [allowed])[0]


def two_level_interval(
    values: ByPrompt, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> Interval:
    """Mean over prompts; prompts are drawn, then seeds within each drawn prompt.

    Drawing prompts carries the spread of the seeds already, so this counts a part of it twice: the wider, cautious
    choice where there are few seeds of many noisy clips.

    Raises:
        ValueError: no value, or one that is not finite.
    """
    _check(level, "expanded")
    means = prompt_means(values)
    if not means:
        raise ValueError("found no value, expected at least one prompt with a value")
    point = float(np.mean(list(means.values())))
    if len(means) == 1:
        return Interval(value=point, low=None, high=None, n=1)
    draws = two_level_means([values[prompt] for prompt in means], resamples, seed)
    low, high = np.quantile(draws, expanded_tails(level, len(means)))
    return Interval(value=point, low=float(low), high=float(high), n=len(means), made="two_level")


def centred_interval(point: float, replicates: Sequence[float], level: float = LEVEL) -> Interval:
    """Interval of a set metric: the point plus the spread of its replicates around their own mean.

    A set drawn with replacement has fewer distinct clips, which biases distances such as FVD upward a second time;
    raw quantiles of the replicates would therefore miss the point itself.
    """
    if len(replicates) < 2:
        return Interval(value=point, low=None, high=None, n=len(replicates))
    draws = np.asarray(replicates, dtype=np.float64)
    low, high = point + np.quantile(draws, tails(level)) - draws.mean()
    return Interval(value=point, low=float(low), high=float(high), n=len(draws), made="replicates")


def error_interval(point: float, error: float, n: int, level: float = LEVEL) -> Interval:
    """A value with a standard error from n prompts: Student's t."""
    half = float(stdtrit(n - 1, (1 + level) / 2)) * error
    return Interval(value=point, low=point - half, high=point + half, n=n, made="student_t")


def tails(level: float) -> tuple[float, float]:
    """Quantiles that leave out equal shares on both sides."""
    return (1 - level) / 2, (1 + level) / 2


def _check(level: float, method: str) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level: found {level}, expected a share between 0 and 1 such as 0.95")
    if method not in get_args(Method):
        raise ValueError(f"method: found {method!r}, expected one of {', '.join(get_args(Method))}")


def _limits_by_length(
    arrays: Sequence[Array], level: float, resamples: int, seed: int, method: Method
) -> list[tuple[float, float] | None]:
    limits: list[tuple[float, float] | None] = [None] * len(arrays)
    for length in {len(array) for array in arrays} - {1}:
        places = [place for place, array in enumerate(arrays) if len(array) == length]
        alike = [arrays[place] for place in places]
        if method == "studentised":
            found = studentised_limits(alike, level, resamples, seed)
        else:
            means = bootstrap_means(alike, resamples, seed)
            found = [_by_quantiles(*pair, level, method) for pair in zip(alike, means, strict=True)]
        for place, pair in zip(places, found, strict=True):
            limits[place] = pair
    return limits


def _by_quantiles(array: Array, draws: Array, level: float, method: Method) -> tuple[float, float]:
    low, high = np.quantile(draws, _quantiles(array, draws, level, method))
    return float(low), float(high)


def _quantiles(array: Array, draws: Array, level: float, method: Method) -> tuple[float, float]:
    if method == "expanded":
        return expanded_tails(level, len(array))
    return tails(level) if method == "percentile" else _bca(array, draws, level)


def _bca(array: Array, draws: Array, level: float) -> tuple[float, float]:
    """Efron's corrected quantiles: bias from the share of draws below the mean, acceleration from the jackknife."""
    centred = array - array.mean()
    spread = (centred**2).sum()
    if spread == 0:
        return tails(level)
    acceleration = (centred**3).sum() / (6 * spread**1.5)
    bias = ndtri(((draws < array.mean()).mean() + (draws <= array.mean()).mean()) / 2)
    if not np.isfinite(bias):
        return tails(level)
    shifted = bias + ndtri(np.array(tails(level)))
    low, high = ndtr(bias + shifted / (1 - acceleration * shifted))
    return float(low), float(high)
