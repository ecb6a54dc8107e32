"""The shapes as implicit functions (for anti-aliased drawing) and as outlines (for exact contacts)."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Outline = tuple[tuple[float, float], ...]

_CIRCLE, _SQUARE, _STAR, _ARM, _THICK = 1.0, 0.86, 1.22, 1.08, 0.36
_TRIANGLE: Outline = ((0.0, -1.1), (1.05, 0.75), (-1.05, 0.75))
_DIAMOND: Outline = ((0.0, -1.25), (0.72, 0.0), (0.0, 1.25), (-0.72, 0.0))


def _ring(count: int, radius: float, phase: float = -math.pi / 2) -> Outline:
    angles = [phase + 2 * math.pi * k / count for k in range(count)]
    return tuple((radius * math.cos(angle), radius * math.sin(angle)) for angle in angles)


def _star() -> Outline:
    inner = _STAR * math.cos(2 * math.pi / 5) / math.cos(math.pi / 5)
    outer_ring, inner_ring = _ring(5, _STAR), _ring(5, inner, -math.pi / 2 + math.pi / 5)
    return tuple(point for pair in zip(outer_ring, inner_ring, strict=True) for point in pair)


def _cross() -> Outline:
    a, b = _ARM, _THICK
    return ((-b, -a), (b, -a), (b, -b), (a, -b), (a, b), (b, b), (b, a), (-b, a), (-b, b), (-a, b), (-a, -b), (-b, -b))


@cache
def outline(shape: str) -> Outline:
    """Returns a shape's corners in radii around its centre, x to the right and y down."""
    s = _SQUARE
    table = {
        "circle": _ring(64, _CIRCLE),
        "square": ((-s, -s), (s, -s), (s, s), (-s, s)),
        "triangle": _TRIANGLE,
        "diamond": _DIAMOND,
        "star": _star(),
        "cross": _cross(),
    }
    return table[shape]


@cache
def reach(shape: str) -> tuple[float, float, float, float]:
    """Returns how far a shape reaches left, right, up and down from its centre, in radii."""
    xs, ys = zip(*outline(shape), strict=True)
    return -min(xs), max(xs), -min(ys), max(ys)


def contact_distance(left: str, left_radius: float, right: str, right_radius: float, rise: float) -> float:
    """Returns the horizontal distance between the centres of two shapes that just touch.

    Args:
        left: Shape of the left object.
        left_radius: Its radius.
        right: Shape of the right object.
        right_radius: Its radius.
        rise: How much lower the right centre lies (y of the right minus y of the left).
    """
    a = [(x * left_radius, y * left_radius) for x, y in outline(left)]
    b = [(-x * right_radius, y * right_radius + rise) for x, y in outline(right)]
    heights = [y for _, y in a + b]
    widths = [(_profile(a, y), _profile(b, y)) for y in heights]
    return max(p + q for p, q in widths if p is not None and q is not None)


def _profile(corners: list[tuple[float, float]], height: float) -> float | None:
    """The largest x of a polygon at a height, or None beyond it."""
    crossings = []
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if min(y0, y1) <= height <= max(y0, y1):
            crossings += [x0, x1] if y0 == y1 else [x0 + (x1 - x0) * (height - y0) / (y1 - y0)]
    return max(crossings, default=None)


def signed_distance(shape: str, x: Floats, y: Floats) -> Floats:
    """Returns the distance to a shape's edge in radii, negative inside (beyond corners: to the longer edge).

    Args:
        shape: One of `vocabulary.SHAPES`.
        x: To the right of the centre, in radii, any array shape that broadcasts with ``y``.
        y: Below the centre, in radii.
    """
    if shape == "circle":
        return np.sqrt(x * x + y * y) - np.float32(_CIRCLE)
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) - np.float32(_SQUARE)
    if shape == "cross":
        far, near = np.abs(x), np.abs(y)
        return np.maximum(np.maximum(far, near) - np.float32(_ARM), np.minimum(far, near) - np.float32(_THICK))
    if shape == "star":
        return _pentagram(x, y)
    distance = None
    for normal_x, normal_y, offset in _planes(shape):
        plane = normal_x * x + normal_y * y - offset
        distance = plane if distance is None else np.maximum(distance, plane)
    assert distance is not None
    return distance


@cache
def _planes(shape: str) -> tuple[tuple[np.float32, np.float32, np.float32], ...]:
    """Outward normals and offsets of a convex outline's edges."""
    corners = outline(shape)
    planes = []
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        length = math.hypot(x1 - x0, y1 - y0)
        nx, ny = (y1 - y0) / length, -(x1 - x0) / length
        sign = 1.0 if nx * x0 + ny * y0 > 0 else -1.0
        planes.append((np.float32(sign * nx), np.float32(sign * ny), np.float32(sign * (nx * x0 + ny * y0))))
    return tuple(planes)


def _pentagram(x: Floats, y: Floats) -> Floats:
    """A five-pointed star is where at most one of its five long edges is overstepped: the second largest distance."""
    offset = np.float32(_STAR * math.cos(2 * math.pi / 5))
    first = second = None
    for normal_x, normal_y in _ring(5, 1.0):
        plane = np.float32(normal_x) * x + np.float32(normal_y) * y - offset
        if first is None:
            first = plane
        elif second is None:
            first, second = np.maximum(first, plane), np.minimum(first, plane)
        else:
            second = np.maximum(second, np.minimum(first, plane))
            first = np.maximum(first, plane)
    assert second is not None
    return second
