"""Seconds and peak memory of the stages of a generation."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from ltx2.free_memory import high_water_bytes, resident_bytes
from ltx2.types import StageCost

T = TypeVar("T")
_Mark = float | torch.cuda.Event

_SAMPLE_EVERY_S = 0.01


class CostLog:
    """Collects the cost of each stage on a device.

    Args:
        device: On CUDA the peak is what PyTorch allocated there, elsewhere the resident memory of the process.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stages: list[StageCost] = []
        self._marks: list[_Mark] = []
        self._first: _Mark = 0.0

    @property
    def stages(self) -> tuple[StageCost, ...]:
        """What was measured, in order."""
        return tuple(self._stages)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a block; a block that raises leaves no entry."""
        measure = _cuda_peak if self._device.type == "cuda" else _resident_peak
        start = time.perf_counter()
        self._marks = []
        with measure(self._device) as peak:
            self._first = _mark(self._device)
            yield
        seconds = time.perf_counter() - start
        steps = tuple(_between(*pair) for pair in itertools.pairwise((self._first, *self._marks)))
        self._stages.append(StageCost(name, seconds, peak[0], steps))

    def start_steps(self) -> None:
        """The steps of this stage begin here, not where the stage began."""
        self._first = _mark(self._device)

    def stepping(self, callback: Callable[[T], None] | None = None) -> Callable[[T], None]:
        """A sampler's callback that marks the end of each step, then calls `callback`.

        On CUDA a mark is an event in the stream: it does not wait for the device.
        """

        def mark(progress: T) -> None:
            self._marks.append(_mark(self._device))
            if callback is not None:
                callback(progress)

        return mark


def _mark(device: torch.device) -> _Mark:
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    return event


def _between(first: _Mark, second: _Mark) -> float:
    """Seconds from one mark to the next, once the device is done."""
    if isinstance(first, float) or isinstance(second, float):
        assert isinstance(first, float)
        assert isinstance(second, float)
        return second - first
    return first.elapsed_time(second) / 1e3


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
    peak = [resident_bytes()]
    before = high_water_bytes()
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(_SAMPLE_EVERY_S):
            peak[0] = max(peak[0], resident_bytes())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        finished.set()
        thread.join()
        after = high_water_bytes()
        peak[0] = after if after > before else max(peak[0], resident_bytes())
