"""The throughput of a large matrix product, which shares of a peak are taken of."""

import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_SIDES = {"cpu": 1024, "cuda": 8192}
_REPEATS = 5


def matmul_flops_per_s(device: "torch.device", dtype: str, now: Callable[[], float]) -> float:
    """Operations per second of a square product on a device, the median of a few.

    Args:
        device: Where.
        dtype: As PyTorch names it.
        now: A clock that waits for the device.
    """
    import torch

    side = _SIDES.get(device.type, 1024)
    a, b = (torch.randn(side, side, device=device, dtype=getattr(torch, dtype)) for _ in range(2))
    seconds = []
    for _ in range(_REPEATS + 2):
        began = now()
        a @ b
        seconds.append(now() - began)
    return float(2 * side**3 / statistics.median(seconds[2:]))
