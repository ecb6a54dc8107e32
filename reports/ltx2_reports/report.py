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

from ltx2_benchmarks.baselines import Baseline
from ltx2_reports import board, grid, page
from ltx2_reports.citations import bibtex
from ltx2_reports.clipdata import ClipData, clip_data
from ltx2_reports.comparison import Comparison, compare
from ltx2_reports.escape import for_html
from ltx2_reports.exports import write_exports
from ltx2_reports.latex import render_latex
from ltx2_reports.media_links import Media, address_of
from ltx2_reports.published import namesake_tables, protocol_table
from ltx2_reports.published_render import published_csv, published_latex, published_markdown
from ltx2_reports.records import Run, read_run
from ltx2_reports.render import render_csv, render_markdown
from ltx2_reports.store import atomic_write

_SCRIPTS = ("tables.js", "clipdata.js", "players.js", "clips.js")
_STYLES = ("report.css",)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportFiles:
    """What was written."""

    html: Path
    markdown: Path
    csv: Path
    latex: Path
    bibtex: Path
    """The works that the tables cite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """How a page is made, besides what it compares."""

    media: Media = "link"
    """Link clips from where they lie, relative to the page; copy them beside it; or leave them out, so that the page is
    a single file."""
    media_prompts: int | None = None
    """Of how many prompts, spread over the suite, clips are offered; None: of all."""
    published: tuple[Baseline, ...] = ()
    """Protocols of published figures that stand beside the measured ones."""
    title: str = ""
    """Heading; empty: the systems' names."""
    is_board: bool = False
    """Whether it is a leaderboard."""


def write_report(
    runs: Sequence[Path],
    out: Path,
    *,
    baseline: str | None = None,
    primary: Sequence[str] = (),
    made: Page | None = None,
    exports: Sequence[str] = (),
) -> ReportFiles:
    """Write `report.html` (a leaderboard: `index.html`), `table.md`, `.csv`, `.tex` and `references.bib`.

    Equal runs give equal bytes.

    Args:
        runs: run folders, at least one.
        out: folder for the files.
        baseline: label of the system from which paired differences are shown.
        primary: ids of the metrics that were declared to decide; they come first.
        made: how the page is made; with published figures `published.csv` is written too.
        exports: forms for other programs, of `exports.FORMATS`.

    Raises:
        ValueError: an unknown form, no run, a folder that is no run or is damaged, or an unknown baseline.
    """
    made = made or Page()
    read = [read_run(folder) for folder in runs]
    comparison = compare(read, baseline=baseline, primary=primary)
    written = ReportFiles(
        html=out / ("index.html" if made.is_board else "report.html"),
        markdown=out / "table.md",
        csv=out / "table.csv",
        latex=out / "table.tex",
        bibtex=out / "references.bib",
    )
    atomic_write(written.html, render_html(comparison, read, made, out))
    _write_tables(comparison, made.published, written)
    if made.published:
        atomic_write(out / "published.csv", published_csv(made.published))
    write_exports(comparison, out, exports, made.published)
    return written


def _write_tables(comparison: Comparison, published: Sequence[Baseline], written: ReportFiles) -> None:
    tables = [*map(protocol_table, published), *namesake_tables(published)]
    atomic_write(written.markdown, render_markdown(comparison) + published_markdown(tables))
    atomic_write(written.csv, render_csv(comparison))
    atomic_write(written.latex, render_latex(comparison) + published_latex(tables))
    atomic_write(written.bibtex, bibtex(published, (column.metric for column in comparison.columns)))


def render_html(
    comparison: Comparison, runs: Sequence[Run] = (), made: Page | None = None, folder: Path | None = None
) -> str:
    """The page as text.

    Args:
        comparison: of the runs.
        runs: the same runs in the same order, for run cards, plots and clips; without them only tables are shown.
        made: what else it shows, and how.
        folder: where it will lie; None: here.
    """
    made = made or Page()
    clips = _clips(comparison, runs, made, folder or Path())
    content = {**_frame(made), **_tables(comparison), **_drawn(comparison, runs)}
    content |= {
        "cards": [(comparison.systems[place], page.run_cards(run)) for place, run in enumerate(runs)],
        "published": [protocol_table(found) for found in made.published],
        "namesakes": namesake_tables(made.published),
        "clips": clips,
        "clip_text": Markup(clips.text) if clips else "",
    }
    return page_environment().get_template("report.html.j2").render(content)


def _frame(made: Page) -> dict[str, Any]:
    """Title, style and scripts, with the digests by which the content policy allows them."""
    style = Markup("".join(map(_template, _STYLES)))
    return {
        "style": style,
        "style_hash": _digest(style),
        "scripts": [(Markup(text), _digest(text)) for text in map(_template, _SCRIPTS)],
        "title": made.title,
        "is_board": made.is_board,
    }


def _tables(comparison: Comparison) -> dict[str, Any]:
    return {
        "comparison": comparison,
        "rows": list(zip(grid.value_rows(comparison), map(page.plots_of, comparison.columns), strict=True)),
        "plot_width": page.PLOT_WIDTH,
        "differences": grid.difference_rows(comparison),
        "difference_systems": grid.difference_systems(comparison),
        "legend": grid.legend(comparison),
        "footnotes": grid.footnotes(comparison),
        "protocols": [(column, page.protocol_card(column)) for column in comparison.columns],
    }


def _drawn(comparison: Comparison, runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "board": board.board(comparison),
        "drawings": board.drawings(comparison, runs),
        "heats": board.heat_maps(comparison, runs),
    }


def _clips(comparison: Comparison, runs: Sequence[Run], made: Page, folder: Path) -> ClipData | None:
    if not any(run.clips for run in runs):
        return None
    return clip_data(comparison, runs, address_of(folder, made.media, made.media_prompts))


def _template(name: str) -> str:
    return files("ltx2_reports").joinpath("templates", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


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
