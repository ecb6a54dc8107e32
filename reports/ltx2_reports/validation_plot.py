"""A trial drawn: difference from the clean clips over the level, as numbers for a small SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from ltx2_reports.numbers import format_number
from ltx2_reports.validation import DegradationRef, Point, Trial

WIDTH, HEIGHT = 320, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """One level: places in the drawing."""

    x: float
    y: float
    low: float
    high: float
    label: str
    """What a pointer resting on it shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A label on an axis."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """The drawing of a trial."""

    marks: tuple[Mark, ...]
    line: str
    """Corners of the curve, as SVG writes them."""
    zero: float
    """Height of no difference."""
    band: tuple[float, float] | None
    """Upper edge and height of what still counts as still."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def curve_of(trial: Trial, scale: DegradationRef) -> Curve | None:
    """The drawing; None where no level has a difference."""
    points = _with_clean([p for p in trial.points if p.difference is not None], scale)
    if len(points) < 2:
        return None
    xs = _spread([_abscissa(index, level, scale) for index, (level, _) in enumerate(points)])
    limits = [limit for _, point in points for limit in _limits(point)] + [
        trial.tolerance or 0.0,
        -(trial.tolerance or 0),
    ]
    low, high = min(0.0, *limits), max(0.0, *limits)
    span = (high - low) or 1.0

    def height(value: float) -> float:
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (high - value) / span

    marks = tuple(_mark(x, level, point, height, scale) for x, (level, point) in zip(xs, points, strict=True))
    band = (
        None
        if trial.tolerance is None
        else (height(trial.tolerance), height(-trial.tolerance) - height(trial.tolerance))
    )
    return Curve(
        marks=marks,
        line=" ".join(f"{mark.x:.1f},{mark.y:.1f}" for mark in marks),
        zero=height(0.0),
        band=band,
        x_ticks=_x_ticks(marks, points, scale),
        y_ticks=tuple(Tick(at=height(v), text=format_number(v, None)) for v in sorted({low, 0.0, high})),
    )


def _with_clean(points: Sequence[Point], scale: DegradationRef) -> list[tuple[float | None, Point | None]]:
    """Levels in the order of the axis; the untouched clip, without a point of its own, stands where it belongs."""
    clean = scale.clean
    found: list[tuple[float | None, Point | None]] = [(point.level, point) for point in points]
    before = sum(1 for point in points if clean is not None and point.level < clean) if scale.two_sided else 0
    return [*found[:before], (clean, None), *found[before:]] if points else []


def _abscissa(index: int, level: float | None, scale: DegradationRef) -> float:
    """True to scale where the untouched clip has a level; else in even steps."""
    return float(index) if scale.clean is None or level is None else level


def _spread(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    if values[0] > values[-1]:  # levels that sink from the clean clip on, such as gains below 0 dB
        low, high = high, low
    return [_LEFT + (WIDTH - _LEFT - _RIGHT) * (value - low) / ((high - low) or 1.0) for value in values]


def _limits(point: Point | None) -> list[float]:
    if point is None or point.difference is None:
        return [0.0]
    return [limit for limit in (point.low, point.difference, point.high) if limit is not None]


def _mark(x: float, level: float | None, point: Point | None, height: "object", scale: DegradationRef) -> Mark:
    assert callable(height)
    difference = 0.0 if point is None or point.difference is None else point.difference
    limits = _limits(point)
    named = "clean" if point is None else f"{level:g} {scale.unit}".strip()
    said = f"{named}: {format_number(difference, None, signed=True)}"
    return Mark(x=x, y=height(difference), low=height(min(limits)), high=height(max(limits)), label=said)


def _x_ticks(
    marks: Sequence[Mark], points: Sequence[tuple[float | None, Point | None]], scale: DegradationRef
) -> tuple[Tick, ...]:
    """The first, the last and the clean one; all where they stand in even steps."""
    even = scale.clean is None
    last = len(points) - 1
    kept = [i for i, (_, point) in enumerate(points) if even or point is None or i in (0, last)]
    names = ["clean" if point is None else "degraded" if last == 1 else f"{level:g}" for level, point in points]
    return tuple(Tick(at=marks[i].x, text=names[i]) for i in kept)
