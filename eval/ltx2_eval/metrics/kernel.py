"""Maximum mean discrepancy between two sets of features (Gretton et al. 2012): the kernel distances KVD and KAD."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

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
    """Unbiased estimate of the squared maximum mean discrepancy, in float64, in tiles of rows.

    mean of k(xi, xj) over i ≠ j, plus the same over y, minus twice the mean of k(xi, yj).

    Args:
        x: (n, d) generated features of independent clips, n >= 2.
        y: (m, d) reference features, m >= 2.
        kernel: positive definite.

    Returns:
        A number around 0 for equal distributions, where it may be slightly negative.

    Raises:
        ValueError: fewer than two rows, widths that differ, values that are not finite.

    >>> round(mmd2_unbiased(np.array([[0.0], [2.0]]), np.array([[1.0], [1.0]])), 6)
    -19.0
    """
    first, second = (_Side(rows, torch.arange(len(rows))) for rows in checked_pair(x, y))
    return float(_mmd2(first, second, kernel, torch.ones(1, first.clips, dtype=torch.float64))[0])


class _Side(NamedTuple):
    """The features of one set, rows of a clip together."""

    rows: Tensor
    """(n, d), float64."""
    owners: Tensor
    """(n,) number of each row's clip, in order."""

    @property
    def clips(self) -> int:
        """How many there are."""
        return int(self.owners[-1]) + 1

    @property
    def sizes(self) -> Tensor:
        """(clips,) rows of each."""
        return torch.bincount(self.owners).double()

    def blocks(self) -> list[tuple[Tensor, Tensor]]:
        """Rows and owners, so many at a time that the kernel of two blocks is small."""
        return list(zip(self.rows.split(_BLOCK), self.owners.split(_BLOCK), strict=True))


def _mmd2(generated: _Side, reference: _Side, kernel: Kernel, weights: Tensor) -> Tensor:
    """(draws,) estimates where generated clips count `weights` (draws, clips) times.

    Windows of one clip depend on each other, so k(xi, xj) of one clip says nothing of two independent draws: within a
    set only pairs of different clips count. A clip that is drawn twice is two clips.
    """
    ones = torch.ones(1, reference.clips, dtype=torch.float64)
    within = _within(generated, kernel, weights) + _within(reference, kernel, ones)
    drawn = weights @ generated.sizes
    values = within - 2 * (weights @ _to_reference(generated, reference, kernel)) / (drawn * len(reference.rows))
    if not torch.isfinite(values).all():
        raise ValueError("the features are so large that the kernel overflows; scale them")
    return values


def _within(side: _Side, kernel: Kernel, weights: Tensor) -> Tensor:
    """(draws,) mean kernel of two rows of different clips; memory does not grow with the square of the clips."""
    total, itself = torch.zeros(len(weights), dtype=torch.float64), torch.zeros(side.clips, dtype=torch.float64)
    blocks = side.blocks()
    for index, (x, of_x) in enumerate(blocks):
        for y, of_y in blocks[index:]:
            twice = 1.0 if y is x else 2.0
            low, left = int(of_x[0]), int(of_y[0])
            tile = twice * _by_clip(_by_clip(kernel(x, y), of_x - low).T, of_y - left).T
            high, right = low + tile.shape[0], left + tile.shape[1]
            total += ((weights[:, low:high] @ tile) * weights[:, left:right]).sum(dim=1)
            both = torch.arange(left, max(left, min(high, right)))  # blocks come in order: left >= low
            itself[both] += tile[both - low, both - left]
    sizes = side.sizes
    return (total - weights @ itself) / ((weights @ sizes) ** 2 - weights @ sizes**2)


def _by_clip(values: Tensor, owners: Tensor) -> Tensor:
    """Sums of the rows of each clip: (n, m) -> (clips, m)."""
    return values.new_zeros(int(owners.max()) + 1, values.shape[1]).index_add_(0, owners, values)


def _to_reference(generated: _Side, reference: _Side, kernel: Kernel) -> Tensor:
    """(clips,) sum of the kernel between the rows of a generated clip and all of the reference."""
    sums = [
        torch.stack([kernel(x, y).sum(dim=1) for y, _ in reference.blocks()]).sum(dim=0) for x, _ in generated.blocks()
    ]
    return torch.zeros(generated.clips, dtype=torch.float64).index_add_(0, generated.owners, torch.cat(sums))


class KernelOverClips:
    """Scaled MMD² of two lists of per-clip features, and its values when generated clips are drawn again."""

    def __init__(self, kernel: KernelName, scale: float) -> None:
        self.kernel, self.scale = kernel, scale

    def __call__(self, generated: Sequence[NDArray[np.float32]], reference: Sequence[NDArray[np.float32]]) -> float:
        """The distance of all rows of the clips; pairs within one clip do not count."""
        return self.on_draws(generated, reference, np.ones((1, len(generated)), np.int64))[0]

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
        side, real = _Side(*joined(generated, "generated")), _Side(*joined(reference, "reference"))
        return self.of_sides(side, real, torch.from_numpy(counts).double())

    def of_sides(self, generated: _Side, reference: _Side, weights: Tensor) -> list[float]:
        """The same for features that are checked and joined already."""
        for side, what in ((generated, "generated"), (reference, "reference")):
            if side.clips < 2:
                raise ValueError(f"{what} features: found {side.clips} clips, at least 2 are needed")
        kernel = self.fitted(reference.rows)
        values: list[float] = (self.scale * _mmd2(generated, reference, kernel, weights)).tolist()
        return values

    def terms(
        self, generated: Sequence[NDArray[np.float32]], reference: Sequence[NDArray[np.float32]], groups: Sequence[str]
    ) -> NDArray[np.float64]:
        """(g, g) terms, over pairs of groups (prompts, sorted), whose mean off the diagonal varies as the distance.

        Mean kernel between the rows of two groups, less the mean kernel of each to the reference, scaled. What only
        depends on the reference is left out: it moves the value, not its variance. For standard errors.
        """
        side, real = _Side(*joined(generated, "generated")), _Side(*joined(reference, "reference"))
        kernel, names = self.fitted(real.rows), sorted(set(groups))
        members = torch.tensor([names.index(group) for group in groups])[side.owners]
        sizes = torch.bincount(members).double()
        pairs = torch.zeros(len(names), len(names), dtype=torch.float64)
        for x, of_x in zip(side.rows.split(_BLOCK), members.split(_BLOCK), strict=True):
            for y, of_y in zip(side.rows.split(_BLOCK), members.split(_BLOCK), strict=True):
                tile = _by_clip(_by_clip(kernel(x, y), of_x).T, of_y).T
                pairs[: tile.shape[0], : tile.shape[1]] += tile
        of_clips = _to_reference(side, real, kernel)
        clip_groups = torch.tensor([names.index(group) for group in groups])
        sums = torch.zeros(len(names), dtype=torch.float64).index_add_(0, clip_groups, of_clips)
        cross = sums / (sizes * len(real.rows))
        terms: NDArray[np.float64] = (self.scale * (pairs / torch.outer(sizes, sizes) - cross[:, None] - cross)).numpy()
        return terms


class KernelDistance(Metric):
    """Unbiased MMD² over features that arrive in pieces; keeps them in float32, and states merge over processes.

    What it measures: how far apart two distributions of features lie, without a bias for small sets. It cannot see
    which clip belongs to which prompt, nor anything the extractor does not encode. Formula: mean k(x, x') + mean
    k(y, y') - 2 mean k(x, y), the first two over pairs of different clips (in a run: of different prompts, since seeds
    of one prompt are alike). Around 0, on either side of it, where the
    sets are alike. A few hundred clips a side decide most comparisons; below about 64 the interval is wide.

    Args:
        kernel: "polynomial" (KVD, KID) or "gaussian" with the reference set's median distance as bandwidth (KAD).
        scale: factor on the value; 100 for KAD as it is reported.
        clustered: The rows of one update are windows of one clip, which depend on each other: pairs among them are
            left out. Otherwise each row is a clip of its own.

    >>> metric = KernelDistance()
    >>> metric.update(torch.tensor([[0.0], [2.0]]), real=False)
    >>> metric.update(torch.tensor([[1.0], [1.0]]), real=True)
    >>> round(metric.compute().item(), 6)
    -19.0
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    def __init__(
        self, kernel: KernelName = "polynomial", scale: float = 1.0, clustered: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if kernel not in ("polynomial", "gaussian"):
            raise ValueError(f"kernel {kernel!r}, expected 'polynomial' or 'gaussian'")
        self.kernel, self.scale, self.clustered = kernel, float(scale), clustered
        for name in ("generated", "reference"):
            self.add_state(name, default=[], dist_reduce_fx="cat")
            self.add_state(f"{name}_sizes", default=[], dist_reduce_fx="cat")

    def update(self, features: Features, real: bool) -> None:
        """Take (k, d) features of one clip or, unless `clustered`, of many; of the reference where `real`.

        Raises:
            ValueError: values that are not finite, or another width than before.
        """
        name = "reference" if real else "generated"
        rows = checked(features, f"{name} features").float().to(self.device)
        width = next((parts[0].shape[1] for parts in map(self._parts, ("generated", "reference")) if parts), None)
        if width not in (None, rows.shape[1]):
            raise ValueError(f"{name} features: found width {rows.shape[1]}, expected {width}")
        sizes = [len(rows)] if self.clustered else [1] * len(rows)
        getattr(self, name).append(rows)
        getattr(self, f"{name}_sizes").append(torch.tensor(sizes, dtype=torch.float32, device=self.device))

    def compute(self) -> Tensor:
        """The distance, a float64 scalar; may be slightly negative.

        Raises:
            ValueError: fewer than two clips on a side.
        """
        generated, reference = self._side("generated"), self._side("reference")
        (value,) = self.distance.of_sides(generated, reference, torch.ones(1, generated.clips, dtype=torch.float64))
        return torch.tensor(value, dtype=torch.float64, device=self.device)

    def _parts(self, name: str) -> list[Tensor]:
        parts = getattr(self, name)
        return parts if isinstance(parts, list) else [parts]  # one tensor once states were gathered

    def _side(self, name: str) -> _Side:
        sizes = torch.cat([*self._parts(f"{name}_sizes"), torch.empty(0, device=self.device)]).long().cpu()
        if len(sizes) < 2:
            what = "clips" if self.clustered else "rows"
            raise ValueError(f"{name} features: found {len(sizes)} {what}, at least 2 are needed")
        rows = torch.cat(self._parts(name)).double().cpu()
        return _Side(rows, torch.repeat_interleave(torch.arange(len(sizes)), sizes))

    @property
    def warnings(self) -> tuple[str, ...]:
        """None: the estimator is unbiased at every size of the sets."""
        return ()

    @property
    def distance(self) -> KernelOverClips:
        """The same distance of lists of clips, for resampling."""
        return KernelOverClips(self.kernel, self.scale)
