"""Work on some rows of a batch, or on a few at a time."""

from collections.abc import Callable

import torch
from torch import Tensor

from ltx2.perturbation import Rows


def pick(x: Tensor, rows: Rows | None) -> Tensor:
    """The given rows of a batch; a batch of 1 stands for all rows."""
    if rows is None or x.shape[0] == 1:
        return x
    return x[rows] if isinstance(rows, slice) else x.index_select(0, rows)


def fork(x: Tensor, sources: Tensor | None) -> Tensor:
    """A batch whose rows continue the given rows of `x`; None for the same batch."""
    return x if sources is None else x.index_select(0, sources)


def add_rows(x: Tensor, gate: Tensor, update: Tensor, rows: Rows | None) -> Tensor:
    """Add the gated update to the given rows; the other rows keep their bits."""
    if rows is None:
        return torch.addcmul(x, gate, update)
    if isinstance(rows, Tensor):
        return x.index_add(0, rows, gate * update)
    out = x.clone()
    out[rows].addcmul_(gate, update)
    return out


def in_parts(function: Callable[..., Tensor], rows_at_once: int | None, x: Tensor, *others: Tensor) -> Tensor:
    """`function(x, *others)`, on so many rows at a time; among the others a batch of 1 serves all rows."""
    if rows_at_once is None or x.shape[0] <= rows_at_once:
        return function(x, *others)
    spans = [slice(i, i + rows_at_once) for i in range(0, x.shape[0], rows_at_once)]
    return torch.cat([function(x[span], *(pick(other, span) for other in others)) for span in spans])
