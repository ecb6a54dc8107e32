"""What a timed call gave: whether it is a real result, and how far it is from another."""

from collections.abc import Sequence

import torch
from torch import Tensor

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
_WIDE = 5e-2
"""Of 16-bit results: kernels on a GPU may add in another order at each call."""


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
    pairs = list(zip(output, reference, strict=True))
    wrong = sum(float((a.double() - b.double()).square().sum()) for a, b in pairs)
    size = sum(float(b.double().square().sum()) for _, b in pairs)
    return float((wrong / size) ** 0.5) if size else 0.0


def _distance(a: Tensor, b: Tensor) -> float:
    return distance((a,), (b,)) or 0.0
