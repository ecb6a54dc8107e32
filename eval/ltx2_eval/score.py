"""Clips -> values: every clip is decoded at most once for all the metrics and features that still miss it.

While one clip is judged the next is decoded in a thread, one ahead: two clips are in memory, however many there are.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltx2_benchmarks.suite import Prompt
from ltx2_eval.attempt import attempt
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable, NotAvailable, full_float32
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.features import FeatureCache
from ltx2_eval.generate import Progress
from ltx2_eval.media import read_clip
from ltx2_eval.metrics.base import MetricEntry, Outcome, Subject
from ltx2_eval.metrics.catalogue import clip_metric
from ltx2_eval.protocol import protocol_of
from ltx2_eval.recording import Recorder
from ltx2_eval.reference import AnyReference, Reference
from ltx2_eval.traces import trace_of
from ltx2_reports.records import ClipRecord, Protocol, Reason, ReferenceRef, RunHeader, ValueRecord
from ltx2_reports.store import file_hash
from ltx2_reports.traces import read_trace, write_trace

_FINAL = ("not_applicable", "abstained", "failed", "too_few")


@dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    """What scoring a clip needs besides the clip."""

    entries: tuple[MetricEntry, ...]
    pool: ExtractorPool
    cache: FeatureCache
    prompts: Mapping[str, Prompt]
    """By prompt id; a clip whose prompt is not here is judged without one."""
    protocols: Mapping[str, Protocol]
    """Of each clip metric, by metric id."""
    reference: AnyReference | None = None
    """Where clip metrics that need one find the clip of the same name."""
    retry_failed: bool = False
    """Whether values whose computation failed before are computed again."""
    without: dict[tuple[str, str], Reason] = field(default_factory=dict)
    """Why features cannot be had, by hash of the clip and extractor: not tried again, nor decoded for, in this run."""


def judge_of(
    header: RunHeader,
    entries: tuple[MetricEntry, ...],
    pool: ExtractorPool,
    cache: FeatureCache,
    prompts: Mapping[str, Prompt],
    reference: AnyReference | None = None,
    *,
    retry_failed: bool = False,
) -> Judge:
    """A judge for the clips of one run, with the protocols that hold here and now."""
    protocols = {
        entry.spec.id: protocol_of(entry, header, pool, reference=_named(entry, reference))
        for entry in entries
        if entry.spec.level == "clip"
    }
    return Judge(
        entries=entries,
        pool=pool,
        cache=cache,
        prompts=prompts,
        protocols=protocols,
        reference=reference,
        retry_failed=retry_failed,
    )


def _named(entry: MetricEntry, reference: AnyReference | None) -> ReferenceRef | None:
    if reference is None or "reference" not in entry.spec.needs:
        return None
    return reference.named_ref if isinstance(reference, Reference) else reference.ref


class Media:
    """A clip file, opened on first need: hash checked, decoded once, features by extractor."""

    def __init__(self, path: Path, sha256: str, judge: Judge) -> None:
        self._path, self._sha256, self._judge = path, sha256, judge
        self._coming: Future[tuple[Clip, None] | tuple[None, Reason]] | None = None
        self._partner: tuple[Clip, None] | tuple[None, Reason] | None = None
        self._known: dict[str, NDArray[np.float32]] = {}

    def decode_in(self, thread: Executor) -> None:
        """Begin to decode, for `decoded` to wait for."""
        self._coming = thread.submit(attempt, "decode", self._read)

    @functools.cached_property
    def decoded(self) -> tuple[Clip, None] | tuple[None, Reason]:
        """The clip, or why there is none."""
        return self._coming.result() if self._coming is not None else attempt("decode", self._read)

    def partner(self, record: ClipRecord) -> tuple[Clip, None] | tuple[None, Reason]:
        """The clip of the reference set that has this one's name, decoded once, or why there is none."""
        if self._partner is None:
            self._partner = attempt("decode", lambda: self._read_partner(record))
        return self._partner

    def _read_partner(self, record: ClipRecord) -> Clip:
        reference = self._judge.reference
        if reference is None:
            raise NotAvailable("no reference set: name one with --reference, a folder of clips with the same names")
        if not isinstance(reference, Reference):
            raise NotApplicable(f"reference {reference.ref.name} holds statistics only; this metric needs its clips")
        return reference.partner(record)

    def forget(self) -> None:
        """Let go of the clip and its features, which no one asks for any more."""
        self._coming = self._partner = None
        self.__dict__.pop("decoded", None)
        self._known.clear()

    def has_features(self, extractor: str) -> bool:
        """Whether the cache has them."""
        pool = self._judge.pool
        return self._judge.cache.path(self._sha256, pool.spec(extractor), pool.weights_sha256(extractor)).exists()

    def features(self, extractor: str) -> tuple[NDArray[np.float32], None] | tuple[None, Reason]:
        """(k, d) features, read or computed once; a damaged cache is an error of the run."""
        if not self._path.exists():
            return None, Reason(kind="failed", message=self._gone, stage="decode")
        if extractor not in self._known:
            place = self._sha256, extractor
            if place in self._judge.without:
                return None, self._judge.without[place]
            found, reason = self._cached_or_computed(extractor)
            if found is None:
                assert reason is not None
                self._judge.without[place] = reason
                return None, reason
            self._known[extractor] = found
        return self._known[extractor], None

    def _cached_or_computed(self, extractor: str) -> tuple[NDArray[np.float32], None] | tuple[None, Reason]:
        pool = self._judge.pool
        cached = self._judge.cache.get(self._sha256, pool.spec(extractor), pool.weights_sha256(extractor))
        return (cached, None) if cached is not None else attempt("features", lambda: self._features(extractor))

    @property
    def _gone(self) -> str:
        return f"{self._path.name} is gone; bring it back, or run the command that made it again"

    def _read(self) -> Clip:
        if not self._path.exists():
            raise ValueError(
                f"{self._path.name} is gone; bring it back, or run the same `ltx2-eval run` or `generate` again"
            )
        if file_hash(self._path) != self._sha256:
            raise ValueError(f"{self._path.name} was changed after it was recorded; make or score it in a new run")
        return read_clip(self._path)

    def _features(self, extractor: str) -> NDArray[np.float32]:
        pool = self._judge.pool
        network = pool.get(extractor)
        clip, reason = self.decoded
        if clip is None:
            assert reason is not None
            raise NotApplicable(f"the clip cannot be decoded: {reason.message}")
        with full_float32():
            features = network.features(clip)
        self._judge.cache.put(self._sha256, pool.spec(extractor), pool.weights_sha256(extractor), features)
        return features


def score_clips(recorder: Recorder, judge: Judge, progress: Progress) -> None:
    """Compute every clip metric of every clip that the run does not have yet, and the features set metrics need."""
    clips = sorted(recorder.run.clips.values(), key=lambda record: record.sample)
    with ThreadPoolExecutor(1) as thread:
        for done, task in enumerate(_decoding_ahead((_task(recorder, judge, record) for record in clips), thread)):
            progress("score", done, len(clips))
            for value, entry in _missing_values(recorder.folder, judge, task):
                recorder.add_value(value, judge.protocols[entry.spec.id], entry.spec)
    progress("score", len(clips), len(clips))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Task:
    """What one clip still lacks."""

    record: ClipRecord
    media: Media | None
    wanted: tuple[MetricEntry, ...]
    """Clip metrics."""
    extractors: tuple[str, ...]
    """Whose features set metrics need."""

    @property
    def reads_the_clip(self) -> bool:
        """Whether it has to be decoded."""
        media = self.media
        return media is not None and (bool(self.wanted) or not all(map(media.has_features, self.extractors)))


def _task(recorder: Recorder, judge: Judge, record: ClipRecord) -> _Task:
    return _Task(
        record=record,
        media=media_of(recorder.folder, record, judge),
        wanted=tuple(
            entry
            for entry in judge.entries
            if entry.spec.level == "clip" and not _is_current(recorder, judge, record, entry)
        ),
        extractors=tuple(sorted({e.extractor for e in judge.entries if e.extractor and e.spec.level == "set"})),
    )


def _decoding_ahead(tasks: Iterable[_Task], thread: Executor) -> Iterator[_Task]:
    """The tasks in order, the clip of each begun to be decoded while the one before is worked on."""
    previous: _Task | None = None
    for task in tasks:
        if task.media is not None and task.reads_the_clip:
            task.media.decode_in(thread)
        if previous is not None:
            yield previous
        previous = task
    if previous is not None:
        yield previous


def _missing_values(folder: Path, judge: Judge, task: _Task) -> Iterator[tuple[ValueRecord, MetricEntry]]:
    record, media = task.record, task.media
    if task.wanted and media is not None:
        _leave_trace(folder, record, media)
    for entry in task.wanted:
        yield _value(record, judge.protocols[entry.spec.id], _outcome(record, media, entry, judge)), entry
    if media is not None:
        for extractor in task.extractors:
            if not media.has_features(extractor):
                media.features(extractor)  # while the clip is decoded; set metrics read them from the cache
        media.forget()


def _leave_trace(folder: Path, record: ClipRecord, media: Media) -> None:
    """Write what the report draws under the clip, while it is decoded for the metrics."""
    sha256, (clip, _) = record.sha256, media.decoded
    if clip is None or sha256 is None or read_trace(folder, record.sample, sha256) is not None:
        return
    trace, _ = attempt("trace", lambda: trace_of(clip, sha256))
    if trace is not None:
        write_trace(folder, record.sample, trace)


def media_of(folder: Path, record: ClipRecord, judge: Judge) -> Media | None:
    """The clip's file, or None where none was made."""
    if record.file is None or record.sha256 is None:
        return None
    return Media(folder / record.file, record.sha256, judge)


def _is_current(recorder: Recorder, judge: Judge, record: ClipRecord, entry: MetricEntry) -> bool:
    """Whether the run has this value, under today's protocol and not for want of weights."""
    known = recorder.run.values.get((record.sample, entry.spec.id))
    if known is None:
        return False
    if known.protocol != judge.protocols[entry.spec.id].identity:
        return False
    if known.reason is None:
        return True
    if judge.retry_failed and known.reason.kind == "failed" and record.file is not None:
        return False
    was_made_since = record.file is not None and known.reason.stage in ("generate", "write")
    return known.reason.kind in _FINAL and not was_made_since


def _outcome(record: ClipRecord, media: Media | None, entry: MetricEntry, judge: Judge) -> Outcome:
    if media is None:
        return Outcome(reason=record.reason)
    features = extractor = None
    if entry.extractor and entry.reads_features:
        features, reason = media.features(entry.extractor)
        if features is None:
            return Outcome(reason=reason)
    if entry.extractor:
        extractor = judge.pool.when_used(entry.extractor)
    clip, reason = media.decoded
    if clip is None:
        return Outcome(reason=reason)
    partner = None
    if "reference" in entry.spec.needs:
        partner, reason = media.partner(record)
        if partner is None:
            return Outcome(reason=reason)
    subject = Subject(clip=clip, record=record, prompt=judge.prompts.get(record.prompt_id), reference=partner)
    metric = clip_metric(entry)
    with full_float32():
        outcome, reason = attempt(
            "metric", lambda: judged(entry, metric(subject, features, extractor, **entry.settings))
        )
    return Outcome(reason=reason) if outcome is None else outcome


def judged(entry: MetricEntry, outcome: Outcome) -> Outcome:
    """Refuse what is not a result: neither value nor reason, both, not finite, or outside the metric's range."""
    if (outcome.value is None) == (outcome.reason is None):
        raise ValueError(f"{entry.spec.id} gave {outcome!r}, expected either a value or a reason")
    low, high = entry.spec.range
    value = outcome.value
    if value is not None and not (
        np.isfinite(value) and (low is None or value >= low) and (high is None or value <= high)
    ):
        raise ValueError(f"{entry.spec.id} gave {value}, outside its range {low} to {high}")
    return outcome


def _value(record: ClipRecord, protocol: Protocol, outcome: Outcome) -> ValueRecord:
    return ValueRecord(
        sample=record.sample,
        metric=protocol.metric,
        protocol=protocol.identity,
        value=None if outcome.value is None else float(outcome.value),
        reason=outcome.reason,
        details=outcome.details,
        warnings=outcome.warnings,
    )
