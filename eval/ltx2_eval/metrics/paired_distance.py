"""Mean squared distance between each clip and its own reference: LPIPS of pairs, in the space of its extractor."""

from functools import partial

from torch import Tensor

from ltx2_eval.metrics.checked import Features, checked
from ltx2_eval.metrics.two_sides import MeanOverPairs, TwoSides


def _distance(x: Features, y: Features) -> Tensor:
    first, second = checked(x, "generated features"), checked(y, "reference features")
    if first.shape != second.shape:
        raise ValueError(f"features {tuple(first.shape)} and {tuple(second.shape)} of a pair, expected one shape")
    return (first - second).square().sum(dim=1).mean()


DistanceOverPairs = partial(MeanOverPairs, _distance)
"""Mean squared distance of two lists of clips: the mean over the clips of the mean over their rows."""


class PairedDistance(TwoSides):
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

    paired = True
    """Each generated clip is judged against one clip of the reference."""

    def compute(self) -> Tensor:
        """The mean distance, a float64 scalar.

        Raises:
            ValueError: fewer than two rows on a side, or another shape on each.
        """
        return _distance(*self.sides()).to(self.device)

    @property
    def warnings(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def distance(self) -> MeanOverPairs:
        """The same mean of two lists of clips, for resampling."""
        return DistanceOverPairs()
