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

    folder: Path = Path()
    """Where it will lie."""
    media: Media = "link"
    media_prompts: int | None = None
    """Of how many prompts clips are offered; None: of all."""
    published: tuple[Baseline, ...] = ()
    """Protocols of published figures that stand beside the measured ones."""
    title: str = ""
    is_board: bool = False


def write_report(
    runs: Sequence[Path],
    out: Path,
    *,
    baseline: str | None = None,
    primary: Sequence[str] = (),
    media: Media = "link",
    media_prompts: int | None = None,
    published: Sequence[Baseline] = (),
    title: str = "",
    is_board: bool = False,
    exports: Sequence[str] = (),
) -> ReportFiles:
    """Write `report.html` (a leaderboard: `index.html`), `table.md`, `.csv`, `.tex` and `references.bib`.

    Equal runs give equal bytes.

    Args:
        runs: run folders, at least one.
        out: folder for the files.
        baseline: label of the system from which paired differences are shown.
        primary: ids of the metrics that were declared to decide; they come first.
        media: link clips from where they lie, relative to `out`; copy them below `out`; or leave them out, so that the
            page is a single file.
        media_prompts: offer only the clips of that many prompts, spread over the suite.
        published: protocols of published figures to show, with `published.csv`.
        title: heading; empty: the systems' names.
        is_board: whether it is a leaderboard.
        exports: forms for other programs, of `exports.FORMATS`.

    Raises:
        ValueError: an unknown form, no run, a folder that is no run or is damaged, or an unknown baseline.
    """
    read = [read_run(folder) for folder in runs]
    comparison = compare(read, baseline=baseline, primary=primary)
    page_of = Page(
        folder=out,
        media=media,
        media_prompts=media_prompts,
        published=tuple(published),
        title=title,
        is_board=is_board,
    )
    written = ReportFiles(
        html=out / ("index.html" if is_board else "report.html"),
        markdown=out / "table.md",
        csv=out / "table.csv",
        latex=out / "table.tex",
        bibtex=out / "references.bib",
    )
    tables = [*map(protocol_table, published), *namesake_tables(published)]
    atomic_write(written.html, render_html(comparison, read, page_of))
    atomic_write(written.markdown, render_markdown(comparison) + published_markdown(tables))
    atomic_write(written.csv, render_csv(comparison))
    atomic_write(written.latex, render_latex(comparison) + published_latex(tables))
    atomic_write(written.bibtex, bibtex(published, (column.metric for column in comparison.columns)))
    if published:
        atomic_write(out / "published.csv", published_csv(published))
    write_exports(comparison, out, exports, published)
    return written


def render_html(comparison: Comparison, runs: Sequence[Run] = (), made: Page | None = None) -> str:
    """The page as text.

    Args:
        comparison: of the runs.
        runs: the same runs in the same order, for run cards, plots and clips; without them only tables are shown.
        made: where it lies and what else it shows.
    """
    made = made or Page()
    style = Markup("".join(map(_template, _STYLES)))
    clips = _clips(comparison, runs, made)
    content: dict[str, Any] = {
        "style": style,
        "style_hash": _digest(style),
        "scripts": [(Markup(text), _digest(text)) for text in map(_template, _SCRIPTS)],
        "comparison": comparison,
        "title": made.title,
        "is_board": made.is_board,
        "board": board.board(comparison),
        "rows": list(zip(grid.value_rows(comparison), map(page.plots_of, comparison.columns), strict=True)),
        "differences": grid.difference_rows(comparison),
        "difference_systems": grid.difference_systems(comparison),
        "legend": grid.legend(comparison),
        "footnotes": grid.footnotes(comparison),
        "protocols": [(column, page.protocol_card(column)) for column in comparison.columns],
        "cards": [(comparison.systems[place], page.run_cards(run)) for place, run in enumerate(runs)],
        "drawings": board.drawings(comparison, runs),
        "heats": board.heat_maps(comparison, runs),
        "published": [protocol_table(found) for found in made.published],
        "namesakes": namesake_tables(made.published),
        "clips": clips,
        "clip_text": Markup(clips.text) if clips else "",
        "plot_width": page.PLOT_WIDTH,
    }
    return page_environment().get_template("report.html.j2").render(content)


def _clips(comparison: Comparison, runs: Sequence[Run], made: Page) -> ClipData | None:
    if not any(run.clips for run in runs):
        return None
    return clip_data(comparison, runs, address_of(made.folder, made.media, made.media_prompts))


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
