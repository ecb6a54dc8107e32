"""The Fréchet distance between two sets of features: exact where covariances are singular, and never by `sqrtm`.

For Gaussians with means m and covariances S it is |m1 - m2|² + tr S1 + tr S2 - 2 tr (S1 S2)^½ (Dowson and Landau
1982). Write S = AᵀA. The non-zero eigenvalues of S1 S2 are then the squared singular values of A1 A2ᵀ, so the last
trace is the nuclear norm of A1 A2ᵀ: one singular value decomposition of a matrix no larger than the sets or the
width, and no square root of an eigenvalue that is only rounding noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from ltx2_eval.metrics.checked import Features, checked, checked_pair, joined

_NEGATIVE = -1e-6
"""Of the trace: below, a negative distance is an error and not rounding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gaussian:
    """Mean and covariance of a set of features, the covariance by a factor of it."""

    mean: Tensor
    """(d,)"""
    factor: Tensor
    """(r, d), r <= d, with covariance = factorᵀ factor."""
    trace: Tensor


def frechet_distance(x: Features, y: Features) -> float:
    """Fréchet distance between the Gaussians fitted to two sets (unbiased covariances), in float64.

    Args:
        x: (n, d) generated features, n >= 2.
        y: (m, d) reference features, m >= 2.

    Returns:
        A number >= 0 in squared feature units. Biased upwards by about (effective d) / n: compare only at equal n.

    Raises:
        ValueError: fewer than two rows, widths that differ, or values that are not finite.

    >>> frechet_distance(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]]))
    9.0
    """
    first, second = checked_pair(x, y)
    return _distance(_of_rows(first), _of_rows(second))


def frechet_from_statistics(mean_x: Features, cov_x: Features, mean_y: Features, cov_y: Features) -> float:
    """Fréchet distance from means (d,) and covariances (d, d).

    Raises:
        ValueError: shapes that do not fit, values that are not finite, or a matrix that is no covariance.
    """
    gaussians = [gaussian(mean_x, cov_x, "x"), gaussian(mean_y, cov_y, "y")]
    if gaussians[0].mean.shape != gaussians[1].mean.shape:
        raise ValueError(f"means of {len(gaussians[0].mean)} and {len(gaussians[1].mean)} dimensions")
    return _distance(*gaussians)


def gaussian(mean: Features, covariance: Features, what: str) -> Gaussian:
    """From a mean (d,) and a covariance (d, d), as reference statistics are published.

    Raises:
        ValueError: shapes that do not fit, values that are not finite, or a matrix that is no covariance.
    """
    vector = checked(torch.as_tensor(mean)[None], f"mean of {what}")[0]
    return _of_covariance(vector, checked(covariance, f"covariance of {what}"), what)


def rank_warning(n: int, m: int, dimension: int) -> str | None:
    """What to say where a covariance is singular, so that most of the distance is its bias; None where none is."""
    short = [f"{count} {what}" for count, what in ((n, "generated"), (m, "reference")) if count <= dimension]
    if not short:
        return None
    return (
        f"rank_deficient: {' and '.join(short)} vectors for {dimension} dimensions; much of the value is the bias of a "
        "small set: compare only at equal n"
    )


def _of_rows(x: Tensor) -> Gaussian:
    mean = x.mean(dim=0)
    factor = (x - mean) / math.sqrt(len(x) - 1)
    trace = factor.square().sum()
    if len(x) > x.shape[1]:  # a rotation of the rows changes no singular value: the triangle stands for all of them
        factor = torch.linalg.qr(factor, mode="r").R
    return Gaussian(mean=mean, factor=factor, trace=trace)


def _of_covariance(mean: Tensor, covariance: Tensor, what: str) -> Gaussian:
    d = len(mean)
    if covariance.shape != (d, d):
        raise ValueError(f"covariance of {what}: found {tuple(covariance.shape)}, expected ({d}, {d})")
    values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    largest = values.abs().max()
    if (
        not torch.allclose(covariance, covariance.T, rtol=1e-8, atol=1e-8 * float(largest))
        or values[0] < -1e-8 * largest
    ):
        raise ValueError(f"covariance of {what}: not symmetric or not positive semidefinite; it is no covariance")
    # Of a singular matrix these eigenvalues are noise, and their square roots would not be small.
    kept = values > d * torch.finfo(torch.float64).eps * largest
    factor = values[kept].sqrt()[:, None] * vectors[:, kept].T
    return Gaussian(mean=mean, factor=factor, trace=covariance.trace())


def _distance(x: Gaussian, y: Gaussian) -> float:
    product = x.factor @ y.factor.T
    if not torch.isfinite(product).all():
        raise ValueError("the features are so large that their squares overflow; scale them")
    common = torch.linalg.svdvals(product).sum() if product.numel() else product.new_zeros(())
    trace = x.trace + y.trace
    return _not_negative(float((x.mean - y.mean).square().sum() + trace - 2 * common), float(trace))


def _not_negative(distance: float, trace: float) -> float:
    if not math.isfinite(distance) or distance < _NEGATIVE * trace:
        raise ValueError(
            f"the Fréchet distance came out as {distance} at a trace of {trace}: the features are unusable"
        )
    return max(distance, 0.0)


# A side's state is one tensor of fixed size, (1 + d + d²): count, mean, and a block. While the count is at most d the
# block's first rows are the centred rows themselves, which keeps the exact path of small sets; beyond, it is their
# scatter matrix. So memory is bounded by the width alone, and states of any two parts of a set can be merged.


def _add(state: Tensor, rows: Tensor) -> None:
    """Add (k, d) rows to a state, in place: a set of many clips must not copy d² numbers for each of them.

    The rows are centred by their own mean, so that a mean far from the origin costs no digits.
    """
    k, d = rows.shape
    n, mean, block = int(state[0]), state[1 : d + 1], state[d + 1 :].view(d, d)
    its_mean = rows.mean(dim=0)
    shift = its_mean - mean if n else torch.zeros_like(mean)
    total_mean = mean + shift * (k / (n + k)) if n else its_mean
    if n + k <= d:
        block[:n] += mean - total_mean
        block[n : n + k] = rows - total_mean
    else:
        if n <= d:
            held = block[:n].clone()
            torch.mm(held.T, held, out=block)
        centred = rows - its_mean
        block.addmm_(centred.T, centred).addr_(shift, shift, alpha=n * k / (n + k))
    state[0] = n + k
    mean.copy_(total_mean)


def _state(count: int, mean: Tensor, centred: Tensor) -> Tensor:
    d = len(mean)
    block = centred.T @ centred if count > d else torch.cat([centred, centred.new_zeros(d - count, d)])
    return torch.cat([mean.new_tensor([count]), mean, block.flatten()])


def _opened(state: Tensor) -> tuple[int, Tensor, Tensor]:
    """Count, mean (d,), and the centred rows (count, d) or, where they are more than d, their scatter (d, d)."""
    d = (math.isqrt(4 * len(state) - 3) - 1) // 2
    count, block = int(state[0]), state[d + 1 :].reshape(d, d)
    return count, state[1 : d + 1], block if count > d else block[:count]


def _merged(states: Tensor) -> Tensor:
    """Merge the states (s, 1 + d + d²) of disjoint sets."""
    total = states[0]
    for other in states[1:]:
        total = _merged_two(total, other)
    return total


def _merged_two(a: Tensor, b: Tensor) -> Tensor:
    """Rows as long as they fit, else moments by the rule of Chan, Golub and LeVeque (1979)."""
    (n, mean_a, block_a), (m, mean_b, block_b) = _opened(a), _opened(b)
    if not n or not m:
        return b if not n else a
    shift = mean_b - mean_a
    mean = mean_a + shift * (m / (n + m))
    if n + m <= len(mean):
        return _state(n + m, mean, torch.cat([block_a + (mean_a - mean), block_b + (mean_b - mean)]))
    scatter = _scatter(n, block_a) + _scatter(m, block_b) + torch.outer(shift, shift) * (n * m / (n + m))
    return torch.cat([a.new_tensor([n + m]), mean, scatter.flatten()])


def _scatter(count: int, block: Tensor) -> Tensor:
    return block if count > block.shape[1] else block.T @ block


def _of_state(state: Tensor, what: str) -> Gaussian:
    count, mean, block = _opened(state)
    if count < 2:
        raise ValueError(f"{what} features: found {count} rows, at least 2 are needed")
    if count > len(mean):
        return _of_covariance(mean, block / (count - 1), what)
    factor = block / math.sqrt(count - 1)
    return Gaussian(mean=mean, factor=factor, trace=factor.square().sum())


class FrechetDistance(Metric):
    """Fréchet distance over features that arrive in pieces; constant memory, and states merge over processes.

    What it measures: how far apart the means and covariances of two sets of features lie, as Gaussians. It cannot see
    which clip belongs to which prompt, nor anything the extractor does not encode. Formula: |m1 - m2|² + tr S1 + tr S2
    - 2 tr (S1 S2)^½ with unbiased covariances S. A set of fewer than about ten clips per dimension adds a bias near
    (effective d) / n to it, so compare only at equal n.

    Args:
        dimension: width d of the features.

    >>> metric = FrechetDistance(dimension=1)
    >>> metric.update(torch.tensor([[0.0], [2.0]]), real=False)
    >>> metric.update(torch.tensor([[3.0], [5.0]]), real=True)
    >>> round(metric.compute().item(), 6)
    9.0
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    pools_rows = True
    """Which rows come from one clip does not matter: a set may be given at once."""
    generated: Tensor
    reference: Tensor

    def __init__(self, dimension: int, **kwargs: Any) -> None:
        if not isinstance(dimension, int) or dimension < 1:
            raise ValueError(f"dimension: found {dimension!r}, expected a whole number of at least 1")
        super().__init__(**kwargs)
        self.dimension = dimension
        empty = torch.zeros(1 + dimension + dimension**2, dtype=torch.float64)
        for name in ("generated", "reference"):
            self.add_state(name, default=empty.clone(), dist_reduce_fx=_merged)

    def update(self, features: Features, real: bool) -> None:
        """Take (k, d) features of one clip or of many, of the reference where `real`.

        Raises:
            ValueError: another width, or values that are not finite.
        """
        name = "reference" if real else "generated"
        x = checked(features, f"{name} features").to(self.generated.device)
        if x.shape[1] != self.dimension:
            raise ValueError(f"{name} features: found width {x.shape[1]}, expected {self.dimension}")
        state = getattr(self, name)
        if state.is_inference() and not torch.is_inference_mode_enabled():  # made there, and not to be changed here
            state = state.clone()
            setattr(self, name, state)
        _add(state, x)

    def compute(self) -> Tensor:
        """The distance, a float64 scalar.

        Raises:
            ValueError: fewer than two rows on a side.
        """
        sides = [_of_state(getattr(self, name), name) for name in ("generated", "reference")]
        return torch.tensor(_distance(*sides), dtype=torch.float64, device=self.generated.device)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to say beside the value: too few vectors for the width."""
        warning = rank_warning(int(self.generated[0]), int(self.reference[0]), self.dimension)
        return (warning,) if warning else ()

    @property
    def distance(self) -> "FrechetOverClips":
        """The same distance of lists of clips, for resampling."""
        return FrechetOverClips()


class FrechetOverClips:
    """Fréchet distance of two lists of per-clip features, and its values when generated clips are drawn again.

    The reference may be given by its mean and covariance alone.
    """

    takes_statistics = True

    def __call__(
        self, generated: Sequence[NDArray[np.float32]], reference: Sequence[NDArray[np.float32]] | Gaussian
    ) -> float:
        """The distance of all rows of the clips."""
        rows = joined(generated, "generated")[0]
        if isinstance(reference, Gaussian):
            return _distance(_of_rows(_enough(rows)), _fitting(reference, rows))
        return frechet_distance(rows, joined(reference, "reference")[0])

    def on_draws(
        self,
        generated: Sequence[NDArray[np.float32]],
        reference: Sequence[NDArray[np.float32]] | Gaussian,
        counts: NDArray[np.int64],
    ) -> list[float]:
        """The distance for each row of `counts` (draws, clips): how many times each generated clip is in the set.

        The product of the features with the reference's factor is made once; a draw only weighs its rows.
        """
        rows, owners = joined(generated, "generated")
        if isinstance(reference, Gaussian):
            target = _fitting(reference, rows)
        else:
            target = _of_rows(joined(reference, "reference")[0])
        middle = rows.mean(dim=0)
        centred = rows - middle
        products, squares = centred @ target.factor.T, centred.square().sum(dim=1)
        weights = torch.from_numpy(counts).double()[:, owners]
        sizes = weights.sum(dim=1)
        shifts = weights @ centred / sizes[:, None]
        traces = (weights @ squares - sizes * shifts.square().sum(dim=1)) / (sizes - 1)
        offsets = (middle + shifts - target.mean).square().sum(dim=1)
        common = torch.stack([_common(products, w) for w in weights])
        distances = offsets + traces + target.trace - 2 * common
        return [_not_negative(float(d), float(t + target.trace)) for d, t in zip(distances, traces, strict=True)]


def _enough(rows: Tensor) -> Tensor:
    if len(rows) < 2:
        raise ValueError(f"generated features: found {len(rows)} rows, at least 2 are needed")
    return rows


def _fitting(reference: Gaussian, rows: Tensor) -> Gaussian:
    if len(reference.mean) != rows.shape[1]:
        raise ValueError(f"features of {rows.shape[1]} dimensions, reference statistics of {len(reference.mean)}")
    return reference


def _common(products: Tensor, weights: Tensor) -> Tensor:
    """tr (S1 S2)^½ where rows of the generated set count `weights` times; products = centred rows · factorᵀ."""
    drawn = weights > 0
    w, p = weights[drawn], products[drawn]
    scaled = (p - (w @ p) / w.sum()) * w.sqrt()[:, None]
    gram = scaled @ scaled.T if len(scaled) < scaled.shape[1] else scaled.T @ scaled
    values = torch.linalg.eigvalsh(gram / (w.sum() - 1))
    noise = len(gram) * torch.finfo(torch.float64).eps * values.abs().max()
    return torch.where(values > noise, values, 0.0).sqrt().sum()
