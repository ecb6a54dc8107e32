"""Devices as a stopwatch sees them: when their work is done, what memory it took, what state they are in."""

import functools
import importlib.metadata
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from ltx2_eval.energy import EnergyMeter, energy_meter, nvml_handle
from ltx2_eval.environment import environment
from ltx2_reports.bench import BenchDevice

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

_PACKAGES = ("torch", "diffusers", "ltx2-eval")
_HARMLESS = 0x1 | 0x2
"""NVML's reasons that are no throttling: idle, and clocks that an application asked for."""


class Device(Protocol):
    """What a bench needs of a device."""

    kind: str
    torch_device: "torch.device"

    def now(self) -> float:
        """Seconds on a clock that only moves forward, after all work that was handed to the device is done."""

    def peak_during(self, call: Callable[[], T]) -> tuple[T, int | None]:
        """Run something untimed; its result, and the largest memory in use on the device meanwhile."""

    def free_bytes(self) -> int | None:
        """What could be allocated now; None where it is not known."""

    def describe(self) -> BenchDevice:
        """What it is, and its state now."""

    def other_load(self) -> Callable[[], float]:
        """Begin to watch; the result, called at the end, says how many cores (on a GPU: processes) others kept busy."""

    def energy_meter(self) -> EnergyMeter:
        """Of its energy."""

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether an exception says that the device's memory was too small."""

    def recover(self) -> None:
        """Give back what a failed allocation left behind."""


def open_device(name: str) -> Device:
    """A device by name: cpu, cuda or cuda:N.

    Raises:
        ValueError: unknown, or not there.
    """
    from ltx2_eval.commands.resolve import device_of

    device_of(name)
    return CudaDevice(name) if name.startswith("cuda") else CpuDevice()


class CpuDevice:
    """The processor; what is called is done when it returns."""

    kind = "cpu"

    def __init__(self) -> None:
        import torch

        self.torch_device = torch.device("cpu")
        self._name = environment().machine

    def now(self) -> float:
        """Seconds."""
        return time.perf_counter()

    def peak_during(self, call: Callable[[], T]) -> tuple[T, int | None]:
        """Resident memory of the process."""
        return _logged(call, self.torch_device)

    def free_bytes(self) -> int | None:
        """Memory that can be had without swapping."""
        return available_bytes()

    def describe(self) -> BenchDevice:
        """Processor, threads, clock."""
        import torch

        return BenchDevice(
            kind="cpu",
            name=self._name,
            memory_bytes=_total_bytes(),
            threads=torch.get_num_threads(),
            attention=attention_backends(self.torch_device),
            clock_mhz=_cpu_clocks(),
            packages=_packages(),
        )

    def other_load(self) -> Callable[[], float]:
        """Cores that others kept busy, by the kernel's account of all cores less this process's own time."""
        begun, before = time.perf_counter(), (_busy_s(), _own_s())

        def finish() -> float:
            elapsed = time.perf_counter() - begun
            busy, own = _busy_s() - before[0], _own_s() - before[1]
            return max(0.0, (busy - own) / elapsed) if elapsed > 0 and before[0] else 0.0

        return finish

    def energy_meter(self) -> EnergyMeter:
        """The processor's counters."""
        return energy_meter("cpu")

    def is_out_of_memory(self, error: BaseException) -> bool:
        """PyTorch's allocator on the CPU raises a plain RuntimeError."""
        return isinstance(error, MemoryError) or "not enough memory" in str(error)

    def recover(self) -> None:
        """Drop what nobody holds."""
        import gc

        gc.collect()


class CudaDevice:
    """An NVIDIA GPU; calls return before the work is done, so every look at the clock waits for it."""

    kind = "cuda"

    def __init__(self, name: str) -> None:
        import torch

        self._name = name
        self.torch_device = torch.device(name)
        self._nvml = nvml_handle(name)

    def now(self) -> float:
        """Seconds, after a synchronisation."""
        import torch

        torch.cuda.synchronize(self.torch_device)
        return time.perf_counter()

    def peak_during(self, call: Callable[[], T]) -> tuple[T, int | None]:
        """What PyTorch allocated."""
        return _logged(call, self.torch_device)

    def free_bytes(self) -> int | None:
        """By the driver."""
        import torch

        return int(torch.cuda.mem_get_info(self.torch_device)[0])

    def describe(self) -> BenchDevice:
        """GPU, driver, clocks, throttling."""
        import torch

        properties = torch.cuda.get_device_properties(self.torch_device)
        clock_mhz, max_clock_mhz, throttling = self._clocks()
        return BenchDevice(
            kind="cuda",
            name=properties.name,
            driver=self._driver(),
            memory_bytes=properties.total_memory,
            attention=attention_backends(self.torch_device),
            packages={**_packages(), "cuda": torch.version.cuda or ""},
            clock_mhz=clock_mhz,
            max_clock_mhz=max_clock_mhz,
            throttling=throttling,
        )

    def other_load(self) -> Callable[[], float]:
        """Other processes that compute on the GPU."""
        return lambda: float(self._strangers())

    def energy_meter(self) -> EnergyMeter:
        """NVML."""
        return energy_meter(self._name)

    def is_out_of_memory(self, error: BaseException) -> bool:
        """PyTorch has a class for it."""
        import torch

        return isinstance(error, torch.cuda.OutOfMemoryError)

    def recover(self) -> None:
        """Drop what nobody holds, and give cached blocks back to the driver."""
        import gc

        import torch

        gc.collect()
        torch.cuda.empty_cache()

    def _driver(self) -> str | None:
        return str(self._nvml[0].nvmlSystemGetDriverVersion()) if self._nvml else None

    def _clocks(self) -> tuple[float | None, float | None, str | None]:
        """Clock, the highest clock there is, and the driver's reasons for a lower one; None without NVML."""
        if self._nvml is None:
            return None, None, None
        nvml, handle = self._nvml
        try:
            bits = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle) & ~_HARMLESS
            clock, highest = nvml.nvmlDeviceGetClockInfo, nvml.nvmlDeviceGetMaxClockInfo
            sm = nvml.NVML_CLOCK_SM
            return float(clock(handle, sm)), float(highest(handle, sm)), throttling_words(bits)
        except nvml.NVMLError:
            return None, None, None

    def _strangers(self) -> int:
        if self._nvml is None:
            return 0
        nvml, handle = self._nvml
        try:
            found = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        except nvml.NVMLError:
            return 0
        return sum(process.pid != os.getpid() for process in found)


_REASONS = {
    0x4: "power limit",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake",
    0x100: "display clock",
}


def throttling_words(bits: int) -> str:
    """NVML's bit field of reasons for a lower clock, in words; empty for none."""
    return ", ".join(word for bit, word in _REASONS.items() if bits & bit)


def attention_backends(device: "torch.device") -> str:
    """Which kernels scaled-dot-product attention may choose from."""
    import torch

    if device.type != "cuda":
        return "sdpa: flash (CPU), math"
    flags = {
        "flash": torch.backends.cuda.flash_sdp_enabled(),
        "cudnn": torch.backends.cuda.cudnn_sdp_enabled(),
        "efficient": torch.backends.cuda.mem_efficient_sdp_enabled(),
        "math": torch.backends.cuda.math_sdp_enabled(),
    }
    return "sdpa: " + ", ".join(name for name, on in flags.items() if on)


def _logged(call: Callable[[], T], device: "torch.device") -> tuple[T, int | None]:
    from ltx2.cost import CostLog

    log = CostLog(device)
    with log.stage("call"):
        result = call()
    return result, log.stages[0].peak_bytes


def host_peak_bytes() -> int:
    """Resident memory of this process at its highest, by the kernel."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource
        import sys

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def available_bytes() -> int | None:
    """Host memory that can be had without swapping, within the limit of the process's control group."""
    found = [_meminfo("MemAvailable"), _group_bytes()]
    known = [value for value in found if value is not None]
    return min(known) if known else None


def _group_bytes() -> int | None:
    root = Path("/sys/fs/cgroup")
    try:
        return int((root / "memory.max").read_text()) - int((root / "memory.current").read_text())
    except (OSError, ValueError):
        return None


def _total_bytes() -> int | None:
    return _meminfo("MemTotal")


def _meminfo(key: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key)), None)


def _cpu_clocks() -> float | None:
    files = sorted(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    try:
        clocks = [int(file.read_text()) / 1e3 for file in files]
    except (OSError, ValueError):
        return None
    return sum(clocks) / len(clocks) if clocks else None


def _busy_s() -> float:
    """Seconds that all cores together were busy since the machine started; 0 where it cannot be read."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _, _, irq, softirq = (int(field) for field in fields[:7])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@functools.cache
def _packages() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
