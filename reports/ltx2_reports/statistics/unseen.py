"""What a sample of prompts leaves open where its spread says nothing: no prompt, or next to none, changed."""

from dataclasses import replace

from ltx2_reports.statistics.draws import LEAST_PROMPTS, Array
from ltx2_reports.statistics.intervals import LEVEL, Interval
from ltx2_reports.statistics.studentised import Range

_SAME = 1e-12


def unseen_share(n: int, tail: float) -> float:
    """Share of all prompts of which none is among n with a chance of `tail`: Clopper and Pearson's limit (1934).

    >>> round(unseen_share(6, 0.025), 3), round(unseen_share(60, 0.025), 3)
    (0.459, 0.06)
    """
    return 1 - tail ** (1 / n)


def largest_unseen(differences: Array, allowed: Range, scale: float) -> float:
    """The largest difference that a prompt can have, where the spread of these says nothing of it; else 0.

    It says nothing where all are equal (six yes/no checks that all fail may do so by chance), nor where fewer than
    `LEAST_PROMPTS` prompts moved at all.

    Args:
        differences: (n,) of the prompts.
        allowed: range of the differences; without bounds nothing can be said, and 0 is returned.
        scale: of the values; differences within 1e-12 of it are none.
    """
    low, high = allowed
    if low is None or high is None or not len(differences):
        return 0.0
    moved = abs(differences) > _SAME * scale
    alike = float(differences.max() - differences.min()) <= _SAME * scale
    return max(abs(low), abs(high)) if alike or moved.sum() < LEAST_PROMPTS else 0.0


def reaching_unseen(
    interval: Interval, differences: Array, allowed: Range, scale: float, level: float = LEVEL
) -> Interval:
    """The interval, reaching at least as far as prompts that were not seen may move the mean; see `largest_unseen`.

    Args:
        interval: of the mean of `differences`.
        differences: (n,) of the prompts.
        allowed: range of the differences.
        scale: of the values.
        level: of the interval.
    """
    low, high = allowed
    if interval.low is None or interval.high is None or low is None or high is None:
        return interval
    if not largest_unseen(differences, allowed, scale):
        return interval
    share = unseen_share(len(differences), (1 - level) / 2)
    least = interval.value - share * (interval.value - low)
    most = interval.value + share * (high - interval.value)
    return replace(interval, low=min(interval.low, least), high=max(interval.high, most))
