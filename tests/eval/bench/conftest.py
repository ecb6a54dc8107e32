"""A device with a clock of its own: calls return at once, work is done later, as on a GPU."""

import numpy as np
import pytest
import torch

from ltx2_eval.bench.watch import Seen
from ltx2_eval.energy import CounterMeter
from ltx2_reports.bench import BenchDevice

WATTS = 50.0


class FakeDevice:
    """Time passes only here: `launch` puts work into a queue, `now` waits until the queue is empty."""

    kind = "cuda"

    def __init__(self, *, free_bytes=None, seen=None, back=()):
        self.torch_device = torch.device("cpu")
        self._time, self._ready = 1000.0, 1000.0
        self._free = free_bytes
        self._seen = seen or Seen(clock_mhz=1980.0, clock_low_mhz=1980.0, throttling="", others=0.0)
        self._back = set(back)
        self._looks = 0
        self.recovered = 0

    def launch(self, seconds, overhead_s=1e-4):
        self._time += overhead_s
        self._ready = max(self._ready, self._time) + seconds

    def now(self):
        self._time = max(self._time, self._ready)
        self._looks += 1
        return self._time - (500.0 if self._looks in self._back else 0.0)

    def peak_during(self, call):
        return call(), 123

    def free_bytes(self):
        return self._free

    def describe(self):
        return BenchDevice(kind=self.kind, name="fake")

    def watch(self):
        return FakeWatch(self._seen)

    def energy_meter(self):
        return CounterMeter("fake", lambda: [self._time * WATTS], [0.0], every_s=60)

    def is_out_of_memory(self, error):
        return isinstance(error, MemoryError)

    def recover(self):
        self.recovered += 1


class FakeWatch:
    def __init__(self, seen):
        self._seen = seen

    def stop(self):
        return self._seen


class FakeWorkload:
    """Takes a known time, with a relative spread; the first calls may take longer."""

    def __init__(self, device, seconds, *, spread=0.0, cold=(), seed=0, output=None, cached=False):
        self._device, self._seconds, self._spread = device, seconds, spread
        self._cold = list(cold)
        self._generator = np.random.default_rng(seed)
        self._output = output or (lambda index: torch.tensor([1.0, float(index)]))
        self._cached, self._last = cached, None
        self.calls = []

    def run(self, index):
        self.calls.append(index)
        seconds = self._seconds * float(np.exp(self._generator.normal(0, self._spread)))
        if self._cold:
            seconds *= self._cold.pop(0)
        if self._cached and index == self._last:
            seconds *= 0.5
        self._last = index
        self._device.launch(seconds)
        return (self._output(index),)

    def stages(self):
        return {}


@pytest.fixture
def device():
    return FakeDevice()
