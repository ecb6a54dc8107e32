"""Draws scenes from the procedural world: any seed, and three splits that share no combination."""

from ltx2_benchmarks.synthetic.dice import Dice
from ltx2_benchmarks.synthetic.families import DRAW, Frame
from ltx2_benchmarks.synthetic.scene import Scene
from ltx2_benchmarks.synthetic.vocabulary import AMBIENTS, BACKGROUNDS, CAMERAS, PATTERNS, Split

FAMILIES = ("bounce", "slide", "collide", "blink", "rotate", "drift", "order", "impacts")
_MIXED = (
    ("bounce",) * 5
    + ("slide",) * 3
    + ("collide",) * 3
    + ("blink",) * 3
    + ("rotate",) * 3
    + ("drift",) * 2
    + ("order",) * 4
)
_ATTEMPTS, _PLANS = 400, 30
_COUNTS = {"bounce": (1, 2, 3, 4), "slide": (1, 1, 2, 2, 3), "blink": (1, 2, 3, 4)}
_CAMERA_FAMILIES = ("bounce", "blink", "rotate")


def sample_scene(
    seed: int,
    *,
    split: Split = "train",
    family: str | None = None,
    width: int = 96,
    height: int = 96,
    frames: int = 49,
    fps: int = 24,
    rate_hz: int = 24_000,
) -> Scene:
    """Returns a scene of the world; the same arguments always give the same scene.

    The splits are disjoint by construction: each combination of colour, shape and motion belongs to one split
    (`vocabulary.split_of`), and all objects of a scene are of its split. To hold out scenes of the training
    distribution itself, use training seeds that are kept apart.

    Args:
        seed: Any integer.
        split: "train", "validation" or "test".
        family: One of `FAMILIES`, or None for a mixture of all but "impacts". "impacts" is one object that strikes
            the floor at irregular times for the whole clip (at least 3 times, pairwise distances all different), so
            that shifts of its sound are decidable; give it 121 frames or more for shifts of ±2 s.
        width: Pixels, 32 to 1024.
        height: Pixels, 32 to 1024; width over height from 0.75 to 2.5.
        frames: Frames, at least one second.
        fps: Frames per second.
        rate_hz: Samples per second, at least 24,000 for the highest partials.

    Raises:
        ValueError: For a size, length, split or family that the world does not have.
    """
    _refuse(split=split, family=family, width=width, height=height, frames=frames, fps=fps, rate_hz=rate_hz)
    dice = Dice(f"ltx2-world-1/{split}/{family}/{width}x{height}/{frames}@{fps}/{seed}")
    chosen = family or dice.pick(_MIXED)
    for _ in range(_PLANS):
        # What is asked for is drawn before the numbers, so that hard wishes are not rarer than easy ones.
        frame = Frame(split, width / height, frames / fps, dice.pick(_COUNTS.get(chosen, (1,))))
        camera = _camera(dice, chosen)
        for _ in range(_ATTEMPTS):
            cast = DRAW[chosen](dice, frame)
            if cast is None:
                continue
            scene = Scene(
                seed=seed,
                split=split,
                family=chosen,
                width=width,
                height=height,
                frames=frames,
                fps=fps,
                rate_hz=rate_hz,
                background=dice.pick(tuple(BACKGROUNDS)),
                pattern=dice.pick(PATTERNS),
                camera=camera,
                ambient=_ambient(dice, chosen),
                walls=cast.walls,
                objects=cast.objects,
                strikes=tuple(sorted(cast.strikes, key=lambda strike: strike.time_s)),
            )
            if _in_view(scene) and _clear_side(scene):
                return scene
    raise ValueError(f"no {chosen!r} scene fits {width}x{height} and {frames} frames at {fps}; use a longer clip")


def _refuse(*, split: str, family: str | None, width: int, height: int, frames: int, fps: int, rate_hz: int) -> None:
    if split not in ("train", "validation", "test"):
        raise ValueError(f"split {split!r}, expected train, validation or test")
    if family is not None and family not in FAMILIES:
        raise ValueError(f"family {family!r}, expected one of {', '.join(FAMILIES)}")
    if not (32 <= width <= 1024 and 32 <= height <= 1024 and 0.75 <= width / height <= 2.5):
        raise ValueError(f"size {width}x{height}, expected sides of 32 to 1024 with width/height in 0.75 to 2.5")
    if fps < 8 or frames < fps:
        raise ValueError(f"{frames} frames at {fps} per second, expected at least one second at 8 per second or more")
    if rate_hz < 24_000:
        raise ValueError(f"rate {rate_hz} Hz, expected at least 24000; resample what is rendered")


def _camera(dice: Dice, family: str) -> str:
    return dice.pick(CAMERAS[1:]) if family in _CAMERA_FAMILIES and dice.chance(0.35) else CAMERAS[0]


def _ambient(dice: Dice, family: str) -> str:
    allowed = family not in ("rotate", "drift", "impacts")
    return dice.pick(AMBIENTS[1:]) if allowed and dice.chance(0.3) else AMBIENTS[0]


def _in_view(scene: Scene) -> bool:
    """Whether every object stays on the screen, shape and all, for the whole clip."""
    for k, body in enumerate(scene.objects):
        for frame in range(scene.frames):
            time_s = frame / scene.fps
            x, y = scene.to_screen(*body.at(time_s), time_s)
            margin = body.radius * scene.camera_at(time_s)[1] * (1.25 if body.spin else 1.1)
            if not (margin <= x <= scene.aspect - margin and margin * 0.7 <= y <= 1.0 - margin * 0.6):
                return False
        if not all(abs(scene.pan_at(k, strike.time_s)) <= 1.0 for strike in scene.strikes):
            return False
    return True


def _clear_side(scene: Scene) -> bool:
    """Whether the first event is well inside one of the three thirds, left, centre or right."""
    return not scene.strikes or not 0.15 < abs(scene.events[0].x) < 0.35
