"""Writers of published figures for Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Iterable, Sequence

from ltx2_benchmarks.baselines import Baseline
from ltx2_reports.escape import for_csv, for_latex, for_markdown
from ltx2_reports.published import PublishedTable

_WARNING = "Published, not measured here: each table is a protocol of its own, without intervals."
CSV_FIELDS = (
    *("protocol", "benchmark", "system", "model", "metric", "family", "value", "unit", "direction"),
    *("setting", "hardware", "copied_from", "note", "source", "date", "confidence"),
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
    facts = [f"- {for_markdown(name)}: {for_markdown(text)}" for name, text in table.facts]
    title = f"*{for_markdown(table.title)}* (published)"
    return [title, "", lines[0], "|---" * len(head) + "|", *lines[1:], "", *facts, ""]


def published_latex(tables: Sequence[PublishedTable]) -> str:
    """Tables for `booktabs` after the main one; empty without tables."""
    return "\n".join(line for table in tables for line in _latex(table))


def _latex(table: PublishedTable) -> list[str]:
    head = " & ".join(["system", *(_latex_name(head.name) for head in table.heads)])
    rows = [" & ".join(map(for_latex, [line.system, *line.values])) + r" \\" for line in table.lines]
    remarks = [f"{for_latex(line.system)}: {for_latex(line.remark)}\\par" for line in table.lines if line.remark]
    facts = [f"{for_latex(name)}: {for_latex(text)}\\par" for name, text in table.facts]
    return [
        r"\begin{table}",
        r"\centering\small",
        f"{for_latex(table.title)} (published)\\par",
        rf"\begin{{tabular}}{{l{'l' * len(table.heads)}}}",
        r"\toprule",
        head + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\medskip\raggedright\footnotesize",
        *facts,
        *remarks,
        r"\end{table}",
        "",
    ]


def _latex_name(name: str) -> str:
    return for_latex(name).replace("↑", r"$\uparrow$").replace("↓", r"$\downarrow$")


def published_csv(baselines: Iterable[Baseline]) -> str:
    """A row per published value with its citation."""
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(CSV_FIELDS)
    for baseline in baselines:
        for value in baseline.values():
            system, metric = value.system, value.metric
            row = (
                *(value.protocol.id, value.protocol.benchmark, system.name, system.known_as, metric.name),
                *(metric.family, value.value, metric.unit, metric.direction),
                *(system.setting, system.hardware, system.copied_from, system.note),
                *(value.source.label, value.source.date, value.confidence),
            )
            writer.writerow([for_csv(cell) for cell in row])
    return stream.getvalue()
