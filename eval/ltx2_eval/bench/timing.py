"""Repeating a piece of work under a stopwatch: warm-up until two calls agree, then as many as asked, in turn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ltx2_benchmarks.recipe import Timing
from ltx2_eval.bench.devices import Device
from ltx2_eval.bench.models import Workload

_SETTLED = 0.1
"""Warm-up ends when a call takes no more than this share longer or shorter than the one before."""
_MOST_WARMUP = 4
"""Times the warm-up asked for, at most."""
_REPEAT_EVERY = 3
"""Each third timed call runs the input of the one before again, which would show a cache."""


@dataclass(kw_only=True, slots=True)
class Timings:
    """What was seen of one workload."""

    cold_s: float = 0.0
    warmup: int = 0
    settled: bool = True
    seconds: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    repeated: list[bool] = field(default_factory=list)
    """Whether the call had the input of the one before."""
    backwards: int = 0
    """Calls that were left out because the clock went backwards."""
    stages: list[dict[str, float]] = field(default_factory=list)
    kept: tuple[int, tuple[Any, ...]] | None = None
    """Number and output of a timed call, to be held against an untimed one."""


def measure(workloads: Sequence[Workload], device: Device, rule: Timing) -> list[Timings]:
    """Warm up, then time workloads in turn: A B A B; one alone is a list of one.

    Args:
        workloads: What to time.
        device: Whose clock is looked at, before and after each call.
        rule: Warm-up and repetitions; no round begins after its time is up.
    """
    found = warm_up(workloads, device, rule)
    time_in_turn(workloads, found, device, rule)
    return found


def warm_up(workloads: Sequence[Workload], device: Device, rule: Timing) -> list[Timings]:
    """Call each until two calls agree."""
    return [_warm(workload, device, rule) for workload in workloads]


def time_in_turn(workloads: Sequence[Workload], found: Sequence[Timings], device: Device, rule: Timing) -> None:
    """Time warm workloads in turn, into their timings."""
    began = device.now()
    for count in range(rule.repeats):
        if count and device.now() - began > rule.max_seconds:
            break
        repeated = count % _REPEAT_EVERY == _REPEAT_EVERY - 1
        number = count - 1 if repeated else count
        for workload, timings in zip(workloads, found, strict=True):
            _time(workload, timings, device.now, number, repeated=repeated, place=count)


def _warm(workload: Workload, device: Device, rule: Timing) -> Timings:
    timings = Timings()
    limit = max(1, rule.warmup) * _MOST_WARMUP
    last = timings.cold_s = _once(workload, device.now, 0)[0]
    timings.warmup, timings.settled = 1, rule.warmup < 2
    began = device.now()
    while timings.warmup < limit and (timings.warmup < rule.warmup or not timings.settled):
        seconds = _once(workload, device.now, timings.warmup)[0]
        timings.warmup += 1
        timings.settled = abs(seconds - last) <= _SETTLED * last
        last = seconds
        if device.now() - began > rule.max_seconds:
            break
    return timings


def _time(
    workload: Workload, timings: Timings, now: Callable[[], float], number: int, *, repeated: bool, place: int
) -> None:
    seconds, output = _once(workload, now, number)
    if seconds < 0:
        timings.backwards += 1
        return
    timings.seconds.append(seconds)
    timings.rounds.append(place)
    timings.repeated.append(repeated)
    if stages := workload.stages():
        timings.stages.append(stages)
    timings.kept = (number, output)


def _once(workload: Workload, now: Callable[[], float], number: int) -> tuple[float, tuple[Any, ...]]:
    began = now()
    output = workload.run(number)
    return now() - began, output
