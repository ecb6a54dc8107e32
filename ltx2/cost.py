"""Seconds and peak memory of the stages of a generation."""

import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ltx2.types import StageCost

_STATM = Path("/proc/self/statm")
_SAMPLE_EVERY_S = 0.005
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class CostLog:
    """Collects the cost of each stage on a device.

    Args:
        device: On CUDA the peak is what PyTorch allocated there, elsewhere the resident memory of the process.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stages: list[StageCost] = []

    @property
    def stages(self) -> tuple[StageCost, ...]:
        """What was measured, in order."""
        return tuple(self._stages)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a block; a block that raises leaves no entry."""
        measure = _cuda_peak if self._device.type == "cuda" else _resident_peak
        start = time.perf_counter()
        with measure(self._device) as peak:
            yield
        self._stages.append(StageCost(name, time.perf_counter() - start, peak[0]))


@contextmanager
def _cuda_peak(device: torch.device) -> Iterator[list[int]]:
    peak = [0]
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    yield peak
    torch.cuda.synchronize(device)
    peak[0] = torch.cuda.max_memory_allocated(device)


@contextmanager
def _resident_peak(device: torch.device) -> Iterator[list[int]]:
    """Peak resident bytes of a block.

    The kernel's high-water mark is exact but of the whole process; where the block did not raise it, the largest of
    samples taken meanwhile stands in.
    """
    peak = [_resident_bytes()]
    before = _high_water_bytes()
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(_SAMPLE_EVERY_S):
            peak[0] = max(peak[0], _resident_bytes())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        finished.set()
        thread.join()
        after = _high_water_bytes()
        peak[0] = after if after > before else max(peak[0], _resident_bytes())


def _resident_bytes() -> int:
    if not _STATM.exists():
        return _high_water_bytes()
    return int(_STATM.read_text().split()[1]) * resource.getpagesize()


def _high_water_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT
