"""One measured figure with its interval and the bar it is held against."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ltx2_reports.statistics import ByPrompt, Interval, mean_interval, paired_differences
from ltx2_reports.statistics.studentised import Range, range_of_differences

SHARE: Range = (0.0, 1.0)
COSINE: Range = (-1.0, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A value, the 95 % interval it lies in, and what it should be."""

    name: str
    value: float
    low: float | None
    high: float | None
    unit: str
    n: int
    bar: str = ""
    """What the project asks for, '' where a figure is only for information."""
    note: str = ""
    """What the interval or the value leaves out, said under the table; '' for nothing."""

    def line(self) -> str:
        """The figure in one line."""
        interval = "" if self.low is None or self.high is None else f" [{self.low:.4g}, {self.high:.4g}]"
        bar = f"; bar: {self.bar}" if self.bar else ""
        return f"{self.name}: {self.value:.4g}{interval} {self.unit}".rstrip() + f" (n {self.n}{bar})"

    def record(self) -> dict[str, Any]:
        """The figure for JSON."""
        return asdict(self)


def mean_figure(
    name: str, values: Mapping[str, Sequence[float]], unit: str, bar: str = "", allowed: Range = (None, None)
) -> Figure:
    """Mean over clips or prompts (key -> values) with its bootstrap interval, which stays within what is allowed."""
    interval = mean_interval(values, allowed=allowed)
    return of_interval(name, interval, unit, len(values), bar)


def difference_figure(
    name: str, first: ByPrompt, second: ByPrompt, unit: str, bar: str = "", allowed: Range = (None, None)
) -> Figure:
    """Mean of first minus second over the keys that both have; `allowed` is the range of either.

    Raises:
        ValueError: No key is shared.
    """
    (found,) = paired_differences([(first, second)], ranges=[range_of_differences(allowed)])
    if found is None:
        raise ValueError(f"{name!r}: no prompt has a value on both sides; take more prompts")
    return of_interval(name, found.interval, unit, found.prompts, bar)


def of_interval(name: str, interval: Interval, unit: str, n: int, bar: str = "") -> Figure:
    """A figure of an interval made elsewhere."""
    return Figure(name=name, value=interval.value, low=interval.low, high=interval.high, unit=unit, n=n, bar=bar)


def by_index(values: Sequence[float]) -> dict[str, list[float]]:
    """Values under the names of their places, as the statistics take them."""
    return {f"{index:06d}": [value] for index, value in enumerate(values)}


def median_figure(name: str, values: Sequence[float], unit: str, bar: str = "") -> Figure:
    """Median with the exact distribution-free interval of order statistics (at least 95 %).

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError(f"no clip has a value for {name!r}; take more prompts or clips")
    ordered = sorted(values)
    n = len(ordered)
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    rank = _median_rank(n)
    low, high = (ordered[rank], ordered[n - 1 - rank]) if rank is not None else (None, None)
    return Figure(name=name, value=middle, low=low, high=high, unit=unit, n=n, bar=bar)


def _median_rank(n: int) -> int | None:
    """The largest k for which the k-th lowest and highest of n values enclose the median with 95 %; from 0."""
    from scipy.stats import binom

    rank = int(binom.ppf(0.025, n, 0.5)) - 1
    return rank if rank >= 0 else None
