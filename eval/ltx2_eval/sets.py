"""Features -> set metrics: one value per metric over the whole run, with replicates for its interval."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ltx2_eval.attempt import attempt
from ltx2_eval.extractors.base import NotAvailable
from ltx2_eval.features import FeatureCache
from ltx2_eval.metrics.base import MetricEntry, SetMetric
from ltx2_eval.metrics.catalogue import implementation
from ltx2_eval.metrics.resampling import replicates
from ltx2_eval.protocol import protocol_of
from ltx2_eval.recording import Recorder
from ltx2_eval.reference import Reference
from ltx2_eval.score import Judge, media_of
from ltx2_reports.records import ClipRecord, Protocol, Reason, ValueRecord, inputs_hash
from ltx2_reports.statistics.sets import STANDARD_ERROR, u_statistic_error

Features = list[NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """Features of the clips that have them."""

    clips: tuple[ClipRecord, ...]
    features: Features
    left_out: dict[str, Reason]
    """Why the others have none, by sample."""


def score_sets(recorder: Recorder, judge: Judge, reference: Reference | None, reference_cache: FeatureCache) -> None:
    """Compute every set metric that the run does not have yet for its present clips and reference."""
    for entry in judge.entries:
        if entry.spec.level == "set":
            _score(recorder, judge, entry, reference, reference_cache)


def _score(
    recorder: Recorder, judge: Judge, entry: MetricEntry, reference: Reference | None, reference_cache: FeatureCache
) -> None:
    collected = _collect(recorder, judge, entry)
    protocol = protocol_of(
        entry,
        recorder.run.header,
        judge.pool,
        reference=reference.ref if reference else None,
        n=len(collected.clips),
    )
    inputs = inputs_hash(collected.clips)
    if not _is_current(recorder, entry, protocol, inputs):
        value = _value(collected, judge, entry, protocol, inputs, reference, reference_cache)
        recorder.add_value(value, protocol, entry.spec)


def _collect(recorder: Recorder, judge: Judge, entry: MetricEntry) -> Collected:
    clips: list[ClipRecord] = []
    features: Features = []
    left_out: dict[str, Reason] = {}
    for record in sorted(recorder.run.clips.values(), key=lambda clip: clip.sample):
        media = media_of(recorder.folder, record, judge)
        assert entry.extractor is not None
        found, reason = media.features(entry.extractor) if media else (None, record.reason)
        if found is not None:
            clips.append(record)
            features.append(found)
        elif reason is not None:
            left_out[record.sample] = reason
    return Collected(clips=tuple(clips), features=features, left_out=left_out)


def _is_current(recorder: Recorder, entry: MetricEntry, protocol: Protocol, inputs: str) -> bool:
    known = recorder.run.values.get((None, entry.spec.id))
    if known is None or known.protocol != protocol.identity or known.inputs_sha256 != inputs:
        return False
    return known.reason is None or known.reason.kind not in ("not_available", "failed")


def _value(
    collected: Collected,
    judge: Judge,
    entry: MetricEntry,
    protocol: Protocol,
    inputs: str,
    reference: Reference | None,
    reference_cache: FeatureCache,
) -> ValueRecord:
    value, reason = attempt("metric", lambda: _computed(collected, judge, entry, reference, reference_cache))
    number, spread, notes, error = value if value else (None, (), (), None)
    return ValueRecord(
        sample=None,
        metric=entry.spec.id,
        protocol=protocol.identity,
        value=number,
        reason=_specific(reason),
        inputs_sha256=inputs,
        left_out=collected.left_out,
        details={"n_reference": reference.ref.n if reference else None, STANDARD_ERROR: error},
        replicates=spread,
        warnings=(*_warnings(entry, len(collected.clips), reference), *notes) if number is not None else (),
    )


class TooFew(ValueError):
    """The set is too small for the metric to exist."""


def _specific(reason: Reason | None) -> Reason | None:
    if reason is not None and reason.error == TooFew.__name__:
        return reason.model_copy(update={"kind": "too_few"})
    return reason


def _computed(
    collected: Collected, judge: Judge, entry: MetricEntry, reference: Reference | None, cache: FeatureCache
) -> tuple[float, tuple[float, ...], tuple[str, ...], float | None]:
    """The value, its replicates, what the metric has to say about it, and its standard error if it is a U-statistic."""
    assert entry.extractor is not None
    first = next(iter(collected.left_out.values()), None)
    if first is not None and first.kind == "not_available":
        raise NotAvailable(first.message)
    if reference is None:
        raise NotAvailable("no reference set: name one with --reference, a folder of clips or world:24")
    if len(collected.clips) < 2:
        why = f"; {first.message}" if first else ""
        raise TooFew(f"{len(collected.clips)} clips with features, at least 2 are needed{why}")
    real = reference.features(entry.extractor, judge.pool, cache)
    metric: SetMetric = implementation(entry)(**entry.settings)
    for clips, is_real in ((collected.features, False), (real, True)):
        for clip in clips:
            metric.update(torch.from_numpy(clip), real=is_real)
    groups = [clip.prompt_id for clip in collected.clips]
    distance: Any = metric.distance
    spread = replicates(distance, collected.features, real, groups)
    terms = distance.terms(collected.features, real, groups) if hasattr(distance, "terms") else None
    error = u_statistic_error(terms) if terms is not None else None
    return float(metric.compute()), spread, metric.warnings, error


def _warnings(entry: MetricEntry, n: int, reference: Reference | None) -> tuple[str, ...]:
    least = entry.spec.least_n
    short = [
        f"{side} {count}"
        for side, count in (("n", n), ("reference n", reference.ref.n if reference else 0))
        if count < least
    ]
    if not short:
        return ()
    return (f"{' and '.join(short)} below {least}: compare only with values of the same n",)
