"""Seeded draws that every interval and test shares: prompts with replacement, seeds within prompts, signs.

Draws depend on the seed and the number of items only, so every metric and every system is resampled alike, and a
column's result does not depend on its neighbours. Work is done in pieces, so memory does not grow with the draws.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_PROMPTS = 6
"""Fewer tell nothing: no exact sign-flip test reaches a p below 2 ** (1 - n)."""
RESAMPLES = 10_000
SEED = 20_260_101
_CELLS_AT_A_TIME = 1 << 18


def bootstrap_means(columns: Sequence[Array], resamples: int, seed: int) -> Array:
    """Means of each column over items drawn with replacement, the same draws for every column.

    Args:
        columns: k arrays of shape (n,), n >= 1.
        resamples: how many draws, b.
        seed: of the draws; with n it decides them.

    Returns:
        (k, b). A column's means do not depend on which other columns are there.
    """
    count = len(columns[0])
    means = np.empty((len(columns), resamples))
    for rows, weights in _drawn(resamples, count, seed):
        for place, column in enumerate(columns):
            means[place, rows] = weights @ column
    return means / count


def two_level_means(prompts: Sequence[Sequence[float]], resamples: int, seed: int) -> Array:
    """Means over prompts drawn with replacement and, within each drawn prompt, seeds drawn with replacement.

    Args:
        prompts: values of each prompt's seeds; numbers of seeds may differ, none is zero.
        resamples: how many draws, b.
        seed: of the draws.

    Returns:
        (b,).
    """
    values = np.concatenate([np.asarray(prompt, np.float64) for prompt in prompts])
    sizes = np.array([len(prompt) for prompt in prompts])
    starts, most, count = np.cumsum(sizes) - sizes, int(sizes.max()), len(sizes)
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, _CELLS_AT_A_TIME // (count * most))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = generator.integers(0, count, (rows, count))
        chosen = (generator.random((rows, count, most)) * sizes[drawn][..., None]).astype(np.int64)
        taken = np.arange(most) < sizes[drawn][..., None]
        of_seeds = values[starts[drawn][..., None] + np.where(taken, chosen, 0)]
        means[start : start + rows] = ((of_seeds * taken).sum(axis=2) / sizes[drawn]).mean(axis=1)
    return means


def flipped_sums(columns: Sequence[Array], flips: int, seed: int) -> Iterator[Array]:
    """Sums of each column after flipping signs, the same flips for every column, in pieces of shape (k, rows)."""
    count = len(columns[0])
    generator = np.random.default_rng(seed)
    step = max(1, _CELLS_AT_A_TIME // count)
    for start in range(0, flips, step):
        rows = min(step, flips - start)
        width = -(-count // 8)
        drawn = np.frombuffer(generator.bytes(rows * width), np.uint8).reshape(rows, width)
        yield _signed_sums(np.unpackbits(drawn, axis=1, count=count), columns)


def every_flipped_sum(columns: Sequence[Array]) -> Iterator[Array]:
    """Sums of each column under all 2 ** n sign flips, in pieces of shape (k, rows); for small n."""
    count = len(columns[0])
    step = max(1, _CELLS_AT_A_TIME // count)
    for start in range(0, 1 << count, step):
        numbers = np.arange(start, min(start + step, 1 << count))
        yield _signed_sums((numbers[:, None] >> np.arange(count) & 1).astype(np.uint8), columns)


def _signed_sums(bits: NDArray[np.uint8], columns: Sequence[Array]) -> Array:
    signs = 1.0 - 2.0 * bits
    return np.stack([signs @ column for column in columns])


def _drawn(resamples: int, count: int, seed: int) -> Iterator[tuple[slice, Array]]:
    generator = np.random.default_rng(seed)
    step = max(1, _CELLS_AT_A_TIME // count)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        yield slice(start, start + rows), _draw_counts(generator, rows, count)


def _draw_counts(generator: np.random.Generator, rows: int, count: int) -> Array:
    """(rows, count): how often each item was drawn."""
    drawn = generator.integers(0, count, (rows, count))
    drawn += np.arange(rows)[:, None] * count
    return np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)
