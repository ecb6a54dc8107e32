"""How much memory a device has left, and this process takes."""

import os
import resource
import sys
from pathlib import Path

import torch

_MEMINFO = Path("/proc/meminfo")
_STATM = Path("/proc/self/statm")
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def usable_bytes(device: torch.device) -> int:
    """What this process has and could still have; what other programs hold is not in it."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) + torch.cuda.memory_reserved(device)
    return free_bytes(device) + resident_bytes()


def free_bytes(device: torch.device) -> int:
    """What could still be allocated: on CUDA what the driver has and what PyTorch holds unused, else free memory."""
    if device.type == "cuda":
        return usable_bytes(device) - torch.cuda.memory_allocated(device)
    if _MEMINFO.exists():
        fields = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") - resident_bytes()


def resident_bytes() -> int:
    """Memory of this process; at its highest where the system does not tell more."""
    if not _STATM.exists():
        return high_water_bytes()
    return int(_STATM.read_text().split()[1]) * resource.getpagesize()


def high_water_bytes() -> int:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT
