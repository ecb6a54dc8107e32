"""The floor under every cosine: the same embeddings in mismatched pairs, each clip with the prompts of the others.

A cosine has no absolute scale: CLIP gives any sentence about any picture 0.1 to 0.2. What a value says is how far it
lies above the mean over wrong pairs. A metric whose value is a product of two vectors names a function that gives both
(`MetricEntry.pairs`); everything else happens here, for all of them alike.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.metrics.base import MetricEntry

Draws = NDArray[np.float64]
FLOOR, MARGIN = "floor", "margin"


def with_floors(entries: Iterable[MetricEntry]) -> Iterator[MetricEntry]:
    """The entries, and after each cosine its floor and its margin above it."""
    for entry in entries:
        yield entry
        if entry.pairs is not None:
            yield _derived(entry, FLOOR)
            yield _derived(entry, MARGIN)


def is_derived(entry: MetricEntry) -> bool:
    """Whether it is the floor or the margin of another metric."""
    return entry.pairs is not None and entry.spec.level == "set"


def _derived(entry: MetricEntry, gives: str) -> MetricEntry:
    low, high = -1.0, 1.0
    is_floor = gives == FLOOR
    spec = entry.spec.model_copy(
        update={
            "id": f"{entry.spec.id}_{gives}",
            "title": f"{entry.spec.title}: {'floor of mismatched pairs' if is_floor else 'margin above its floor'}",
            "direction": "none" if is_floor else "up",
            "range": (low, high) if is_floor else (low - high, high - low),
            "level": "set",
            "least_n": max(entry.spec.least_n, 10),
            "cannot_see": f"What {entry.spec.id} cannot; depends on how different the prompts of the suite are.",
        }
    )
    return dataclasses.replace(
        entry,
        spec=spec,
        implementation="ltx2_eval.metrics.floor:mismatched",
        aggregation=f"{entry.aggregation}-{gives}-over-other-prompts",
        settings={**entry.settings, "of": entry.spec.id, "gives": gives},
    )


def mismatched(
    sides: Sequence[NDArray[np.floating]], prompts: Sequence[str], counts: NDArray[np.integer]
) -> tuple[Draws, Draws]:
    """Mean product of matching and of mismatched pairs, for each row of `counts`.

    Formula: matched = mean over i of a_i·b_i; floor = mean over all (i, j) of different prompts of a_i·b_j.

    Args:
        sides: (2, d) of each clip, the two vectors whose product is its value.
        prompts: of each clip; clips of one prompt are never mismatched with each other.
        counts: (draws, clips) how many times each clip is in each draw.

    Returns:
        Two arrays (draws,); the floor is not a number where a draw holds one prompt only.

    >>> a, b = np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> mismatched([np.stack([x, x]) for x in np.eye(2)], ["p", "q"], np.ones((1, 2), int))
    (array([1.]), array([0.]))
    """
    left, right = np.stack([side.astype(np.float64) for side in sides], axis=1)
    weights = counts.astype(np.float64)
    drawn = weights.sum(axis=1)
    matched = weights @ (left * right).sum(axis=1) / drawn
    total = ((weights @ left) * (weights @ right)).sum(axis=1)
    pairs = drawn**2
    for members in _members(prompts):
        own = weights[:, members]
        total -= ((own @ left[members]) * (own @ right[members])).sum(axis=1)
        pairs -= own.sum(axis=1) ** 2
    with np.errstate(invalid="ignore"):
        return matched, np.where(pairs > 0, total / np.maximum(pairs, 1), np.nan)


def _members(prompts: Sequence[str]) -> list[list[int]]:
    found: dict[str, list[int]] = {}
    for index, prompt in enumerate(prompts):
        found.setdefault(prompt, []).append(index)
    return list(found.values())
