"""The layout that all readable forms of a comparison share: metrics down, systems across, raw text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ltx2_reports.cells import MISSING_WORDS, Cell, Mark
from ltx2_reports.comparison import Column, Comparison
from ltx2_reports.numbers import (
    ARROWS,
    MISSING_MARK,
    format_limits,
    format_number,
    format_value,
    readable_unit,
    scaled,
    verdict,
)
from ltx2_reports.statistics import LEAST_PROMPTS
from ltx2_reports.timings import is_timing
from ltx2_reports.told_apart import distinctions

_DETECTABLE = (
    "Least detectable difference (MDE): a true difference of that size is found with chance 0.8 at level 0.05 "
    "(two-sided) on this many prompts of this spread; smaller ones may go unseen."
)
MARKS: dict[Mark, str] = {"best": "★", "tied": "≈", "": ""}


@dataclass(frozen=True, kw_only=True, slots=True)
class CellText:
    """One cell as text."""

    value: str
    """Or a dash."""
    limits: str
    """`[low, high]` or nothing."""
    remark: str
    """`n=10` where a system has fewer values than others, or why there is none."""
    mark: Mark


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One metric as text."""

    title: str
    unit: str
    arrow: str
    primary: bool
    n: str
    identity: str
    cells: tuple[CellText, ...]
    distinction: str = ""
    """What tells it from other rows of the same metric, measured in another way."""

    @property
    def name(self) -> str:
        """Title, unit, arrow and distinction on one line."""
        unit = f" ({self.unit})" if self.unit else ""
        told = f" [{self.distinction}]" if self.distinction else ""
        return f"{self.title}{unit}{' ' + self.arrow if self.arrow else ''}{told}"


def value_rows(comparison: Comparison) -> list[Row]:
    """The main table."""
    return [_told_apart(_value_row(column), column, comparison) for column in comparison.columns]


def difference_systems(comparison: Comparison) -> list[str]:
    """Systems that are compared with the baseline; none without a baseline."""
    if comparison.baseline is None:
        return []
    return [system.label for system in comparison.systems if system.label != comparison.baseline]


def difference_rows(comparison: Comparison) -> list[Row]:
    """The table of paired differences from the baseline: metrics that have at least one."""
    others = difference_systems(comparison)
    return [
        _told_apart(
            _difference_row(column, [cell for cell in column.cells if cell.system in others]), column, comparison
        )
        for column in comparison.columns
        if any(cell.difference is not None for cell in column.cells)
    ]


def _told_apart(row: Row, column: Column, comparison: Comparison) -> Row:
    namesakes = [other.protocol for other in comparison.columns if other.metric.id == column.metric.id]
    told = dict(zip((protocol.identity for protocol in namesakes), distinctions(namesakes), strict=True))
    return replace(row, distinction=told[column.id])


def _value_row(column: Column) -> Row:
    factor, unit = shown_unit(column)
    most = max((cell.n for cell in column.cells if cell.value is not None), default=0)
    concerned = [cell for cell in column.cells if cell.n or cell.missing.keys() - {"not_scored", "not_made"}]
    asked = max(cell.asked for cell in concerned or column.cells)
    count = f"{most}/{asked}" if most < asked else str(most)
    return _row(column, unit, count, tuple(_cell_text(cell, factor, most) for cell in column.cells))


def _difference_row(column: Column, cells: Sequence[Cell]) -> Row:
    factor, unit = shown_unit(column)
    most = max(cell.difference.prompts for cell in cells if cell.difference is not None)
    return _row(column, unit, str(most), tuple(_difference_text(cell, column, factor, most) for cell in cells))


def _row(column: Column, unit: str, count: str, cells: tuple[CellText, ...]) -> Row:
    return Row(
        title=column.metric.title,
        unit=unit,
        arrow=ARROWS[column.metric.direction],
        primary=column.primary,
        n=count,
        identity=column.id,
        cells=cells,
    )


def shown_unit(column: Column) -> tuple[float, str]:
    """Factor and unit in which all cells of a column are shown."""
    return readable_unit(column.metric.unit, max((abs(cell.value or 0.0) for cell in column.cells), default=0.0))


def _cell_text(cell: Cell, factor: float, most: int) -> CellText:
    if cell.interval is None:
        return CellText(value=MISSING_MARK, limits="", remark=_why_not(cell), mark="")
    shown = scaled(cell.interval, factor)
    fewer = f"n={cell.n}" if cell.n < most else ""
    ratio = "" if cell.ratio is None else f"{cell.ratio:.2g} × baseline"
    remark = ", ".join(filter(None, (ratio, fewer)))
    return CellText(value=format_value(shown), limits=format_limits(shown), remark=remark, mark=cell.mark)


def _why_not(cell: Cell) -> str:
    reason = cell.reason or ""
    return next((words for words in MISSING_WORDS.values() if reason.startswith(f"{words}: ")), "")


def _difference_text(cell: Cell, column: Column, factor: float, most: int) -> CellText:
    if cell.difference is None:
        return CellText(value=MISSING_MARK, limits="", remark="", mark="")
    shown = scaled(cell.difference.interval, factor)
    fewer = f"n={cell.difference.prompts}" if cell.difference.prompts < most else ""
    remarks = (verdict(cell.difference, column.metric.direction), fewer)
    return CellText(
        value=format_value(shown, signed=True),
        limits=format_limits(shown, signed=True),
        remark=", ".join(filter(None, remarks)),
        mark="",
    )


def footnotes(comparison: Comparison) -> list[str]:
    """What must stand below a table of the deciding metrics, one sentence each: n, protocol, detectable difference.

    Of the metrics that were declared primary; where none was, of those that have differences.
    """
    primary = [column for column in comparison.columns if column.primary]
    chosen = primary or [c for c in comparison.columns if any(cell.difference is not None for cell in c.cells)]
    lines = [_footnote(column, comparison.baseline) for column in chosen]
    return [*lines, _DETECTABLE] if any("detectable" in line for line in lines) else lines


def _footnote(column: Column, baseline: str | None) -> str:
    factor, unit = shown_unit(column)
    row = _value_row(column)
    least = [
        f"{format_number(cell.difference.detectable * factor, None)} ({cell.system})"
        for cell in column.cells
        if cell.difference is not None and cell.difference.detectable is not None
    ]
    unit = f" {unit}" if unit else ""
    found = f"; least detectable difference from {baseline}{unit and ' in' + unit}: {', '.join(least)}" if least else ""
    return f"{column.metric.title}: n = {row.n}, protocol #{column.id}{found}."


def legend(comparison: Comparison) -> list[str]:
    """What the signs mean, one sentence each."""
    share = f"{100 * comparison.level:g} %"
    lines = [
        f"[low, high]: {share} interval, bootstrap over prompts ({comparison.resamples} draws, seeds averaged first, "
        "studentised; checks of yes or no: exact); set metrics: from replicates, centred on the value; "
        "kernel distances: by a standard error.",
        "n: clips with a value (of those asked for). #: identity of the protocol; values of different identities are "
        "not comparable.",
    ]
    if any(is_timing(column.metric) for column in comparison.columns):
        lines.append(
            "Time and memory: median of a run's clips but the first. One run each does not tell how much runs vary, "
            "so there is neither interval, difference nor mark; `ltx2-eval bench --against` measures speed in turn."
        )
    marks = {cell.mark for column in comparison.columns for cell in column.cells}
    if marks - {""}:
        lines.append(
            f"{MARKS['best']} best: its paired difference from every other system excludes 0 on at least "
            f"{LEAST_PROMPTS} prompts. {MARKS['tied']} not told from the best value. Not corrected for the number of "
            "comparisons."
        )
    return lines
