"""Devices as a stopwatch sees them: when their work is done, what memory it took, what state they are in."""

import functools
import importlib.metadata
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from ltx2_eval.bench.gpu_watch import GpuWatch
from ltx2_eval.bench.host import available_bytes, core_count, cpu_clock_mhz, total_bytes
from ltx2_eval.bench.watch import CpuWatch, Seen, Watch
from ltx2_eval.energy import EnergyMeter, energy_meter
from ltx2_eval.environment import environment
from ltx2_eval.nvml import nvml_handle
from ltx2_reports.bench import BenchDevice

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

_PACKAGES = ("torch", "diffusers", "ltx2-eval")
_OUT_OF_MEMORY = ("DefaultCPUAllocator", "not enough memory")
"""In the message of PyTorch's allocator on the CPU, which raises a plain RuntimeError."""


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

    def watch(self) -> Watch:
        """Begin to watch its clock, throttling and the work of others."""

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

    device_of(name, "; or meta: estimates only")
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
            memory_bytes=total_bytes(),
            cores=core_count(),
            threads=torch.get_num_threads(),
            attention=attention_backends(self.torch_device),
            clock_mhz=cpu_clock_mhz(),
            packages=_packages(),
        )

    def watch(self) -> Watch:
        """By the kernel."""
        return CpuWatch()

    def energy_meter(self) -> EnergyMeter:
        """The processor's counters."""
        return energy_meter("cpu")

    def is_out_of_memory(self, error: BaseException) -> bool:
        """By its class, or by the allocator's words."""
        return isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY)

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
        """By the driver, and what PyTorch keeps for its next allocations."""
        import torch

        device = self.torch_device
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept

    def describe(self) -> BenchDevice:
        """GPU, driver, highest clock; the clock of the moment says nothing of a GPU that waits."""
        import torch

        properties = torch.cuda.get_device_properties(self.torch_device)
        return BenchDevice(
            kind="cuda",
            name=properties.name,
            driver=self._driver(),
            memory_bytes=properties.total_memory,
            attention=attention_backends(self.torch_device),
            packages={**_packages(), "cuda": torch.version.cuda or ""},
            max_clock_mhz=self._highest_clock_mhz(),
        )

    def watch(self) -> Watch:
        """By NVML, where there is one."""
        return _Blind(self._nvml) if isinstance(self._nvml, str) else GpuWatch(*self._nvml)

    def energy_meter(self) -> EnergyMeter:
        """NVML."""
        return energy_meter(self._name)

    def is_out_of_memory(self, error: BaseException) -> bool:
        """PyTorch has a class for it; the pipeline says what would fit in one of its own."""
        import torch

        return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError)

    def recover(self) -> None:
        """Drop what nobody holds, and give cached blocks back to the driver."""
        import gc

        import torch

        gc.collect()
        torch.cuda.empty_cache()

    def _driver(self) -> str | None:
        return None if isinstance(self._nvml, str) else str(self._nvml[0].nvmlSystemGetDriverVersion())

    def _highest_clock_mhz(self) -> float | None:
        if isinstance(self._nvml, str):
            return None
        nvml, handle = self._nvml
        try:
            return float(nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM))
        except nvml.NVMLError:
            return None


class _Blind:
    """A watch that sees nothing, and says why."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def stop(self) -> Seen:
        """Nothing."""
        return Seen(blind=self._reason)


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


@functools.cache
def _packages() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
