"""The families of scenes: what kinds of things happen, and with which numbers."""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ltx2_benchmarks.synthetic import physics
from ltx2_benchmarks.synthetic.dice import Dice
from ltx2_benchmarks.synthetic.scene import Body, Segment, Strike, floor_height
from ltx2_benchmarks.synthetic.shapes import contact_distance, reach
from ltx2_benchmarks.synthetic.vocabulary import COLOURS, MATERIALS, SHAPES, SIZES, Split, split_of

LEAST_GAP_S = 0.22
"""Strikes are at least this far apart, so that each is seen and heard on its own."""
_TAIL_S = 0.25


class Frame(NamedTuple):
    """What a family's function must fit into: ``wanted`` is how many strikes it was asked for."""

    split: Split
    aspect: float
    duration_s: float
    wanted: int


class Cast(NamedTuple):
    """What a family's function decides; None is a draw that does not fit and is drawn again."""

    objects: tuple[Body, ...]
    strikes: tuple[Strike, ...]
    walls: bool = False


def _looks(dice: Dice, frame: Frame, motion: str, taken: Sequence[Body] = ()) -> tuple[str, str]:
    """A shape and a colour of the split that no other object of the scene has."""
    pairs = [
        (shape, colour)
        for shape in SHAPES
        for colour in COLOURS
        if split_of(colour, shape, motion) == frame.split
        and all(shape != body.shape and colour != body.colour for body in taken)
        and not (motion == "rotate" and shape == "circle")
    ]
    return dice.pick(pairs)


def _place(dice: Dice, frame: Frame, side: str | None = None) -> float:
    share = {"left": 0.24, "centre": 0.5, "right": 0.76}[side or dice.pick(("left", "centre", "right"))]
    return frame.aspect * (share + dice.between(-0.03, 0.03))


def _impacts(index: int, hits: Sequence[physics.Hit], kind: str = "impact") -> tuple[Strike, ...]:
    return tuple(
        Strike(time_s=hit.time_s, kind=kind, objects=(index,), normals=(hit.normal,), strength=hit.strength)
        for hit in hits
    )


def _well_spaced(times_s: Sequence[float], duration_s: float) -> bool:
    gaps = [b - a for a, b in itertools.pairwise(times_s)]
    return times_s[0] >= 0.15 and times_s[-1] <= duration_s - _TAIL_S and all(gap >= LEAST_GAP_S for gap in gaps)


def _bounce_body(
    dice: Dice,
    frame: Frame,
    *,
    x: float,
    count: int,
    earliest_s: float = 0.0,
    slack_s: float = 0.6,
    drift: float = 0.0,
    taken: Sequence[Body] = (),
) -> tuple[Body, tuple[physics.Hit, ...]]:
    shape, colour = _looks(dice, frame, "bounce", taken)
    size = dice.pick(tuple(SIZES))
    floor = floor_height(reach(shape)[3], SIZES[size])
    path, hits = physics.bounce(
        x=x,
        drift=drift,
        floor=floor,
        release_s=earliest_s + dice.between(0.0, slack_s),
        drop=dice.between(0.28, 0.6),
        gravity=dice.between(3.5, 7.0),
        restitution=dice.between(0.6, 0.9),
        count=count,
    )
    materials = [material for material in MATERIALS if all(material != body.sound for body in taken)]
    sound = dice.pick(materials)
    return Body(shape=shape, colour=colour, size=size, motion="bounce", sound=sound, path=path), hits


def _bounce(dice: Dice, frame: Frame) -> Cast | None:
    drift = dice.between(-0.12, 0.12) if dice.chance(0.4) else 0.0
    slack_s = max(0.1, frame.duration_s - 1.2)
    body, hits = _bounce_body(dice, frame, x=_place(dice, frame), count=frame.wanted, slack_s=slack_s, drift=drift)
    if not _well_spaced([hit.time_s for hit in hits], frame.duration_s):
        return None
    return Cast((body,), _impacts(0, hits))


def _slide(dice: Dice, frame: Frame) -> Cast | None:
    shape, colour = _looks(dice, frame, "slide")
    size = dice.pick(tuple(SIZES))
    radius = SIZES[size]
    left, right, _, below = (length * radius for length in reach(shape))
    path, hits = physics.slide(
        x=_place(dice, frame),
        y=floor_height(below / radius, radius),
        release_s=dice.between(0.0, 0.6),
        speed=dice.pick((-1, 1)) * dice.between(0.45, 1.6) * frame.aspect,
        restitution=dice.between(0.75, 0.95),
        count=frame.wanted,
        reach=(left, right),
        aspect=frame.aspect,
        coast=dice.between(0.12, 0.3),
    )
    if not _well_spaced([hit.time_s for hit in hits], frame.duration_s):
        return None
    body = Body(shape=shape, colour=colour, size=size, motion="slide", sound=dice.pick(MATERIALS), path=path)
    return Cast((body,), _impacts(0, hits), walls=True)


def _collide(dice: Dice, frame: Frame) -> Cast | None:
    sound = dice.pick(MATERIALS)
    looks = [_looks(dice, frame, "collide")]
    still = (Segment(start_s=0.0, x=0.0, y=0.0),)
    first = Body(shape=looks[0][0], colour=looks[0][1], size="small", motion="collide", sound=sound, path=still)
    looks.append(_looks(dice, frame, "collide", [first]))
    sizes = [dice.pick(("small", "medium")) for _ in looks]
    radii = [SIZES[size] for size in sizes]
    heights = [floor_height(reach(shape)[3], radius) for (shape, _), radius in zip(looks, radii, strict=True)]
    starts = (frame.aspect * dice.between(0.16, 0.24), frame.aspect * dice.between(0.76, 0.84))
    touching = contact_distance(looks[0][0], radii[0], looks[1][0], radii[1], heights[1] - heights[0])
    motions = physics.collide(
        starts=starts,
        heights=(heights[0], heights[1]),
        speeds=(dice.between(0.15, 0.9), dice.between(0.15, 0.9)),
        release_s=dice.between(0.0, 0.7),
        touching=touching,
        coasts=(dice.between(0.04, 0.1), dice.between(0.04, 0.1)),
    )
    time_s = motions[0][1][0].time_s
    if starts[1] - starts[0] - touching < 0.15 or not _well_spaced([time_s], frame.duration_s):
        return None
    bodies = tuple(
        Body(shape=shape, colour=colour, size=size, motion="collide", sound=sound, path=path)
        for (shape, colour), size, (path, _) in zip(looks, sizes, motions, strict=True)
    )
    normals = (physics.RIGHT, physics.LEFT)
    return Cast(bodies, (Strike(time_s=time_s, kind="impact", objects=(0, 1), normals=normals),))


def _blink_body(
    dice: Dice,
    frame: Frame,
    *,
    x: float,
    count: int,
    span_s: tuple[float, float],
    taken: Sequence[Body] = (),
) -> tuple[Body, tuple[physics.Hit, ...]]:
    shape, colour = _looks(dice, frame, "blink", taken)
    times_s = sorted(dice.between(*span_s) for _ in range(count))
    path = physics.still(x=x, y=dice.between(0.3, 0.6))
    body = Body(shape=shape, colour=colour, size=dice.pick(tuple(SIZES)), motion="blink", sound="beep", path=path)
    return body, tuple(physics.Hit(time_s=time, normal=(0.0, 0.0)) for time in times_s)


def _blink(dice: Dice, frame: Frame) -> Cast | None:
    span_s = (0.15, frame.duration_s - _TAIL_S)
    body, hits = _blink_body(dice, frame, x=_place(dice, frame), count=frame.wanted, span_s=span_s)
    if not _well_spaced([hit.time_s for hit in hits], frame.duration_s):
        return None
    return Cast((body,), _impacts(0, hits, "blink"))


def _rotate(dice: Dice, frame: Frame) -> Cast | None:
    shape, colour = _looks(dice, frame, "rotate")
    start_s = dice.between(0.1, 0.65 * frame.duration_s)
    end_s = frame.duration_s if dice.chance(0.5) else dice.between(start_s + 0.5, frame.duration_s)
    if end_s > frame.duration_s:
        return None
    body = Body(
        shape=shape,
        colour=colour,
        size=dice.pick(("medium", "large")),
        motion="rotate",
        sound=dice.pick(("hum", "tone")),
        path=physics.still(x=_place(dice, frame), y=dice.between(0.35, 0.6)),
        spin=(start_s, end_s, dice.pick((-1, 1)) * dice.between(4.0, 7.0)),
    )
    return Cast((body,), (Strike(time_s=start_s, kind="start", objects=(0,), normals=((0.0, 0.0),)),))


def _drift(dice: Dice, frame: Frame) -> Cast | None:
    shape, colour = _looks(dice, frame, "drift")
    size = dice.pick(tuple(SIZES))
    sign = dice.pick((-1.0, 1.0))
    length = frame.aspect * dice.between(0.3, 0.55)
    start = frame.aspect / 2 - sign * length / 2 + dice.between(-0.05, 0.05)
    path = physics.drift(x=start, y=dice.between(0.25, 0.65), speed=sign * length / frame.duration_s)
    return Cast((Body(shape=shape, colour=colour, size=size, motion="drift", sound="none", path=path),), ())


def _order(dice: Dice, frame: Frame) -> Cast | None:
    """Two objects on two sides; all that happens to the first is over before anything happens to the second."""
    motions = dice.pick((("bounce", "bounce"), ("bounce", "blink"), ("blink", "bounce")))
    sides = dice.pick((("left", "right"), ("right", "left")))
    bodies: list[Body] = []
    strikes: list[Strike] = []
    after_s = 0.0
    for k, (motion, side) in enumerate(zip(motions, sides, strict=True)):
        x, count = _place(dice, frame, side), dice.pick((1, 1, 2))
        if motion == "bounce":
            fall_s = 0.3 if k else 0.0
            body, hits = _bounce_body(
                dice, frame, x=x, count=count, earliest_s=max(0.0, after_s - fall_s), slack_s=0.3, taken=bodies
            )
        else:
            first_s = max(0.15, after_s + 0.3)
            span_s = (first_s, max(first_s, min(first_s + 0.7, frame.duration_s - _TAIL_S)))
            body, hits = _blink_body(dice, frame, x=x, count=count, span_s=span_s, taken=bodies)
        if hits[0].time_s < after_s + 0.3 * k or not _well_spaced([hit.time_s for hit in hits], frame.duration_s):
            return None
        bodies.append(body)
        strikes += _impacts(k, hits, "impact" if motion == "bounce" else "blink")
        after_s = hits[-1].time_s
    return Cast(tuple(bodies), tuple(strikes))


def _irregular(dice: Dice, duration_s: float) -> list[float] | None:
    """Times from 0.3 to 0.85 s apart of which no two pairs are equally far apart within 40 ms (up to 2.2 s)."""
    times_s = [dice.between(0.45, 0.8)]
    seen: list[float] = []
    while True:
        for _ in range(60):
            time_s = times_s[-1] + dice.between(0.3, 0.85)
            gaps = [time_s - earlier for earlier in times_s if time_s - earlier < 2.2]
            if all(abs(gap - old) > 0.02 for gap in gaps for old in seen):
                break
        else:
            return None
        if time_s > duration_s - 0.3:
            return times_s
        times_s.append(time_s)
        seen += gaps


def _hops(dice: Dice, frame: Frame) -> Cast | None:
    shape, colour = _looks(dice, frame, "hop")
    size = dice.pick(tuple(SIZES))
    times_s = _irregular(dice, frame.duration_s)
    if times_s is None or len(times_s) < min(3, int(frame.duration_s)):
        return None
    floor = floor_height(reach(shape)[3], SIZES[size])
    path, hits = physics.hop(x=_place(dice, frame), floor=floor, times_s=times_s, gravity=5.0, first_drop=0.45)
    body = Body(shape=shape, colour=colour, size=size, motion="hop", sound=dice.pick(MATERIALS), path=path)
    return Cast((body,), _impacts(0, hits))


DRAW: dict[str, Callable[[Dice, Frame], Cast | None]] = {
    "bounce": _bounce,
    "slide": _slide,
    "collide": _collide,
    "blink": _blink,
    "rotate": _rotate,
    "drift": _drift,
    "order": _order,
    "impacts": _hops,
}
