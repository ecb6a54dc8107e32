"""FVD-∞ and FAD-∞: the Fréchet distance that an infinite set of clips would have, from a line through smaller sets.

A Fréchet distance of n clips is too large by about b / n. Its values on parts of the set lie on a line over 1 / n, and
where that reaches 0 is the distance without the bias (Chong and Forsyth 2020; for audio Gui et al. 2024). Where they do
not lie on a line, there is no answer.

Whether they do is judged by the means of each size: R² over single draws holds their scatter too, which says nothing of
the line, and of 60 normal sets of 100 clips, where the line is true, it was 0.69 in the median and below 0.9 in all
(over means 0.98, and below 0.9 in none). A size weighs as much as it has draws; the whole set, all of whose draws are
alike, counts as one of ten (as one of one the intercept's error was 3 % larger).
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from ltx2_eval.metrics.base import Declined
from ltx2_eval.metrics.checked import Features, checked, joined
from ltx2_eval.metrics.frechet import FrechetOverClips, Gaussian

Clips = Sequence[NDArray[np.float32]]

SIZES, DRAWS, FOLDS = 10, 10, 10
LEAST_R2 = 0.9
_LEAST_CLIPS = 32
_LEAST_REFERENCE = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A least-squares line of distances over 1 / n."""

    intercept: float
    slope: float
    r2: float


class FrechetAtInfinityOverClips:
    """The extrapolated distance of two lists of per-clip features.

    Args:
        dimension: width of the features.
    """

    takes_statistics = True

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.facts: dict[str, float] = {}
        """R² and slope of the line that the latest call took."""

    def __call__(self, generated: Clips, reference: Clips | Gaussian) -> float:
        """The intercept.

        Raises:
            Declined: too few clips, or distances that are not on a line.
        """
        line = self.line(generated, reference)
        self.facts = {"r2": line.r2, "slope": line.slope}
        return line.intercept

    def line(self, generated: Clips, reference: Clips | Gaussian) -> Line:
        """Ten sizes evenly spaced in 1 / n, ten draws of clips without replacement each; the same draws every time.

        Raises:
            Declined: too few clips, or distances that are not on a line.
        """
        joined(generated, "generated")  # what is not finite is refused before anything else is said
        if not isinstance(reference, Gaussian):
            joined(reference, "reference")
        least = self._least(generated)
        if len(generated) < 2 * least:
            raise Declined(
                f"{len(generated)} clips, at least {2 * least} are needed: below, the bias is no line over 1/n"
            )
        found = _fit(_counts(len(generated), least), generated, reference)
        if found.r2 < LEAST_R2:
            raise Declined(f"the distances of parts are not on a line over 1/n: R² {found.r2:.3f}, below {LEAST_R2}")
        return found

    def standard_error(self, generated: Clips, reference: Clips | Gaussian, groups: Sequence[str]) -> float:
        """Of the intercept, from leaving out a tenth of the prompts at a time (delete-a-group jackknife)."""
        names = sorted(set(groups))
        folds = min(FOLDS, len(names))
        fold = {name: index % folds for index, name in enumerate(names)}
        values = []
        for left_out in range(folds):
            kept = [clip for clip, group in zip(generated, groups, strict=True) if fold[group] != left_out]
            values.append(_fit(_counts(len(kept), self._least(kept)), kept, reference).intercept)
        deviations = np.asarray(values) - np.mean(values)
        return float(np.sqrt((folds - 1) / folds * (deviations**2).sum()))

    def _least(self, generated: Clips) -> int:
        """Clips of the smallest part: as many as it takes to have more rows than dimensions."""
        rows = sum(map(len, generated)) / max(len(generated), 1)
        return max(_LEAST_CLIPS, math.ceil((self.dimension + 1) / max(rows, 1)))


def _counts(clips: int, least: int) -> NDArray[np.int64]:
    """(draws, clips): which clips are in each draw. The draws depend on the number of clips alone."""
    seed = hashlib.sha256(f"frechet at infinity|{clips}|{least}".encode()).digest()
    random = np.random.default_rng(int.from_bytes(seed[:16], "big"))
    inverse = np.linspace(1 / clips, 1 / least, SIZES)
    sizes = [clips, *(round(1 / value) for value in inverse[1:] for _ in range(DRAWS))]
    counts = np.zeros((len(sizes), clips), np.int64)
    for row, size in zip(counts, sizes, strict=True):
        row[random.choice(clips, size, replace=False)] = 1
    return counts


def _fit(counts: NDArray[np.int64], generated: Clips, reference: Clips | Gaussian) -> Line:
    """Through the mean distance of each size, which weighs as many draws as there are of it."""
    values = np.array(FrechetOverClips().on_draws(generated, reference, counts))
    drawn = counts.sum(axis=1)
    sizes = np.unique(drawn)
    means = np.array([values[drawn == size].mean() for size in sizes])
    weights = np.array([(drawn == size).sum() for size in sizes], np.float64)
    weights[-1] += DRAWS - 1  # the whole set is drawn once for ten times
    return _line(1 / sizes, means, weights / weights.sum())


def _line(x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]) -> Line:
    """By weighted least squares; the weights sum to 1."""
    centre_x, centre_y = float(weights @ x), float(weights @ y)
    x, y = x - centre_x, y - centre_y
    together, spread = float(weights @ (x * y)), float(weights @ y**2)
    slope = together / float(weights @ x**2)
    return Line(intercept=centre_y - slope * centre_x, slope=slope, r2=slope * together / spread if spread else 0.0)


class FrechetAtInfinity(Metric):
    """Fréchet distance extrapolated to infinitely many clips; keeps features in float32, and states merge.

    What it measures: the distance of the distributions, without the bias that a small generated set adds. It cannot
    mend the bias of a small reference set, nor see what the extractor does not encode. Formula: the value at 1/n = 0 of
    the least-squares line through the mean distances of ten draws of n clips, ten sizes n, without replacement. It
    declines below twice as many clips as it takes to have more features than dimensions, and where R² of the means is
    below 0.9; R² and slope stand in the record. May be slightly negative.

    Args:
        dimension: width d of the features.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    def __init__(self, dimension: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dimension = dimension
        self.facts: dict[str, float] = {}
        """R² and slope of the line, once the value was computed."""
        for name in ("generated", "reference"):
            self.add_state(name, default=[], dist_reduce_fx="cat")
            self.add_state(f"{name}_sizes", default=[], dist_reduce_fx="cat")

    def update(self, features: Features, real: bool) -> None:
        """Take (k, d) features of one clip, of the reference where `real`.

        Raises:
            ValueError: another width, or values that are not finite.
        """
        name = "reference" if real else "generated"
        rows = checked(features, f"{name} features").float().to(self.device)
        if rows.shape[1] != self.dimension:
            raise ValueError(f"{name} features: found width {rows.shape[1]}, expected {self.dimension}")
        getattr(self, name).append(rows)
        getattr(self, f"{name}_sizes").append(torch.tensor([float(len(rows))], device=self.device))

    def compute(self) -> Tensor:
        """The intercept, a float64 scalar.

        Raises:
            ValueError: fewer than two rows on a side.
            Declined: too few clips, or distances that are not on a line.
        """
        sides = [self._clips(name) for name in ("generated", "reference")]
        for side, name in zip(sides, ("generated", "reference"), strict=True):
            if sum(map(len, side)) < 2:
                raise ValueError(f"{name} features: found {sum(map(len, side))} rows, at least 2 are needed")
        distance = self.distance
        value = distance(*sides)
        self.facts = distance.facts
        return torch.tensor(value, dtype=torch.float64, device=self.device)

    def _clips(self, name: str) -> list[NDArray[np.float32]]:
        rows, sizes = getattr(self, name), getattr(self, f"{name}_sizes")
        if isinstance(rows, list):
            if not rows:
                return []
            rows, sizes = torch.cat(rows), torch.cat(sizes)
        return [part.cpu().numpy() for part in rows.split(sizes.long().tolist())]

    @property
    def warnings(self) -> tuple[str, ...]:
        """A reference set so small that its own bias, which stays, is not much smaller than the one taken away."""
        generated, reference = (len(self._clips(name)) for name in ("generated", "reference"))
        if not reference or reference >= _LEAST_REFERENCE * generated:
            return ()
        return (
            f"{reference} reference clips for {generated} generated ones: the bias of the reference set stays in the "
            f"value; it is small from {_LEAST_REFERENCE * generated} on",
        )

    @property
    def distance(self) -> FrechetAtInfinityOverClips:
        """The same distance of lists of clips."""
        return FrechetAtInfinityOverClips(self.dimension)
