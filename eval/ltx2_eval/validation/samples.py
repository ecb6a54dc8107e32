"""Rows of values -> points of a curve: paired differences from the clean clips, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.validation.measure import Row
from ltx2_eval.validation.plan import CLEAN, Aim, place_of
from ltx2_reports.statistics import mean_interval, standard_error, wilson
from ltx2_reports.validation import Point

_RESAMPLES = 2000
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Clean and degraded values of the clips that have both, at one level."""

    level: float
    clean: Array
    degraded: Array
    prompt_ids: tuple[str, ...]
    owners: NDArray[np.intp]
    """Which clips they are of: places in the list of rows."""
    missing: int
    """Clips with a clean value only."""

    @property
    def differences(self) -> Array:
        """Degraded minus clean."""
        return self.degraded - self.clean


def pairs_of(rows: Sequence[Row], aim: Aim, level: float) -> Pairs:
    """The values of one metric at one level."""
    place, metric = place_of(aim.scale, level), aim.entry.spec.id
    clean, degraded, prompts, owners, missing = [], [], [], [], 0
    for index, row in enumerate(rows):
        before, after = row.values.get(CLEAN, {}).get(metric), row.values.get(place, {}).get(metric)
        if isinstance(before, str) or before is None:
            continue
        if isinstance(after, str) or after is None:
            missing += 1
            continue
        clean.append(before)
        degraded.append(after)
        prompts.append(row.prompt_id)
        owners.append(index)
    return Pairs(
        level=level,
        clean=np.array(clean),
        degraded=np.array(degraded),
        prompt_ids=tuple(prompts),
        owners=np.array(owners, dtype=np.intp),
        missing=missing,
    )


def clean_values(rows: Sequence[Row], metric: str) -> list[float]:
    """Values of the untouched clips."""
    found = (row.values.get(CLEAN, {}).get(metric) for row in rows)
    return [value for value in found if isinstance(value, float)]


def wins(aim: Aim, level: float, clean: Array, degraded: Array) -> Array | None:
    """Per pair 1 where the degraded value lies where it is expected, else 0, 0.5 for a tie; None if nothing is."""
    if aim.response is None:
        return None
    course = aim.response.course
    gain = np.abs(degraded) - np.abs(clean) if course == "away" else degraded - clean
    sign = -1.0 if course == "falls" or (course == "follows" and aim.scale.position(level) < 0) else 1.0
    return (np.sign(sign * gain) + 1) / 2


def point_of(aim: Aim, pairs: Pairs) -> Point:
    """Mean, paired difference with its bootstrap interval over prompts, and how often the pair is told right."""
    n = len(pairs.clean)
    if not n:
        return Point(level=pairs.level, n=0, missing=pairs.missing)
    by_prompt: dict[str, list[float]] = {}
    for prompt, difference in zip(pairs.prompt_ids, pairs.differences, strict=True):
        by_prompt.setdefault(prompt, []).append(float(difference))
    interval = mean_interval(by_prompt, resamples=_RESAMPLES)
    means = np.array([np.mean(values) for values in by_prompt.values()])
    point = Point(
        level=pairs.level,
        n=n,
        missing=pairs.missing,
        value=float(pairs.degraded.mean()),
        difference=interval.value,
        low=interval.low,
        high=interval.high,
        error=standard_error(means),
    )
    return with_accuracy(point, wins(aim, pairs.level, pairs.clean, pairs.degraded))


def with_accuracy(point: Point, won: Array | None) -> Point:
    """The point with what `wins` says of its pairs."""
    if won is None or not len(won):
        return point
    rate = float(won.mean())
    low, high = wilson(rate, len(won))
    told = {"pairs": len(won), "accuracy": rate, "accuracy_low": low, "accuracy_high": high}
    return point.model_copy(update=told)
