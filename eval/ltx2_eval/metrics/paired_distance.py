"""Mean squared distance between each clip and its own reference: LPIPS of pairs, in the space of its extractor."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from ltx2_eval.metrics.checked import Features, checked

Clips = Sequence[NDArray[np.float32]]


class DistanceOverPairs:
    """Mean squared distance of two lists of clips, the first of one belonging to the first of the other, and so on."""

    def __call__(self, generated: Clips, reference: Clips) -> float:
        """The mean over the clips of the mean over their rows."""
        return float(self._of_clips(generated, reference).mean())

    def on_draws(self, generated: Clips, reference: Clips, counts: NDArray[np.int64]) -> list[float]:
        """The mean for each row of `counts` (draws, clips): how many times each pair is in the set."""
        weights = torch.from_numpy(counts).double()
        means: list[float] = (weights @ self._of_clips(generated, reference) / weights.sum(dim=1)).tolist()
        return means

    def _of_clips(self, generated: Clips, reference: Clips) -> Tensor:
        if len(generated) != len(reference):
            raise ValueError(f"{len(generated)} generated and {len(reference)} reference clips, expected pairs")
        return torch.stack([_distance(x, y) for x, y in zip(generated, reference, strict=True)])


def _distance(x: Features, y: Features) -> Tensor:
    first, second = checked(x, "generated features"), checked(y, "reference features")
    if first.shape != second.shape:
        raise ValueError(f"features {tuple(first.shape)} and {tuple(second.shape)} of a pair, expected one shape")
    return (first - second).square().sum(dim=1).mean()


class PairedDistance(Metric):
    """Mean squared distance over pairs of clips: the n-th update of one side belongs to the n-th of the other.

    What it measures: with the LPIPS extractor, how different each clip looks from its own reference, as a quantised
    model's from the full one's; 0 for the same pictures. It cannot see motion, nor say which of the two is better.

    >>> metric = PairedDistance()
    >>> for value in (0.0, 1.0):
    ...     metric.update(torch.tensor([[value]]), real=False)
    >>> for value in (2.0, 1.0):
    ...     metric.update(torch.tensor([[value]]), real=True)
    >>> metric.compute().item()
    2.0
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    paired = True
    """Each generated clip is judged against one clip of the reference."""
    generated: list[Tensor]
    reference: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("generated", "reference"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, features: Features, real: bool) -> None:
        """Take (k, d) features of clips, of their references where `real`.

        Raises:
            ValueError: values that are not finite.
        """
        name = "reference" if real else "generated"
        getattr(self, name).append(checked(features, f"{name} features").float().to(self.device))

    def compute(self) -> Tensor:
        """The mean distance, a float64 scalar.

        Raises:
            ValueError: fewer than two rows on a side, or another shape on each.
        """
        sides = []
        for name in ("generated", "reference"):
            parts = getattr(self, name)
            rows = torch.cat(parts) if isinstance(parts, list) and parts else parts
            found = len(rows) if isinstance(rows, Tensor) else 0
            if found < 2:
                raise ValueError(f"{name} features: found {found} rows, at least 2 are needed")
            sides.append(rows)
        return _distance(*sides).to(self.device)

    @property
    def warnings(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def distance(self) -> DistanceOverPairs:
        """The same mean of two lists of clips, for resampling."""
        return DistanceOverPairs()
