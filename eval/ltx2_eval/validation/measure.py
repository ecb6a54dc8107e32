"""Clips -> values: every clip is loaded, degraded and judged in memory, one at a time; a journal lets a stop resume."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.attempt import attempt
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import full_float32
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.features import FeatureCache
from ltx2_eval.generate import Progress
from ltx2_eval.metrics.base import MetricEntry, Outcome, Subject
from ltx2_eval.metrics.catalogue import clip_metric
from ltx2_eval.score import judged
from ltx2_eval.validation.base import Degradation, Material, generator_of
from ltx2_eval.validation.plan import CLEAN, Aim, place_of
from ltx2_eval.validation.sources import Item, Source
from ltx2_reports.records import ClipRecord, Reason
from ltx2_reports.store import Journal, canonical_hash, read_journal

JOURNAL = "values.jsonl"
SEED = 0

Cell = float | str
"""A value, or why there is none."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured on one clip."""

    clip: str
    prompt_id: str
    values: dict[str, dict[str, Cell]]
    """place -> metric -> value; features of set metrics lie in the cache."""
    trouble: str | None = None
    """Why the clip could not be loaded."""


@dataclass(frozen=True, kw_only=True)
class Meter:
    """What measuring a clip needs besides the clip."""

    aims: tuple[Aim, ...]
    entries: tuple[MetricEntry, ...]
    pool: ExtractorPool
    cache: FeatureCache

    @functools.cached_property
    def levels(self) -> list[tuple[Degradation, float, tuple[MetricEntry, ...]]]:
        """Every (degradation, level) to make, and the metrics that judge it."""
        found: dict[str, tuple[Degradation, float, list[MetricEntry]]] = {}
        for aim in self.aims:
            assert isinstance(aim.scale, Degradation)
            for level in aim.levels:
                found.setdefault(place_of(aim.scale, level), (aim.scale, level, []))[2].append(aim.entry)
        return [(degradation, level, tuple(entries)) for degradation, level, entries in found.values()]


def measure(source: Source, folder: Path, meter: Meter, progress: Progress) -> list[Row]:
    """A row for every clip, in the order of the source; rows of an earlier, stopped call are kept.

    Raises:
        ValueError: the folder's journal is of other clips, metrics or levels.
    """
    plan = _plan(source, meter)
    with Journal(folder / JOURNAL) as journal:
        known = _known(folder / JOURNAL, plan, journal)
        for done, (item, loaded) in enumerate(_with_partners(source.items, known)):
            progress("degrade and judge", done, len(source.items))
            if item.id not in known:
                known[item.id] = _measured(item, loaded, meter, first=done == 0)
                journal.append(_line(known[item.id]))
    progress("degrade and judge", len(source.items), len(source.items))
    return [known[item.id] for item in source.items]


def feature_key(item: Item, place: str) -> str:
    """Name under which the features of a degraded clip are cached."""
    return canonical_hash([item.sha256, place, SEED])


def _plan(source: Source, meter: Meter) -> dict[str, Any]:
    levels = [
        [place_of(degradation, level), degradation.version, sorted([e.spec.id, e.spec.version] for e in entries)]
        for degradation, level, entries in meter.levels
    ]
    weights = {e.extractor: meter.pool.weights_sha256(e.extractor) for e in meter.entries if e.extractor}
    metrics = sorted([entry.spec.id, entry.spec.version] for entry in meter.entries)
    return {"plan": canonical_hash([source.sha256, levels, metrics, weights, SEED])}


def _known(path: Path, plan: dict[str, Any], journal: Journal) -> dict[str, Row]:
    lines = [record for _, record in read_journal(path)]
    if not lines:
        journal.append(plan)
        return {}
    if lines[0] != plan:
        raise ValueError(
            f"{path.parent} holds a validation of other clips, metrics or levels (with or without --brief); "
            "choose another --out"
        )
    return {line["clip"]: Row(**line) for line in lines[1:]}


def _line(row: Row) -> dict[str, Any]:
    return {"clip": row.clip, "prompt_id": row.prompt_id, "values": row.values, "trouble": row.trouble}


Loaded = tuple[Material, None] | tuple[None, str]


def _with_partners(items: Sequence[Item], known: dict[str, Row]) -> Iterator[tuple[Item, Loaded]]:
    """Each clip with the next one that can be loaded; at most three clips are held at once."""
    clips = _Clips(items)
    for index, item in enumerate(items):
        if item.id in known:
            yield item, (None, "measured before")
            continue
        clip, reason = clips.at(index)
        if clip is None:
            yield item, (None, reason or "")
            continue
        places = [(index + step) % len(items) for step in range(1, len(items))]
        other = next((place for place in places if clips.at(place)[0] is not None), index)
        partner = clips.at(other)[0]
        assert partner is not None
        yield (
            item,
            (
                Material(clip=clip, prompt=item.prompt, partner_clip=partner, partner_prompt=items[other].prompt),
                None,
            ),
        )


class _Clips:
    """Clips by index; the last two are kept."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.at = functools.lru_cache(maxsize=2)(functools.partial(_load, items))


def _load(items: Sequence[Item], index: int) -> tuple[Clip | None, str | None]:
    clip, reason = attempt("decode", items[index].load)
    return clip, None if reason is None else reason.message


def _measured(item: Item, loaded: Loaded, meter: Meter, *, first: bool) -> Row:
    prompt_id = item.prompt.id if item.prompt is not None else item.id
    material, trouble = loaded
    if material is None:
        return Row(clip=item.id, prompt_id=prompt_id, values={}, trouble=trouble)
    judge = _Judge(item, material, meter, first)
    values = {CLEAN: judge.clean}
    for degradation, level, entries in meter.levels:
        values[place_of(degradation, level)] = judge.degraded(degradation, level, entries)
    return Row(clip=item.id, prompt_id=prompt_id, values=values)


class _Judge:
    """One clip and what its metrics say of it, clean and degraded."""

    def __init__(self, item: Item, material: Material, meter: Meter, first: bool) -> None:
        self._item, self._material, self._meter, self._first = item, material, meter, first
        self.clean = {entry.spec.id: self._value(entry, material, CLEAN) for entry in meter.entries}

    def degraded(self, degradation: Degradation, level: float, entries: tuple[MetricEntry, ...]) -> dict[str, Cell]:
        """Values at one level; a metric without a value on the clean clip is not asked again."""
        asked = [entry for entry in entries if not isinstance(self.clean[entry.spec.id], str)]
        same = {
            entry.spec.id: self.clean[entry.spec.id] for entry in asked if self._reads_the_clean(entry, degradation)
        }
        changed = [entry for entry in asked if entry.spec.id not in same]
        return {**same, **(self._changed(degradation, level, changed) if changed else {})}

    def _reads_the_clean(self, entry: MetricEntry, degradation: Degradation) -> bool:
        """Whether a set metric's features are those of the clean clip, since the stream they come from is.

        The first clip is computed in full, so that an extractor which looks at the other stream is found out.
        """
        if entry.spec.level == "clip" or entry.extractor is None or self._first:
            return False
        return self._meter.pool.spec(entry.extractor).stream not in degradation.changes

    def _changed(self, degradation: Degradation, level: float, entries: list[MetricEntry]) -> dict[str, Cell]:
        generator = generator_of(SEED, self._item.id, degradation.id)
        made, reason = attempt("degrade", lambda: degradation.apply(self._material, level, generator))
        if made is None:
            return {entry.spec.id: _said(reason) for entry in entries}
        place = place_of(degradation, level)
        return {entry.spec.id: self._value(entry, made, place) for entry in entries}

    def _value(self, entry: MetricEntry, material: Material, place: str) -> Cell:
        features = extractor = None
        if entry.extractor is not None and entry.reads_features:
            features, reason = self._features(entry.extractor, material, place)
            if features is None:
                return _said(reason)
            if entry.spec.level == "set":
                return float(len(features))
        if entry.extractor is not None:
            extractor = self._meter.pool.when_used(entry.extractor)
        metric = clip_metric(entry)
        own = self._material.clip if "reference" in entry.spec.needs else None  # what was degraded is its reference
        subject = Subject(clip=material.clip, record=_record(self._item), prompt=material.prompt, reference=own)
        outcome, reason = attempt(
            "metric", lambda: judged(entry, metric(subject, features, extractor, **entry.settings))
        )
        return _cell(outcome, reason)

    def _features(
        self, extractor: str, material: Material, place: str
    ) -> tuple[NDArray[np.float32], None] | tuple[None, Reason]:
        spec, pool, cache = self._meter.pool.spec(extractor), self._meter.pool, self._meter.cache
        key = feature_key(self._item, place)
        found = cache.get(key, spec, pool.weights_sha256(extractor))
        if found is not None:
            return found, None
        return attempt("features", lambda: self._extracted(extractor, material, key))

    def _extracted(self, extractor: str, material: Material, key: str) -> NDArray[np.float32]:
        pool = self._meter.pool
        network = pool.get(extractor)
        with full_float32():
            features = network.features(material.clip)
        self._meter.cache.put(key, pool.spec(extractor), pool.weights_sha256(extractor), features)
        return features


def _record(item: Item) -> ClipRecord:
    prompt_id = item.prompt.id if item.prompt is not None else item.id
    return ClipRecord(sample=item.id, prompt_id=prompt_id, seed=0, file=item.id, sha256=item.sha256)


def _cell(outcome: Outcome | None, reason: Reason | None) -> Cell:
    if outcome is None:
        return _said(reason)
    return float(outcome.value) if outcome.value is not None else _said(outcome.reason)


def _said(reason: Reason | None) -> str:
    return reason.message if reason is not None else "no value"
