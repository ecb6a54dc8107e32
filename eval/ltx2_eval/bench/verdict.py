"""Is a timing to be believed? Each doubt is a sentence; none makes it valid."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ltx2_eval.bench.gpu_watch import POWER_LIMIT
from ltx2_eval.bench.timing import Timings
from ltx2_eval.bench.watch import Seen
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
"""Cores that others keep busy where none is spare, or share of a GPU; also the share of all cores where some are."""
LEAST_CLOCK = 0.9
"""Of the clock's lowest tenth to its median."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What a verdict is made from."""

    timings: Timings
    device: BenchDevice
    seen: Seen
    """While the timed calls ran."""
    same_output: bool | None = True
    """Whether a timed call gave what an untimed call gives; None: there was no memory for a second one."""
    finite: bool = True


def judge(evidence: Evidence) -> BenchVerdict:
    """All doubts together, and what could not be checked."""
    reasons = tuple(reason for check in _CHECKS for reason in check(evidence))
    return BenchVerdict(valid=not reasons, reasons=reasons, unchecked=tuple(_unchecked(evidence)))


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
    if is_ordered and parts[0] > 0 and abs(parts[2] / parts[0] - 1) > MOST_DRIFT:
        yield f"drift: the last third of the timings is {parts[2] / parts[0] - 1:+.0%} against the first"


def _throttling(evidence: Evidence) -> Iterator[str]:
    """A power limit alone is none: a GPU at full work runs into it; what it does to the clock and to the time is."""
    seen = evidence.seen
    words = [word for word in (seen.throttling or "").split(", ") if word and word != POWER_LIMIT]
    if words:
        yield f"throttling: the driver names {', '.join(words)}"
    middle, low = seen.clock_mhz, seen.clock_low_mhz
    if middle and low and low / middle < LEAST_CLOCK:
        yield f"throttling: the clock fell to {low:.0f} MHz at times, from {middle:.0f}"


def _others(evidence: Evidence) -> Iterator[str]:
    others, device = evidence.seen.others, evidence.device
    if others is None:
        return
    if device.kind == "cuda" and others > MOST_OTHERS:
        yield f"other load: others kept the GPU busy for {others:.0%} of the time"
    if device.kind != "cuda" and others > _cores_to_spare(device):
        yield f"other load: others kept {others:.1f} cores busy"


def _cores_to_spare(device: BenchDevice) -> float:
    """Cores that others may use: those we leave, up to a quarter of all, because caches and memory are shared."""
    if device.cores is None or device.threads is None:
        return MOST_OTHERS
    return max(MOST_OTHERS, min(device.cores - device.threads, MOST_OTHERS * device.cores))


def _unchecked(evidence: Evidence) -> Iterator[str]:
    seen = evidence.seen
    for name, value in (("throttling", seen.throttling), ("other load", seen.others)):
        if value is None:
            yield f"{name}: {seen.blind or 'the driver does not tell'}"
    if evidence.same_output is None:
        yield "output: no memory was left to run a call again"


def _clock(evidence: Evidence) -> Iterator[str]:
    if evidence.timings.backwards:
        yield f"clock: it went backwards during {evidence.timings.backwards} calls, which are left out"


def _work(evidence: Evidence) -> Iterator[str]:
    if not evidence.finite:
        yield "output: it holds numbers that are not finite; speed may depend on that"
    if evidence.same_output is False:
        yield "output: a timed call gave another result than the same call untimed"
    seconds, repeated = evidence.timings.seconds, evidence.timings.repeated
    fresh = [value for value, again in zip(seconds, repeated, strict=True) if not again]
    same = [value for value, again in zip(seconds, repeated, strict=True) if again]
    if len(same) >= 3 and fresh and statistics.median(same) < LEAST_REPEATED * statistics.median(fresh):
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
