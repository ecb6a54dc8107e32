"""The comparison of several runs: one column per metric and protocol, one cell per system, and what must be said."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ltx2_reports.cells import MISSING_WORDS, Cell, Gathered, Key, Mark, clips_asked, gather, to_cells
from ltx2_reports.records import MetricSpec, Protocol, Run, RunHeader
from ltx2_reports.shared_noise import independence_notes, noise_notes
from ltx2_reports.statistics import (
    LEVEL,
    RESAMPLES,
    SEED,
    Difference,
    Interval,
    centred_interval,
    detectable,
    paired_differences,
)
from ltx2_reports.statistics.studentised import range_of_differences
from ltx2_reports.timings import is_timing, typical
from ltx2_reports.told_apart import labels_of, mixed_sentences

RUNTIME_PREFIX = "runtime."


class MixedProtocolsError(ValueError):
    """Values of one metric were measured in different ways; the message names the fields that differ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class System:
    """One run in the comparison."""

    label: str
    header: RunHeader
    clips: int
    """Clips that were asked for."""
    failed: int
    """Of these, clips that could not be made or read."""
    cut: int = 0
    """Clips whose prompt was longer than the model reads."""
    most_lost: int = 0
    """Tokens that the longest of those prompts lost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A metric under one protocol, and its cell for each system, in the order of the systems."""

    metric: MetricSpec
    protocol: Protocol
    id: str
    """Identity of the protocol."""
    primary: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Systems side by side. Values of different protocols never share a column."""

    systems: tuple[System, ...]
    columns: tuple[Column, ...]
    baseline: str | None
    level: float
    resamples: int
    mixed: tuple[str, ...]
    """One sentence per pair of protocols of one metric: which fields differ."""
    notes: tuple[str, ...]
    """Reasons of missing values, warnings, exclusions; raw text, writers make it safe."""

    def require_one_protocol_per_metric(self) -> None:
        """Refuse a comparison in which a metric was measured in different ways.

        Raises:
            MixedProtocolsError: naming the metrics and the fields that differ.
        """
        if self.mixed:
            raise MixedProtocolsError(
                "; ".join(self.mixed) + "; score the runs again with one setting, or leave one out"
            )


def compare(
    runs: Sequence[Run],
    *,
    baseline: str | None = None,
    primary: Sequence[str] = (),
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Comparison:
    """Put runs side by side.

    Args:
        runs: at least one; two of the same system are told apart by their folders.
        baseline: label of the system from which paired differences are shown; of several of one name the first.
        primary: ids of the metrics that were declared to decide; they come first.
        level: of the intervals.
        resamples: bootstrap draws.
        seed: of the draws.

    Raises:
        ValueError: no run, or an unknown baseline.
    """
    if not runs:
        raise ValueError("found no run, expected at least one run folder")
    labels = labels_of(runs)
    baseline = _baseline(baseline, labels, runs)
    keys = _ordered(_keys(runs), primary)
    gathered = [[gather(run, label, key) for run, label in zip(runs, labels, strict=True)] for key in keys]
    keys, gathered = _merge_empty(keys, gathered)
    cells = iter(to_cells([found for row in gathered for found in row], level, resamples, seed))
    columns = [_column(key, tuple(next(cells) for _ in labels), primary) for key in keys]
    columns = [_of_timings(column, runs, baseline) if is_timing(column.metric) else column for column in columns]
    columns = _with_differences(columns, baseline, level, resamples, seed)
    systems = tuple(_system(run, label) for run, label in zip(runs, labels, strict=True))
    mixed = tuple(mixed_sentences([(c.metric.id, c.protocol, _systems_with_value(c)) for c in columns]))
    noise = (*noise_notes(runs, labels), *independence_notes(runs, labels))
    return Comparison(
        systems=systems,
        columns=tuple(columns),
        baseline=baseline,
        level=level,
        resamples=resamples,
        mixed=mixed,
        notes=(*mixed, *_notes(systems, columns, primary), *noise),
    )


def _baseline(wanted: str | None, labels: Sequence[str], runs: Sequence[Run]) -> str | None:
    """The label that is meant: as given, or the first of the runs that have that name."""
    if wanted is None or wanted in labels:
        return wanted
    named = [label for label, run in zip(labels, runs, strict=True) if run.header.spec.system == wanted]
    if not named:
        raise ValueError(f"baseline {wanted!r}: expected one of {', '.join(map(repr, labels))}")
    return named[0]


def _keys(runs: Sequence[Run]) -> list[Key]:
    """Columns that some value of some run belongs to."""
    keys: dict[str, Key] = {}
    for run in runs:
        for line in run.values.values():
            described = run.protocols[line.protocol]
            keys.setdefault(line.protocol, Key(metric=described.metric, protocol=described.protocol, id=described.id))
    return list(keys.values())


def _ordered(keys: list[Key], primary: Sequence[str]) -> list[Key]:
    """Primary metrics in their given order, then the others by id, runtime last."""
    rank = {metric: place for place, metric in enumerate(primary)}
    return sorted(
        keys,
        key=lambda key: (
            rank.get(key.metric.id, len(rank)),
            key.metric.id.startswith(RUNTIME_PREFIX),
            key.metric.id,
            key.id,
        ),
    )


def _merge_empty(keys: list[Key], gathered: list[list[Gathered]]) -> tuple[list[Key], list[list[Gathered]]]:
    """Move reasons without any number into the columns of the same metric that have numbers.

    Where weights are missing the protocol cannot name them, so it differs from that of a run that had them; as there is
    no number, nothing is mixed.
    """
    full = {key.metric.id for key, row in zip(keys, gathered, strict=True) if any(found.has_value for found in row)}
    kept: list[Key] = []
    rows: list[list[Gathered]] = []
    for key, row in zip(keys, gathered, strict=True):
        empty = not any(found.has_value for found in row)
        if empty and (key.metric.id in full or any(other.metric.id == key.metric.id for other in kept)):
            continue
        others = [other for k, other in zip(keys, gathered, strict=True) if k.metric.id == key.metric.id]
        kept.append(key)
        rows.append([_most_telling(found, [other[place] for other in others]) for place, found in enumerate(row)])
    return kept, rows


def _most_telling(found: Gathered, others: Iterable[Gathered]) -> Gathered:
    if found.has_value or found.reasons:
        return found
    return next((other for other in others if other.reasons and not other.has_value), found)


def _column(key: Key, cells: tuple[Cell, ...], primary: Sequence[str]) -> Column:
    return Column(metric=key.metric, protocol=key.protocol, id=key.id, primary=key.metric.id in primary, cells=cells)


def _of_timings(column: Column, runs: Sequence[Run], baseline: str | None) -> Column:
    """Medians of whole runs, as `contrast` has them: clips of a run share the state of the machine, and their spread
    says nothing of how much another run would differ, so that there is neither interval nor best."""
    cells = [
        cell if cell.interval is None else replace(cell, interval=_median(run, column.metric, cell.interval))
        for cell, run in zip(column.cells, runs, strict=True)
    ]
    base = next((cell.value for cell in cells if cell.system == baseline), None)
    return replace(
        column,
        cells=tuple(
            replace(cell, ratio=cell.value / base) if base and cell.value and cell.system != baseline else cell
            for cell in cells
        ),
    )


def _median(run: Run, metric: MetricSpec, mean: Interval) -> Interval:
    value = typical(run, metric.id)
    value = typical(run, metric.id, warm_up=0) if value is None else value
    return Interval(value=mean.value if value is None else value, low=None, high=None, n=mean.n)


def _system(run: Run, label: str) -> System:
    failed = sum(clip.reason is not None for clip in run.clips.values())
    lost = [int(found) for clip in run.clips.values() if (found := clip.details.get("prompt_tokens_lost"))]
    return System(
        label=label,
        header=run.header,
        clips=clips_asked(run),
        failed=failed,
        cut=len(lost),
        most_lost=max(lost, default=0),
    )


def _with_differences(
    columns: list[Column], baseline: str | None, level: float, resamples: int, seed: int
) -> list[Column]:
    """Fill in differences from the baseline and the marks of the best, all bootstraps in one pass."""
    wanted: list[tuple[Cell, Cell]] = []
    for column in columns:
        if is_timing(column.metric):
            continue
        base = next((cell for cell in column.cells if cell.system == baseline), None)
        best = _leader(column)
        for cell in column.cells:
            wanted += [(cell, base)] if base is not None and cell is not base else []
            wanted += [(best, cell)] if best is not None and cell is not best else []
    found = _differences(wanted, level, resamples, seed)
    return [_finished(column, baseline, found) for column in columns]


Pair = tuple[int, int]


def _differences(
    pairs: list[tuple[Cell, Cell]], level: float, resamples: int, seed: int
) -> dict[Pair, Difference | None]:
    """Differences first - second, keyed by the identities of the two cells."""
    by_clip = [(a, b) for a, b in pairs if a.by_prompt and b.by_prompt]
    ranges = [range_of_differences(a.allowed) for a, _ in by_clip]
    values = [(a.by_prompt, b.by_prompt) for a, b in by_clip]
    means = paired_differences(values, level, resamples, seed, ranges=ranges)
    found: dict[Pair, Difference | None] = {(id(a), id(b)): _of_sets(a, b, level) for a, b in pairs}
    found.update({(id(a), id(b)): made for (a, b), made in zip(by_clip, means, strict=True)})
    return found


def _of_sets(first: Cell, second: Cell, level: float) -> Difference | None:
    """Difference of two set metrics whose replicates were drawn from the same prompts."""
    if first.value is None or second.value is None or not first.prompts or first.prompts != second.prompts:
        return None
    if len(first.replicates) != len(second.replicates) or len(first.replicates) < 2:
        return None
    draws = [a - b for a, b in zip(first.replicates, second.replicates, strict=True)]
    interval = centred_interval(first.value - second.value, draws, level)
    n = len(first.prompts)
    least = detectable(float(np.std(draws, ddof=1)), n) if n > 1 else None
    return Difference(interval=interval, prompts=n, excluded=0, detectable=least)


def _leader(column: Column) -> Cell | None:
    """The cell with the best value, where better is defined and there is something to compare with."""
    cells = [cell for cell in column.cells if cell.value is not None]
    if len(cells) < 2 or column.metric.direction not in ("up", "down"):
        return None
    sign = 1 if column.metric.direction == "up" else -1
    return max(cells, key=lambda cell: sign * (cell.value or 0.0))


def _finished(column: Column, baseline: str | None, found: dict[Pair, Difference | None]) -> Column:
    base = next((cell for cell in column.cells if cell.system == baseline), None)
    marks = _marks(column, found)
    cells = tuple(
        replace(cell, difference=None if base is None else found.get((id(cell), id(base))), mark=mark)
        for cell, mark in zip(column.cells, marks, strict=True)
    )
    return replace(column, cells=cells)


def _marks(column: Column, found: dict[Pair, Difference | None]) -> list[Mark]:
    """Mark the leader as best if it is ahead of every other system for certain, else it and its equals as tied."""
    best = _leader(column)
    if best is None or is_timing(column.metric):
        return [""] * len(column.cells)
    rivals = [cell for cell in column.cells if cell is not best and cell.value is not None]
    differences = {id(cell): found.get((id(best), id(cell))) for cell in rivals}
    if any(difference is None for difference in differences.values()):
        return [""] * len(column.cells)
    level = {place for place, made in differences.items() if made is not None and not made.separated}
    own: Mark = "tied" if level else "best"
    return [own if cell is best else "tied" if id(cell) in level else "" for cell in column.cells]


def _systems_with_value(column: Column) -> list[str]:
    return [cell.system for cell in column.cells if cell.value is not None]


def _notes(systems: Sequence[System], columns: Sequence[Column], primary: Sequence[str]) -> list[str]:
    found = {column.metric.id for column in columns}
    notes = [f"{metric}: declared primary, but no run has it" for metric in primary if metric not in found]
    notes += _containers(systems)
    notes += [f"{s.label}: {s.failed} of {s.clips} clips could not be made or read" for s in systems if s.failed]
    notes += [
        f"{s.label}: the prompts of {s.cut} of {s.clips} clips are longer than the model reads; up to {s.most_lost} "
        "tokens at their ends were not used"
        for s in systems
        if s.cut
    ]
    said: dict[tuple[str, str], list[str]] = {}
    for column in columns:
        sentences: dict[str, list[str]] = {}
        for cell in column.cells:
            for sentence in _sentences(cell):
                sentences.setdefault(sentence, []).append(cell.system)
        for sentence, who in sentences.items():
            said.setdefault((sentence, _who(who, systems)), []).append(column.metric.id)
    return notes + [f"{', '.join(dict.fromkeys(what))} ({who}): {sentence}" for (sentence, who), what in said.items()]


def _containers(systems: Sequence[System]) -> list[str]:
    """What a codec does to a clip is part of every value, so that different ones are told."""
    by_container: dict[str, list[str]] = {}
    for system in systems:
        by_container.setdefault(system.header.spec.container or "not written here", []).append(system.label)
    sides = "; ".join(f"{container} ({', '.join(labels)})" for container, labels in by_container.items())
    return [f"codec differs between systems: {sides}"] if len(by_container) > 1 else []


def _who(labels: Sequence[str], systems: Sequence[System]) -> str:
    return "all systems" if len(labels) == len(systems) > 1 else "; ".join(labels)


def _sentences(cell: Cell) -> list[str]:
    sentences = [cell.reason] if cell.reason is not None and cell.reason != "not scored" else []
    if cell.interval is not None and cell.missing:
        kinds = ", ".join(f"{count} {MISSING_WORDS[kind]}" for kind, count in cell.missing.items())
        sentences.append(f"{cell.n} of {cell.asked} clips have a value ({kinds})")
    if cell.difference is not None and cell.difference.excluded:
        sentences.append(f"{cell.difference.excluded} prompts left out of the difference, only one side has a value")
    return [*sentences, *cell.left_out, *cell.warnings]
