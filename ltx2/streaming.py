"""Clips that pass through a network in slices along one axis: how they are cut, joined and kept in step."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Axis = Literal["time", "height", "width"]
_DIMS: dict[Axis, int] = {"time": 2, "height": 3, "width": 4}


@dataclass(frozen=True, kw_only=True, slots=True)
class Streaming:
    """In which slices a clip passes through the autoencoder.

    Every layer keeps what the next slice needs of the last, so the result is that of the whole clip, up to rounding,
    for the same work. Memory grows with the area across the axis and with `size`, not with the length along it.
    """

    axis: Axis = "time"
    size: int = 8
    """Positions along the axis that a layer computes at once: frames, rows or columns of its own resolution."""

    def __post_init__(self) -> None:
        if self.axis not in _DIMS:
            raise ValueError(f"streaming along {self.axis!r}; the axis must be {', '.join(_DIMS)}")
        if self.size < 1:
            raise ValueError(f"streaming in slices of {self.size}; the size must be at least 1")

    @property
    def dim(self) -> int:
        """The axis as a dimension of (b, c, f, h, w)."""
        return _DIMS[self.axis]


class Delay:
    """The way around a layer whose outputs lag: takes slices of any size, gives them back in others."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.held: Tensor | None = None

    def put(self, x: Tensor) -> Tensor:
        """Keep `x` behind what is held already; returns it."""
        self.held = x if self.held is None else torch.cat([self.held, x], self.dim)
        return x

    def take(self, size: int) -> Tensor:
        """The first `size` positions held; they are given up."""
        assert self.held is not None
        first, rest = self.held.split((size, self.held.shape[self.dim] - size), self.dim)
        self.held = rest.clone() if rest.numel() else None
        return first


def each(function: Callable[[Tensor], Tensor], slices: Iterable[Tensor]) -> Iterator[Tensor]:
    """The function of every slice.

    Unlike a generator expression, it does not keep a slice alive while its reader works on what became of it.
    """
    return map(function, slices)


def rechunk(slices: Iterable[Tensor], dim: int, size: int) -> Iterator[Tensor]:
    """The same clip in slices of `size` positions; only the last may be smaller."""
    held = None
    for x in slices:
        held = x if held is None else torch.cat([held, x], dim)
        del x
        while held.shape[dim] >= size:
            out, held = [held.narrow(dim, 0, size)], held.narrow(dim, size, held.shape[dim] - size)
            yield out.pop()
        held = held.clone() if held.numel() else None
    if held is not None:
        yield held
