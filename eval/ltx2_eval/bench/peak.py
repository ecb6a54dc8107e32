"""The throughput of a large matrix product, which shares of a peak are taken of."""

import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_SIDES = {"cpu": 1024, "cuda": 8192}
_WARMUP, _REPEATS = 2, 5
_LEAST_S = {"cuda": 0.5}
"""Of all products together: long enough for a GPU to reach the clock that it can hold."""


def matmul_flops_per_s(device: "torch.device", dtype: str, now: Callable[[], float]) -> float | None:
    """Operations per second of a square product on a device, the median of several; None where memory is too small.

    Args:
        device: Where.
        dtype: As PyTorch names it.
        now: A clock that waits for the device.
    """
    import torch

    side = _SIDES.get(device.type, 1024)
    try:
        a, b = (torch.randn(side, side, device=device, dtype=getattr(torch, dtype)) for _ in range(2))
        seconds = statistics.median(_seconds(lambda: a @ b, now, _LEAST_S.get(device.type, 0.0)))
    except RuntimeError:  # the allocator's; a share of a peak is no reason to give up what it is a share of
        return None
    return 2 * side**3 / seconds if seconds > 0 else None


def _seconds(product: Callable[[], object], now: Callable[[], float], least_s: float) -> list[float]:
    for _ in range(_WARMUP):
        product()
    seconds: list[float] = []
    while len(seconds) < _REPEATS or sum(seconds) < least_s:
        began = now()
        product()
        seconds.append(now() - began)
        if seconds[-1] <= 0:  # such a clock would never come to an end
            break
    return seconds
