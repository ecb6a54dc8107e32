"""Motions with their strikes: exact ballistics, slides and collisions, as pieces of constant acceleration."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ltx2_benchmarks.synthetic.scene import Segment
from ltx2_benchmarks.synthetic.vocabulary import WALL_X

DOWN, LEFT, RIGHT = (0.0, 1.0), (-1.0, 0.0), (1.0, 0.0)
Normal = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """When an object strikes something, in which direction it lies, and how hard (0..1)."""

    time_s: float
    normal: Normal
    strength: float = 1.0


Motion = tuple[tuple[Segment, ...], tuple[Hit, ...]]


def bounce_intervals(*, drop: float, gravity: float, restitution: float, count: int) -> list[float]:
    """Returns the seconds of the fall and then between impacts of an object dropped from rest.

    The fall takes √(2·drop/g); it lands at √(2·g·drop), leaves at e times that, and is back after 2·e·v/g.
    """
    speed = math.sqrt(2 * gravity * drop)
    return [speed / gravity] + [2 * speed * restitution**k / gravity for k in range(1, count)]


def bounce(
    *,
    x: float,
    drift: float,
    floor: float,
    release_s: float,
    drop: float,
    gravity: float,
    restitution: float,
    count: int,
) -> Motion:
    """An object at rest is let go above the floor, strikes it ``count`` times and stays there.

    Args:
        x: Where it starts, in heights of the frame.
        drift: Its horizontal speed while it is in the air.
        floor: The centre's y when it touches the floor.
        release_s: When it is let go.
        drop: How far above the floor it starts.
        gravity: Heights of the frame per second squared.
        restitution: Speed after an impact over speed before.
        count: Impacts, at least 1.
    """
    intervals = bounce_intervals(drop=drop, gravity=gravity, restitution=restitution, count=count)
    held = Segment(start_s=0.0, x=x, y=floor - drop)
    segments = [held, Segment(start_s=release_s, x=x, y=floor - drop, vx=drift, ay=gravity)]
    hits = []
    time_s = release_s
    for k, interval in enumerate(intervals):
        time_s += interval
        x += drift * interval
        hits.append(Hit(time_s=time_s, normal=DOWN, strength=max(0.5, restitution**k)))
        if k + 1 < count:
            segments.append(
                Segment(start_s=time_s, x=x, y=floor, vx=drift, vy=-gravity * intervals[k + 1] / 2, ay=gravity)
            )
    segments.append(Segment(start_s=time_s, x=x, y=floor))
    return tuple(segments), tuple(hits)


def hop(*, x: float, floor: float, times_s: Sequence[float], gravity: float, first_drop: float) -> Motion:
    """An object strikes the floor at given times and leaves each time just fast enough to be back at the next.

    Args:
        x: Where it hops, in heights of the frame.
        floor: The centre's y when it touches the floor.
        times_s: The impacts, rising; the first no earlier than a fall from ``first_drop`` takes.
        gravity: Heights of the frame per second squared.
        first_drop: How far above the floor it waits for its first fall.
    """
    fall_s = math.sqrt(2 * first_drop / gravity)
    segments = [
        Segment(start_s=0.0, x=x, y=floor - first_drop),
        Segment(start_s=times_s[0] - fall_s, x=x, y=floor - first_drop, ay=gravity),
    ]
    for start, end in itertools.pairwise(times_s):
        segments.append(Segment(start_s=start, x=x, y=floor, vy=-gravity * (end - start) / 2, ay=gravity))
    segments.append(Segment(start_s=times_s[-1], x=x, y=floor))
    return tuple(segments), tuple(Hit(time_s=time, normal=DOWN) for time in times_s)


def _coast(start_s: float, x: float, y: float, speed: float, distance: float) -> tuple[Segment, Segment]:
    """Slows evenly from ``speed`` to rest within ``distance`` (its sign is the speed's)."""
    braking = -speed * speed / (2 * distance)
    rest_s = start_s - speed / braking
    return (
        Segment(start_s=start_s, x=x, y=y, vx=speed, ax=braking),
        Segment(start_s=rest_s, x=x + distance, y=y),
    )


def slide(
    *,
    x: float,
    y: float,
    release_s: float,
    speed: float,
    restitution: float,
    count: int,
    reach: tuple[float, float],
    aspect: float,
    coast: float,
) -> Motion:
    """An object slides along the floor from wall to wall, strikes ``count`` times and comes to rest.

    Args:
        x: Where it starts, in heights of the frame.
        y: The centre's height.
        release_s: When it starts to slide.
        speed: Positive to the right.
        restitution: Speed after an impact over speed before.
        count: Impacts, at least 1.
        reach: How far it reaches left and right of its centre.
        aspect: Width of the frame over its height.
        coast: Distance from the last impact to where it rests.
    """
    segments = [Segment(start_s=0.0, x=x, y=y), Segment(start_s=release_s, x=x, y=y, vx=speed)]
    hits = []
    time_s = release_s
    for k in range(count):
        target = aspect - WALL_X - reach[1] if speed > 0 else WALL_X + reach[0]
        time_s += (target - x) / speed
        x = target
        hits.append(Hit(time_s=time_s, normal=RIGHT if speed > 0 else LEFT, strength=max(0.6, restitution**k)))
        speed = -speed * restitution
        segments.append(Segment(start_s=time_s, x=x, y=y, vx=speed))
    segments[-1:] = _coast(time_s, x, y, speed, math.copysign(coast, speed))
    return tuple(segments), tuple(hits)


def collide(
    *,
    starts: tuple[float, float],
    heights: tuple[float, float],
    speeds: tuple[float, float],
    release_s: float,
    touching: float,
    coasts: tuple[float, float],
) -> tuple[Motion, Motion]:
    """Two objects slide towards each other, strike once, part with exchanged speeds (equal masses) and come to rest.

    Args:
        starts: x of the left and the right object.
        heights: y of their centres.
        speeds: Their speeds towards each other, both positive.
        release_s: When both start.
        touching: The distance of their centres when they touch.
        coasts: How far each slides back.
    """
    left, right = starts
    after_s = (right - left - touching) / (speeds[0] + speeds[1])
    time_s = release_s + after_s
    motions = []
    for k, (x, y, sign) in enumerate(zip(starts, heights, (1.0, -1.0), strict=True)):
        meeting = x + sign * speeds[k] * after_s
        path = (
            Segment(start_s=0.0, x=x, y=y),
            Segment(start_s=release_s, x=x, y=y, vx=sign * speeds[k]),
            *_coast(time_s, meeting, y, -sign * speeds[1 - k], -sign * coasts[k]),
        )
        motions.append((path, (Hit(time_s=time_s, normal=(sign, 0.0)),)))
    return motions[0], motions[1]


def still(*, x: float, y: float) -> tuple[Segment, ...]:
    """An object that stays where it is."""
    return (Segment(start_s=0.0, x=x, y=y),)


def drift(*, x: float, y: float, speed: float) -> tuple[Segment, ...]:
    """An object that floats sideways at a constant speed."""
    return (Segment(start_s=0.0, x=x, y=y, vx=speed),)
