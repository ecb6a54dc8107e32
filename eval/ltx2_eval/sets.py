"""Features -> set metrics: one value per metric over the whole run, with replicates for its interval."""

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ltx2_eval.attempt import attempt
from ltx2_eval.extractors.base import NotApplicable, NotAvailable, full_float32
from ltx2_eval.features import FeatureCache
from ltx2_eval.metrics.base import Declined, MetricEntry, SetMetric
from ltx2_eval.metrics.catalogue import implementation, load_sides
from ltx2_eval.metrics.floor import FLOOR, mismatched
from ltx2_eval.metrics.resampling import REPLICATES, by_prompt, draw_counts, on_draws, replicates
from ltx2_eval.on_demand import OnDemand
from ltx2_eval.protocol import protocol_of
from ltx2_eval.recording import Recorder
from ltx2_eval.reference import AnyReference, Reference
from ltx2_eval.reference_statistics import Statistics
from ltx2_eval.score import Judge, media_of
from ltx2_reports.records import (
    ClipRecord,
    Protocol,
    Reason,
    ReasonKind,
    ReferenceRef,
    Scalar,
    ValueRecord,
    inputs_hash,
)
from ltx2_reports.statistics.sets import ERROR_BY, STANDARD_ERROR, kernel_error

Features = Sequence[NDArray[np.float32]]
Details = dict[str, Scalar]


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """Features of the clips that have them."""

    clips: tuple[ClipRecord, ...]
    features: Features
    left_out: dict[str, Reason]
    """Why the others have none, by sample."""


class _Group:
    """The set metrics that look at the same features of a run, which are read once for all of them."""

    def __init__(
        self,
        recorder: Recorder,
        judge: Judge,
        entries: Sequence[MetricEntry],
        reference: AnyReference | None,
        reference_cache: FeatureCache,
    ) -> None:
        self.recorder, self.judge, self.entries = recorder, judge, entries
        self.reference, self._reference_cache = reference, reference_cache
        assert entries[0].extractor is not None
        self.extractor: str = entries[0].extractor
        self._pairs, self._is_paired = entries[0].pairs, is_paired(entries[0])

    @functools.cached_property
    def collected(self) -> Collected:
        """Of the generated clips; for paired metrics the features are read where they are compared."""
        clips: list[ClipRecord] = []
        features: list[NDArray[np.float32]] = []
        left_out: dict[str, Reason] = {}
        for record in sorted(self.recorder.run.clips.values(), key=lambda clip: clip.sample):
            found, reason = self._of_clip(record)
            if found is not None:
                clips.append(record)
                if not self._is_paired:
                    features.append(found)
            elif reason is not None:
                left_out[record.sample] = reason
        later = OnDemand([partial(self._again, record) for record in clips])
        return Collected(clips=tuple(clips), features=later if self._is_paired else features, left_out=left_out)

    @functools.cached_property
    def real(self) -> Features | Statistics:
        """Of the reference set, none where there is none; for paired metrics those of each clip's partner.

        Raises:
            NotAvailable: the extractor's weights are missing.
            NotApplicable: a clip has no partner.
            ValueError: a reference clip cannot be used.
        """
        if self.reference is None:
            return []
        pool, cache = self.judge.pool, self._reference_cache
        if self._is_paired and isinstance(self.reference, Reference):
            return self.reference.of_clips(self.collected.clips, self.extractor, pool, cache)
        return self.reference.features(self.extractor, pool, cache)

    def _of_clip(self, record: ClipRecord) -> tuple[NDArray[np.float32], None] | tuple[None, Reason | None]:
        """A clip's features; for the floor of a cosine the two sides of it."""
        media = media_of(self.recorder.folder, record, self.judge)
        found, reason = media.features(self.extractor) if media else (None, record.reason)
        if found is None or self._pairs is None:
            return (found, None) if found is not None else (None, reason)
        features, sides = found, load_sides(self.entries[0])
        prompt, network = self.judge.prompts.get(record.prompt_id), self.judge.pool.when_used(self.extractor)
        with full_float32():
            return attempt("metric", lambda: sides(features, prompt, network))

    def _again(self, record: ClipRecord) -> NDArray[np.float32]:
        found, reason = self._of_clip(record)
        if found is None:
            raise ValueError(f"{record.sample}: {reason.message if reason else 'the features are gone'}")
        return found


def score_sets(recorder: Recorder, judge: Judge, reference: AnyReference | None, reference_cache: FeatureCache) -> None:
    """Compute every set metric that the run does not have yet for its present clips and reference.

    Metrics of the same features are computed one after the other, and the features let go before those of the next.
    """
    alike: dict[tuple[object, ...], list[MetricEntry]] = {}
    for entry in judge.entries:
        if entry.spec.level == "set" and entry.corpus_of is None:
            kind = entry.extractor, entry.pairs, is_paired(entry), "reference" in entry.spec.needs
            alike.setdefault(kind, []).append(entry)
    for (*_, wants_reference), entries in alike.items():
        group = _Group(recorder, judge, entries, reference if wants_reference else None, reference_cache)
        for entry in entries:
            _score(group, entry)


def _score(group: _Group, entry: MetricEntry) -> None:
    recorder, clips = group.recorder, group.collected.clips
    named = _named(group.reference, entry)
    protocol = protocol_of(entry, recorder.run.header, group.judge.pool, reference=named, n=len(clips))
    inputs = inputs_hash(clips)
    if not _is_current(recorder, entry, protocol, inputs):
        recorder.add_value(_value(group, entry, protocol, inputs), protocol, entry.spec)


def _named(reference: AnyReference | None, entry: MetricEntry) -> ReferenceRef | None:
    """The reference set as the protocol names it; of a paired metric the names of its files are part of it."""
    if isinstance(reference, Reference) and is_paired(entry):
        return reference.named_ref
    return reference.ref if reference else None


def is_paired(entry: MetricEntry) -> bool:
    """Whether each clip is compared with a reference of its own."""
    return bool(getattr(implementation(entry), "paired", False))


def _is_current(recorder: Recorder, entry: MetricEntry, protocol: Protocol, inputs: str) -> bool:
    known = recorder.run.values.get((None, entry.spec.id))
    if known is None or known.protocol != protocol.identity or known.inputs_sha256 != inputs:
        return False
    return known.reason is None or known.reason.kind not in ("not_available", "failed")


def _value(group: _Group, entry: MetricEntry, protocol: Protocol, inputs: str) -> ValueRecord:
    collected, reference = group.collected, group.reference
    made, reason = _made(group, entry)
    real_n = reference.ref.n if reference is not None else 0
    told = warnings_of(entry, len(collected.clips), collected.left_out, real_n)
    warnings = (*told, *made.warnings) if made is not None else ()
    return ValueRecord(
        sample=None,
        metric=entry.spec.id,
        protocol=protocol.identity,
        value=made.value if made is not None else None,
        reason=_specific(reason),
        inputs_sha256=inputs,
        left_out=collected.left_out,
        details={
            "n_reference": (reference.ref.n or None) if reference else None,
            **(made.details if made is not None else {}),
        },
        replicates=made.replicates if made is not None else (),
        warnings=warnings,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Computed:
    """A value with all that is recorded beside it."""

    value: float
    replicates: tuple[float, ...] = ()
    details: dict[str, Scalar] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class TooFew(ValueError):
    """The set is too small for the metric to exist."""


_KINDS: dict[str, ReasonKind] = {TooFew.__name__: "too_few", Declined.__name__: "abstained"}


def _specific(reason: Reason | None) -> Reason | None:
    if reason is not None and reason.error in _KINDS:
        return reason.model_copy(update={"kind": _KINDS[reason.error]})
    return reason


def _made(group: _Group, entry: MetricEntry) -> tuple[_Computed, None] | tuple[None, Reason]:
    """The value, or why there is none: what is missing is told before all else, since it can be brought."""
    missing = next((why for why in group.collected.left_out.values() if why.kind == "not_available"), None)
    return (None, missing) if missing is not None else attempt("metric", lambda: _computed(group, entry))


def _computed(group: _Group, entry: MetricEntry) -> _Computed:
    collected = group.collected
    if group.reference is None and "reference" in entry.spec.needs:
        raise NotAvailable("no reference set: name one with --reference, a folder of clips or world:24")
    if len(collected.clips) < 2:
        first = next(iter(collected.left_out.values()), None)
        why = f"; {first.message}" if first else ""
        raise TooFew(f"{len(collected.clips)} clips with features, at least 2 are needed{why}")
    prompts = [clip.prompt_id for clip in collected.clips]
    if entry.pairs is not None:
        return _of_cosines(entry, collected.features, prompts)
    if is_paired(entry) and not isinstance(group.real, Statistics):
        return _of_partners(entry, collected.features, group.real, prompts)
    return _of_sets(entry, collected.features, group.real, prompts)


def _of_partners(entry: MetricEntry, generated: Features, real: Features, groups: list[str]) -> _Computed:
    """Each clip against its own reference, one pair in memory at a time."""
    counts = np.concatenate([np.ones((1, len(groups)), np.int64), draw_counts(groups, REPLICATES, 0)])
    value, *spread = on_draws(implementation(entry)(**entry.settings).distance, generated, real, counts)
    spread = spread if len(set(groups)) > 1 else []
    return _Computed(value=value, replicates=tuple(spread), details={STANDARD_ERROR: None})


def _of_sets(entry: MetricEntry, generated: Features, real: Features | Statistics, groups: list[str]) -> _Computed:
    metric: SetMetric = implementation(entry)(**entry.settings)
    distance: Any = metric.distance
    if isinstance(real, Statistics):
        return _of_statistics(distance, generated, real, groups)
    if hasattr(distance, "terms"):
        if len(set(groups)) < 2:
            raise TooFew("clips of one prompt only; an unbiased distance needs clips of at least two")
        metric = implementation(entry)(**{**entry.settings, "clustered": True})
        generated, groups = by_prompt(generated, groups)
    pooled = getattr(metric, "pools_rows", False)
    for clips, is_real in ((generated, False), (real, True)):
        for clip in [np.concatenate(clips)] if pooled and clips else clips:
            metric.update(torch.from_numpy(clip), real=is_real)
    value = float(metric.compute())
    error, spread = _spread(distance, generated, real, groups)
    details = {**error, **getattr(metric, "facts", {})}
    return _Computed(value=value, replicates=spread, details=details, warnings=metric.warnings)


def _of_statistics(distance: Any, generated: Features, real: Statistics, groups: list[str]) -> _Computed:
    """Against a reference of which only mean and covariance are known."""
    if not getattr(distance, "takes_statistics", False):
        raise NotApplicable(f"reference {real.name} holds means and covariances only; this metric needs its clips")
    target = real.gaussian()
    value = float(distance(generated, target))
    facts = dict(getattr(distance, "facts", {}))
    error, spread = _spread(distance, generated, target, groups)
    return _Computed(value=value, replicates=spread, details={**error, **facts})


def _spread(distance: Any, generated: Features, real: Any, groups: list[str]) -> tuple[Details, tuple[float, ...]]:
    """Standard error where the metric knows its own, and values on prompts drawn again unless they cost too much."""
    if hasattr(distance, "standard_error"):
        return {STANDARD_ERROR: distance.standard_error(generated, real, groups), ERROR_BY: "extrapolation"}, ()
    spread = replicates(distance, generated, real, groups)
    if not hasattr(distance, "terms"):
        return {STANDARD_ERROR: None}, spread
    return {STANDARD_ERROR: kernel_error(distance.terms(generated, real, groups)), ERROR_BY: "kernel"}, spread


def _of_cosines(entry: MetricEntry, sides: Features, groups: list[str]) -> _Computed:
    """The floor of a cosine, or its margin above that, with prompts drawn again."""
    if len(set(groups)) < 2:
        raise TooFew("clips of one prompt only; a floor needs clips of at least two")
    counts = np.concatenate([np.ones((1, len(groups)), np.int64), draw_counts(groups, REPLICATES, 0)])
    matched, floors = mismatched(sides, groups, counts)
    values = floors if entry.settings["gives"] == FLOOR else matched - floors
    spread = values[1:][np.isfinite(values[1:])].tolist()
    details: dict[str, Scalar] = {"matched": float(matched[0]), "floor": float(floors[0])}
    return _Computed(value=float(values[0]), replicates=tuple(spread), details=details)


def _lost(left_out: Mapping[str, Reason]) -> tuple[str, ...]:
    """A warning where clips are missing that would have taken part: not for want of a stream or of speech."""
    found = Counter(why.kind for why in left_out.values() if why.kind in ("failed", "not_available"))
    told = " and ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in sorted(found.items()))
    return (f"without clips that belong to it: {told}",) if told else ()


def warnings_of(
    entry: MetricEntry, clips: int, left_out: Mapping[str, Reason], reference_n: int = 0
) -> tuple[str, ...]:
    """What must be said of a value's sets: too small to compare with others, or without clips that belong to them."""
    sides = [("n", clips), *([("reference n", reference_n)] if reference_n else [])]
    short = [f"{side} {count}" for side, count in sides if count < entry.spec.least_n]
    told = f"{' and '.join(short)} below {entry.spec.least_n}: compare only with values of the same n"
    return (*((told,) if short else ()), *_lost(left_out))
