"""What a degradation is: a pure, seeded function of one clip, with levels from mild to strong."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ltx2_benchmarks.suite import Prompt
from ltx2_eval.clip import Clip


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """A clip with its prompt, and another clip of the set for what takes from two."""

    clip: Clip
    prompt: Prompt | None
    partner_clip: Clip
    partner_prompt: Prompt | None


Change = Callable[[Material, float, np.random.Generator], Material]
"""(material, level, generator) -> degraded material; the arrays of the input are never written to."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """One way to spoil clips, and its levels."""

    id: str
    title: str
    unit: str
    levels: tuple[float, ...]
    """From mild to strong; where they lie on both sides of `clean`, ascending."""
    what: str
    """What is done, one sentence."""
    clean: float | None = None
    """The level that changes nothing; None where no number says so."""

    @property
    def two_sided(self) -> bool:
        """Whether levels lie on both sides of the untouched clip."""
        return self.clean is not None and min(self.levels) < self.clean < max(self.levels)

    def severity(self, level: float) -> float:
        """How strong a level is; the untouched clip is 0."""
        if self.two_sided:
            assert self.clean is not None
            return abs(level - self.clean)
        return 1.0 + self.levels.index(level)

    def position(self, level: float) -> float:
        """Signed place of a level: below 0 on the lower side of a two-sided degradation; the untouched clip is 0."""
        if self.two_sided:
            assert self.clean is not None
            return level - self.clean
        return self.severity(level)

    @property
    def extremes(self) -> tuple[float, ...]:
        """The strongest level, of each side where there are two."""
        return (self.levels[0], self.levels[-1]) if self.two_sided else (self.levels[-1],)

    @property
    def mildest(self) -> float:
        """The level nearest to the untouched clip; of two as near the later."""
        return min(reversed(self.levels), key=self.severity)


@dataclass(frozen=True, kw_only=True)
class Degradation(Scale):
    """A scale along which single clips are spoilt.

    The function raises NotApplicable where a clip lacks what is to be spoilt (a stream, a second channel, a prompt).
    """

    version: int
    """Raised at each change that can move a degraded sample."""
    changes: frozenset[str]
    """Of video, audio, prompt, and timing (where the streams lie on the common clock)."""
    apply: Change


def generator_of(seed: int, *names: str) -> np.random.Generator:
    """A generator that depends on the names alone: the levels of one degradation of one clip share their noise."""
    digest = hashlib.sha256("\n".join([str(seed), *names]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
