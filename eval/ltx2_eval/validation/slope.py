"""How much a value changes per unit of a level: least squares over all clips, resampled by clip."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_DRAWS = 2000
_SEED = 0
Array = NDArray[np.float64]


class Slope(NamedTuple):
    """With its 95 % interval."""

    value: float
    low: float
    high: float


def slope_of(
    amounts: Sequence[float], differences: Sequence[Array], owners: Sequence[NDArray[np.intp]]
) -> Slope | None:
    """Slope of differences on amounts, with an intercept; the untouched clip is a point at (0, 0) of every clip.

    Args:
        amounts: what was done at each level, in the unit of the level; 0 is nothing.
        differences: per level, of the clips that have a value there.
        owners: per level, a number for the clip of each difference.

    Returns:
        The slope and its percentile interval when clips are drawn with replacement, all levels of a clip together;
        None with fewer than two clips.
    """
    clips = np.unique(np.concatenate(owners))
    if len(clips) < 2:
        return None
    x = np.concatenate([np.zeros(len(clips)), *(np.full(len(d), a) for a, d in zip(amounts, differences, strict=True))])
    y = np.concatenate([np.zeros(len(clips)), *differences])
    place = np.searchsorted(clips, np.concatenate([clips, *owners]))
    terms = (np.ones_like(x), x, y, x * x, x * y)
    sums = np.stack([np.bincount(place, term, len(clips)) for term in terms]).astype(np.float64)
    drawn = np.random.default_rng(_SEED).multinomial(len(clips), np.full(len(clips), 1 / len(clips)), _DRAWS)
    low, high = np.quantile(_least_squares(sums @ drawn.T.astype(np.float64)), (0.025, 0.975))
    return Slope(float(_least_squares(sums.sum(axis=1))), float(low), float(high))


def _least_squares(sums: Array) -> Array:
    """(5, ...) sums of 1, x, y, x², xy -> slopes."""
    n, x, y, xx, xy = sums
    return np.asarray((n * xy - x * y) / (n * xx - x * x))
