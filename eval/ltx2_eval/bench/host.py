"""What the operating system says of the machine: memory, clocks, and how busy its processors are."""

import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")


def host_peak_bytes() -> int:
    """Resident memory of this process at its highest since it began, by the kernel."""
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


def total_bytes() -> int | None:
    """Host memory."""
    return _meminfo("MemTotal")


def core_count() -> int | None:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count()


def cpu_clock_mhz() -> float | None:
    """Mean over the cores; None where the kernel does not say."""
    files = sorted(_CPUS.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    try:
        clocks = [int(file.read_text()) / 1e3 for file in files]
    except (OSError, ValueError):
        return None
    return sum(clocks) / len(clocks) if clocks else None


def throttle_count(root: Path = _CPUS) -> int | None:
    """How often the cores were slowed down for heat since the machine started; None where the kernel does not say."""
    files = sorted(root.glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))
    try:
        return sum(int(file.read_text()) for file in files) if files else None
    except (OSError, ValueError):
        return None


def busy_s() -> float | None:
    """Seconds that all cores together were busy since the machine started; None where it cannot be read."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq = (int(field) for field in fields[:7])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def own_s() -> float:
    """Processor time of this process and its finished children, in seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _group_bytes() -> int | None:
    root = Path("/sys/fs/cgroup")
    try:
        return int((root / "memory.max").read_text()) - int((root / "memory.current").read_text())
    except (OSError, ValueError):
        return None


def _meminfo(key: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key)), None)
