"""One cell of a comparison: what one run says of one metric under one protocol."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ltx2_reports.numbers import clips_counted
from ltx2_reports.records import (
    ClipRecord,
    MetricSpec,
    Protocol,
    Reason,
    ReasonKind,
    Run,
    ValueRecord,
    inputs_hash,
)
from ltx2_reports.statistics import Difference, Interval, centred_interval, error_interval, mean_intervals
from ltx2_reports.statistics.sets import STANDARD_ERROR
from ltx2_reports.statistics.studentised import Range

Mark = Literal["best", "tied", ""]
Missing = Literal[ReasonKind, "not_scored", "not_made"]
MISSING_WORDS: dict[Missing, str] = {
    "failed": "failed",
    "abstained": "abstained",
    "not_available": "not available",
    "not_applicable": "not applicable",
    "too_few": "too few clips",
    "not_scored": "not scored",
    "not_made": "not made",
}
"""Every kind in which a value can be missing, in the order of tables, with its words for people."""
STALE = "made from other clips than the run has now; score it again"
_TOLD_REASONS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """What makes a column: a metric under one protocol."""

    metric: MetricSpec
    protocol: Protocol
    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A value with what is needed to judge it, or the reason why there is none."""

    system: str
    interval: Interval | None
    """None: there is no value, `reason` says why."""
    n: int
    """Clips with a value; set metrics: clips in the set."""
    asked: int
    """Clips that the run was asked for."""
    missing: Mapping[Missing, int]
    """Clips without a value, by kind of reason."""
    reason: str | None
    """The commonest reason, when there is no value at all."""
    warnings: tuple[str, ...]
    by_prompt: Mapping[str, list[float]] = field(default_factory=dict, repr=False)
    """Clip metrics: values by prompt."""
    replicates: tuple[float, ...] = field(default=(), repr=False)
    """Set metrics: values on prompts drawn with replacement."""
    prompts: frozenset[str] = field(default=frozenset(), repr=False)
    """Set metrics: prompts that the replicates were drawn from; empty where that is not known."""
    left_out: tuple[str, ...] = ()
    """Set metrics: why clips with a file did not take part, commonest reason first, one sentence each."""
    ratio: float | None = None
    """Timings: this value over the baseline system's; they have no difference, since one run each tells no error."""
    allowed: Range = (None, None)
    """Least and largest value that the metric can have."""
    difference: Difference | None = None
    """From the baseline system; None for the baseline itself and where no prompt is shared."""
    mark: Mark = ""

    @property
    def value(self) -> float | None:
        """The value in the metric's unit."""
        return None if self.interval is None else self.interval.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """The records of one run about one column, sorted out."""

    system: str
    set_record: ValueRecord | None
    by_prompt: dict[str, list[float]]
    missing: Counter[Missing]
    reasons: Counter[str]
    warnings: tuple[str, ...]
    n: int
    asked: int
    prompts: frozenset[str]
    left_out: Counter[str]
    allowed: Range = (None, None)
    """The metric's range."""

    @property
    def has_value(self) -> bool:
        """Whether there is any number."""
        return bool(self.by_prompt) or (self.set_record is not None and self.set_record.value is not None)


def clips_asked(run: Run) -> int:
    """Clips that the run was asked for: prompts times seeds, or those found where clips were only scored."""
    planned = len(run.header.spec.prompts) * len(run.header.spec.seeds) if run.header.spec.clip else 0
    return max(planned, len(run.clips))


def gather(run: Run, system: str, key: Key) -> Gathered:
    """Sort out what a run says of a metric under one protocol."""
    lines = [line for line in run.of_metric(key.metric.id) if line.protocol == key.id]
    whole = next((line for line in lines if line.sample is None), None)
    by_prompt, missing = _by_prompt(run, lines) if whole is None else ({}, _missing_from_set(run, whole))
    asked = clips_asked(run)
    missing["not_made"] = asked - len(run.clips)
    members = _members(run, whole)
    stale = _is_stale(whole, members)
    counted = sum(map(len, by_prompt.values()))
    return Gathered(
        system=system,
        set_record=whole,
        by_prompt=by_prompt,
        missing=+missing,
        reasons=Counter(_words(line.reason) for line in lines if line.reason is not None),
        warnings=tuple(sorted({warning for line in lines for warning in line.warnings}) + [STALE] * stale),
        n=counted if whole is None or whole.value is None else key.protocol.n or len(members),
        asked=asked,
        prompts=frozenset(() if stale else (clip.prompt_id for clip in members)),
        left_out=Counter(_words(reason) for reason in whole.left_out.values()) if whole is not None else Counter(),
        allowed=key.metric.range,
    )


def _words(reason: Reason) -> str:
    return f"{MISSING_WORDS[reason.kind]}: {reason.message}"


def _by_prompt(run: Run, lines: list[ValueRecord]) -> tuple[dict[str, list[float]], Counter[Missing]]:
    """A clip metric's values by prompt, and its clips without one by kind."""
    scored = {line.sample: line for line in lines}
    by_prompt: dict[str, list[float]] = {}
    missing: Counter[Missing] = Counter()
    for sample, clip in sorted(run.clips.items()):
        line = scored.get(sample)
        if line is not None and line.value is not None:
            by_prompt.setdefault(clip.prompt_id, []).append(line.value)
        else:
            reason = line.reason if line is not None else clip.reason
            missing[reason.kind if reason is not None else "not_scored"] += 1
    return by_prompt, missing


def _missing_from_set(run: Run, whole: ValueRecord) -> Counter[Missing]:
    """Clips that are not in a set, by kind: those that were not made, and those that could not take part."""
    reasons = (clip.reason or whole.left_out.get(sample) for sample, clip in run.clips.items())
    return Counter(reason.kind for reason in reasons if reason is not None)


def _members(run: Run, whole: ValueRecord | None) -> list[ClipRecord]:
    """The run's clips that are in the set: they have a file and were not left out."""
    left_out = whole.left_out if whole is not None else {}
    return [clip for sample, clip in run.clips.items() if clip.file is not None and sample not in left_out]


def _is_stale(whole: ValueRecord | None, members: list[ClipRecord]) -> bool:
    """Whether a set metric's value was computed on other clips than the set has today."""
    if whole is None or whole.value is None or whole.inputs_sha256 is None:
        return False
    return whole.inputs_sha256 != inputs_hash(members)


def to_cells(gathered: list[Gathered], level: float, resamples: int, seed: int) -> list[Cell]:
    """Add intervals, all bootstraps in one pass."""
    of_clips = [found for found in gathered if found.by_prompt]
    columns, ranges = [found.by_prompt for found in of_clips], [found.allowed for found in of_clips]
    means = iter(mean_intervals(columns, level, resamples, seed, ranges=ranges) if columns else [])
    return [_cell(found, next(means) if found.by_prompt else _of_set(found, level)) for found in gathered]


def _of_set(found: Gathered, level: float) -> Interval | None:
    if found.set_record is None or found.set_record.value is None:
        return None
    record, value, prompts = found.set_record, found.set_record.value, len(found.prompts)
    error = record.details.get(STANDARD_ERROR)
    if isinstance(error, float) and prompts > 1:
        return error_interval(value, error, prompts, level)
    return centred_interval(value, record.replicates, level)


def _cell(found: Gathered, interval: Interval | None) -> Cell:
    reason = min(found.reasons, key=lambda text: (-found.reasons[text], text), default=None)
    return Cell(
        system=found.system,
        interval=interval,
        n=found.n,
        asked=found.asked,
        missing=dict(sorted(found.missing.items())),
        reason=(reason or "not scored") if interval is None else None,
        warnings=found.warnings,
        by_prompt=found.by_prompt,
        replicates=found.set_record.replicates if found.set_record is not None else (),
        prompts=found.prompts,
        left_out=_left_out(found.left_out),
        allowed=found.allowed,
    )


def _left_out(reasons: Counter[str]) -> tuple[str, ...]:
    """The commonest reasons with their numbers of clips; what is rarer is counted."""
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    said = [f"{clips_counted(count)} left out, {words}" for words, count in ranked[:_TOLD_REASONS]]
    rest = sum(count for _, count in ranked[_TOLD_REASONS:])
    return tuple(said + [f"{clips_counted(rest)} left out for other reasons"] * (rest > 0))
