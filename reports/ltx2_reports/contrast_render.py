"""Writers of a contrast: a terminal and Markdown; `contrast_facts` serves programs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ltx2_reports.contrast import Contrast, Contrasts
from ltx2_reports.contrast_words import is_significant, p_text, sentence, shown_amount, shown_values
from ltx2_reports.escape import for_markdown, terminal_line
from ltx2_reports.numbers import ARROWS, readable_unit

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

HEAD = ("metric", "A", "B", "B − A", "95 % interval", "p", "Holm p", "finds ≥", "B ahead", "prompts")
MARGIN_HEAD = "margin"


def heading(contrasts: Contrasts) -> list[str]:
    """Who A and B are."""
    sides = (("A", contrasts.first), ("B", contrasts.second))
    return [f"{name}: {run.header.spec.system} ({run.folder})" for name, run in sides]


def notes(contrasts: Contrasts) -> list[str]:
    """What was left out: metrics, then clips; the same sentence once for all metrics it holds for."""
    said: dict[str, list[str]] = {}
    for contrast in contrasts.contrasts:
        for text in contrast.excluded:
            said.setdefault(text, []).append(contrast.metric.id)
    failed = [
        f"{name}: {count} of {len(run.clips)} clips could not be made or read"
        for name, run in (("A", contrasts.first), ("B", contrasts.second))
        if (count := sum(clip.reason is not None for clip in run.clips.values()))
    ]
    folders = [run.folder.resolve() for run in (contrasts.first, contrasts.second)]
    same = ["A and B are the same folder: every difference is 0 by construction"] if folders[0] == folders[1] else []
    return [*same, *failed, *contrasts.left_out, *(f"{', '.join(ids)}: {text}" for text, ids in said.items())]


def legend(contrasts: Contrasts) -> list[str]:
    """What the columns mean."""
    return [
        f"Paired by prompt and seed; interval: {_intervals_by(contrasts)}; p: {_ps_by(contrasts)}; "
        "Holm p: corrected within metrics marked primary or within the others. "
        + ("Primary: as declared." if contrasts.declared else "Primary: the usual ones, since --primary names none."),
        "finds ≥: least difference found with 80 % chance at p < 0.05. B ahead: share of prompts, ties half; "
        "where nothing is better, of prompts on which B is higher.",
        *([_MARGIN_LEGEND] if _has_margins(contrasts) else []),
    ]


def _intervals_by(contrasts: Contrasts) -> str:
    """How the intervals that are there were made."""
    made = {contrast.difference.made for contrast in contrasts.contrasts} - {"none"}
    return ", ".join(text.format(contrasts.resamples) for kind, text in _MADE.items() if kind in made) or "none"


def _ps_by(contrasts: Contrasts) -> str:
    """Which tests gave the p-values that are there."""
    tested = [contrast for contrast in contrasts.contrasts if contrast.p is not None]
    counted = [contrast.noise == "counted" for contrast in tested]
    per_clip = [contrast.set_draws is None and contrast.noise != "counted" for contrast in tested]
    drawn = [contrast.set_draws is not None for contrast in tested]
    kinds = (("sign flips", per_clip), ("t-test where seeds are counted", counted), ("swapped labels of sets", drawn))
    return ", ".join(text for text, found in kinds if any(found)) or "none"


_MADE = {
    "studentised": "studentised bootstrap over prompts ({} draws)",
    "exact": "exact where all differences are at an end of the range",
    "student_t": "Student's t where seeds are counted, and of kernel distances",
    "replicates": "draws of whole sets",
}

_MARGIN_LEGEND = (
    "margin: largest loss (±: difference) stated in advance as one that would not matter; kept: a t-test at 5 % (±: "
    "two) rules out a loss of it; exceeded: the loss is larger, likewise; open: neither. Not corrected for the number "
    "of margins: claim all of them together, or none."
)


def _has_margins(contrasts: Contrasts) -> bool:
    return any(contrast.margin is not None for contrast in contrasts.contrasts)


def head(contrasts: Contrasts) -> tuple[str, ...]:
    """Of the columns; one for margins only where some were stated."""
    return (*HEAD, MARGIN_HEAD) if _has_margins(contrasts) else HEAD


def rows(contrasts: Contrasts) -> list[tuple[str, ...]]:
    """The table as text, one row per metric."""
    more = _has_margins(contrasts)
    return [(*cells(c), margin_cell(c)) if more else cells(c) for c in contrasts.contrasts]


def margin_cell(contrast: Contrast) -> str:
    """The margin and what became of it."""
    found = contrast.margin
    if found is None:
        return ""
    p = "" if found.p is None or found.outcome == "exceeded" else f", p {p_text(found.p)}"
    return f"{'±' if found.margin.both_sides else ''}{shown_amount(contrast, found.margin.value)} {found.outcome}{p}"


def cells(contrast: Contrast) -> tuple[str, ...]:
    """One row of the table as text, without a margin."""
    a, b, difference, limits, least = shown_values(contrast)
    _, unit = readable_unit(contrast.metric.unit, max(abs(contrast.first), abs(contrast.second)))
    arrow = ARROWS[contrast.metric.direction]
    said = ", ".join(filter(None, (unit, "median" if contrast.ratio is not None else "")))
    name = f"{contrast.metric.id}{f' ({said})' if said else ''}{' ' + arrow if arrow else ''}"
    name += " (primary)" if contrast.primary else ""
    rate, higher = contrast.win_rate, " higher" if contrast.metric.direction == "none" else ""
    wins = "—" if rate is None else f"{rate.rate:.0%}{higher} [{rate.low:.0%}, {rate.high:.0%}]"
    ps = (p_text(contrast.p), p_text(contrast.p_holm))
    return (name, a, b, difference, limits, *ps, least, wins, str(contrast.prompts))


def category_rows(contrasts: Contrasts) -> list[tuple[str, ...]]:
    """Primary metrics by category: metric, category, difference, interval, prompts; of all where none is primary."""
    chosen = [c for c in contrasts.contrasts if c.primary] or list(contrasts.contrasts)
    made: list[tuple[str, ...]] = []
    for contrast in chosen:
        for part in contrast.categories:
            _, _, difference, limits, _ = shown_values(replace(contrast, difference=part.difference))
            made.append((contrast.metric.id, part.category, difference, limits, str(part.difference.n)))
    return made


def render_terminal(contrasts: Contrasts) -> "RenderableType":
    """Tables, sentences and notes for `rich.console.Console.print`."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(terminal_line(line)) for line in heading(contrasts)]
    main = [(c.primary, is_significant(c), row) for c, row in zip(contrasts.contrasts, rows(contrasts), strict=True)]
    parts += [Text(), _table(head(contrasts), main), Text()]
    parts += [Text(terminal_line(f"{c.metric.id}: {sentence(c)}")) for c in contrasts.contrasts]
    categories = category_rows(contrasts)
    if categories:
        parts += [Text("\nBy category (exploratory, not corrected)", style="bold")]
        parts += [_table(CATEGORY_HEAD, [(False, False, row) for row in categories])]
    parts.append(Text())
    parts += [Text(f"! {terminal_line(note)}", style="yellow") for note in notes(contrasts)]
    parts += [Text(line, style="dim") for line in legend(contrasts)]
    return Group(*parts)


CATEGORY_HEAD = ("metric", "category", "B − A", "95 % interval", "prompts")


def render_markdown(contrasts: Contrasts) -> str:
    """The same in GitHub-flavoured Markdown."""
    lines = [f"- {for_markdown(line)}" for line in heading(contrasts)]
    main = [(c.primary, row) for c, row in zip(contrasts.contrasts, rows(contrasts), strict=True)]
    lines += ["", *_markdown_table(head(contrasts), main), ""]
    lines += [f"- **{for_markdown(c.metric.id)}**: {for_markdown(sentence(c))}" for c in contrasts.contrasts]
    categories = category_rows(contrasts)
    if categories:
        lines += ["", "By category (exploratory, not corrected)", ""]
        lines += _markdown_table(CATEGORY_HEAD, [(False, row) for row in categories])
    lines += ["", *(f"- {for_markdown(note)}" for note in (*notes(contrasts), *legend(contrasts)))]
    return "\n".join(lines) + "\n"


def _markdown_table(titles: Sequence[str], content: Sequence[tuple[bool, Sequence[str]]]) -> list[str]:
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for strong, row in content:
        first = f"**{for_markdown(row[0])}**" if strong else for_markdown(row[0])
        lines.append(f"| {' | '.join([first, *map(for_markdown, row[1:])])} |")
    return lines


def _table(titles: Sequence[str], content: Sequence[tuple[bool, bool, Sequence[str]]]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for place, name in enumerate(titles):
        table.add_column(Text(name), justify="left" if place == 0 else "right", overflow="fold")
    for strong, told, row in content:
        styles = ["bold" if strong else "", *[""] * (len(row) - 1)]
        if told and len(row) > 3:
            styles[3] = "bold"
        table.add_row(*(Text(terminal_line(cell), style=style) for cell, style in zip(row, styles, strict=True)))
    return table
