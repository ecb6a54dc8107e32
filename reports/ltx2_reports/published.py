"""Published figures as tables: one per protocol, and one per metric that many protocols call by the same name."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ltx2_benchmarks.baselines import (
    Baseline,
    Published,
    PublishedMetric,
    PublishedSystem,
    lint,
    list_baselines,
    load_baseline,
    load_baselines,
)
from ltx2_benchmarks.works import families
from ltx2_reports.citations import Citation, cited
from ltx2_reports.numbers import MISSING_MARK

_ARROWS = {"higher": "↑", "lower": "↓", "neither": ""}
_CONFIDENCE = {
    "A": "A: read in the authors' own paper, page or repository",
    "B": "B: read in somebody's transcription",
    "C": "C: a dated copy of a live board",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A column of published values."""

    name: str
    """With unit and arrow."""
    about: str
    protocol: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A row: a system, its values as text (a dash where the source leaves the cell empty), and what must be said."""

    system: str
    values: tuple[str, ...]
    numbers: tuple[float | None, ...]
    remark: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedTable:
    """Figures that others published. Nothing is marked best: the sources give no intervals."""

    id: str
    title: str
    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    facts: tuple[tuple[str, str], ...]
    """What makes the protocol, as name and text."""
    works: tuple[Citation, ...] = ()
    """Where its figures come from."""
    lead: str = ""
    """What must be read before its columns are compared."""


def chosen_baselines(names: Sequence[str]) -> tuple[Baseline, ...]:
    """Baselines by id or file, each once; `all` stands for every embedded one.

    Raises:
        ValueError: an unknown id, a file that cannot be used or that the linter refuses, or two files of one id.
    """
    embedded = list_baselines()
    wanted = dict.fromkeys(known for name in names for known in (embedded if name == "all" else (name,)))
    chosen = {name: load_baseline(name) for name in wanted}
    users = [name for name in chosen if name not in embedded]
    for name in users:
        if problems := check_beside_embedded(name):
            more = f" (and {len(problems) - 1} more: `ltx2-eval list baselines --check FILE`)" if problems[1:] else ""
            raise ValueError(f"{name}: {problems[0]}{more}")
    twins = [name for name, count in Counter(found.protocol.id for found in chosen.values()).items() if count > 1]
    if twins:
        raise ValueError(f"{twins[0]}: two files have this protocol id; give one of them another")
    return tuple(chosen.values())


def check_beside_embedded(path: str) -> list[str]:
    """What the linter finds in a user's file: in it alone, and beside the embedded figures.

    Raises:
        ValueError: the file cannot be used.
    """
    own = load_baseline(path)
    others = () if path in list_baselines() else (own,)
    return lint((*load_baselines(), *others))


def protocol_table(baseline: Baseline) -> PublishedTable:
    """All figures of one protocol."""
    keys = list(baseline.metrics)
    return PublishedTable(
        id=baseline.protocol.id,
        title=baseline.protocol.title,
        heads=tuple(_head(metric, baseline.protocol.id) for metric in baseline.metrics.values()),
        lines=tuple(_line(system, [system.values.get(key) for key in keys]) for system in baseline.systems),
        facts=_facts(baseline),
        works=cited(baseline),
    )


def namesake_tables(baselines: Iterable[Baseline]) -> list[PublishedTable]:
    """For each metric that several protocols call alike: the models with more than one value, a column per protocol.

    The columns must not be read as one: each says how its figure was made.
    """
    families: dict[str, list[Published]] = {}
    for baseline in baselines:
        for value in baseline.values():
            if value.metric.family:
                families.setdefault(value.metric.family, []).append(value)
    return [table for name, values in sorted(families.items()) if (table := _namesakes(name, values)) is not None]


def _namesakes(family: str, values: list[Published]) -> PublishedTable | None:
    measured = [value for value in values if value.system.copied_from is None]
    by_model: dict[str, dict[str, Published]] = {}
    for value in measured:
        by_model.setdefault(value.system.known_as, {}).setdefault(value.protocol.id, value)
    models = {model: found for model, found in by_model.items() if len(found) > 1}
    columns = {value.protocol.id: value for value in measured if value.protocol.id in set().union(*models.values())}
    if not models:
        return None
    return PublishedTable(
        id=family,
        title=f"{family}: {len(columns)} protocols, not comparable with each other",
        heads=tuple(
            Head(name=f"{_name(value.metric)} of {value.protocol.title}", about=_made(value), protocol=key)
            for key, value in columns.items()
        ),
        lines=tuple(
            Line(
                system=model,
                values=tuple(found[key].printed if key in found else MISSING_MARK for key in columns),
                numbers=tuple(found[key].value if key in found else None for key in columns),
                remark="",
            )
            for model, found in sorted(models.items(), key=lambda item: (-len(item[1]), item[0]))
        ),
        facts=(),
        lead=families().get(family, ""),
    )


def _made(value: Published) -> str:
    """How a figure was made, in one line."""
    n = f"{value.protocol.n_prompts} prompts" if value.protocol.n_prompts else "number of prompts not stated"
    parts = (value.metric.about or "network not stated", n, value.protocol.clips, f"by {value.protocol.measured_by}")
    return "; ".join((*parts, value.source.label, *((value.protocol.notes,) if value.protocol.notes else ())))


def _head(metric: PublishedMetric, protocol: str) -> Head:
    return Head(name=_name(metric), about=metric.about, protocol=protocol)


def _name(metric: PublishedMetric) -> str:
    unit = f" ({metric.unit})" if metric.unit else ""
    return f"{metric.name}{unit} {_ARROWS[metric.direction]}".rstrip()


def _line(system: PublishedSystem, values: Sequence[Decimal | None]) -> Line:
    said = (
        system.setting,
        system.hardware,
        f"copied from {system.copied_from}" if system.copied_from else None,
        system.note,
        f"confidence {system.confidence}" if system.confidence else None,
        system.source.label if system.source else None,
    )
    return Line(
        system=system.name,
        values=tuple(MISSING_MARK if value is None else str(value) for value in values),
        numbers=tuple(None if value is None else float(value) for value in values),
        remark="; ".join(part for part in said if part),
    )


def _facts(baseline: Baseline) -> tuple[tuple[str, str], ...]:
    protocol = baseline.protocol
    return (
        ("benchmark", protocol.benchmark),
        ("clips", protocol.clips),
        ("prompts", str(protocol.n_prompts) if protocol.n_prompts else "not stated"),
        ("measured by", protocol.measured_by),
        ("source", baseline.source.label),
        ("confidence", _CONFIDENCE[protocol.confidence]),
        *((("notes", protocol.notes),) if protocol.notes else ()),
    )
