"""Draws a scene's frames: anti-aliased at sub-pixel positions, touching only the boxes in which objects are."""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ltx2_benchmarks.synthetic.scene import Body, Scene, Strike
from ltx2_benchmarks.synthetic.shapes import Floats, reach, signed_distance
from ltx2_benchmarks.synthetic.vocabulary import BACKGROUNDS, COLOURS, FLOOR_Y, WALL_X

HOLD_S, FADE_S = 0.045, 0.12
"""A strike's flash is full for ``HOLD_S`` (the first frame after it shows all of it) and fades in ``FADE_S``."""
_SQUASH, _WHITEN, _GLOW, _HALO = 0.28, 0.5, 0.62, 2.3
_FLOOR_LIFT, _WALL_LIFT, _PATTERN_LIFT = np.float32(34.0), np.float32(48.0), np.float32(7.0)
_PATTERN_PERIOD = 1 / 6


class Pose(NamedTuple):
    """Where and how an object is drawn in one frame, in pixels: centre, radii, squash, turn, and flash in 0..1."""

    x: float
    y: float
    radius: float
    squeeze_x: float
    squeeze_y: float
    turn: float
    flash: float


def flash_at(age_s: float) -> float:
    """Returns how bright a strike's flash is (0..1) at a time after it."""
    return 0.0 if age_s < 0 else min(1.0, max(0.0, 1.0 - (age_s - HOLD_S) / FADE_S))


def pose(scene: Scene, index: int, frame: int) -> Pose:
    """Returns how an object appears in a frame, which shows the instant frame / fps.

    An object that strikes something is squashed against it, and clings to it as long as its flash lasts: fully while
    the flash is full, so that the first frame after an impact always shows the contact.
    """
    body, time_s = scene.objects[index], frame / scene.fps
    x, y = body.at(time_s)
    flash, strike = _strongest(scene, index, time_s)
    nx, ny = (0.0, 0.0) if strike is None else strike.normals[strike.objects.index(index)]
    squash = _SQUASH * flash
    if strike is not None and (nx or ny):
        left, right, up, down = reach(body.shape)
        contact_x, contact_y = body.at(strike.time_s)
        x += flash * (contact_x - x) + squash * body.radius * (right if nx > 0 else -left if nx < 0 else 0.0)
        y += flash * (contact_y - y) + squash * body.radius * (down if ny > 0 else -up if ny < 0 else 0.0)
    _, zoom = scene.camera_at(time_s)
    screen_x, screen_y = scene.to_screen(x, y, time_s)
    return Pose(
        x=screen_x * scene.height,
        y=screen_y * scene.height,
        radius=body.radius * zoom * scene.height,
        squeeze_x=1.0 - squash if nx else 1.0 + squash / 2 if ny else 1.0,
        squeeze_y=1.0 - squash if ny else 1.0 + squash / 2 if nx else 1.0,
        turn=_turn(body, time_s),
        flash=flash,
    )


def _strongest(scene: Scene, index: int, time_s: float) -> tuple[float, Strike | None]:
    best, found = 0.0, None
    for strike in scene.strikes:
        if index in strike.objects and strike.kind != "start":
            flash = flash_at(time_s - strike.time_s)
            if flash > best:
                best, found = flash, strike
    return best, found


def _turn(body: Body, time_s: float) -> float:
    if body.spin is None:
        return 0.0
    start_s, end_s, rate = body.spin
    return rate * (min(max(time_s, start_s), end_s) - start_s)


def coverage(shape: str, at: Pose, box: tuple[int, int, int, int]) -> Floats:
    """Returns how much of each pixel of a box (left, top, right, bottom) an object covers, 0..1."""
    x, y = _local(at, box)
    if at.turn:
        cos, sin = np.float32(math.cos(at.turn)), np.float32(math.sin(at.turn))
        x, y = x * cos + y * sin, y * cos - x * sin
    if at.squeeze_x != 1.0:
        x, y = x / np.float32(at.squeeze_x), y / np.float32(at.squeeze_y)
    return np.clip(np.float32(0.5) - signed_distance(shape, x, y) * np.float32(at.radius), 0.0, 1.0)


def _local(at: Pose, box: tuple[int, int, int, int]) -> tuple[Floats, Floats]:
    left, top, right, bottom = box
    columns = (np.arange(left, right, dtype=np.float32) + np.float32(0.5 - at.x)) / np.float32(at.radius)
    rows = (np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - at.y)) / np.float32(at.radius)
    return columns[None, :], rows[:, None]


def _box(scene: Scene, at: Pose, reach_radii: float) -> tuple[int, int, int, int]:
    far = at.radius * reach_radii + 1.0
    left, right = max(0, math.floor(at.x - far)), min(scene.width, math.ceil(at.x + far))
    top, bottom = max(0, math.floor(at.y - far)), min(scene.height, math.ceil(at.y + far))
    return left, top, max(left, right), max(top, bottom)


def object_masks(scene: Scene) -> NDArray[np.bool_]:
    """Returns which pixels each object covers by at least half: (objects, f, h, w)."""
    masks = np.zeros((len(scene.objects), scene.frames, scene.height, scene.width), np.bool_)
    for index, body in enumerate(scene.objects):
        for frame in range(scene.frames):
            at = pose(scene, index, frame)
            box = _box(scene, at, 1.45)
            masks[index, frame, box[1] : box[3], box[0] : box[2]] = coverage(body.shape, at, box) >= 0.5
    return masks


def draw(scene: Scene) -> NDArray[np.uint8]:
    """Returns the frames (f, h, w, 3)."""
    video = _backgrounds(scene)
    poses = [[pose(scene, index, frame) for index in range(len(scene.objects))] for frame in range(scene.frames)]
    for frame, image in enumerate(video):
        for at in poses[frame]:
            if at.flash:
                _draw_halo(scene, image, at)
        for body, at in zip(scene.objects, poses[frame], strict=True):
            _draw_body(scene, image, body, at)
    return video


def _draw_halo(scene: Scene, image: NDArray[np.uint8], at: Pose) -> None:
    left, top, right, bottom = box = _box(scene, at, _HALO)
    x, y = _local(at, box)
    fall = np.maximum(np.float32(1.0) - (x * x + y * y) * np.float32(1 / _HALO**2), 0.0)
    _mix(image[top:bottom, left:right], fall * np.float32(_GLOW * at.flash), (255.0, 255.0, 255.0))


def _draw_body(scene: Scene, image: NDArray[np.uint8], body: Body, at: Pose) -> None:
    left, top, right, bottom = box = _box(scene, at, 1.45)
    white = _WHITEN * at.flash
    colour = tuple(channel + (255 - channel) * white for channel in COLOURS[body.colour])
    _mix(image[top:bottom, left:right], coverage(body.shape, at, box), colour)


def _mix(pixels: NDArray[np.uint8], share: Floats, colour: tuple[float, ...]) -> None:
    """Moves pixels, in place, towards a colour by a share per pixel."""
    base = pixels.astype(np.float32)
    base += (np.array(colour, np.float32) - base) * share[..., None]
    base += np.float32(0.5)
    pixels[...] = base.astype(np.uint8)


def _backgrounds(scene: Scene) -> NDArray[np.uint8]:
    if scene.camera == "still":
        image = _background(scene, 0)
        return np.broadcast_to(image, (scene.frames, *image.shape)).copy()
    return np.stack([_background(scene, frame) for frame in range(scene.frames)])


def _background(scene: Scene, frame: int) -> NDArray[np.uint8]:
    """One frame without objects (h, w, 3): a colour, a faint pattern, the floor, and walls where there are any."""
    time_s = frame / scene.fps
    shift, zoom = scene.camera_at(time_s)
    key = (scene.width, scene.height, scene.pattern, scene.walls, scene.background, shift, zoom)
    return _cached_background(*key) if scene.camera == "still" else _cached_background.__wrapped__(*key)


@cache
def _cached_background(
    width: int, height: int, pattern: str, walls: bool, background: str, shift: float, zoom: float
) -> NDArray[np.uint8]:
    middle = width / height / 2
    xs = ((np.arange(width) + 0.5) / height - middle) / zoom + middle + shift
    ys = ((np.arange(height) + 0.5) / height - 0.5) / zoom + 0.5
    pixels = zoom * height
    floor = _step((ys - FLOOR_Y) * pixels)[:, None]
    lift = _pattern(pattern, xs, ys, pixels) * (1 - floor) + _FLOOR_LIFT * floor
    if walls:
        wall = np.maximum(_step((WALL_X - xs) * pixels), _step((xs - (width / height - WALL_X)) * pixels))[None, :]
        lift = lift * (1 - wall) + _WALL_LIFT * wall
    return (np.array(BACKGROUNDS[background], np.float32) + lift[..., None] + np.float32(0.5)).astype(np.uint8)


def _step(distance_px: NDArray[np.float64]) -> Floats:
    return np.clip(distance_px + 0.5, 0.0, 1.0).astype(np.float32)


def _pattern(pattern: str, xs: NDArray[np.float64], ys: NDArray[np.float64], pixels: float) -> Floats:
    across, down = _wave(xs, pixels)[None, :], _wave(ys, pixels)[:, None]
    if pattern == "striped":
        return np.broadcast_to(across, (len(ys), len(xs))) * _PATTERN_LIFT
    if pattern == "checked":
        return (across + down - 2 * across * down) * _PATTERN_LIFT
    return np.zeros((len(ys), len(xs)), np.float32)


def _wave(at: NDArray[np.float64], pixels: float) -> Floats:
    """A square wave 0..1 with anti-aliased edges."""
    phase = np.abs(np.mod(at / _PATTERN_PERIOD, 1.0) - 0.5) - 0.25
    return _step(phase * _PATTERN_PERIOD * pixels)
