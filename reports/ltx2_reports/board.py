"""What a leaderboard adds to a comparison: systems down with a rank to sort by, categories, cost, and time."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ltx2_reports import plots
from ltx2_reports.comparison import RUNTIME_PREFIX, Column, Comparison
from ltx2_reports.grid import CellText, Row, value_rows
from ltx2_reports.numbers import format_number
from ltx2_reports.plots import Point
from ltx2_reports.records import Run

COST = "runtime.generate_s"
"""The metric that stands for cost where a quality-against-cost plot is drawn."""
MOST_COLUMNS = 12
_STEPS = 5
_LEAST_SYSTEMS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A system's row: texts and the numbers they are sorted by, None sorting last."""

    place: int
    system: str
    cells: tuple[tuple[CellText, float | None], ...]
    """For each column the cell and the number to sort by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """Systems down, the metrics that can rank across."""

    rows: tuple[Row, ...]
    """The columns, as rows of the main table: name, unit, arrow, identity."""
    directions: tuple[str, ...]
    of: int
    """Metrics that can rank, of which the columns are the first."""
    standings: tuple[Standing, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Heat:
    """A metric's mean by category and system; steps 0 (worst) to 4 (best) colour the cells."""

    title: str
    categories: tuple[str, ...]
    cells: tuple[tuple[tuple[str, int | None, int], ...], ...]
    """For each category, for each system: text, step, number of clips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A plot and the data beside it."""

    title: str
    about: str
    svg: Markup
    head: tuple[str, ...]
    table: tuple[tuple[str, ...], ...]


def board(comparison: Comparison) -> Board | None:
    """The leaderboard, or None where there is one system or nothing to rank by."""
    ranking = [
        (column, row)
        for column, row in zip(comparison.columns, value_rows(comparison), strict=True)
        if column.metric.direction != "none" and any(cell.value is not None for cell in column.cells)
    ]
    chosen = sorted(ranking, key=lambda pair: (not pair[0].primary, pair[0].metric.id != COST))[:MOST_COLUMNS]
    if len(comparison.systems) < _LEAST_SYSTEMS or not chosen:
        return None
    return Board(
        rows=tuple(row for _, row in chosen),
        directions=tuple(column.metric.direction for column, _ in chosen),
        of=len(ranking),
        standings=tuple(
            Standing(
                place=place,
                system=system.label,
                cells=tuple((row.cells[place], _rank_by(column, place)) for column, row in chosen),
            )
            for place, system in enumerate(comparison.systems)
        ),
    )


def _rank_by(column: Column, place: int) -> float | None:
    value = column.cells[place].value
    return abs(value) if value is not None and column.metric.direction == "zero" else value


def heat_maps(comparison: Comparison, runs: Sequence[Run]) -> list[Heat]:
    """For each clip metric with a better side: means by category, where there are several categories."""
    categories = {p.id: p.category for run in runs for p in run.header.spec.prompts if p.category}
    names = sorted(set(categories.values()))
    if len(names) < _LEAST_SYSTEMS:
        return []
    columns = [c for c in comparison.columns if c.metric.level == "clip" and c.metric.direction != "none"]
    maps = [_heat(column, categories, names) for column in columns if not column.metric.id.startswith(RUNTIME_PREFIX)]
    return [made for made in maps if any(step is not None for row in made.cells for _, step, _ in row)]


def _heat(column: Column, categories: dict[str, str], names: Sequence[str]) -> Heat:
    groups = [
        [
            [v for prompt, values in cell.by_prompt.items() if categories.get(prompt) == name for v in values]
            for cell in column.cells
        ]
        for name in names
    ]
    means = [[statistics.fmean(values) if values else None for values in row] for row in groups]
    goodness = [[_goodness(mean, column.metric.direction) for mean in row] for row in means]
    known = [value for row in goodness for value in row if value is not None]
    low, span = (min(known), max(known) - min(known)) if known else (0.0, 0.0)
    cells = tuple(
        tuple(
            (
                "" if mean is None else format_number(mean, None),
                None if good is None or not span else round((_STEPS - 1) * (good - low) / span),
                len(values),
            )
            for mean, good, values in zip(means[r], goodness[r], groups[r], strict=True)
        )
        for r in range(len(names))
    )
    return Heat(title=column.metric.title, categories=tuple(names), cells=cells)


def _goodness(mean: float | None, direction: str) -> float | None:
    return None if mean is None else mean if direction == "up" else -abs(mean) if direction == "zero" else -mean


def drawings(comparison: Comparison, runs: Sequence[Run]) -> list[Drawing]:
    """The plots that have something to show: quality against cost, stages, drift."""
    made = (_pareto(comparison), _stages(comparison, runs), _drift(comparison, runs))
    return [drawing for drawing in made if drawing is not None]


def _quality(comparison: Comparison) -> Column | None:
    """The first metric that ranks and is no cost."""
    ranked = [c for c in comparison.columns if c.metric.direction in ("up", "down")]
    quality = [c for c in ranked if not c.metric.id.startswith(RUNTIME_PREFIX)]
    return next((c for c in quality if sum(cell.value is not None for cell in c.cells) > 1), None)


def _pareto(comparison: Comparison) -> Drawing | None:
    cost = next((c for c in comparison.columns if c.metric.id == COST), None)
    quality = _quality(comparison)
    if cost is None or quality is None:
        return None
    names = _names(comparison)
    points = [
        Point(
            place=place,
            name=names[place],
            x=spent.value,
            y=cell.interval.value,
            low=cell.interval.low,
            high=cell.interval.high,
        )
        for place, (spent, cell) in enumerate(zip(cost.cells, quality.cells, strict=True))
        if spent.value is not None and spent.value > 0 and cell.interval is not None
    ]
    if len(points) < _LEAST_SYSTEMS:
        return None
    up = quality.metric.direction == "up"
    name = f"{quality.metric.title} {'↑' if up else '↓'}"
    labels = [system.label for system in comparison.systems]
    absent = [label for place, label in enumerate(labels) if place not in {point.place for point in points}]
    left_out = f" Not shown, without cost or value: {', '.join(absent)}." if absent else ""
    return Drawing(
        title="Quality against cost",
        about=f"{quality.metric.title} ({'higher' if up else 'lower'} is better) with its interval against the seconds "
        f"that a clip took; nothing beats the systems on the dashed line in both.{left_out}",
        svg=plots.pareto(points, "seconds per clip", _axis(up), up=up),
        head=("system", "seconds per clip", name),
        table=tuple((labels[p.place], format_number(p.x, None), format_number(p.y, None)) for p in points),
    )


def _names(comparison: Comparison) -> list[str]:
    return plots.short_names([system.label for system in comparison.systems])


def _axis(up: bool) -> str:
    """What stands beside an axis of quality; the metric is named above the drawing."""
    return f"value ({'higher' if up else 'lower'} is better)"


def _stages(comparison: Comparison, runs: Sequence[Run]) -> Drawing | None:
    by_run = [_median_stages(run) for run in runs]
    names = list(dict.fromkeys(name for stages in by_run for name in stages))
    if not names:
        return None
    seconds = [[stages.get(name, 0.0) for name in names] for stages in by_run]
    labels = [system.label for system in comparison.systems]
    return Drawing(
        title="Where the time goes",
        about="Median seconds of each stage of making a clip.",
        svg=plots.stage_bars(_names(comparison), [_short(name) for name in names], seconds),
        head=("system", *names),
        table=tuple(
            (label, *(format_number(s, None) for s in row)) for label, row in zip(labels, seconds, strict=True)
        ),
    )


def _median_stages(run: Run) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for clip in run.clips.values():
        for stage in clip.stages:
            found.setdefault(stage.name, []).append(stage.seconds)
    return {name: statistics.median(values) for name, values in found.items()}


def _short(name: str, most: int = 24) -> str:
    """A stage's name as a drawing may show it."""
    kept = "".join(letter for letter in name if letter.isascii() and (letter.isalnum() or letter in " _-,"))
    return kept.replace("_", " ").strip()[:most]


def _drift(comparison: Comparison, runs: Sequence[Run]) -> Drawing | None:
    """Runs of one system on several days."""
    quality = _quality(comparison)
    if quality is None:
        return None
    names = _names(comparison)
    days = sorted({run.header.created_at[:10] for run in runs})
    series: dict[str, list[Point]] = {}
    for place, run in enumerate(runs):
        cell = quality.cells[place]
        if cell.interval is not None:
            point = Point(
                place=place,
                name=names[place],
                x=days.index(run.header.created_at[:10]),
                y=cell.interval.value,
                low=cell.interval.low,
                high=cell.interval.high,
            )
            series.setdefault(run.header.spec.system, []).append(point)
    repeated = {name: sorted(points, key=lambda p: p.x) for name, points in series.items() if len(points) > 1}
    if len(days) < _LEAST_SYSTEMS or not repeated:
        return None
    labels = [system.label for system in comparison.systems]
    axis = _axis(quality.metric.direction == "up")
    return Drawing(
        title="Drift",
        about=f"{quality.metric.title} of runs of the same system on several days.",
        svg=plots.over_time(list(repeated.values()), days, axis),
        head=("system", "day", quality.metric.id),
        table=tuple(
            (labels[p.place], days[int(p.x)], format_number(p.y, None)) for points in repeated.values() for p in points
        ),
    )
