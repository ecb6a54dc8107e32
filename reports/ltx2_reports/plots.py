"""Plots by matplotlib as SVG for a page with a strict content policy: no style attributes, the page's own colours.

Systems stand in plots by a short name (`short_names`), so that no free text of users gets into a drawing.
"""

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST_NAME = 22
_PLAIN = re.compile(r"[A-Za-z0-9 _.,()/+-]")
_INK, _DIM, _RULE, _SHEET = "#010101", "#020202", "#030303", "#040404"
_SYSTEMS = tuple(f"#0500{place:02x}" for place in range(6))
_VARIABLES = {
    _INK: "--ink",
    _DIM: "--dim",
    _RULE: "--rule",
    _SHEET: "--sheet",
    **{colour: f"--s{place}" for place, colour in enumerate(_SYSTEMS)},
}
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ltx2-eval",
    "font.family": ["sans-serif"],
    "font.size": 11,
    "text.color": _INK,
    "text.parse_math": False,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _DIM,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _RULE,
    "xtick.color": _DIM,
    "ytick.color": _DIM,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A system in a plot of quality against cost, or of a metric over time."""

    place: int
    """Of the system in the comparison, from 0; decides its colour."""
    name: str
    """Of the system, see `short_names`."""
    x: float
    y: float
    low: float | None
    high: float | None


def pareto(points: Sequence[Point], x_label: str, y_label: str, *, up: bool) -> Markup:
    """Quality (y, with intervals) against cost (x, logarithmic, less is better); the front is drawn as steps."""

    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    def draw(axes: "Axes") -> None:
        front = pareto_front(points, up=up)
        if len(front) > 1:
            axes.step([p.x for p in front], [p.y for p in front], where="post", color=_DIM, linewidth=1, linestyle="--")
        middle = math.sqrt(min(p.x for p in points) * max(p.x for p in points))
        for point in points:
            _dot(axes, point, left=point.x > middle)
        axes.set_xscale("log")
        axes.margins(0.15)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))

    return _drawn("pareto", x_label, y_label, draw)


def pareto_front(points: Sequence[Point], *, up: bool) -> list[Point]:
    """Points that no other beats in both cost and quality, by cost.

    >>> a = Point(place=0, name="a", x=1, y=3, low=None, high=None)
    >>> b = Point(place=1, name="b", x=2, y=1, low=None, high=None)
    >>> [p.name for p in pareto_front([a, b], up=True)], [p.name for p in pareto_front([a, b], up=False)]
    (['a'], ['a', 'b'])
    """
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.x, -p.y if up else p.y)):
        if not front or (point.y > front[-1].y if up else point.y < front[-1].y):
            front.append(point)
    return front


def over_time(series: Sequence[Sequence[Point]], days: Sequence[str], y_label: str) -> Markup:
    """A metric over runs of the same system, one line per system; x counts the runs' days."""

    def draw(axes: "Axes") -> None:
        for points in series:
            axes.plot([p.x for p in points], [p.y for p in points], color=_colour(points[0].place), linewidth=1.5)
            for point in points:
                _dot(axes, point, left=point.x > (len(days) - 1) / 2)
        axes.set_xticks(range(len(days)), days)
        axes.margins(0.1)

    return _drawn("drift", "", y_label, draw)


def stage_bars(names: Sequence[str], stages: Sequence[str], seconds: Sequence[Sequence[float]]) -> Markup:
    """Median seconds of each stage, one bar of parts per system; colours stand for stages.

    Args:
        names: of the systems, see `short_names`.
        stages: names that our own code gave.
        seconds: for each system, the seconds of each stage.
    """

    def draw(axes: "Axes") -> None:
        places = range(len(seconds))
        left = [0.0] * len(seconds)
        for index, name in enumerate(stages):
            widths = [parts[index] for parts in seconds]
            alpha = 0.95 if index < len(_SYSTEMS) else 0.45
            look: dict[str, Any] = {"color": _colour(index), "alpha": alpha, "edgecolor": _SHEET, "linewidth": 0.5}
            axes.barh(places, widths, left=left, height=0.7, label=name, **look)
            left = [start + width for start, width in zip(left, widths, strict=True)]
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize=9)
        axes.set_yticks(range(len(seconds)), names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")

    return _drawn("stages", "median seconds per clip", "", draw, height=1.6 + 0.45 * len(seconds))


def short_names(labels: Sequence[str], most: int = _LONGEST_NAME) -> list[str]:
    """Labels as a drawing may show them: of a few plain letters, not too long, and all different.

    Where a label has other letters, is too long, or is not told from another, its number in the list stands beside what
    can be shown, as `2: nano`.

    >>> short_names(["nano", "n<8", "n-8", "a very long name of a system"])
    ['nano', '2: n8', 'n-8', '4: a very long name o']
    """
    plain = ["".join(filter(_PLAIN.fullmatch, label)).strip() for label in labels]
    fits = [name == label and len(name) <= most for name, label in zip(plain, labels, strict=True)]
    return [
        name if fits[k] and plain.count(name) == 1 else f"{k + 1}: {name[: most - 4]}".rstrip(": ")
        for k, name in enumerate(plain)
    ]


def _dot(axes: "Axes", point: Point, *, left: bool) -> None:
    """A system with its interval; its name to the left where there is more room."""
    colour = _colour(point.place)
    if point.low is not None and point.high is not None:
        axes.plot([point.x, point.x], [point.low, point.high], color=colour, linewidth=2, solid_capstyle="round")
    axes.plot(point.x, point.y, marker="o", color=colour, markersize=7)
    side: dict[str, Any] = {"xytext": (-7, 5), "ha": "right"} if left else {"xytext": (7, 5), "ha": "left"}
    axes.annotate(point.name, (point.x, point.y), textcoords="offset points", **side)


def _colour(place: int) -> str:
    return _SYSTEMS[place % len(_SYSTEMS)]


def _drawn(name: str, x_label: str, y_label: str, draw: Callable[["Axes"], None], height: float = 3.6) -> Markup:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(7.0, height), layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        axes.set_axisbelow(True)
        draw(axes)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        stream = io.StringIO()
        FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None, "Creator": None})
    return Markup(_for_page(stream.getvalue(), name))


def _for_page(svg: str, name: str) -> str:
    """The drawing alone, its ids its own, its style as attributes, its colours the page's."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"| version="1.1"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'style="([^"]*)"', lambda found: _attributes(found.group(1)), svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(f'"{colour}"', f'"var({variable})"')
    svg = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'class="drawing" role="img" aria-hidden="true"', svg, count=1)
    return re.sub(r"\n\s*", "\n", svg)


def _attributes(style: str) -> str:
    """`fill: none; stroke: #000` as `fill="none" stroke="#000"`."""
    parts = (part.partition(":") for part in style.replace("&quot;", "'").split(";") if ":" in part)
    made: list[str] = []
    for key, _, value in parts:
        if key.strip() == "font":
            size = re.search(r"([\d.]+)px", value)
            made.append(f'font-size="{size.group(1) if size else 11}"')
        else:
            made.append(f'{key.strip()}="{value.strip()}"')
    return " ".join(made)
