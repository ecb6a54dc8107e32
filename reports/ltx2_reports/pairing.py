"""Two runs, one metric: the values that can be compared, clip by clip, and what was left out and why."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ltx2_reports.cells import MISSING_WORDS
from ltx2_reports.numbers import clips_counted
from ltx2_reports.records import MetricSpec, Protocol, Run, ValueRecord
from ltx2_reports.same_prompts import unlike_prompts
from ltx2_reports.statistics import LEAST_PROMPTS
from ltx2_reports.statistics.draws import Array

ClipKey = tuple[str, int]
"""Prompt id and seed."""
ByClip = dict[ClipKey, float]
_NAMED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Paired:
    """One clip metric of two runs on what both have."""

    metric: MetricSpec
    protocol: Protocol
    prompts: tuple[str, ...]
    """Shared prompts, sorted."""
    first: Array
    """(n,) mean over the shared seeds of each prompt."""
    second: Array
    clips: int
    """Pairs of clips; without shared seeds the smaller number of clips on the shared prompts."""
    by_seed: bool
    """Whether clips of equal seeds were paired; else the seeds of each side were averaged."""
    excluded: tuple[str, ...]
    """What was left out, one sentence per reason."""
    lost: float
    """Share of the first run's values that have no partner in the second."""
    tables: tuple[Array, ...]
    """(prompts, seeds) of the prompts that have every seed: of the differences where clips were paired by seed, else of
    each side."""
    same_clips: bool = False
    """Whether every clip of the one side is its partner of the other, bit for bit, or at least what the metric sees."""

    @property
    def differences(self) -> Array:
        """(n,) second minus first."""
        return self.second - self.first


def pair(first: Run, second: Run, metric: str) -> Paired:
    """Pair the clips of two runs on shared prompts and seeds.

    Where the runs have prompts in common but no seed, the seeds of each prompt are averaged first. Of metrics whose
    best value is zero the distance from zero is taken, since an offset of -40 ms is no better than one of 40 ms. Of two
    suites the prompts that are the same in both take part.

    Raises:
        ValueError: no prompt has a value on both sides; the message says why.
    """
    described = _described(first, metric)
    asked = clip_values(first, metric, described.metric)
    ours, theirs = _alike(first, second, asked, clip_values(second, metric, described.metric))
    shared = sorted(ours.keys() & theirs.keys())
    by_seed = bool(shared)
    sides = [{key: side[key] for key in shared} for side in (ours, theirs)] if by_seed else [ours, theirs]
    grouped = [_by_prompt(side) for side in sides]
    prompts = tuple(sorted(grouped[0].keys() & grouped[1].keys()))
    excluded = tuple(_exclusions(first, second, metric, ours, theirs, by_seed))
    if not prompts:
        why = f": {'; '.join(excluded)}" if excluded else ""
        raise ValueError(f"{metric}: no prompt has a value on both sides{why}")
    means = [np.array([np.mean(side[prompt]) for prompt in prompts]) for side in grouped]
    known = {prompt for prompt, _ in theirs}
    lost = sum(key not in theirs if by_seed else key[0] not in known for key in asked) / len(asked)
    return Paired(
        metric=described.metric,
        protocol=described.protocol,
        prompts=prompts,
        first=means[0],
        second=means[1],
        clips=min(sum(len(side[prompt]) for prompt in prompts) for side in grouped),
        by_seed=by_seed,
        excluded=excluded,
        lost=lost,
        tables=tuple(_tables(sides[0], sides[1], prompts, by_seed)),
        same_clips=by_seed and (_same_clips(first, second, shared) or _same_measured(*means)),
    )


def _same_measured(first: Array, second: Array) -> bool:
    """Whether what a metric looks at is the same on both sides: values that all differ, and agree to the last bit."""
    return len(first) >= LEAST_PROMPTS and bool((first == second).all()) and len(np.unique(first)) == len(first)


def _same_clips(first: Run, second: Run, keys: Iterable[ClipKey]) -> bool:
    """Whether the clips of these keys are the same files; values that differ nonetheless are another machine's."""
    sides = [{key: run.clips[sample].sha256 for key, sample in clip_keys(run).items()} for run in (first, second)]
    pairs = [(sides[0].get(key), sides[1].get(key)) for key in keys]
    return bool(pairs) and all(ours is not None and ours == theirs for ours, theirs in pairs)


def _alike(first: Run, second: Run, ours: ByClip, theirs: ByClip) -> tuple[ByClip, ByClip]:
    """Without the clips of prompts that the two suites have under one id but not with the same content."""
    unlike = unlike_prompts(first, second)
    return (
        {key: value for key, value in ours.items() if key[0] not in unlike},
        {key: value for key, value in theirs.items() if key[0] not in unlike},
    )


def _tables(ours: ByClip, theirs: ByClip, prompts: Sequence[str], by_seed: bool) -> Iterator[Array]:
    if by_seed:
        yield _table({key: theirs[key] - value for key, value in ours.items()}, prompts)
        return
    for side in (ours, theirs):
        yield _table(side, prompts)


def _table(values: ByClip, prompts: Sequence[str]) -> Array:
    seeds = sorted({seed for _, seed in values})
    rows = [[values[prompt, seed] for seed in seeds] for prompt in prompts if all((prompt, s) in values for s in seeds)]
    return np.array(rows).reshape(len(rows), len(seeds))


def clip_keys(run: Run) -> dict[ClipKey, str]:
    """Samples of a run by prompt and seed."""
    return {(clip.prompt_id, clip.seed): sample for sample, clip in run.clips.items()}


def _described(run: Run, metric: str) -> "_Described":
    lines = [line for line in run.of_metric(metric) if line.value is not None] or run.of_metric(metric)
    if not lines:
        raise ValueError(f"{metric}: {run.folder} has no record of it; score the run with --metric {metric}")
    found = run.protocols[lines[0].protocol]
    return _Described(metric=found.metric, protocol=found.protocol)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Described:
    metric: MetricSpec
    protocol: Protocol


def clip_values(run: Run, metric: str, spec: MetricSpec) -> ByClip:
    """Values of a clip metric by prompt and seed; distances from zero where zero is best."""
    found: ByClip = {}
    for key, sample in clip_keys(run).items():
        line = run.values.get((sample, metric))
        if line is not None and line.value is not None:
            found[key] = abs(line.value) if spec.direction == "zero" else line.value
    return found


class PairedSets(NamedTuple):
    """The clips of a set metric."""

    clips: int
    """That took part on both sides."""
    lost: float
    """Share of the first run's that did not in the second."""
    excluded: tuple[str, ...]
    """What was left out and why."""
    same_clips: bool
    """Whether both sets are the same clips, bit for bit."""


def pair_sets(first: Run, second: Run, metric: str) -> PairedSets:
    """Pair the clips that took part in a set metric."""
    asked = _in_set(first, metric)
    ours, theirs = _alike(first, second, asked, _in_set(second, metric))
    shared = ours.keys() & theirs.keys()
    lost = len(asked.keys() - shared) / len(asked) if asked else 0.0
    excluded = tuple(_exclusions(first, second, metric, ours, theirs, bool(shared)))
    same = ours.keys() == theirs.keys() and _same_clips(first, second, shared)
    return PairedSets(clips=len(shared), lost=lost, excluded=excluded, same_clips=same)


def _in_set(run: Run, metric: str) -> ByClip:
    left_out = run.values[(None, metric)].left_out
    return {
        key: 0.0
        for key, sample in clip_keys(run).items()
        if run.clips[sample].sha256 is not None and sample not in left_out
    }


def _by_prompt(values: ByClip) -> dict[str, list[float]]:
    grouped: dict[str, list[float]] = {}
    for (prompt, _), value in sorted(values.items()):
        grouped.setdefault(prompt, []).append(value)
    return grouped


def _exclusions(first: Run, second: Run, metric: str, ours: ByClip, theirs: ByClip, by_seed: bool) -> Iterable[str]:
    keys = (clip_keys(first), clip_keys(second))
    if not by_seed and ours and theirs:
        yield "no clip with a value on both sides has the same seed: seeds were averaged, then paired by prompt"
        shared_prompts = {prompt for prompt, _ in ours} & {prompt for prompt, _ in theirs}
        gone = [key for side in (ours, theirs) for key in side if key[0] not in shared_prompts]
        if gone:
            yield f"{clips_counted(len(gone))} left out: the prompt has a value on one side only"
        return
    unlike = unlike_prompts(first, second)
    reasons: dict[str, list[str]] = {}
    for key in sorted({*keys[0], *keys[1]}):
        if key[0] in unlike:
            reasons.setdefault(f"the prompt is not the same in A and B ({unlike[key[0]]})", []).append(key[0])
        elif key not in ours or key not in theirs:
            sides = zip((first, second), keys, (ours, theirs), "AB", strict=True)
            whys = [_why(run, of.get(key), key[0], metric, name) for run, of, has, name in sides if key not in has]
            reasons.setdefault("; ".join(whys), []).append(key[0])
    for reason, prompts in sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0])):
        named = f": {_few(prompts)}" if "prompt" in reason else ""
        yield f"{clips_counted(len(prompts))} left out: {reason}{named}"


def _few(prompts: Sequence[str]) -> str:
    names = list(dict.fromkeys(prompts))
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _why(run: Run, sample: str | None, prompt: str, metric: str, side: str) -> str:
    if sample is None:
        asked = any(ref.id == prompt for ref in run.header.spec.prompts)
        return f"not in {side}" if asked else f"the prompt is not in {side}'s suite"
    line: ValueRecord | None = run.values.get((sample, metric))
    of_set = run.values[(None, metric)].left_out.get(sample) if (None, metric) in run.values else None
    reason = line.reason if line is not None else of_set or run.clips[sample].reason
    return f"{MISSING_WORDS[reason.kind] if reason is not None else 'not scored'} in {side}"
