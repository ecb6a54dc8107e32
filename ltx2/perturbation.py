"""What a guidance pass changes inside the transformer, per row of a batch: streams cut apart, self-attention disabled.

Source: Lightricks/LTX-2, `ltx_core/guidance/perturbations.py`; spatio-temporal guidance is arXiv 2411.18664.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

StgKind = Literal["value", "skip"]
"""`value`: attention becomes the identity, values pass through (LTX-2 since March 2026, and diffusers).
`skip`: the self-attention adds nothing (LTX-2 of January 2026)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Perturbation:
    """Changes to one row; the default changes nothing."""

    isolate: bool = False
    """Drop both audio-video cross-attentions in all blocks: the streams do not see each other."""
    video_blocks: tuple[int, ...] = ()
    """Blocks (from 0) whose video self-attention is disabled."""
    audio_blocks: tuple[int, ...] = ()
    stg_kind: StgKind = "value"


class SelfPlan(NamedTuple):
    """How one block's self-attention treats the rows of a batch."""

    rows: Tensor | None = None
    """Indices of the rows that run it; None for all."""
    pass_values: Tensor | None = None
    """Boolean `(b, 1, 1, 1)`: rows whose values pass through; None for none."""


class BlockPlan(NamedTuple):
    """How one block treats the rows of a batch."""

    video: SelfPlan = SelfPlan()
    audio: SelfPlan = SelfPlan()
    cross_rows: Tensor | None = None
    """Indices of the rows in which the streams see each other; None for all."""

    @property
    def crosses(self) -> bool:
        """Whether any row runs the audio-video cross-attentions."""
        return self.cross_rows is None or len(self.cross_rows) > 0


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
    for block in {b for p in perturbations for b in (*p.video_blocks, *p.audio_blocks)}:
        if not 0 <= block < num_layers:
            raise ValueError(f"STG names block {block}; the model has blocks 0 to {num_layers - 1}")
    cross_rows = _rows([not p.isolate for p in perturbations], device)
    return tuple(
        BlockPlan(
            video=_self_plan(perturbations, lambda p, block=block: block in p.video_blocks, device),  # type: ignore[misc]
            audio=_self_plan(perturbations, lambda p, block=block: block in p.audio_blocks, device),  # type: ignore[misc]
            cross_rows=cross_rows,
        )
        for block in range(num_layers)
    )


def _self_plan(
    perturbations: Sequence[Perturbation],
    is_hit: Callable[[Perturbation], bool],
    device: torch.device | str,
) -> SelfPlan:
    values = [is_hit(p) and p.stg_kind == "value" for p in perturbations]
    runs = [not (is_hit(p) and p.stg_kind == "skip") for p in perturbations]
    rows = _rows(runs, device)
    kept = [value for value, run in zip(values, runs, strict=True) if run]
    pass_values = torch.tensor(kept, device=device)[:, None, None, None] if any(kept) else None
    return SelfPlan(rows, pass_values)


def _rows(chosen: Sequence[bool], device: torch.device | str) -> Tensor | None:
    if all(chosen):
        return None
    return torch.tensor([i for i, keep in enumerate(chosen) if keep], dtype=torch.long, device=device)
