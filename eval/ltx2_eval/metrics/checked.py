"""Features as the set metrics take them: float64, two-dimensional, finite, enough of them."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Features = Tensor | NDArray[np.floating]


def checked(features: Features, what: str, least: int = 1) -> Tensor:
    """Features in float64, where nothing that is not finite gets past: linear algebra would hang or lie on it.

    Args:
        features: (n, d) of floating point, one row per clip or window.
        what: what they are, for messages.
        least: how many rows there must be.

    Raises:
        ValueError: another shape or type, too few rows, or a value that is not finite (the first such row is named).
    """
    tensor = torch.as_tensor(features)
    if tensor.ndim != 2 or not tensor.is_floating_point() or tensor.shape[1] == 0:
        raise ValueError(f"{what}: found {tensor.dtype} {tuple(tensor.shape)}, expected floating point (n, d)")
    if len(tensor) < least:
        raise ValueError(f"{what}: found {len(tensor)} rows, at least {least} are needed")
    finite = torch.isfinite(tensor).all(dim=1)
    if not finite.all():
        row = int((~finite).nonzero()[0])
        raise ValueError(
            f"{what}: row {row} of {len(tensor)} is not finite; find the clip it came from and leave it out"
        )
    return tensor.double()


def checked_pair(x: Features, y: Features, least: int = 2) -> tuple[Tensor, Tensor]:
    """Both sets, checked, of one width.

    Raises:
        ValueError: as `checked`, or the widths differ.
    """
    first, second = checked(x, "generated features", least), checked(y, "reference features", least)
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"features of {first.shape[1]} and {second.shape[1]} dimensions; use one extractor for both")
    return first, second


def joined(clips: Sequence[Features], what: str) -> tuple[Tensor, Tensor]:
    """Rows of all clips together, and for each row the number of its clip.

    Raises:
        ValueError: there is no clip, or `checked` refuses the features of one; names it.
    """
    if not clips:
        raise ValueError(f"{what}: no clips")
    rows = [checked(clip, f"{what}, clip {index}") for index, clip in enumerate(clips)]
    owners = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor([len(row) for row in rows]))
    return torch.cat(rows), owners
