"""What a tagger's classes say of a set of sounds: the inception score, and the divergence from paired references.

Both read logits as if one class were right (softmax), although AudioSet's taggers are trained with a sigmoid per class:
a convention of the field, which keeps values comparable with published ones.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from ltx2_eval.metrics.checked import Features, checked, joined
from ltx2_eval.metrics.two_sides import MeanOverPairs, TwoSides

Clips = Sequence[NDArray[np.float32]]


def inception_score(logits: Features) -> float:
    """exp of the mean over rows of KL(p(class | row) || p(class)), in float64 (Salimans et al. 2016), without splits.

    Args:
        logits: (n, classes).

    Returns:
        From 1 (every row says the same) to min(n, classes); grows with n.

    Raises:
        ValueError: no row, or values that are not finite.

    >>> round(inception_score(np.array([[0.0, 100.0], [100.0, 0.0]])), 6)
    2.0
    """
    logs = checked(logits, "generated features").log_softmax(dim=1)
    return _score(torch.cat([logs.new_tensor([len(logs)]), _negative_entropy(logs)[None], logs.exp().sum(dim=0)]))


def paired_divergence(generated: Features, reference: Features) -> float:
    """Mean over pairs of KL(softmax(reference) || softmax(generated)), natural logarithm, in float64.

    Args:
        generated: (n, classes) logits; row i is of the clip whose reference is row i of the other.
        reference: (n, classes) logits.

    Raises:
        ValueError: other shapes, or values that are not finite.

    >>> round(paired_divergence(np.array([[0.0, 0.0]]), np.array([[0.0, np.log(3)]])), 6)
    0.130812
    """
    return float(_divergences(generated, reference).mean())


def _negative_entropy(logs: Tensor) -> Tensor:
    return (logs.exp() * logs).sum()


def _score(packed: Tensor) -> float:
    """From the count, the sum of p log p, and the sum of p."""
    count, mean = packed[0], packed[2:] / packed[0]
    mixture = torch.special.xlogy(mean, mean).sum()
    return float((packed[1] / count - mixture).exp())


def _divergences(generated: Features, reference: Features) -> Tensor:
    mine, theirs = checked(generated, "generated features"), checked(reference, "reference features")
    if mine.shape != theirs.shape:
        raise ValueError(f"{tuple(mine.shape)} generated and {tuple(theirs.shape)} reference logits, expected pairs")
    first, second = mine.log_softmax(dim=1), theirs.log_softmax(dim=1)
    return (second.exp() * (second - first)).sum(dim=1)


class InceptionOverClips:
    """Inception score of a list of clips, and its values when clips are drawn again; a reference is not looked at."""

    def __call__(self, generated: Clips, reference: Clips) -> float:
        """The score of all rows."""
        return inception_score(joined(generated, "generated")[0])

    def on_draws(self, generated: Clips, reference: Clips, counts: NDArray[np.int64]) -> list[float]:
        """The score for each row of `counts` (draws, clips): how many times each clip is in the set."""
        logs = [checked(clip, f"generated, clip {i}").log_softmax(dim=1) for i, clip in enumerate(generated)]
        packed = torch.stack(
            [torch.cat([x.new_tensor([len(x)]), _negative_entropy(x)[None], x.exp().sum(dim=0)]) for x in logs]
        )
        return [_score(row @ packed) for row in torch.from_numpy(counts).double()]


class InceptionScore(Metric):
    """Inception score over logits that arrive in pieces; constant memory, and states merge over processes.

    Args:
        dimension: number of classes.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    generated: Tensor

    def __init__(self, dimension: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dimension = dimension
        self.add_state("generated", default=torch.zeros(2 + dimension, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, features: Features, real: bool) -> None:
        """Take (k, classes) logits of one clip or of many; those of a reference are not needed and not kept.

        Raises:
            ValueError: another width, or values that are not finite.
        """
        name = "reference" if real else "generated"
        logs = checked(features, f"{name} features").to(self.generated.device)
        if logs.shape[1] != self.dimension:
            raise ValueError(f"{name} features: found width {logs.shape[1]}, expected {self.dimension}")
        if not real:
            logs = logs.log_softmax(dim=1)
            row = torch.cat([logs.new_tensor([len(logs)]), _negative_entropy(logs)[None], logs.exp().sum(dim=0)])
            self.generated = self.generated + row

    def compute(self) -> Tensor:
        """The score, a float64 scalar.

        Raises:
            ValueError: fewer than two rows.
        """
        if self.generated[0] < 2:
            raise ValueError(f"generated features: found {int(self.generated[0])} rows, at least 2 are needed")
        return torch.tensor(_score(self.generated), dtype=torch.float64, device=self.generated.device)

    @property
    def warnings(self) -> tuple[str, ...]:
        """That the score is bounded by the number of clips, where they are fewer than the classes."""
        n = int(self.generated[0])
        return (f"cannot exceed {n}, the number of sounds: compare only at equal n",) if n < self.dimension else ()

    @property
    def distance(self) -> InceptionOverClips:
        """The same score of a list of clips, for resampling."""
        return InceptionOverClips()


def _mean_divergence(x: Features, y: Features) -> Tensor:
    return _divergences(x, y).mean()


class PairedDivergence(TwoSides):
    """Mean KL divergence over pairs of logits: the n-th update of one side belongs to the n-th of the other.

    Args:
        dimension: number of classes.
    """

    paired = True
    """Each generated clip is judged against one clip of the reference."""

    def __init__(self, dimension: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dimension = dimension

    def update(self, features: Features, real: bool) -> None:
        """Take (k, classes) logits of clips, of their references where `real`.

        Raises:
            ValueError: another width, or values that are not finite.
        """
        name = "reference" if real else "generated"
        rows = checked(features, f"{name} features")
        if rows.shape[1] != self.dimension:
            raise ValueError(f"{name} features: found width {rows.shape[1]}, expected {self.dimension}")
        super().update(rows, real)

    def compute(self) -> Tensor:
        """The mean divergence, a float64 scalar.

        Raises:
            ValueError: fewer than two rows on a side, or another number on each.
        """
        return torch.tensor(paired_divergence(*self.sides()), dtype=torch.float64, device=self.device)

    @property
    def warnings(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def distance(self) -> MeanOverPairs:
        """The same mean of two lists of clips, for resampling."""
        return MeanOverPairs(_mean_divergence)
