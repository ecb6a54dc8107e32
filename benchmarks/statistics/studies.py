"""Simulated studies of realistic shape: skewed, clustered by prompt, with a common effect of each seed.

The components are those measured on the bundled nano model (60 prompts x 8 seeds of the suite `ci`) and, for the skew,
of scores that pile up at one end; see README.md.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ltx2_reports.pairing import Paired
from ltx2_reports.records import Direction, MetricSpec, Protocol

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """How one metric varies."""

    name: str
    mean: float
    prompts: float
    """Standard deviation between prompts."""
    seeds: float
    """Standard deviation between clips of one prompt, without what all prompts share."""
    shared: float
    """Standard deviation of what all prompts of a seed share."""
    skew: float
    """Of both the prompts' effects and the clips': 0 normal, else a shifted gamma distribution of this skewness."""


def draw(random: np.random.Generator, spread: float, skew: float, size: tuple[int, ...]) -> Array:
    """Zero mean, standard deviation `spread`, skewness `skew`."""
    if skew == 0:
        return random.normal(0, spread, size)
    shape = 4 / skew**2
    return np.sign(skew) * spread * (random.gamma(shape, 1, size) - shape) / np.sqrt(shape)


def prompt_effects(random: np.random.Generator, shape: Shape, studies: int, prompts: int) -> Array:
    """(studies, prompts): mean of each prompt."""
    return shape.mean + draw(random, shape.prompts, shape.skew, (studies, prompts))


def run(random: np.random.Generator, shape: Shape, effects: Array, seeds: int) -> Array:
    """(studies, prompts, seeds): values of one run on prompts with these effects."""
    studies, prompts = effects.shape
    clips = draw(random, shape.seeds, shape.skew, (studies, prompts, seeds))
    return effects[:, :, None] + clips + random.normal(0, shape.shared, (studies, 1, seeds))


def paired(name: str, first: Array, second: Array, direction: Direction = "up", *, by_seed: bool = False) -> Paired:
    """Two runs (prompts, seeds) as the product pairs them: by prompt and seed, or by prompt where seeds differ."""
    metric = MetricSpec(
        id=name,
        version=1,
        title=name,
        unit="",
        direction=direction,
        range=(None, None),
        level="clip",
        needs=(),
        least_n=2,
        source="simulated",
        code_licence="",
        weight_licence=None,
        cannot_see="",
    )
    return Paired(
        metric=metric,
        protocol=_PROTOCOL,
        prompts=tuple(f"{place:04}" for place in range(len(first))),
        first=first.mean(axis=1),
        second=second.mean(axis=1),
        clips=first.size,
        by_seed=by_seed,
        excluded=(),
        lost=0.0,
        tables=(second - first,) if by_seed else (first, second),
    )


_PROTOCOL = Protocol(
    metric="simulated",
    metric_version=1,
    extractor=None,
    extractor_version=None,
    weights_sha256=None,
    preprocessing=None,
    decoder="none",
    sampling="all",
    aggregation="mean",
    reference=None,
    suite="simulated",
    n=None,
    settings={},
)
