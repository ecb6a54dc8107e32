"""Intervals for means, for paired differences and for set metrics: seeded bootstrap over prompts.

The unit is the prompt: seeds of one prompt are averaged first, since clips of one prompt are not independent. Draws
depend on the seed and the number of prompts only, so every metric and every system is resampled alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 10_000
SEED = 20_260_101
LEAST_PROMPTS = 6
_CELLS_AT_A_TIME = 1 << 18

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

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """First system minus second, on the prompts that both have."""

    interval: Interval
    prompts: int
    """Shared prompts."""
    excluded: int
    """Prompts that only one of the two has."""

    @property
    def separated(self) -> bool:
        """Whether the difference is told from zero: its interval excludes zero, on enough prompts to say so.

        With n prompts no exact sign-flip test can reach a p below 2 ** (1 - n), whatever the values; resampling that
        few prompts makes intervals that look certain.
        """
        return self.interval.excludes_zero and self.prompts >= LEAST_PROMPTS


def prompt_means(values: ByPrompt) -> dict[str, float]:
    """Mean over seeds for each prompt that has a value, in the order of the prompts' ids.

    Raises:
        ValueError: a value is not finite.
    """
    means = {prompt: float(np.mean(values[prompt])) for prompt in sorted(values) if len(values[prompt])}
    bad = next((prompt for prompt, mean in means.items() if not np.isfinite(mean)), None)
    if bad is not None:
        raise ValueError(f"prompt {bad!r}: found {means[bad]}, expected finite values; leave out what has no value")
    return means


def bootstrap_means(columns: Sequence[NDArray[np.float64]], resamples: int, seed: int) -> NDArray[np.float64]:
    """Means of each column over items drawn with replacement, the same draws for every column.

    Args:
        columns: k arrays of shape (n,), n >= 1.
        resamples: how many draws, b.
        seed: of the draws; with n it decides them.

    Returns:
        (k, b). A column's means do not depend on which other columns are there.
    """
    count = len(columns[0])
    generator = np.random.default_rng(seed)
    means = np.empty((len(columns), resamples))
    step = max(1, _CELLS_AT_A_TIME // count)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        weights = _draw_counts(generator, rows, count)
        for place, column in enumerate(columns):
            means[place, start : start + rows] = weights @ column
    return means / count


def _draw_counts(generator: np.random.Generator, rows: int, count: int) -> NDArray[np.float64]:
    """(rows, count): how often each item was drawn."""
    drawn = generator.integers(0, count, (rows, count))
    drawn += np.arange(rows)[:, None] * count
    return np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def mean_intervals(
    columns: Sequence[ByPrompt], level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> list[Interval]:
    """`mean_interval` of many columns in one pass.

    Raises:
        ValueError: a column has no value, a value is not finite, or `level` is outside 0..1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: found {level}, expected a share between 0 and 1 such as 0.95")
    arrays = [np.array(list(prompt_means(column).values())) for column in columns]
    if any(not len(array) for array in arrays):
        raise ValueError("found no value, expected at least one prompt with a value")
    limits = _limits_by_length(arrays, level, resamples, seed)
    return [
        Interval(value=float(array.mean()), low=low, high=high, n=len(array))
        for array, (low, high) in zip(arrays, limits, strict=True)
    ]


def _limits_by_length(
    arrays: Sequence[NDArray[np.float64]], level: float, resamples: int, seed: int
) -> list[tuple[float | None, float | None]]:
    limits: list[tuple[float | None, float | None]] = [(None, None)] * len(arrays)
    for length in {len(array) for array in arrays} - {1}:
        places = [place for place, array in enumerate(arrays) if len(array) == length]
        means = bootstrap_means([arrays[place] for place in places], resamples, seed)
        for place, (low, high) in zip(places, np.quantile(means, _tails(level), axis=1).T, strict=True):
            limits[place] = float(low), float(high)
    return limits


def mean_interval(values: ByPrompt, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """Mean over prompts with its percentile bootstrap interval.

    Args:
        values: prompt id -> values of its seeds; they are averaged first.
        level: of the interval, 0..1.
        resamples: bootstrap draws.
        seed: of the draws.

    Returns:
        The interval; its limits are None for a single prompt.

    Raises:
        ValueError: no value, or one that is not finite.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    return mean_intervals([values], level, resamples, seed)[0]


def paired_values(first: ByPrompt, second: ByPrompt) -> tuple[dict[str, list[float]], int]:
    """Per shared prompt the difference of the two means, and how many prompts only one of the two has."""
    a, b = prompt_means(first), prompt_means(second)
    shared = sorted(a.keys() & b.keys())
    return {prompt: [a[prompt] - b[prompt]] for prompt in shared}, len(a.keys() ^ b.keys())


def paired_differences(
    pairs: Sequence[tuple[ByPrompt, ByPrompt]], level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> list[Difference | None]:
    """`paired_difference` of many pairs in one pass; None where a pair shares no prompt."""
    made = [paired_values(first, second) for first, second in pairs]
    columns = [differences for differences, _ in made if differences]
    intervals = iter(mean_intervals(columns, level, resamples, seed) if columns else [])
    return [
        Difference(interval=next(intervals), prompts=len(differences), excluded=excluded) if differences else None
        for differences, excluded in made
    ]


def paired_difference(
    first: ByPrompt, second: ByPrompt, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> Difference:
    """Mean difference first - second over the prompts that both have, with its interval.

    Both sides of a pair are drawn together, so what makes a prompt easy or hard for both cancels.

    Raises:
        ValueError: no prompt is shared, or a value is not finite.
    """
    (difference,) = paired_differences([(first, second)], level, resamples, seed)
    if difference is None:
        raise ValueError("found no prompt with a value on both sides; compare systems on the same suite")
    return difference


def centred_interval(point: float, replicates: Sequence[float], level: float = LEVEL) -> Interval:
    """Interval of a set metric: the point plus the spread of its replicates around their own mean.

    A set drawn with replacement has fewer distinct clips, which biases distances such as FVD upward a second time;
    raw quantiles of the replicates would therefore miss the point itself.
    """
    if len(replicates) < 2:
        return Interval(value=point, low=None, high=None, n=len(replicates))
    draws = np.asarray(replicates, dtype=np.float64)
    low, high = point + np.quantile(draws, _tails(level)) - draws.mean()
    return Interval(value=point, low=float(low), high=float(high), n=len(draws))


def _tails(level: float) -> tuple[float, float]:
    return (1 - level) / 2, (1 + level) / 2
