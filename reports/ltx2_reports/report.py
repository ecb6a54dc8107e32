"""The report on one or more runs: a self-contained HTML page and the tables in Markdown, CSV and LaTeX."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ltx2_reports import grid, page
from ltx2_reports.comparison import Comparison, compare
from ltx2_reports.escape import for_html
from ltx2_reports.records import Run, read_run
from ltx2_reports.render import render_csv, render_latex, render_markdown
from ltx2_reports.store import atomic_write


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportFiles:
    """What was written."""

    html: Path
    markdown: Path
    csv: Path
    latex: Path


def write_report(
    runs: Sequence[Path], out: Path, *, baseline: str | None = None, primary: Sequence[str] = ()
) -> ReportFiles:
    """Write `report.html`, `table.md`, `table.csv` and `table.tex`; equal runs give equal bytes.

    Args:
        runs: run folders, at least one.
        out: folder for the files; clips are linked from where they lie, relative to it.
        baseline: label of the system from which paired differences are shown.
        primary: ids of the metrics that were declared to decide; they come first.

    Raises:
        ValueError: no run, a folder that is no run or is damaged, or an unknown baseline.
    """
    read = [read_run(folder) for folder in runs]
    comparison = compare(read, baseline=baseline, primary=primary)
    written = ReportFiles(
        html=out / "report.html", markdown=out / "table.md", csv=out / "table.csv", latex=out / "table.tex"
    )
    atomic_write(written.html, render_html(comparison, read, out))
    atomic_write(written.markdown, render_markdown(comparison))
    atomic_write(written.csv, render_csv(comparison))
    atomic_write(written.latex, render_latex(comparison))
    return written


def render_html(comparison: Comparison, runs: Sequence[Run] = (), folder: Path = Path()) -> str:
    """The page as text.

    Args:
        comparison: of the runs.
        runs: the same runs in the same order, for run cards and clips; without them only the tables are shown.
        folder: where the page will lie; links to clips are relative to it.
    """
    style = Markup(files("ltx2_reports").joinpath("templates/report.css").read_text(encoding="utf-8"))
    prompts = page.prompt_views(comparison, runs, folder) if runs else []
    players = sum(clip is not None for prompt in prompts for row in prompt.rows for clip in row)
    content: dict[str, Any] = {
        "style": style,
        "style_hash": base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        "comparison": comparison,
        "rows": list(zip(grid.value_rows(comparison), map(page.plots_of, comparison.columns), strict=True)),
        "differences": grid.difference_rows(comparison),
        "difference_systems": grid.difference_systems(comparison),
        "legend": grid.legend(comparison),
        "protocols": [(column, page.protocol_card(column)) for column in comparison.columns],
        "cards": [(system, page.run_cards(run)) for system, run in zip(comparison.systems, runs, strict=False)],
        "prompts": prompts,
        "preload": "metadata" if players <= page.MOST_PRELOADED else "none",
        "plot_width": page.PLOT_WIDTH,
    }
    return page_environment().get_template("report.html.j2").render(content)


def page_environment() -> Environment:
    """Every expression goes through the sanitiser; a misspelt name is an error."""
    return Environment(
        loader=PackageLoader("ltx2_reports", "templates"),
        autoescape=True,
        finalize=_inert,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _inert(value: Any) -> Markup:
    return value if isinstance(value, Markup) else Markup(for_html(str(value)))
