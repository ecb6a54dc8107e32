"""Cached features -> points of a curve of a set metric: the whole set, sets drawn again, and small disjoint groups."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.features import FeatureCache
from ltx2_eval.metrics.base import Compare, MetricEntry
from ltx2_eval.metrics.catalogue import implementation
from ltx2_eval.metrics.resampling import replicates
from ltx2_eval.validation.base import Scale, generator_of
from ltx2_eval.validation.measure import SEED, feature_key
from ltx2_eval.validation.plan import CLEAN, Aim, place_of
from ltx2_eval.validation.samples import wins, with_accuracy
from ltx2_eval.validation.sources import Item
from ltx2_reports.statistics import centred_interval
from ltx2_reports.validation import Point

Features = list[NDArray[np.float32]]
GROUP = 8
"""Clips in one of the disjoint groups that are told clean from degraded."""
_SUBSETS = 20
_REPLICATES = 100

DUPLICATES = Scale(
    id="set.duplicates",
    title="Clips replaced by copies of others",
    unit="share",
    levels=(0.25, 0.5, 0.75, 0.9),
    what="A growing share of the set repeats what is left of it; each clip alone is as good as before.",
    clean=0.0,
)
SIZE = Scale(
    id="set.size",
    title="Only a part of the clips",
    unit="share",
    levels=(0.5, 0.25, 0.125),
    what="Mean over 20 random parts of the set; nothing is wrong with them.",
    clean=1.0,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class SetBench:
    """One set metric, the reference, and where the features of the clips are."""

    entry: MetricEntry
    items: tuple[Item, ...]
    reference: Features
    cache: FeatureCache
    pool: ExtractorPool

    @property
    def distance(self) -> Compare:
        """Of two lists of per-clip features."""
        made: Compare = implementation(self.entry)(**self.entry.settings).distance
        return made

    @functools.cached_property
    def clean(self) -> dict[int, NDArray[np.float32]]:
        """Features of the untouched clips by index."""
        return self.features(CLEAN)

    def features(self, place: str) -> dict[int, NDArray[np.float32]]:
        """By index of the clip, of those that have any there."""
        assert self.entry.extractor is not None
        spec, weights = self.pool.spec(self.entry.extractor), self.pool.weights_sha256(self.entry.extractor)
        found = (
            (index, self.cache.get(feature_key(item, place), spec, weights)) for index, item in enumerate(self.items)
        )
        return {index: features for index, features in found if features is not None}

    def spread(self, indices: tuple[int, ...], features: Features) -> NDArray[np.float64]:
        """The distance when prompts are drawn again; the same draws for every set over the same clips."""
        prompts = [self._prompt(self.items[index]) for index in indices]
        return np.array(replicates(self.distance, features, self.reference, prompts, n=_REPLICATES))

    @functools.lru_cache(maxsize=4)  # noqa: B019  (lives as long as one metric's trials)
    def clean_spread(self, indices: tuple[int, ...]) -> NDArray[np.float64]:
        """`spread` of the untouched clips; asked for at every level."""
        return self.spread(indices, [self.clean[index] for index in indices])

    @staticmethod
    def _prompt(item: Item) -> str:
        return item.prompt.id if item.prompt is not None else item.id


def set_point(bench: SetBench, aim: Aim, level: float) -> Point:
    """One level of a degradation of the clips; where the extractor's stream stays as it was, of the clean features."""
    clean, degraded = bench.clean, bench.features(place_of(aim.scale, level))
    if aim.untouched:
        degraded = {**clean, **degraded}
    both = sorted(clean.keys() & degraded.keys())
    if len(both) < 2:
        return Point(level=level, n=len(both), missing=len(clean) - len(both))
    return _compared(bench, aim, level, both, [degraded[index] for index in both])


def duplicates_point(bench: SetBench, aim: Aim, level: float) -> Point:
    """A share of the clips replaced by copies; in the groups too, each within itself."""
    clean = list(bench.clean.values())
    return _compared(bench, aim, level, sorted(bench.clean), duplicated(clean, level), lambda p: duplicated(p, level))


def duplicated(features: Features, share: float) -> Features:
    """The first `share` of a seeded order of the clips replaced by copies of the rest in turn; at least one stays."""
    order = generator_of(SEED, DUPLICATES.id).permutation(len(features))
    lost = min(round(share * len(features)), len(features) - 1)
    kept = order[lost:]
    copies = {int(place): int(kept[turn % len(kept)]) for turn, place in enumerate(order[:lost])}
    return [features[copies.get(place, place)] for place in range(len(features))]


def size_point(bench: SetBench, aim: Aim, level: float) -> Point:
    """The mean over random parts of the set, against the whole; the error is that of the mean.

    Over all parts of one size, an unbiased estimator has the whole set's value as its mean; parts are drawn anew each
    time, so that their mean misses it by chance only, as a mean of independent draws does.
    """
    clean = list(bench.clean.values())
    count = round(level * len(clean))
    if count < GROUP:
        return Point(level=level, n=count, missing=len(clean) - count)
    generator = generator_of(SEED, aim.scale.id, f"{level:g}")
    parts = (generator.choice(len(clean), count, replace=False) for _ in range(_SUBSETS))
    values = np.array([bench.distance([clean[i] for i in part], bench.reference) for part in parts])
    whole = bench.distance(clean, bench.reference)
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    difference = float(values.mean() - whole)
    return Point(
        level=level,
        n=count,
        missing=0,
        value=float(values.mean()),
        difference=difference,
        low=difference - 2 * error,
        high=difference + 2 * error,
        error=error,
    )


def _compared(
    bench: SetBench,
    aim: Aim,
    level: float,
    indices: Sequence[int],
    degraded: Features,
    spoil: Callable[[Features], Features] | None = None,
) -> Point:
    """The clips of `indices` clean against `degraded`; `spoil` makes a degraded group where it is no part of these."""
    clean = [bench.clean[index] for index in indices]
    before, after = bench.distance(clean, bench.reference), bench.distance(degraded, bench.reference)
    spread = (
        np.array([]) if aim.untouched else bench.spread(tuple(indices), degraded) - bench.clean_spread(tuple(indices))
    )
    interval = centred_interval(after - before, spread.tolist())
    point = Point(
        level=level,
        n=len(clean),
        missing=len(bench.clean) - len(clean),
        value=after,
        difference=after - before,
        low=interval.low,
        high=interval.high,
        error=float(spread.std(ddof=1)) if len(spread) > 1 else None,
    )
    return with_accuracy(point, _told_apart(bench, aim, level, clean, degraded, spoil))


def _told_apart(
    bench: SetBench,
    aim: Aim,
    level: float,
    clean: Features,
    degraded: Features,
    spoil: Callable[[Features], Features] | None,
) -> NDArray[np.float64] | None:
    """For disjoint groups of clips whether the degraded group is the worse one."""
    groups = [slice(start, start + GROUP) for start in range(0, len(clean) - GROUP + 1, GROUP)]
    if aim.response is None or not groups:
        return None
    before = [clean[group] for group in groups]
    after = [spoil(part) for part in before] if spoil is not None else [degraded[group] for group in groups]
    values = [np.array([bench.distance(part, bench.reference) for part in side]) for side in (before, after)]
    return wins(aim, level, values[0], values[1])


def clean_set_value(bench: SetBench) -> tuple[float | None, int]:
    """The untouched set's value, None with fewer than two clips, and its number of clips."""
    clean = list(bench.clean.values())
    return (bench.distance(clean, bench.reference) if len(clean) > 1 else None), len(clean)
