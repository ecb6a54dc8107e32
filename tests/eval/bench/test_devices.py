"""A GPU's state by a fake driver, memory that is too small, and what a container hides."""

import os
from types import SimpleNamespace

import pytest
import torch

from ltx2_eval.bench.devices import CpuDevice
from ltx2_eval.bench.gpu_watch import POWER_LIMIT, GpuWatch, own_pids
from ltx2_eval.bench.host import throttle_count


class FakeNvml:
    """A driver with a list of what it shows at each look; the last stays."""

    NVML_CLOCK_SM = 1

    class NVMLError(Exception):
        pass

    class NVMLError_NotFound(NVMLError):
        pass

    def __init__(self, *, clocks=(1980,), bits=(0,), pids=(), shares=(), violation_ns=0):
        self._clocks, self._bits = list(clocks), list(bits)
        self._pids, self._shares = pids, shares
        self._violation_ns, self._asked = violation_ns, 0
        self.looks = 0

    def nvmlDeviceGetClockInfo(self, handle, kind):
        self.looks += 1
        return self._clocks.pop(0) if len(self._clocks) > 1 else self._clocks[0]

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):
        return self._bits.pop(0) if len(self._bits) > 1 else self._bits[0]

    def nvmlDeviceGetViolationStatus(self, handle, policy):
        if policy != 1:
            raise self.NVMLError("Not Supported")
        self._asked += 1
        return SimpleNamespace(violationTime=0 if self._asked == 1 else self._violation_ns)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        return [SimpleNamespace(pid=pid) for pid in self._pids]

    def nvmlDeviceGetProcessUtilization(self, handle, since):
        if not self._shares:
            raise self.NVMLError_NotFound("Not Found")
        return [SimpleNamespace(pid=pid, smUtil=percent) for pid, percent in self._shares]


def watched(looks=12, **fields):
    nvml = FakeNvml(**fields)
    watch = GpuWatch(nvml, "handle", every_s=0.001)
    while nvml.looks < looks:
        pass
    return watch.stop()


def test_what_happens_between_begin_and_end_is_seen():
    seen = watched(clocks=[1980] * 4 + [1500] * 3 + [1980], bits=[0x1, 0x1, 0x4, 0x20, 0x1], pids=[os.getpid()])
    assert seen.throttling == f"{POWER_LIMIT}, heat (software)"
    assert (seen.clock_mhz, seen.clock_low_mhz, seen.others) == (1980.0, 1500.0, 0.0)


def test_an_idle_gpu_that_waits_is_not_throttled():
    assert watched(bits=[0x1], pids=[os.getpid()]).throttling == ""


def test_time_that_the_driver_counted_between_samples_is_throttling():
    assert watched(violation_ns=10**12, pids=[os.getpid()]).throttling == "heat (driver's counter)"


@pytest.mark.parametrize(
    ("pids", "shares", "others"),
    [
        ([os.getpid(), 7], [(7, 30), (7, 50), (os.getpid(), 90)], 0.4),
        ([os.getpid(), 7], [], 0.0),  # an idle notebook holds memory and keeps nothing busy
        ([31_337], [(31_337, 95)], 0.0),  # only one: a container's number of ourselves
        ([31_337, 7], [(7, 90)], None),  # who is who?
        ([], [], None),
    ],
)
def test_other_processes_by_the_share_they_keep_busy(pids, shares, others):
    seen = watched(pids=pids, shares=shares)
    assert seen.others == (None if others is None else pytest.approx(others))
    assert bool(seen.blind) == (others is None)


def test_a_driver_that_tells_nothing_is_no_verdict():
    class Silent(FakeNvml):
        def nvmlDeviceGetClockInfo(self, handle, kind):
            self.looks += 1
            raise self.NVMLError("Not Supported")

        def nvmlDeviceGetViolationStatus(self, handle, policy):
            raise self.NVMLError("Not Supported")

        def nvmlDeviceGetComputeRunningProcesses(self, handle):
            raise self.NVMLError("Not Supported")

    nvml = Silent()
    watch = GpuWatch(nvml, "handle", every_s=0.001)
    while nvml.looks < 2:
        pass
    seen = watch.stop()
    assert (seen.clock_mhz, seen.throttling, seen.others) == (None, None, None)
    assert "does not tell" in seen.blind


def test_our_own_numbers_in_every_namespace(tmp_path):
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nNSpid:\t4242\t17\n")
    assert own_pids(status) == {os.getpid(), 4242, 17}
    assert own_pids(tmp_path / "none") == {os.getpid()}


def test_the_allocators_words_are_known():
    device = CpuDevice()
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert device.is_out_of_memory(caught.value)
    assert device.is_out_of_memory(MemoryError())
    assert not device.is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_slowed_cores_are_counted(tmp_path):
    assert throttle_count(tmp_path) is None
    for core, count in ((0, 3), (1, 4)):
        folder = tmp_path / f"cpu{core}" / "thermal_throttle"
        folder.mkdir(parents=True)
        (folder / "core_throttle_count").write_text(f"{count}\n")
    assert throttle_count(tmp_path) == 7
