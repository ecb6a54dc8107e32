"""Maximum mean discrepancy between two sets of features (Gretton et al. 2012): the kernel distances KVD and KAD."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from ltx2_eval.metrics.checked import Features, checked, checked_pair, joined

Kernel = Callable[[Tensor, Tensor], Tensor]
"""(n, d), (m, d) -> (n, m)."""
KernelName = Literal["polynomial", "gaussian"]

_BLOCK = 1024
_MEDIAN_ROWS = 4096
"""The median distance is taken over at most this many rows, evenly spaced: 8.4 million pairs."""


def polynomial_kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x·y / d + 1)³ for all pairs (Bińkowski et al. 2018): (n, d), (m, d) -> (n, m)."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def gaussian_kernel(bandwidth: float) -> Kernel:
    """exp(-|x - y|² / (2 h²)) for all pairs."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        middle = y.mean(dim=0)  # far from the origin the three-term form would lose digits
        x, y = x - middle, y - middle
        squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1) - 2 * x @ y.T
        return torch.exp(squares.clamp(min=0) / (-2 * bandwidth**2))

    return kernel


def median_bandwidth(reference: Features) -> float:
    """Median Euclidean distance between two rows of the reference set (m, d), the bandwidth of KAD.

    Raises:
        ValueError: fewer than two rows, or half of all pairs are equal.
    """
    rows = checked(reference, "reference features", 2)
    if len(rows) > _MEDIAN_ROWS:
        rows = rows[torch.linspace(0, len(rows) - 1, _MEDIAN_ROWS).round().long()]
    bandwidth = float(np.median(torch.pdist(rows).cpu().numpy()))
    if not np.isfinite(bandwidth) or bandwidth <= 0:
        raise ValueError(
            f"median distance {bandwidth} in the reference set: its clips are alike, or its values overflow"
        )
    return bandwidth


def mmd2_unbiased(x: Features, y: Features, kernel: Kernel = polynomial_kernel) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy, in float64, in blocks of rows.

    mean of k(xi, xj) over i ≠ j, plus the same over y, minus twice the mean of k(xi, yj).

    Args:
        x: (n, d) generated features, n >= 2.
        y: (m, d) reference features, m >= 2.
        kernel: positive definite.

    Returns:
        A number around 0 for equal distributions, where it may be slightly negative.

    Raises:
        ValueError: fewer than two rows, widths that differ, values that are not finite.

    >>> round(mmd2_unbiased(np.array([[0.0], [2.0]]), np.array([[1.0], [1.0]])), 6)
    -19.0
    """
    first, second = checked_pair(x, y)
    n, m = len(first), len(second)
    within_x = (_sum(first, first, kernel) - _diagonal(first, kernel).sum()) / (n * (n - 1))
    within_y = (_sum(second, second, kernel) - _diagonal(second, kernel).sum()) / (m * (m - 1))
    value = float(within_x + within_y - 2 * _sum(first, second, kernel) / (n * m))
    return _finite(value)


def _finite(value: float) -> float:
    if not np.isfinite(value):
        raise ValueError("the features are so large that the kernel overflows; scale them")
    return value


def _sum(x: Tensor, y: Tensor, kernel: Kernel) -> Tensor:
    return torch.stack([kernel(block, y).sum() for block in x.split(_BLOCK)]).sum()


def _diagonal(x: Tensor, kernel: Kernel) -> Tensor:
    return torch.cat([kernel(block, block).diagonal() for block in x.split(_BLOCK)])


class KernelOverClips:
    """Scaled MMD² of two lists of per-clip features, and its values when generated clips are drawn again."""

    def __init__(self, kernel: KernelName, scale: float) -> None:
        self.kernel, self.scale = kernel, scale

    def __call__(self, generated: Sequence[NDArray[np.float32]], reference: Sequence[NDArray[np.float32]]) -> float:
        """The distance of all rows of the clips."""
        real = joined(reference, "reference")[0]
        return self.scale * mmd2_unbiased(joined(generated, "generated")[0], real, self.fitted(real))

    def fitted(self, reference: Features) -> Kernel:
        """The kernel; a Gaussian one takes its bandwidth from the reference set."""
        return polynomial_kernel if self.kernel == "polynomial" else gaussian_kernel(median_bandwidth(reference))

    def on_draws(
        self,
        generated: Sequence[NDArray[np.float32]],
        reference: Sequence[NDArray[np.float32]],
        counts: NDArray[np.int64],
    ) -> list[float]:
        """The distance for each row of `counts` (draws, clips): how many times each generated clip is in the set.

        Kernel values are summed over pairs of clips once; a draw only weighs the sums.
        """
        rows, owners = joined(generated, "generated")
        real = joined(reference, "reference")[0]
        kernel, clips = self.fitted(real), len(generated)
        by_clip = torch.zeros(len(rows), clips, dtype=torch.float64).scatter_(1, owners[:, None], 1.0)
        pairs = torch.zeros(clips, clips, dtype=torch.float64)
        cross = torch.zeros(clips, dtype=torch.float64)
        for block, member in zip(rows.split(_BLOCK), by_clip.split(_BLOCK), strict=True):
            pairs += member.T @ kernel(block, rows) @ by_clip
            cross += member.T @ kernel(block, real).sum(dim=1)
        itself = by_clip.T @ _diagonal(rows, kernel)
        m = len(real)
        within = (_sum(real, real, kernel) - _diagonal(real, kernel).sum()) / (m * (m - 1))
        w = torch.from_numpy(counts).double()
        n = w @ by_clip.sum(dim=0)
        of_draws = ((w @ pairs * w).sum(dim=1) - w @ itself) / (n * (n - 1))
        return [_finite(float(value)) for value in self.scale * (of_draws + within - 2 * (w @ cross) / (n * m))]

    def terms(
        self, generated: Sequence[NDArray[np.float32]], reference: Sequence[NDArray[np.float32]], groups: Sequence[str]
    ) -> NDArray[np.float64]:
        """(g, g) terms, over pairs of groups (prompts, sorted), whose mean off the diagonal varies as the distance.

        Mean kernel between the rows of two groups, less the mean kernel of each to the reference, scaled. What only
        depends on the reference is left out: it moves the value, not its variance. For standard errors.
        """
        rows, owners = joined(generated, "generated")
        real = joined(reference, "reference")[0]
        kernel, names = self.fitted(real), sorted(set(groups))
        of_clips = torch.tensor([names.index(group) for group in groups])
        member = torch.zeros(len(rows), len(names), dtype=torch.float64).scatter_(1, of_clips[owners][:, None], 1.0)
        member = member / member.sum(dim=0)
        pairs, cross = torch.zeros(len(names), len(names), dtype=torch.float64), []
        for block, part in zip(rows.split(_BLOCK), member.split(_BLOCK), strict=True):
            pairs += part.T @ kernel(block, rows) @ member
            cross.append(part.T @ kernel(block, real).mean(dim=1))
        to_reference = torch.stack(cross).sum(dim=0)
        terms: NDArray[np.float64] = (self.scale * (pairs - to_reference[:, None] - to_reference)).cpu().numpy()
        return terms


class KernelDistance(Metric):
    """Unbiased MMD² over features that arrive in pieces; keeps them in float32, and states merge over processes.

    Args:
        kernel: "polynomial" (KVD, KID) or "gaussian" with the reference set's median distance as bandwidth (KAD).
        scale: factor on the value; 100 for KAD as it is reported.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    generated: list[Tensor]
    reference: list[Tensor]

    def __init__(self, kernel: KernelName = "polynomial", scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if kernel not in ("polynomial", "gaussian"):
            raise ValueError(f"kernel {kernel!r}, expected 'polynomial' or 'gaussian'")
        self.kernel, self.scale = kernel, float(scale)
        for name in ("generated", "reference"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, features: Features, real: bool) -> None:
        """Take (k, d) features of one clip or of many, of the reference where `real`.

        Raises:
            ValueError: values that are not finite, or another width than before.
        """
        name = "reference" if real else "generated"
        rows = checked(features, f"{name} features").float().to(self.device)
        known = [*self.generated, *self.reference]
        if known and known[0].shape[1] != rows.shape[1]:
            raise ValueError(f"{name} features: found width {rows.shape[1]}, expected {known[0].shape[1]}")
        getattr(self, name).append(rows)

    def compute(self) -> Tensor:
        """The distance, a float64 scalar; may be slightly negative.

        Raises:
            ValueError: fewer than two rows on a side.
        """
        sides = []
        for name in ("generated", "reference"):
            parts = getattr(self, name)
            joint = torch.cat(parts) if isinstance(parts, list) and parts else parts
            if not isinstance(joint, Tensor):
                raise ValueError(f"{name} features: found 0 rows, at least 2 are needed")
            sides.append(joint)
        value = self.scale * mmd2_unbiased(sides[0], sides[1], self.distance.fitted(sides[1]))
        return torch.tensor(value, dtype=torch.float64, device=self.device)

    @property
    def warnings(self) -> tuple[str, ...]:
        """None: the estimator is unbiased at every size of the sets."""
        return ()

    @property
    def distance(self) -> KernelOverClips:
        """The same distance of lists of clips, for resampling."""
        return KernelOverClips(self.kernel, self.scale)
