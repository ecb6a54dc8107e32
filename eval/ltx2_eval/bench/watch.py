"""What else happened on a device while timed calls ran: its clock, throttling, and the work of others."""

import time
from dataclasses import dataclass
from typing import Protocol

from ltx2_eval.bench.host import busy_s, cpu_clock_mhz, own_s, throttle_count
from ltx2_reports.bench import BenchDevice


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a watch saw; None is what it could not see."""

    clock_mhz: float | None = None
    """Median."""
    clock_low_mhz: float | None = None
    """Lowest tenth."""
    throttling: str | None = None
    """Reasons for a lower clock; empty for none."""
    others: float | None = None
    """Cores, or the share of a GPU, that others kept busy."""
    blind: str = "this system does not say"
    """Why something could not be seen."""

    def put(self, device: BenchDevice) -> BenchDevice:
        """A device's description with what was seen."""
        update = {"clock_low_mhz": self.clock_low_mhz, "throttling": self.throttling}
        return device.model_copy(update={**update, "clock_mhz": self.clock_mhz or device.clock_mhz})


class Watch(Protocol):
    """Begins when it is made."""

    def stop(self) -> Seen:
        """End, and say what was seen."""


class CpuWatch:
    """The kernel's account of all cores less this process's own time; and its count of throttling."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._busy_s, self._own_s, self._throttled = busy_s(), own_s(), throttle_count()

    def stop(self) -> Seen:
        """What happened since."""
        elapsed, busy, throttled = time.perf_counter() - self._began, busy_s(), throttle_count()
        others = throttling = None
        if busy is not None and self._busy_s is not None and elapsed > 0:
            others = max(0.0, (busy - self._busy_s - (own_s() - self._own_s)) / elapsed)
        if throttled is not None and self._throttled is not None:
            throttling = "heat" if throttled > self._throttled else ""
        return Seen(clock_mhz=cpu_clock_mhz(), throttling=throttling, others=others)
