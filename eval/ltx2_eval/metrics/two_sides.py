"""What set metrics share that need every row: two lists of features that merge over processes, and means over pairs."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from ltx2_eval.metrics.checked import Features, checked

Clips = Sequence[NDArray[np.float32]]


class TwoSides(Metric):
    """Features of generated and reference clips as they arrive, in float32; a subclass computes with `sides`."""

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    generated: list[Tensor]
    reference: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("generated", "reference"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, features: Features, real: bool) -> None:
        """Take (k, d) features, of the reference where `real`.

        Raises:
            ValueError: another width than before, or values that are not finite.
        """
        name = "reference" if real else "generated"
        rows = checked(features, f"{name} features").float().to(self.device)
        held = next((parts[0] for parts in (self.generated, self.reference) if len(parts)), rows)
        if rows.shape[1] != held.shape[-1]:
            raise ValueError(f"{name} features: found width {rows.shape[1]}, expected {held.shape[-1]} as before")
        getattr(self, name).append(rows)

    def sides(self) -> tuple[Tensor, Tensor]:
        """All rows of both sides: (n, d) generated and (m, d) reference.

        Raises:
            ValueError: fewer than two rows on a side.
        """
        return self._rows("generated"), self._rows("reference")

    def _rows(self, name: str) -> Tensor:
        parts = getattr(self, name)  # one tensor after states were gathered
        rows = torch.cat(parts) if isinstance(parts, list) and parts else parts
        if not isinstance(rows, Tensor) or len(rows) < 2:
            found = len(rows) if isinstance(rows, Tensor) else 0
            raise ValueError(f"{name} features: found {found} rows, at least 2 are needed")
        return rows


class MeanOverPairs:
    """Mean of two lists of clips, the first of one belonging to the first of the other, and so on.

    Args:
        of_pair: the features of a clip and of its reference -> a scalar.
    """

    def __init__(self, of_pair: Callable[[Features, Features], Tensor]) -> None:
        self._of_pair = of_pair

    def __call__(self, generated: Clips, reference: Clips) -> float:
        """The mean over the clips."""
        return float(self._of_clips(generated, reference).mean())

    def on_draws(self, generated: Clips, reference: Clips, counts: NDArray[np.int64]) -> list[float]:
        """The mean for each row of `counts` (draws, clips): how many times each pair is in the set."""
        weights = torch.from_numpy(counts).double()
        means: list[float] = (weights @ self._of_clips(generated, reference) / weights.sum(dim=1)).tolist()
        return means

    def _of_clips(self, generated: Clips, reference: Clips) -> Tensor:
        if len(generated) != len(reference):
            raise ValueError(f"{len(generated)} generated and {len(reference)} reference clips, expected pairs")
        return torch.stack([self._of_pair(x, y) for x, y in zip(generated, reference, strict=True)])
