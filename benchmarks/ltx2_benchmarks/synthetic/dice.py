"""Random choices that are the same on every machine and in every version of Python."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Random choices from a text seed; only the standard library's `random.Random.random`, whose values are fixed."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def between(self, low: float, high: float) -> float:
        """Returns a number in low..high."""
        return low + (high - low) * self._random.random()

    def pick(self, items: Sequence[T]) -> T:
        """Returns one of the items."""
        return items[int(self._random.random() * len(items))]

    def chance(self, probability: float) -> bool:
        """Returns True as often as the probability says."""
        return self._random.random() < probability

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Returns the items in random order."""
        keyed = sorted((self._random.random(), k) for k in range(len(items)))
        return [items[k] for _, k in keyed]
