"""Records of clips -> rates of the whole corpus: nothing is computed again, the clips' own counts are summed."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ltx2_eval.metrics.base import MetricEntry
from ltx2_eval.metrics.corpus import corpus_rate
from ltx2_eval.metrics.resampling import REPLICATES, draw_counts
from ltx2_eval.protocol import protocol_of
from ltx2_eval.recording import Recorder
from ltx2_eval.score import Judge
from ltx2_eval.sets import warnings_of
from ltx2_reports.records import ClipRecord, Protocol, Reason, Scalar, ValueRecord
from ltx2_reports.store import canonical_hash


@dataclass(frozen=True, kw_only=True, slots=True)
class _Counted:
    """Clips whose errors were counted, in the order of their samples."""

    clips: list[ClipRecord] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    expected: list[int] = field(default_factory=list)
    left_out: dict[str, Reason] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Of what the rate is made of."""
        return canonical_hash([[clip.sample for clip in self.clips], self.errors, self.expected])


def score_corpora(recorder: Recorder, judge: Judge) -> None:
    """Sum the clips' errors for every corpus rate; after `score_clips`."""
    for entry in judge.entries:
        if entry.corpus_of is not None:
            _score(recorder, judge, entry, entry.corpus_of)


def _score(recorder: Recorder, judge: Judge, entry: MetricEntry, of_clips: str) -> None:
    counted = _counted(recorder, of_clips)
    protocol = protocol_of(entry, recorder.run.header, judge.pool, n=len(counted.clips))
    known = recorder.run.values.get((None, entry.spec.id))
    value = _value(entry, counted, protocol)
    if known != value:
        recorder.add_value(value, protocol, entry.spec)


def _counted(recorder: Recorder, of_clips: str) -> _Counted:
    counted = _Counted()
    for clip in sorted(recorder.run.clips.values(), key=lambda clip: clip.sample):
        line = recorder.run.values.get((clip.sample, of_clips))
        if line is not None and line.value is not None:
            counted.clips.append(clip)
            counted.errors.append(int(line.details["errors"] or 0))
            counted.expected.append(int(line.details["expected"] or 0))
        elif line is not None and line.reason is not None:
            counted.left_out[clip.sample] = line.reason
    return counted


def _value(entry: MetricEntry, counted: _Counted, protocol: Protocol) -> ValueRecord:
    common: dict[str, Any] = {
        "sample": None,
        "metric": entry.spec.id,
        "protocol": protocol.identity,
        "inputs_sha256": counted.sha256,
        "left_out": counted.left_out,
    }
    if not counted.clips:
        return ValueRecord(**common, value=None, reason=_nothing(counted))
    errors, expected = np.array(counted.errors), np.array(counted.expected)
    prompts = [clip.prompt_id for clip in counted.clips]
    counts = np.concatenate([np.ones((1, len(errors)), np.int64), draw_counts(prompts, REPLICATES, 0)])
    rates = corpus_rate(errors, expected, counts).tolist()
    details: dict[str, Scalar] = {
        "errors": int(errors.sum()),
        "expected": int(expected.sum()),
        "mean_at_most_1": float(np.minimum(errors / expected, 1).mean()),
        "mean": float((errors / expected).mean()),
    }
    return ValueRecord(
        **common,
        value=rates[0],
        details=details,
        replicates=tuple(rates[1:]) if len(set(prompts)) > 1 else (),
        warnings=warnings_of(entry, len(counted.clips), counted.left_out),
    )


def _nothing(counted: _Counted) -> Reason:
    """What was missing or failed at the first clip that tells it; else that nothing was counted."""
    for kind in ("not_available", "failed"):  # what can be brought is told first
        found = next((why for why in counted.left_out.values() if why.kind == kind), None)
        if found is not None:
            return found
    return Reason(kind="too_few", message="no clip has spoken lines that were heard and counted", stage="metric")
