"""Writers of published figures for Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Iterable, Sequence

from ltx2_benchmarks.baselines import Baseline, Published
from ltx2_reports.citations import cite
from ltx2_reports.escape import for_csv, for_latex, for_markdown
from ltx2_reports.latex import fitted
from ltx2_reports.numbers import MISSING_MARK
from ltx2_reports.published import PublishedTable

_WARNING = "Published, not measured here: each table is a protocol of its own, without intervals."
CSV_FIELDS = (
    *("protocol", "benchmark", "system", "model", "metric", "about", "family", "value", "printed", "unit", "direction"),
    *("setting", "hardware", "copied_from", "note", "protocol_notes", "source", "date", "confidence"),
)


def published_markdown(tables: Sequence[PublishedTable]) -> str:
    """Sections after the main table; empty without tables."""
    if not tables:
        return ""
    return "\n".join(["", f"**{_WARNING}**", "", *(line for table in tables for line in _markdown(table))])


def _markdown(table: PublishedTable) -> list[str]:
    head = ["system", *(head.name for head in table.heads), "remark"]
    rows = [[for_markdown(line.system), *line.values, for_markdown(line.remark)] for line in table.lines]
    lines = [" | ".join(["", *row, ""]).strip() for row in ([*map(for_markdown, head)], *rows)]
    facts = [f"- {for_markdown(name)}: {for_markdown(text)}" for name, text in _said(table)]
    title = f"*{for_markdown(table.title)}* (published)"
    return [
        title,
        "",
        *((for_markdown(table.lead), "") if table.lead else ()),
        lines[0],
        "|---" * len(head) + "|",
        *lines[1:],
        "",
        *facts,
        "",
    ]


def _said(table: PublishedTable) -> list[tuple[str, str]]:
    """What stands below a table: its facts; of namesakes, how each column was made; what to cite."""
    made = [] if table.facts else [(head.name, head.about) for head in table.heads]
    keys = [("cited as", ", ".join(work.key for work in table.works))] if table.works else []
    return [*table.facts, *made, *keys]


def published_latex(tables: Sequence[PublishedTable]) -> str:
    """Tables for `booktabs` after the main one; empty without tables."""
    return "\n".join(line for table in tables for line in _latex(table))


def _latex(table: PublishedTable) -> list[str]:
    head = " & ".join(["system", *(_latex_name(head.name) for head in table.heads)])
    rows = [" & ".join([for_latex(line.system), *map(_latex_value, line.values)]) + r" \\" for line in table.lines]
    remarks = [f"{for_latex(line.system)}: {for_latex(line.remark)}\\par" for line in table.lines if line.remark]
    facts = [f"{_latex_name(name)}: {for_latex(text)}\\par" for name, text in _said(table)]
    lead = [for_latex(table.lead) + r"\par"] if table.lead else []
    tabular = [rf"\begin{{tabular}}{{l{'l' * len(table.heads)}}}", r"\toprule", head + r" \\", r"\midrule", *rows]
    return [
        r"\begin{table}[htbp]",
        r"\centering\small",
        f"{for_latex(table.title)} (published){cite(table.works)}\\par",
        *fitted([*tabular, r"\bottomrule", r"\end{tabular}"]),
        r"\end{table}",
        r"{\raggedright\footnotesize",
        *lead,
        *facts,
        *remarks,
        "}",
        "",
    ]


def _latex_value(text: str) -> str:
    return "---" if text == MISSING_MARK else for_latex(text)


def _latex_name(name: str) -> str:
    return for_latex(name).replace("↑", r"$\uparrow$").replace("↓", r"$\downarrow$")


def published_csv(baselines: Iterable[Baseline]) -> str:
    """A row per published value with its citation."""
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(CSV_FIELDS)
    writer.writerows([for_csv(cell) for cell in row.values()] for row in published_rows(baselines))
    return stream.getvalue()


def published_rows(baselines: Iterable[Baseline]) -> list[dict[str, str | float | None]]:
    """A row per published value with the fields of `CSV_FIELDS`; raw text."""
    return [_row(value) for baseline in baselines for value in baseline.values()]


def _row(value: Published) -> dict[str, str | float | None]:
    protocol, system, metric = value.protocol, value.system, value.metric
    row = (
        *(protocol.id, protocol.benchmark, system.name, system.known_as, metric.name, metric.about),
        *(metric.family, value.value, value.printed, metric.unit, metric.direction),
        *(system.setting, system.hardware, system.copied_from, system.note),
        *(protocol.notes, value.source.label, value.source.date, value.confidence),
    )
    return dict(zip(CSV_FIELDS, row, strict=True))
