"""Is one of two slower? Paired, interleaved timings (A B A B), judged by their ratios.

Ratios of neighbours are compared because a machine drifts (heat, other load): what slows A slows the B beside it. The
middle of the ratios and its interval are those of the signed-rank test (Hodges-Lehmann), which a few disturbed
timings do not move.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from ltx2_reports.bench import BenchRecord, BenchTiming, comparable

LEVEL = 0.95
LEAST_PAIRS = 8
_HISTORY_ALPHA, _LEAST_RECORDS = 0.01, 3
MARGIN = 0.01
"""A change within this is nobody's concern, however sure: timers, code layout and memory layout make as much."""

_MENDED_BY_PAIRS = ("spread", "drift", "throttling", "other load")
Verdict = Literal["slower", "faster", "same", "undecided"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedDifference:
    """B's time over A's."""

    ratio: float
    """1.05: B takes 5 % longer."""
    low: float
    high: float
    """Interval of the ratio."""
    pairs: int
    verdict: Verdict
    """slower, faster: the interval lies beyond the margin. same: it lies within. undecided: it does not say, or there
    are too few pairs."""


def paired_difference(
    a: Sequence[float], b: Sequence[float], *, margin: float = MARGIN, level: float = LEVEL
) -> SpeedDifference:
    """Compare timings taken in turn.

    Args:
        a: Seconds of A, one per round.
        b: Seconds of B in the same rounds.
        margin: Relative change that does not count.
        level: Of the interval.

    Raises:
        ValueError: of different lengths, empty, or not all positive.
    """
    if len(a) != len(b) or len(a) == 0:
        raise ValueError(f"found {len(a)} and {len(b)} timings, expected as many of A as of B, taken in turn")
    seconds = np.array([a, b], dtype=np.float64)
    if not (np.isfinite(seconds).all() and (seconds > 0).all()):
        raise ValueError("found a timing that is not a positive number; leave out what was not measured")
    middle, low, high = hodges_lehmann(np.log(seconds[1] / seconds[0]), level)
    ratio, low, high = math.exp(middle), math.exp(low), math.exp(high)
    return SpeedDifference(ratio=ratio, low=low, high=high, pairs=len(a), verdict=_verdict(low, high, margin, len(a)))


def compare_records(a: BenchRecord, b: BenchRecord, *, margin: float = MARGIN) -> SpeedDifference:
    """Compare the two sides of an interleaved bench.

    Raises:
        ValueError: not timed together, or on different devices.
    """
    if a.timing is None or b.timing is None or a.session != b.session or not a.timing.rounds:
        raise ValueError("found records that were not timed in turn; make them with `ltx2-eval bench --against`")
    if a.device.key != b.device.key:
        raise ValueError(f"found devices {a.device.name!r} and {b.device.name!r}; timings of two devices are no pair")
    left, right = _by_round(a.timing), _by_round(b.timing)
    shared = sorted(left.keys() & right.keys())
    return paired_difference([left[i] for i in shared], [right[i] for i in shared], margin=margin)


def pair_doubts(a: BenchRecord, b: BenchRecord) -> tuple[str, ...]:
    """Why a pair is not to be believed: what either side's verdict says and taking turns does not mend.

    Drift, other load and throttling slow down what stands side by side alike; an output that is not finite, a cache or
    a call too short for the clock stay what they are.
    """
    reasons = [reason for record in (a, b) if record.verdict for reason in record.verdict.reasons]
    return tuple(dict.fromkeys(reason for reason in reasons if not reason.startswith(_MENDED_BY_PAIRS)))


def against_history(
    record: BenchRecord, history: Sequence[BenchRecord], *, window: int = 9, margin: float = 0.05
) -> SpeedDifference | None:
    """Compare a record with the last ones of its case on its device; None where there is none.

    Timings of different days share no drift, so the interval is the one in which the next record of an unchanged system
    would lie (Student's t, the spread of the earlier ones), and the margin is wider than that of pairs.
    """
    if record.timing is None:
        return None
    recent = [other.timing.median_s for other in comparable(record, history)[-window:] if other.timing is not None]
    if not recent:
        return None
    logs = np.log(record.timing.median_s / np.array(recent))
    middle, reach = float(np.median(logs)), float(reach_of_next(logs))
    low, high = math.exp(middle - reach), math.exp(middle + reach)
    verdict = _verdict(low, high, margin, LEAST_PAIRS if len(recent) >= _LEAST_RECORDS else 0)
    return SpeedDifference(ratio=math.exp(middle), low=low, high=high, pairs=len(recent), verdict=verdict)


def reach_of_next(earlier: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far from the median of k records the next one of an unchanged system lies at most, with 99 % confidence.

    The next record varies by the spread, and the median of k by its own error, π/2 times a mean's in variance; k - 1
    degrees of freedom are what is known of the spread. Of one record 0: nothing is known.

    Args:
        earlier: (..., k).

    Returns:
        (...).
    """
    k = earlier.shape[-1]
    if k < 2:
        return np.zeros(earlier.shape[:-1])
    error = np.asarray(np.std(earlier, axis=-1, ddof=1)) * math.sqrt(1 + math.pi / 2 / k)
    return error * float(stdtrit(k - 1, 1 - _HISTORY_ALPHA / 2))


def hodges_lehmann(values: NDArray[np.float64], level: float) -> tuple[float, float, float]:
    """Median of all pairwise means, and the interval of the signed-rank test.

    Args:
        values: (n,).
        level: Of the interval; where n is too small for it, the widest there is.

    Returns:
        Middle, low, high.
    """
    first, second = np.triu_indices(len(values))
    means = np.sort((values[first] + values[second]) / 2)
    cut = _signed_rank_cut(len(values), (1 - level) / 2)
    return float(np.median(means)), float(means[cut]), float(means[len(means) - 1 - cut])


def _signed_rank_cut(n: int, tail: float) -> int:
    """How many of the sorted pairwise means lie outside on each side, for an exact tail of at most `tail`."""
    counts = np.zeros(n * (n + 1) // 2 + 1)
    counts[0] = 1.0
    for rank in range(1, n + 1):
        counts[rank:] = counts[rank:] + counts[:-rank]
        counts /= 2  # a probability, so that large n does not overflow
    below = np.cumsum(counts)
    return max(0, int(np.searchsorted(below, tail, side="right")) - 1)


def _verdict(low: float, high: float, margin: float, pairs: int) -> Verdict:
    if pairs < LEAST_PAIRS:
        return "undecided"
    if low > 1 + margin:
        return "slower"
    if high < 1 / (1 + margin):
        return "faster"
    return "same" if low >= 1 / (1 + margin) and high <= 1 + margin else "undecided"


def _by_round(timing: BenchTiming) -> dict[int, float]:
    return dict(zip(timing.rounds, timing.seconds, strict=True))
