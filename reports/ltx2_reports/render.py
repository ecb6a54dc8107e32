"""Writers of a comparison for the terminal, Markdown and CSV; `latex` writes LaTeX, `report` HTML."""

import csv
import io
from typing import TYPE_CHECKING, Any

from ltx2_reports.cells import MISSING_WORDS, Cell
from ltx2_reports.comparison import Column, Comparison
from ltx2_reports.escape import for_csv, for_markdown, for_markdown_code, for_terminal, terminal_line
from ltx2_reports.grid import (
    MARKS,
    CellText,
    Row,
    difference_rows,
    difference_systems,
    footnotes,
    legend,
    value_rows,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

_LONGEST_LABEL = 40


def render_terminal(comparison: Comparison, width: int = 110) -> "RenderableType":
    """The tables, notes and legend for `rich.console.Console.print`.

    Args:
        comparison: what to show.
        width: characters of the terminal; where intervals do not fit beside their values they go below.
    """
    from rich.console import Group
    from rich.text import Text

    systems = [system.label for system in comparison.systems]
    parts: list[RenderableType] = [_terminal_table(value_rows(comparison), systems, width)]
    differences = difference_rows(comparison)
    if differences:
        parts.append(Text(for_terminal(f"\nDifference from {comparison.baseline}, paired by prompt"), style="bold"))
        parts.append(_terminal_table(differences, difference_systems(comparison), width, count="prompts"))
    parts.append(Text())
    parts += [Text(f"! {terminal_line(note)}", style="yellow") for note in comparison.notes]
    parts += [Text(terminal_line(line), style="dim") for line in legend(comparison)]
    return Group(*parts)


def _terminal_table(rows: list[Row], systems: list[str], width: int, count: str = "n") -> "Table":
    from rich.console import Console
    from rich.measure import Measurement

    wide = _filled_table(rows, systems, count, separator=" ")
    console = Console(width=10_000)
    fits = Measurement.get(console, console.options, wide).maximum <= width
    return wide if fits else _filled_table(rows, systems, count, separator="\n")


def _filled_table(rows: list[Row], systems: list[str], count: str, separator: str) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    table.add_column(Text("metric"), overflow="fold")
    table.add_column(Text(count), justify="right", no_wrap=True)
    for system in systems:
        label = Text(terminal_line(system))
        label.truncate(_LONGEST_LABEL, overflow="ellipsis")
        table.add_column(label, overflow="fold")
    table.add_column(Text("protocol"), style="dim", no_wrap=True)
    for row in rows:
        name = Text(terminal_line(row.name), style="bold" if row.primary else "")
        name.truncate(4 * _LONGEST_LABEL, overflow="ellipsis")
        cells = [_terminal_cell(cell, separator) for cell in row.cells]
        table.add_row(name, Text(row.n), *cells, Text(f"#{row.identity}"))
    return table


def _terminal_cell(cell: CellText, separator: str) -> "Text":
    from rich.text import Text

    style = {"best": "bold green", "tied": "green", "": ""}[cell.mark]
    remark = f"({cell.remark})" if cell.remark else ""
    limits = f"{separator}{cell.limits}" if cell.limits else ""
    text = Text(" ".join(part for part in (cell.value, MARKS[cell.mark]) if part), style=style)
    for part in (f" {remark}{limits}",) if separator == "\n" else (limits, f" {remark}"):
        text.append(part.rstrip(" "), style="dim")
    return text


def render_markdown(comparison: Comparison) -> str:
    """The tables, notes and legend in GitHub-flavoured Markdown."""
    systems = [system.label for system in comparison.systems]
    lines = _markdown_table(value_rows(comparison), systems)
    differences = difference_rows(comparison)
    if differences:
        lines += ["", f"**Difference from {for_markdown(comparison.baseline or '')}, paired by prompt**", ""]
        lines += _markdown_table(differences, difference_systems(comparison), count="prompts")
    said = (*footnotes(comparison), *comparison.notes, *legend(comparison))
    notes = [f"- {for_markdown(note)}" for note in said]
    return "\n".join([*lines, "", *notes]) + "\n"


def _markdown_table(rows: list[Row], systems: list[str], count: str = "n") -> list[str]:
    head = ["metric", count, *map(for_markdown, systems), "protocol"]
    lines = [" | ".join(["", *head, ""]).strip(), "|---|---:|" + "---|" * (len(systems) + 1)]
    for row in rows:
        name = f"**{for_markdown(row.name)}**" if row.primary else for_markdown(row.name)
        cells = [name, row.n, *map(_markdown_cell, row.cells), for_markdown_code(f"#{row.identity}")]
        lines.append(" | ".join(["", *cells, ""]).strip())
    return lines


def _markdown_cell(cell: CellText) -> str:
    value = f"**{cell.value}**" if cell.mark == "best" else cell.value
    parts = (value, MARKS[cell.mark], for_markdown(cell.limits), f"({cell.remark})" if cell.remark else "")
    return " ".join(part for part in parts if part)


def render_csv(comparison: Comparison) -> str:
    """Tidy form: one row per system and metric with every fact; text quoted, numbers in full precision."""
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(CSV_FIELDS)
    writer.writerows([for_csv(row[field]) for field in CSV_FIELDS] for row in tidy_rows(comparison))
    return stream.getvalue()


def tidy_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """A row per metric and system with the fields of `CSV_FIELDS`; raw text."""
    return [_facts(comparison, column, cell) for column in comparison.columns for cell in column.cells]


CSV_FIELDS = (
    *("system", "metric", "metric_version", "title", "unit", "direction", "level", "primary"),
    *("value", "low", "high", "interval_level", "n_clips", "n_prompts", "n_asked"),
    *(f"n_{kind}" for kind in MISSING_WORDS),
    *("reason", "warnings", "mark", "baseline", "difference", "difference_low", "difference_high"),
    *("difference_n_prompts", "difference_n_excluded", "difference_detectable", "protocol", "signature"),
)


def _facts(comparison: Comparison, column: Column, cell: Cell) -> dict[str, Any]:
    interval, difference = cell.interval, cell.difference
    paired = difference.interval if difference is not None else None
    return {
        "system": cell.system,
        "metric": column.metric.id,
        "metric_version": column.metric.version,
        "title": column.metric.title,
        "unit": column.metric.unit,
        "direction": column.metric.direction,
        "level": column.metric.level,
        "primary": int(column.primary),
        "value": cell.value,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "interval_level": comparison.level,
        "n_clips": cell.n,
        "n_prompts": len(cell.by_prompt) or len(cell.prompts),
        "n_asked": cell.asked,
        **{f"n_{kind}": cell.missing.get(kind, 0) for kind in MISSING_WORDS},
        "reason": cell.reason,
        "warnings": "; ".join(cell.warnings),
        "mark": cell.mark,
        "baseline": comparison.baseline,
        "difference": paired.value if paired else None,
        "difference_low": paired.low if paired else None,
        "difference_high": paired.high if paired else None,
        "difference_n_prompts": difference.prompts if difference else None,
        "difference_n_excluded": difference.excluded if difference else None,
        "difference_detectable": difference.detectable if difference else None,
        "protocol": column.id,
        "signature": column.protocol.signature,
    }
