"""What a timed call gave: whether it is a real result, and how far it is from another."""

from collections.abc import Sequence

import torch
from torch import Tensor

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
_PART = 2**24
_WIDE = 5e-2
"""Of 16-bit and 8-bit results: kernels on a GPU may add in another order at each call."""


def on_host(output: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Copies on the CPU, so that nothing stays on the device."""
    return tuple(tensor.detach().to("cpu", copy=True) for tensor in output)


def all_finite(output: Sequence[Tensor]) -> bool:
    """Whether no number is infinite or NaN."""
    return all(bool(tensor.isfinite().all()) for tensor in output)


def same(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    """Whether two outputs are the same up to rounding."""
    if not all_finite(first) or not all_finite(second):
        return True  # that is a doubt of its own
    return all(_distance(a, b) <= _TOLERANCE.get(a.dtype, _WIDE) for a, b in zip(first, second, strict=True))


def distance(output: Sequence[Tensor], reference: Sequence[Tensor]) -> float | None:
    """Root of the mean squared difference over that of the reference, all tensors together; None where not finite."""
    if not all_finite(output) or not all_finite(reference):
        return None
    wrong = size = 0.0
    for a, b in zip(output, reference, strict=True):
        differences, squares = _squares(a, b)
        wrong, size = wrong + differences, size + squares
    return float((wrong / size) ** 0.5) if size else 0.0


def _squares(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Sums of squares of the difference and of the second, part by part: a long clip in 8 bytes would fill the host."""
    wrong = size = 0.0
    for x, y in zip(a.flatten().split(_PART), b.flatten().split(_PART), strict=True):
        x, y = _in_units(x), _in_units(y)
        wrong += float((x - y).square().sum())
        size += float(y.square().sum())
    return wrong, size


def _in_units(x: Tensor) -> Tensor:
    """Float64; pictures from 0 to 1, so that they weigh no more than sound."""
    return x.double() / 255 if x.dtype == torch.uint8 else x.double()


def _distance(a: Tensor, b: Tensor) -> float:
    return distance((a,), (b,)) or 0.0
