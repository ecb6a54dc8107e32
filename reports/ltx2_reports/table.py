"""Tables that compare runs: what they hold (`comparison`) and how they are written (`render`), under one name."""

from ltx2_reports.comparison import (
    Column,
    Comparison,
    MixedProtocolsError,
    System,
    compare,
)
from ltx2_reports.latex import render_latex
from ltx2_reports.render import render_csv, render_markdown, render_terminal

__all__ = [
    "Column",
    "Comparison",
    "MixedProtocolsError",
    "System",
    "compare",
    "render_csv",
    "render_latex",
    "render_markdown",
    "render_terminal",
]
