"""Joules that a device took while something ran: NVIDIA's counter, samples of power, or the processor's counters."""

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from ltx2_eval.nvml import nvml_handle
from ltx2_eval.ticker import Ticker

_RAPL = Path("/sys/class/powercap")
_SAMPLE_EVERY_S = 0.05
_LEAST_SAMPLES = 2
"""Sampling periods that a part of a trace must last to have an energy of its own."""


class Energy(NamedTuple):
    """What was used, or why it is not known."""

    joules: float | None
    source: str | None = None
    reason: str | None = None


class EnergyMeter(Protocol):
    """Measures between `start` and `stop`."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> Energy:
        """Energy since `start`."""

    def between(self, begin_s: float, end_s: float) -> float | None:
        """Joules of a part of what was measured last, by `time.perf_counter`; None where it is not known."""


class Unavailable:
    """A meter where nothing can be read."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def start(self) -> None:
        """Nothing to begin."""

    def stop(self) -> Energy:
        """The reason."""
        return Energy(None, reason=f"not available: {self._reason}")

    def between(self, begin_s: float, end_s: float) -> float | None:
        """Not known."""
        return None


class _TracedMeter(ABC):
    """Joules so far, over time; a thread goes on looking."""

    def __init__(self, source: str, now: Callable[[], float], every_s: float) -> None:
        self._source, self._now, self._every_s = source, now, every_s
        self._trace: list[tuple[float, float]] = []
        self._ticker = Ticker(self._look, every_s)

    def start(self) -> None:
        """Take the first look, and go on in the background."""
        self._ticker.stop()
        self._trace = []
        self._begin()
        self._ticker.start()

    def stop(self) -> Energy:
        """Take the last look."""
        self._ticker.stop()
        try:
            if self._ticker.error is not None:
                raise self._ticker.error
            self._look()
        except Exception as error:  # a counter that can no longer be read must not cost what was measured
            self._trace = []
            return Energy(None, reason=f"not available: {self._source}: {error}")
        return Energy(self._trace[-1][1], self._source)

    def between(self, begin_s: float, end_s: float) -> float | None:
        """Joules of a part, joined by straight lines; None for one too short for the samples, or outside of them."""
        if not self._trace or end_s - begin_s < _LEAST_SAMPLES * self._every_s:
            return None
        times, joules = zip(*self._trace, strict=True)
        if begin_s < times[0] or end_s > times[-1]:
            return None
        first, last = np.interp([begin_s, end_s], times, joules)
        return float(last - first)

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _look(self) -> None: ...


class CounterMeter(_TracedMeter):
    """Differences of counters that only rise, each up to a limit where it starts again.

    Args:
        source: What the figure comes from.
        read: Joules on each counter.
        ranges: Where each counter starts again, in joules; 0: never.
        now: The clock, in seconds.
        every_s: Between two looks; far less than a counter needs for its range, so that no round is missed.
    """

    def __init__(
        self,
        source: str,
        read: Callable[[], Sequence[float]],
        ranges: Sequence[float],
        now: Callable[[], float] = time.perf_counter,
        every_s: float = _SAMPLE_EVERY_S,
    ) -> None:
        super().__init__(source, now, every_s)
        self._read, self._ranges = read, ranges
        self._last: Sequence[float] = ()

    def _begin(self) -> None:
        self._last = self._read()
        self._trace.append((self._now(), 0.0))

    def _look(self) -> None:
        found = self._read()
        used = [now - last for now, last in zip(found, self._last, strict=True)]
        used = [value if value >= 0 else value + limit for value, limit in zip(used, self._ranges, strict=True)]
        if any(value < 0 for value in used):
            raise ValueError("a counter went backwards")
        self._last = found
        self._trace.append((self._now(), self._trace[-1][1] + sum(used)))


class SampledMeter(_TracedMeter):
    """The integral of power over time, from samples that a thread takes.

    Args:
        source: What the figure comes from.
        watts: The present power.
        now: The clock, in seconds.
        every_s: Between two samples.
    """

    def __init__(
        self,
        source: str,
        watts: Callable[[], float],
        now: Callable[[], float] = time.perf_counter,
        every_s: float = _SAMPLE_EVERY_S,
    ) -> None:
        super().__init__(source, now, every_s)
        self._watts = watts
        self._last = (0.0, 0.0)

    def _begin(self) -> None:
        self._last = (self._now(), self._watts())
        self._trace.append((self._last[0], 0.0))

    def _look(self) -> None:
        sample = (self._now(), self._watts())
        self._trace.append((sample[0], self._trace[-1][1] + integrate([self._last, sample])))
        self._last = sample


def integrate(trace: Sequence[tuple[float, float]]) -> float:
    """Joules under samples of (seconds, watts), joined by straight lines."""
    pairs = itertools.pairwise(trace)
    return sum((later - earlier) * (first + second) / 2 for (earlier, first), (later, second) in pairs)


def energy_meter(device: str) -> EnergyMeter:
    """The best meter of a device: `cpu`, `cuda` or `cuda:N`."""
    return _of_gpu(device) if device.startswith("cuda") else rapl_meter()


def rapl_meter(root: Path = _RAPL) -> EnergyMeter:
    """The counters of the processor's packages, where they exist and may be read; work of others is counted too."""
    folders = _packages(root)
    if not folders:
        return Unavailable("this machine shows no energy counters (RAPL)")
    try:
        ranges = [int((folder / "max_energy_range_uj").read_text()) / 1e6 for folder in folders]
        _read_rapl(folders)
    except (OSError, ValueError):
        return Unavailable("the energy counters (RAPL) may be read by the administrator only")
    return CounterMeter("RAPL, processor packages", lambda: _read_rapl(folders), ranges)


def _packages(root: Path) -> list[Path]:
    """One zone per package: not its parts, not `psys`, which holds the packages again, and none shown twice."""
    found: dict[str, Path] = {}
    for path in sorted(path for path in root.glob("*-rapl*:*") if path.name.count(":") == 1):
        try:
            name = (path / "name").read_text().strip()
        except OSError:
            name = ""
        if name.startswith("package"):
            found.setdefault(name, path)
    return list(found.values())


def _read_rapl(folders: Sequence[Path]) -> list[float]:
    return [int((folder / "energy_uj").read_text()) / 1e6 for folder in folders]


def _of_gpu(device: str) -> EnergyMeter:
    found = nvml_handle(device)
    if isinstance(found, str):
        return Unavailable(found)
    nvml, handle = found
    try:
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # older than Volta
        return _sampled(nvml, handle)
    return CounterMeter("NVML, energy counter", lambda: [nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3], [0.0])


def _sampled(nvml: Any, handle: Any) -> EnergyMeter:
    try:
        nvml.nvmlDeviceGetPowerUsage(handle)
    except Exception:
        return Unavailable("this GPU reports neither energy nor power")
    return SampledMeter("NVML, samples of power", lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1e3)
