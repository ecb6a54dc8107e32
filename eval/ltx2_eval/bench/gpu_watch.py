"""A GPU under load, by NVML: samples of its clock and of the reasons for a lower one, and other processes' share.

Sampled while the timed calls run, because an idle GPU shows neither heat nor power limits. Time spent slowed down is
also read from the driver's counters, which miss nothing between two samples.
"""

import os
import statistics
import time
from pathlib import Path
from typing import Any

from ltx2_eval.bench.watch import Seen
from ltx2_eval.ticker import Ticker

POWER_LIMIT = "power limit"
_HARMLESS = 0x1 | 0x2
"""NVML's reasons that are no throttling: idle, and clocks that an application asked for."""
_REASONS = {
    0x4: POWER_LIMIT,
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake",
    0x100: "display clock",
}
_COUNTERS = {1: "heat", 3: "board limit", 5: "reliability"}
"""NVML's numbers of the policies whose time of violation counts as throttling."""
_LEAST_VIOLATION = 0.01
"""Of the time watched."""
_EVERY_S = 0.1


def throttling_words(bits: int) -> str:
    """NVML's bit field of reasons for a lower clock, in words; empty for none."""
    return ", ".join(word for bit, word in _REASONS.items() if bits & bit)


class GpuWatch:
    """Watches from when it is made.

    Args:
        nvml: The module.
        handle: Of the GPU.
        every_s: Between two samples.
    """

    def __init__(self, nvml: Any, handle: Any, *, every_s: float = _EVERY_S) -> None:
        self._nvml, self._handle = nvml, handle
        self._clocks: list[float] = []
        self._bits: int | None = None
        self._began, self._since_us = time.perf_counter(), int(time.time() * 1e6)
        self._violations = self._violation_s()
        self._ticker = Ticker(self._sample, every_s)
        self._ticker.start()

    def stop(self) -> Seen:
        """End, and say what was seen."""
        self._ticker.stop()
        others, blind = self._others()
        clocks = self._clocks
        return Seen(
            clock_mhz=statistics.median(clocks) if clocks else None,
            clock_low_mhz=sorted(clocks)[len(clocks) // 10] if clocks else None,
            throttling=self._throttling(),
            others=others,
            blind=blind,
        )

    def _sample(self) -> None:
        """One look; what this GPU does not tell is left out."""
        nvml = self._nvml
        try:
            self._clocks.append(float(nvml.nvmlDeviceGetClockInfo(self._handle, nvml.NVML_CLOCK_SM)))
            bits = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(self._handle) & ~_HARMLESS
            self._bits = bits | (self._bits or 0)
        except nvml.NVMLError:
            return

    def _throttling(self) -> str | None:
        slowed = [
            word
            for word, seconds in self._violation_s().items()
            if seconds - self._violations.get(word, seconds) > _LEAST_VIOLATION * (time.perf_counter() - self._began)
        ]
        if self._bits is None and not slowed:
            return None
        words = throttling_words(self._bits or 0)
        return ", ".join([*([words] if words else []), *(f"{word} (driver's counter)" for word in slowed)])

    def _violation_s(self) -> dict[str, float]:
        found = {}
        for policy, word in _COUNTERS.items():
            try:
                found[word] = self._nvml.nvmlDeviceGetViolationStatus(self._handle, policy).violationTime / 1e9
            except self._nvml.NVMLError:
                continue
        return found

    def _others(self) -> tuple[float | None, str]:
        """Share of the GPU's time that other processes had; None, and why, where nobody can tell who is who.

        In a container the driver may name processes by numbers of the host's, among which ours is not to be found.
        """
        nvml = self._nvml
        try:
            found = {process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)}
        except nvml.NVMLError as error:
            return None, f"the driver does not tell which processes use the GPU ({type(error).__name__})"
        if not found:
            return None, "the driver shows no process, not even this one"
        strangers = found - own_pids()
        if not strangers or len(found) == 1:
            return 0.0, ""
        if strangers == found:
            return (
                None,
                "the driver numbers processes otherwise than this container: ours cannot be told from others",
            )
        return self._share(strangers)

    def _share(self, strangers: set[int]) -> tuple[float | None, str]:
        nvml = self._nvml
        try:
            samples = nvml.nvmlDeviceGetProcessUtilization(self._handle, self._since_us)
        except nvml.NVMLError as error:
            # "Not found" is what the driver says where no process was busy.
            if type(error).__name__ == "NVMLError_NotFound":
                return 0.0, ""
            return None, f"the driver does not tell how busy other processes keep the GPU ({type(error).__name__})"
        by_pid: dict[int, list[float]] = {}
        for sample in samples:
            if sample.pid in strangers:
                by_pid.setdefault(sample.pid, []).append(sample.smUtil / 100)
        return sum(statistics.fmean(shares) for shares in by_pid.values()), ""


def own_pids(status: Path = Path("/proc/self/status")) -> set[int]:
    """This process's number in every namespace that can be seen from here."""
    try:
        lines = status.read_text(encoding="ascii").splitlines()
    except OSError:
        lines = []
    seen = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
    return {os.getpid(), *(int(number) for number in seen)}
