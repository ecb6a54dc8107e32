"""A comparison as LaTeX tables; text of users is inert, and tables that are too wide are scaled to the line."""

import re
from collections.abc import Sequence

from ltx2_reports.citations import cite, definition
from ltx2_reports.comparison import Comparison
from ltx2_reports.escape import for_latex
from ltx2_reports.grid import CellText, Row, difference_rows, difference_systems, footnotes, legend, value_rows
from ltx2_reports.numbers import MISSING_MARK

_HEAD = (
    r"% \usepackage{booktabs,graphicx}; compile with LuaLaTeX or XeLaTeX, the text is UTF-8.",
    r"% Letters that the font lacks are left out: choose one that has them, or add fallbacks with fontspec.",
)


def render_latex(comparison: Comparison) -> str:
    """A table for `booktabs`, with notes below; for a document compiled with LuaLaTeX or XeLaTeX."""
    systems = [system.label for system in comparison.systems]
    lines = [*_HEAD, *_float("", _latex_table(value_rows(comparison), systems))]
    differences = difference_rows(comparison)
    if differences:
        title = f"Difference from {for_latex(comparison.baseline or '')}, paired by prompt\\par"
        lines += _float(title, _latex_table(differences, difference_systems(comparison), count="prompts"))
    said = (*footnotes(comparison), *comparison.notes, *legend(comparison))
    notes = [*(f"{_signs(for_latex(note))}\\par" for note in said), *_definitions(comparison)]
    return "\n".join([*lines, r"{\raggedright\footnotesize", *notes, "}"]) + "\n"


def _float(title: str, tabular: Sequence[str]) -> list[str]:
    head = [r"\begin{table}[htbp]", r"\centering\small", *([title] if title else [])]
    return [*head, *fitted(tabular), r"\end{table}"]


def fitted(tabular: Sequence[str]) -> list[str]:
    """A tabular that is scaled down where it is wider than the line or higher than the page."""
    return [
        r"\begingroup\setbox0=\hbox{%",
        *tabular,
        r"}\ifdim\wd0>\linewidth\setbox0=\hbox{\resizebox{\linewidth}{!}{\box0}}\fi",
        r"\ifdim\dimexpr\ht0+\dp0\relax>.85\textheight\setbox0=\hbox{\resizebox{!}{.85\textheight}{\box0}}\fi",
        r"\box0\endgroup",
    ]


def _signs(text: str) -> str:
    """Our own signs, which text fonts lack."""
    return text.replace("★", r"$\star$").replace("≈", r"$\approx$").replace("→", r"$\rightarrow$")


def _definitions(comparison: Comparison) -> list[str]:
    """One sentence that cites the works in which metrics are defined."""
    found = {work.key: work for column in comparison.columns if (work := definition(column.metric)) is not None}
    return [rf"Metrics are defined in{cite(list(found.values()))}.\par"] if found else []


def _latex_table(rows: list[Row], systems: list[str], count: str = "n") -> list[str]:
    head = " & ".join(["metric", count, *map(for_latex, systems), "protocol"])
    lines = [rf"\begin{{tabular}}{{lr{'l' * len(systems)}l}}", r"\toprule", rf"{head} \\", r"\midrule"]
    for row in rows:
        name = rf"\textbf{{{_latex_name(row)}}}" if row.primary else _latex_name(row)
        cells = [name, for_latex(row.n), *map(_latex_cell, row.cells), rf"\texttt{{\#{row.identity}}}"]
        lines.append(" & ".join(cells) + r" \\")
    return [*lines, r"\bottomrule", r"\end{tabular}"]


_LATEX_ARROWS = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "→0": r"$\rightarrow 0$", "": ""}


def _latex_name(row: Row) -> str:
    unit = f" ({for_latex(row.unit)})" if row.unit else ""
    told = f" [{for_latex(row.distinction)}]" if row.distinction else ""
    return f"{for_latex(row.title)}{unit} {_LATEX_ARROWS[row.arrow]}".rstrip() + told


def _latex_cell(cell: CellText) -> str:
    value = f"${_latex_numbers(cell.value)}$" if cell.value != MISSING_MARK else "---"
    value = rf"$\mathbf{{{_latex_numbers(cell.value)}}}$" if cell.mark == "best" else value
    sign = {"best": r"$\star$", "tied": r"$\approx$", "": ""}[cell.mark]
    limits = rf"{{\scriptsize ${_latex_numbers(cell.limits)}$}}" if cell.limits else ""
    remark = f"({for_latex(cell.remark)})" if cell.remark else ""
    return " ".join(part for part in (value, sign, limits, remark) if part)


def _latex_numbers(text: str) -> str:
    return re.sub(r"e([+-]\d+)", lambda found: rf"\times 10^{{{int(found.group(1))}}}", text)
