"""Is a timing to be believed? Each doubt is a sentence; none makes it valid."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ltx2_eval.bench.timing import Timings
from ltx2_reports.bench import BenchDevice, BenchVerdict

LEAST_SAMPLES = 5
LEAST_CALL_S = 100e-6
LEAST_TOTAL_S = 0.05
MOST_SPREAD = 0.10
"""Of the quartiles' distance to the median."""
MOST_DRIFT = 0.05
LEAST_REPEATED = 0.9
"""Time of calls with an input seen before, over that of calls with a new one."""
MOST_OTHERS = 0.25
"""Cores (or processes on a GPU) of others."""
LEAST_CLOCK = 0.9
"""Of the clock after the run to that before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What a verdict is made from."""

    timings: Timings
    before: BenchDevice
    after: BenchDevice
    others: float
    """Cores, or processes on a GPU, that others kept busy."""
    same_output: bool = True
    """Whether a timed call gave what an untimed call gives."""
    finite: bool = True


def judge(evidence: Evidence) -> BenchVerdict:
    """All doubts together."""
    reasons = tuple(reason for check in _CHECKS for reason in check(evidence))
    return BenchVerdict(valid=not reasons, reasons=reasons)


def quartiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    if len(seconds) == 1:
        return (seconds[0],) * 3
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return low, middle, high


def _warmup(evidence: Evidence) -> Iterator[str]:
    if not evidence.timings.settled:
        yield f"warm-up: still changing after {evidence.timings.warmup} calls; raise --warmup"


def _count(evidence: Evidence) -> Iterator[str]:
    found = len(evidence.timings.seconds)
    if found < LEAST_SAMPLES:
        yield f"count: {found} timings, at least {LEAST_SAMPLES} are needed; raise --repeats or the time"


def _length(evidence: Evidence) -> Iterator[str]:
    seconds = evidence.timings.seconds
    if seconds and (statistics.median(seconds) < LEAST_CALL_S or sum(seconds) < LEAST_TOTAL_S):
        yield (
            f"length: {statistics.median(seconds):.2g} s a call, {sum(seconds):.2g} s in all; too short for the clock: "
            f"measure a larger size or raise --repeats"
        )


def _spread(evidence: Evidence) -> Iterator[str]:
    if len(evidence.timings.seconds) < LEAST_SAMPLES:
        return
    low, middle, high = quartiles(evidence.timings.seconds)
    if middle > 0 and (high - low) / middle > MOST_SPREAD:
        yield f"spread: the quartiles lie {(high - low) / middle:.0%} of the median apart, over {MOST_SPREAD:.0%}"


def _drift(evidence: Evidence) -> Iterator[str]:
    """Thirds rather than halves, so that the middle does not blur a trend; ordered, so that noise is no trend."""
    seconds = evidence.timings.seconds
    third = len(seconds) // 3
    if third < 3:
        return
    parts = [statistics.median(seconds[i * third : (i + 1) * third]) for i in range(3)]
    is_ordered = parts in (sorted(parts), sorted(parts, reverse=True))
    if is_ordered and abs(parts[2] / parts[0] - 1) > MOST_DRIFT:
        yield f"drift: the last third of the timings is {parts[2] / parts[0] - 1:+.0%} against the first"


def _throttling(evidence: Evidence) -> Iterator[str]:
    reasons = {found for device in (evidence.before, evidence.after) for found in [device.throttling] if found}
    if reasons:
        yield f"throttling: the driver names {'; '.join(sorted(reasons))}"
    first, last = evidence.before.clock_mhz, evidence.after.clock_mhz
    if evidence.before.kind == "cuda" and first and last and last / first < LEAST_CLOCK:
        yield f"throttling: the clock fell from {first:.0f} to {last:.0f} MHz"


def _others(evidence: Evidence) -> Iterator[str]:
    if evidence.others > MOST_OTHERS:
        unit = "processes on the GPU" if evidence.before.kind == "cuda" else "cores"
        yield f"other load: others kept {evidence.others:.1f} {unit} busy"


def _clock(evidence: Evidence) -> Iterator[str]:
    if evidence.timings.backwards:
        yield f"clock: it went backwards during {evidence.timings.backwards} calls, which are left out"


def _work(evidence: Evidence) -> Iterator[str]:
    if not evidence.finite:
        yield "output: it holds numbers that are not finite; speed may depend on that"
    if not evidence.same_output:
        yield "output: a timed call gave another result than the same call untimed"
    seconds, repeated = evidence.timings.seconds, evidence.timings.repeated
    fresh = [value for value, again in zip(seconds, repeated, strict=True) if not again]
    same = [value for value, again in zip(seconds, repeated, strict=True) if again]
    if len(same) >= 3 and statistics.median(same) < LEAST_REPEATED * statistics.median(fresh):
        share = statistics.median(same) / statistics.median(fresh)
        yield f"cache: an input seen before takes {share:.0%} of the time of a new one"


_CHECKS: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    _warmup,
    _count,
    _length,
    _spread,
    _drift,
    _throttling,
    _others,
    _clock,
    _work,
)
