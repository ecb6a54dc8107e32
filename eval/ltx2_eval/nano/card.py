"""The model card's table of figures, and training curves as SVG."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from ltx2_eval.nano.figures import Figure
from ltx2_reports.escape import for_svg
from ltx2_reports.store import atomic_write

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 480, 220, 64, 36, 28


def figures_table(figures: Sequence[Figure]) -> str:
    """A Markdown table: figure, value with its 95 % interval, bar, n; under it each note once."""
    rows = ["| figure | value | 95 % interval | bar | n |", "|---|---|---|---|---|"]
    for figure in figures:
        known = figure.low is not None and figure.high is not None
        interval = f"{figure.low:.4g} to {figure.high:.4g}" if known else ""
        value = f"{figure.value:.4g} {figure.unit}".rstrip()
        rows.append(f"| {figure.name} | {value} | {interval} | {figure.bar} | {figure.n} |")
    notes = dict.fromkeys(figure.note for figure in figures if figure.note)
    return "\n".join([*rows, *(line for note in notes for line in ("", note))])


def write_figures(card: Path, figures: Sequence[Figure]) -> None:
    """Replace the table between the card's markers.

    Raises:
        ValueError: The card has no markers.
    """
    text = card.read_text(encoding="utf-8")
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"{card} lacks the markers {BEGIN} and {END}; put them where the table belongs")
    atomic_write(card, f"{before}{BEGIN}\n{figures_table(figures)}\n{END}{after}")


def curve_svg(log: Path, columns: Sequence[str], title: str) -> str:
    """Curves of a stage's CSV log over its steps.

    Args:
        log: `train.csv` or `validation.csv` of a stage.
        columns: Which columns to draw.
        title: Above the curves.

    Raises:
        ValueError: The log lacks a column or has fewer than two rows.
    """
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if len(rows) < 2 or any(column not in rows[0] for column in columns):
        raise ValueError(f"{log} has {len(rows)} rows and needs two, with columns {', '.join(columns)}")
    steps = [float(row["step"]) for row in rows]
    curves = {column: [float(row[column]) for row in rows] for column in columns}
    values = [value for curve in curves.values() for value in curve if math.isfinite(value)]
    low, high = min(values), max(values)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12" role="img"><title>{for_svg(title)}</title>',
        f'<text x="{_LEFT}" y="18">{for_svg(title)}: {for_svg(", ".join(columns))}</text>',
        f'<text x="4" y="{_TOP + 6}">{high:.4g}</text><text x="4" y="{_HEIGHT - _BOTTOM}">{low:.4g}</text>',
        f'<text x="{_LEFT}" y="{_HEIGHT - 10}">step {steps[0]:g} to {steps[-1]:g}</text>',
    ]
    for index, curve in enumerate(curves.values()):
        dash = "" if index == 0 else f' stroke-dasharray="{3 * index} 3"'
        parts.append(f'<polyline fill="none" stroke="currentColor"{dash} points="{_points(steps, curve, low, high)}"/>')
    return "\n".join([*parts, "</svg>\n"])


def _points(steps: Sequence[float], curve: Sequence[float], low: float, high: float) -> str:
    across, up = _WIDTH - _LEFT - 8, _HEIGHT - _BOTTOM - _TOP
    span_x, span_y = (steps[-1] - steps[0]) or 1.0, (high - low) or 1.0
    return " ".join(
        f"{_LEFT + across * (step - steps[0]) / span_x:.1f},{_TOP + up * (high - value) / span_y:.1f}"
        for step, value in zip(steps, curve, strict=True)
        if math.isfinite(value)
    )
