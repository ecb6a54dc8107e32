"""What a scene's clip must show and sound, as plain data that a program can check."""

from typing import Any

from ltx2_benchmarks.synthetic.scene import Scene
from ltx2_benchmarks.synthetic.vocabulary import SIDE_X, TIMINGS


def side_of(x: float) -> str:
    """Returns the name of a place −1..1."""
    return "left" if x < -SIDE_X else "right" if x > SIDE_X else "centre"


def timing_of(time_s: float, duration_s: float) -> str:
    """Returns in which third of the clip a time lies."""
    return TIMINGS[min(2, int(3 * time_s / duration_s))]


def by_appearance(scene: Scene) -> list[int]:
    """Returns the objects' indices in the order of their first events (then as they stand in the scene)."""
    firsts: dict[int, float] = {}
    for strike in scene.strikes:
        for index in strike.objects:
            firsts.setdefault(index, strike.time_s)
    return sorted(range(len(scene.objects)), key=lambda index: (firsts.get(index, scene.duration_s), index))


def describe(scene: Scene) -> dict[str, Any]:
    """Returns all that can be checked about a scene's clip.

    Keys (absent ones make no claim): ``objects`` (colour, shape, size, motion, impacts, side; in the order of their
    first events), ``impacts`` (how many impacts or blinks), ``sounds`` (classes in the order they are first heard in),
    ``silent``, ``ambient`` ("none", "hum" or "tone" under everything), ``side`` (of the first event), ``timing`` (the
    third of the clip in which the first event lies), ``order`` (colours, where two objects act one after the other),
    ``direction`` (of an object that only floats), ``background``, ``pattern``, ``camera``, ``duration_s`` and
    ``events_s`` (the exact times).
    """
    events, order = scene.events, by_appearance(scene)
    found: dict[str, Any] = {
        "objects": [_appearance(scene, index) for index in order],
        "impacts": sum(event.kind != "start" for event in events),
        "sounds": list(dict.fromkeys(event.material for event in events)),
        "silent": not events and scene.ambient == "none",
        "background": scene.background,
        "pattern": scene.pattern,
        "camera": scene.camera,
        "duration_s": scene.duration_s,
        "events_s": [event.time_s for event in events],
    }
    if scene.family != "rotate":
        found["ambient"] = scene.ambient
    if events:
        found["side"] = side_of(events[0].x)
        found["timing"] = timing_of(events[0].time_s, scene.duration_s)
    if scene.family == "order":
        found["order"] = [scene.objects[index].colour for index in order]
    if scene.family == "drift":
        found["direction"] = "right" if scene.objects[0].path[0].vx > 0 else "left"
    return found


def promised(scene: Scene) -> dict[str, Any]:
    """Returns what the caption promises: `describe` without the exact times, which no caption tells."""
    return {key: value for key, value in describe(scene).items() if key != "events_s"}


def _appearance(scene: Scene, index: int) -> dict[str, Any]:
    body = scene.objects[index]
    times = [strike.time_s for strike in scene.strikes if index in strike.objects]
    found: dict[str, Any] = {"colour": body.colour, "shape": body.shape, "size": body.size, "motion": body.motion}
    found["impacts"] = sum(index in strike.objects and strike.kind != "start" for strike in scene.strikes)
    if body.motion not in ("slide", "collide", "drift"):
        found["side"] = side_of(scene.pan_at(index, times[0]))
    return found
