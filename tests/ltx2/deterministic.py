"""Weights and inputs that are the same on every machine: a hash of the index, not a random generator.

Golden numbers were computed once with the official LTX-2 code filled by these rules, so a test can hold our modules
to that code without having it installed.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

_STATISTIC_RULES = {"std-of-means": (1.0, 0.3), "mean-of-means": (0.0, 0.2)}


def u(i: int, shape: tuple[int, ...]) -> Tensor:
    """Uniform values of unit variance, float64: element j is a 32-bit mix of `j + 1000003 * i`."""
    x = (np.arange(math.prod(shape), dtype=np.uint64) + np.uint64(1000003 * i)) & np.uint64(0xFFFFFFFF)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> np.uint64(shift)
        x = (x * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
    x ^= x >> np.uint64(16)
    return torch.from_numpy((x.astype(np.float64) / 2**32 * 2 - 1) * math.sqrt(3)).reshape(shape)


def fill(keys_shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Float32 state dict for the given keys (their original, published names).

    A key's index is its 1-based rank among all sorted keys of the component, so the set of keys matters. `kernel`
    buffers take a rank but are left out: they keep the value their module computes.
    """
    state = {}
    for i, key in enumerate(sorted(keys_shapes), start=1):
        shape = tuple(keys_shapes[key])
        name = key.rsplit(".", 1)[-1]
        if name != "kernel":
            offset, scale = _rule(name, shape)
            state[key] = (offset + scale * u(i, shape)).float()
    return state


def assert_golden(
    x: Tensor,
    shape: tuple[int, ...],
    total: float,
    mean_abs: float,
    first: list[float],
    last: float,
    atol: float = 1e-5,
) -> None:
    """Hold a tensor to one row of golden numbers: shape, sum, mean magnitude, first elements and last element."""
    assert tuple(x.shape) == shape
    flat = x.detach().double().flatten()
    torch.testing.assert_close(flat[: len(first)], torch.tensor(first, dtype=torch.float64), atol=atol, rtol=0)
    assert abs(flat[-1].item() - last) < atol
    assert abs(flat.abs().mean().item() - mean_abs) < atol
    assert abs(flat.sum().item() - total) < 1e-2


def shapes_of(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of a state dict (also one on the meta device), as `fill` takes them."""
    return {key: tuple(value.shape) for key, value in state.items()}


def _rule(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Offset and scale of a tensor, by the last component of its key."""
    if name == "weight":
        return (0.0, 1 / math.sqrt(math.prod(shape[1:]))) if len(shape) > 1 else (1.0, 0.1)
    if name == "bias":
        return 0.0, 0.1
    return _STATISTIC_RULES.get(name, (0.0, 0.3))
