"""Joules that a device took while something ran: NVIDIA's counter, samples of power, or the processor's counters."""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

_RAPL = Path("/sys/class/powercap")
_SAMPLE_EVERY_S = 0.05


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


class Unavailable:
    """A meter where nothing can be read."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def start(self) -> None:
        """Nothing to begin."""

    def stop(self) -> Energy:
        """The reason."""
        return Energy(None, reason=f"not available: {self._reason}")


class CounterMeter:
    """Differences of counters that only rise, each up to a limit where it starts again.

    Args:
        source: What the figure comes from.
        read: Joules on each counter.
        ranges: Where each counter starts again, in joules; 0: never.
    """

    def __init__(self, source: str, read: Callable[[], Sequence[float]], ranges: Sequence[float]) -> None:
        self._source, self._read, self._ranges = source, read, ranges
        self._begun: Sequence[float] = ()

    def start(self) -> None:
        """Remember where the counters stand."""
        self._begun = self._read()

    def stop(self) -> Energy:
        """Sum of the differences."""
        used = [now - begun for now, begun in zip(self._read(), self._begun, strict=True)]
        used = [value if value >= 0 else value + limit for value, limit in zip(used, self._ranges, strict=True)]
        if any(value < 0 for value in used):
            return Energy(None, reason=f"not available: a counter of {self._source} went backwards")
        return Energy(sum(used), self._source)


class SampledMeter:
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
        self._source, self._watts, self._now, self._every_s = source, watts, now, every_s
        self._trace: list[tuple[float, float]] = []
        self._finished = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Take the first sample, and go on in the background."""
        self._trace, self._finished = [], threading.Event()
        self._sample()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> Energy:
        """Take the last sample and integrate."""
        self._finished.set()
        if self._thread is not None:
            self._thread.join()
        self._sample()
        return Energy(integrate(self._trace), self._source)

    def _sample(self) -> None:
        self._trace.append((self._now(), self._watts()))

    def _watch(self) -> None:
        while not self._finished.wait(self._every_s):
            self._sample()


def integrate(trace: Sequence[tuple[float, float]]) -> float:
    """Joules under samples of (seconds, watts), joined by straight lines."""
    pairs = itertools.pairwise(trace)
    return sum((later - earlier) * (first + second) / 2 for (earlier, first), (later, second) in pairs)


def energy_meter(device: str) -> EnergyMeter:
    """The best meter of a device: `cpu`, `cuda` or `cuda:N`."""
    return _of_gpu(device) if device.startswith("cuda") else rapl_meter()


def rapl_meter(root: Path = _RAPL) -> EnergyMeter:
    """The counters of the processor's packages, where they exist and may be read."""
    folders = sorted(path for path in root.glob("*-rapl:*") if path.name.count(":") == 1)
    if not folders:
        return Unavailable("this machine shows no energy counters (RAPL)")
    try:
        ranges = [int((folder / "max_energy_range_uj").read_text()) / 1e6 for folder in folders]
        meter = CounterMeter("RAPL, processor packages", lambda: _read_rapl(folders), ranges)
        meter.start()
    except (OSError, ValueError):
        return Unavailable("the energy counters (RAPL) may be read by the administrator only")
    return meter


def _read_rapl(folders: Sequence[Path]) -> list[float]:
    return [int((folder / "energy_uj").read_text()) / 1e6 for folder in folders]


def nvml_handle(device: str) -> tuple[Any, Any] | None:
    """The NVML module and the handle of a CUDA device; None where either is missing."""
    import torch

    try:
        import pynvml  # type: ignore[import-not-found, unused-ignore]

        pynvml.nvmlInit()
        properties = torch.cuda.get_device_properties(device)
        # By identity and not by number: CUDA_VISIBLE_DEVICES renumbers the one and not the other.
        return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{properties.uuid}")
    except Exception:  # missing package, driver without NVML, a partition: all mean that nothing can be read
        return None


def _of_gpu(device: str) -> EnergyMeter:
    found = nvml_handle(device)
    if found is None:
        return Unavailable("pip install nvidia-ml-py to read the GPU's energy")
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
