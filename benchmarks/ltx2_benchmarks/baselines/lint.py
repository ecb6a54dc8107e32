"""Checks that published figures are cited, possible and told apart from copies of each other."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations

from ltx2_benchmarks.baselines.read import Baseline
from ltx2_benchmarks.baselines.schema import PublishedSystem

SEE_ROWS = "see the rows"
"""As a file's `source.table`: every row has to name its own."""
_SAME_CELLS = 4
"""So many equal cells in two whole rows are no chance."""
_SAME_IN_COLUMN = 3
"""So many equal cells in two whole columns are no chance."""


def lint(baselines: Iterable[Baseline]) -> list[str]:
    """What is wrong, one sentence each, beginning with the protocol's id; empty where all is well."""
    every = list(baselines)
    problems = [problem for baseline in every for problem in _of_one(baseline)]
    ids = Counter(baseline.protocol.id for baseline in every)
    problems += [f"{name}: {count} files have this id" for name, count in ids.items() if count > 1]
    return problems + list(_carried_over(every))


def _of_one(baseline: Baseline) -> Iterator[str]:
    name = baseline.protocol.id
    for check in (_cited, _duplicates, _ranges, _unused, _constant_columns, _equal_pairs, _equal_rows):
        for problem in check(baseline):
            yield f"{name}: {problem}"


def _cited(baseline: Baseline) -> Iterator[str]:
    for system in baseline.systems:
        if system.source is None and baseline.source.table == SEE_ROWS:
            yield f"{system.name}: has no source of its own, and the file's source only points at the rows"


def _duplicates(baseline: Baseline) -> Iterator[str]:
    settings = Counter((s.name.casefold(), (s.setting or "").casefold()) for s in baseline.systems)
    for (name, setting), count in settings.items():
        if count > 1:
            yield f"{name}: {count} rows of this name with the setting {setting or 'none'}"


def _ranges(baseline: Baseline) -> Iterator[str]:
    for value in baseline.values():
        low, high = value.metric.range or (value.value, value.value)
        if low >= high and value.metric.range:
            yield f"{value.metric.name}: range {low:g} to {high:g} is empty"
        elif not low <= value.value <= high:
            yield f"{value.system.name}, {value.metric.name}: {value.value:g} lies outside {low:g} to {high:g}"


def _unused(baseline: Baseline) -> Iterator[str]:
    used = {key for system in baseline.systems for key in system.values}
    for key in baseline.metrics.keys() - used:
        yield f"metric {key}: no system has a value"


def _constant_columns(baseline: Baseline) -> Iterator[str]:
    columns: dict[str, list[float]] = defaultdict(list)
    for value in baseline.values():
        columns[value.metric_key].append(value.value)
    for key, values in columns.items():
        if len(values) > 2 and len(set(values)) == 1:
            yield f"metric {key}: {len(values)} systems have the same value {values[0]:g}"


def _equal_pairs(baseline: Baseline) -> Iterator[str]:
    """Two columns of the same figures in several systems: one was copied over the other."""
    columns: dict[str, dict[str, str]] = defaultdict(dict)
    for value in baseline.values():
        columns[value.metric_key][f"{value.system.name} {value.system.setting}"] = value.printed
    for (first, left), (second, right) in combinations(columns.items(), 2):
        if len(left) >= _SAME_IN_COLUMN and left == right:
            yield f"metrics {first} and {second}: the same values in all {len(left)} systems"


def _equal_rows(baseline: Baseline) -> Iterator[str]:
    for first, second in combinations(baseline.systems, 2):
        if len(first.values) >= _SAME_CELLS and first.values == second.values:
            yield f"{first.name} and {second.name}: identical rows"


def _carried_over(baselines: list[Baseline]) -> Iterator[str]:
    """Rows that two protocols share figure for figure must say that one was not measured."""
    rows = [(baseline, system) for baseline in baselines for system in baseline.systems]
    for (one, first), (other, second) in combinations(rows, 2):
        if one.protocol.id == other.protocol.id or first.name != second.name or first.copied_from or second.copied_from:
            continue
        if _shared_equal(one, first, other, second) >= _SAME_CELLS:
            yield (
                f"{other.protocol.id}: {second.name}: the same figures as in {one.protocol.id}; "
                "say in copied_from which row was carried over"
            )


def _shared_equal(one: Baseline, first: PublishedSystem, other: Baseline, second: PublishedSystem) -> int:
    """Number of columns of one name that both rows fill; 0 if any differs."""
    left = {one.metrics[key].name: value for key, value in first.values.items()}
    right = {other.metrics[key].name: value for key, value in second.values.items()}
    shared = left.keys() & right.keys()
    return len(shared) if all(left[name] == right[name] for name in shared) else 0
