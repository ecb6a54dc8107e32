"""CMMD (Jayasumana et al. 2024): distance of CLIP embeddings by a kernel that sees little but their means."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltx2_eval.metrics.checked import Features, checked_pair, joined
from ltx2_eval.metrics.kernel import gaussian_kernel
from ltx2_eval.metrics.two_sides import TwoSides

SIGMA = 10.0
SCALE = 1000.0
_BLOCK = 1024


def cmmd(x: Features, y: Features) -> float:
    """Biased squared maximum mean discrepancy of unit-length embeddings, bandwidth 10, times 1000.

    Args:
        x: (n, d) generated.
        y: (m, d) reference.

    Returns:
        A number >= 0; about 10 times the squared distance of the means.

    Raises:
        ValueError: no rows, widths that differ, or values that are not finite.
    """
    first, second = checked_pair(x, y, least=1)
    return float(SCALE * max(_mean(first, first) + _mean(second, second) - 2 * _mean(first, second), 0.0))


def _mean(x: Tensor, y: Tensor) -> float:
    kernel = gaussian_kernel(SIGMA)
    total = sum(float(kernel(block, y).sum()) for block in x.split(_BLOCK))
    return total / (len(x) * len(y))


class CmmdOverClips:
    """CMMD of two lists of per-clip features."""

    def __call__(self, generated: Sequence[NDArray[np.float32]], reference: Sequence[NDArray[np.float32]]) -> float:
        """The distance of all rows of the clips."""
        return cmmd(joined(generated, "generated")[0], joined(reference, "reference")[0])


class Cmmd(TwoSides):
    """CMMD over embeddings that arrive in pieces; keeps them in float32, and states merge over processes.

    What it measures: how far apart the mean embeddings of two sets lie. It cannot see a set that collapsed onto the
    right mean: read it beside `mmd_clip_median`, which has a bandwidth of the data's own size. Biased upwards for
    small sets by 2000 (1 - mean kernel) / n, a few hundredths at n = 100.

    >>> metric = Cmmd()
    >>> metric.update(torch.tensor([[1.0, 0.0]]), real=False)
    >>> metric.update(torch.tensor([[0.0, 1.0]]), real=True)
    >>> round(metric.compute().item(), 4)
    19.9003
    """

    def compute(self) -> Tensor:
        """The distance, a float64 scalar.

        Raises:
            ValueError: no rows on a side.
        """
        return torch.tensor(cmmd(*self.sides()), dtype=torch.float64, device=self.device)

    @property
    def warnings(self) -> tuple[str, ...]:
        """None: the bias is small and the same for sets of one size."""
        return ()

    @property
    def distance(self) -> CmmdOverClips:
        """The same distance of lists of clips, for resampling."""
        return CmmdOverClips()
