"""What a guidance pass changes inside the transformer, per row of a batch: streams cut apart, self-attention disabled.

Source: Lightricks/LTX-2, `ltx_core/guidance/perturbations.py`; spatio-temporal guidance is arXiv 2411.18664.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

StgKind = Literal["value", "skip"]
"""`value`: attention becomes the identity, values pass through (LTX-2 since March 2026, and diffusers).
`skip`: the self-attention adds nothing (LTX-2 of January 2026)."""

Rows = slice | Tensor
"""Rows of a batch: a slice where they follow each other, which costs no copy, else their indices."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Perturbation:
    """Changes to one row; the default changes nothing."""

    isolate: bool = False
    """Drop both audio-video cross-attentions in all blocks: the streams do not see each other."""
    video_blocks: tuple[int, ...] = ()
    """Blocks (from 0) whose video self-attention is disabled."""
    audio_blocks: tuple[int, ...] = ()
    stg_kind: StgKind = "value"


class StreamPlan(NamedTuple):
    """How one block treats the rows of one stream.

    The three forks let rows part late: rows that are equal up to a point are computed once. Each names, for every row
    from there on, the row it continues; None leaves the rows as they are.
    """

    fork_before: Tensor | None = None
    fork_after_self: Tensor | None = None
    fork_after_text: Tensor | None = None
    attending: Rows | None = None
    """Rows that run the self-attention; None for all."""
    attends: bool = True
    """Whether there are such rows."""
    passing: Rows | None = None
    """Rows whose values pass through the self-attention; None for all."""
    passes: bool = False
    """Whether there are such rows."""
    readers: tuple[int, ...] | None = None
    """How many rows, in order, read each row of the text context; None for one each."""


class BlockPlan(NamedTuple):
    """How one block treats the rows of a batch."""

    video: StreamPlan = StreamPlan()
    audio: StreamPlan = StreamPlan()
    cross_rows: Rows | None = None
    """Rows in which the streams see each other; None for all."""
    crosses: bool = True
    """Whether there are such rows."""
    rows_at_once: int | None = None
    """Run the layers on so many rows at a time, to bound memory; None for all."""


def plan_blocks(
    perturbations: Sequence[Perturbation],
    *,
    num_layers: int,
    device: torch.device | str = "cpu",
) -> tuple[BlockPlan, ...]:
    """One plan per block for a batch whose rows are perturbed as given.

    Raises:
        ValueError: A perturbation names a block the model does not have.
    """
    check_blocks(perturbations, num_layers)
    crossing = [not p.isolate for p in perturbations]
    return tuple(
        BlockPlan(
            video=plan_stream([block in p.video_blocks for p in perturbations], perturbations, device),
            audio=plan_stream([block in p.audio_blocks for p in perturbations], perturbations, device),
            cross_rows=rows_where(crossing, device),
            crosses=any(crossing),
        )
        for block in range(num_layers)
    )


def check_blocks(perturbations: Sequence[Perturbation], num_layers: int) -> None:
    """Raise ValueError if a perturbation names a block the model does not have."""
    for block in {b for p in perturbations for b in (*p.video_blocks, *p.audio_blocks)}:
        if not 0 <= block < num_layers:
            raise ValueError(f"STG names block {block}; the model has blocks 0 to {num_layers - 1}")


def plan_stream(
    disabled: Sequence[bool], perturbations: Sequence[Perturbation], device: torch.device | str
) -> StreamPlan:
    """The plan of one stream in one block: in which rows its self-attention is disabled, and how."""
    attending = [not hit for hit in disabled]
    passing = [hit and p.stg_kind == "value" for hit, p in zip(disabled, perturbations, strict=True)]
    return StreamPlan(
        attending=rows_where(attending, device),
        attends=any(attending),
        passing=rows_where(passing, device),
        passes=any(passing),
    )


def rows_where(chosen: Sequence[bool], device: torch.device | str) -> Rows | None:
    """The rows that are chosen; None if all are, or none is."""
    indices = [i for i, keep in enumerate(chosen) if keep]
    if len(indices) in (0, len(chosen)):
        return None
    if indices[-1] - indices[0] == len(indices) - 1:
        return slice(indices[0], indices[-1] + 1)
    return torch.tensor(indices, dtype=torch.long, device=device)
