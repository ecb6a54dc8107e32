"""What a program sees in frames: which colours, which shapes, where, and when something flashes."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ltx2_benchmarks.synthetic.drawing import Pose, coverage
from ltx2_benchmarks.synthetic.vocabulary import BACKGROUNDS, COLOURS, SHAPES

Floats = NDArray[np.float64]

_BITS, _FAR, _NOTHING = 5, 105.0, len(COLOURS)
_LIFTS = (0, 7, 34, 48)
_GRID, _ANGLES, _BLURS = 28, 36, (0.0, 0.12)
_SPAN = 2.4
"""A shape's template reaches so many times the square root of its area."""
_LEAST_AREA, _LEAST_RISE = 0.0022, 1.2
_SHAPE_FRAMES = 9


class Flash(NamedTuple):
    """A sudden brightening: when (the instant between the frames before and after), and where, −1 left to 1 right."""

    time_s: float
    x: float


class Patch(NamedTuple):
    """All that has one colour: its share of the frame, its shape, and its track (f,): x in −1..1, NaN where unseen."""

    colour: str
    area: float
    shape: str
    track: Floats


class Seen(NamedTuple):
    """All that is measured in a clip's frames; ``patches`` begin with the largest."""

    patches: tuple[Patch, ...]
    flashes: tuple[Flash, ...]
    background: str


def see(video: NDArray[np.uint8], fps: float) -> Seen:
    """Measures frames (f, h, w, 3); knows nothing of the scene that made them."""
    frames = video[:, :: max(1, video.shape[1] // 96), :: max(1, video.shape[1] // 96)]
    labels = _core(_colour_table()[_code(frames)])
    luma = frames.astype(np.float32) @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    calm = _calm_frames(luma)
    counts = np.stack([(labels[calm] == k).mean(axis=(1, 2)) for k in range(len(COLOURS))])
    areas = np.median(counts, axis=1)
    order = [int(k) for k in np.argsort(-areas) if areas[k] > _LEAST_AREA]
    patches = tuple(_patch(frames, labels, calm, k, float(areas[k])) for k in order)
    return Seen(patches, _flashes(luma, fps), _background(frames[calm]))


def _code(frames: NDArray[np.uint8]) -> NDArray[np.intp]:
    high = (frames >> (8 - _BITS)).astype(np.intp)
    return (high[..., 0] << (2 * _BITS)) | (high[..., 1] << _BITS) | high[..., 2]


@cache
def _colour_table() -> NDArray[np.uint8]:
    """For each coarse RGB value the nearest colour's index, or ``_NOTHING`` where a background is nearer."""
    steps = (np.arange(1 << _BITS) + 0.5) * (256 / (1 << _BITS))
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    objects = np.array(list(COLOURS.values()), np.float64)
    grounds = np.array([[c + lift for c in ground] for ground in BACKGROUNDS.values() for lift in _LIFTS], np.float64)
    to_object = np.linalg.norm(rgb[:, None] - objects[None], axis=-1)
    to_ground = np.linalg.norm(rgb[:, None] - grounds[None], axis=-1).min(axis=1)
    nearest = to_object.min(axis=1)
    none = (to_ground < nearest) | (nearest > _FAR)
    return np.where(none, _NOTHING, to_object.argmin(axis=1)).astype(np.uint8)


def _core(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels only where the four neighbours agree, so that mixed colours on edges do not count."""
    same = np.zeros(labels.shape, bool)
    inner = labels[:, 1:-1, 1:-1]
    same[:, 1:-1, 1:-1] = (
        (inner == labels[:, :-2, 1:-1])
        & (inner == labels[:, 2:, 1:-1])
        & (inner == labels[:, 1:-1, :-2])
        & (inner == labels[:, 1:-1, 2:])
    )
    return np.where(same, labels, _NOTHING)


def _calm_frames(luma: NDArray[np.float32]) -> NDArray[np.intp]:
    """The darker half of the frames: without flashes."""
    brightness = luma.mean(axis=(1, 2))
    return np.flatnonzero(brightness <= np.quantile(brightness, 0.5) + 1e-6)


def _background(frames: NDArray[np.uint8]) -> str:
    colour = np.median(frames[:, : max(1, frames.shape[1] // 2)].reshape(-1, 3)[::7], axis=0)
    distances = {name: np.linalg.norm(colour - (np.array(value) + 3.0)) for name, value in BACKGROUNDS.items()}
    return min(distances, key=lambda name: distances[name])


def _flashes(luma: NDArray[np.float32], fps: float) -> tuple[Flash, ...]:
    columns = luma.mean(axis=1)
    jump = np.diff(columns.mean(axis=1), prepend=columns[0].mean())
    peak = float(jump.max(initial=0.0))
    threshold = max(_LEAST_RISE, 0.18 * peak)
    found = []
    for k in range(1, len(jump)):
        here = jump[k]
        earlier, later = jump[k - 1], jump[k + 1] if k + 1 < len(jump) else 0.0
        if here >= threshold and here > earlier and here >= later:
            found.append(Flash((k - 0.5) / fps, _centre(columns[k] - columns[k - 1])))
    return tuple(found)


def _centre(rise: NDArray[np.float32]) -> float:
    weight = np.maximum(rise - 0.25 * rise.max(), 0.0)
    place = (np.arange(len(rise)) + 0.5) / len(rise) * 2 - 1
    return float(np.sum(weight * place) / (np.sum(weight) + 1e-9))


def _patch(
    frames: NDArray[np.uint8], labels: NDArray[np.uint8], calm: NDArray[np.intp], index: int, area: float
) -> Patch:
    mask = labels == index
    columns = mask.sum(axis=1)
    total = columns.sum(axis=1)
    place = (np.arange(mask.shape[2]) + 0.5) / mask.shape[2] * 2 - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        track = np.where(total > 0, (columns * place).sum(axis=1) / total, np.nan)
    whole = [k for k in calm if total[k] >= 0.6 * np.median(total[calm])]
    chosen = [whole[k] for k in np.unique(np.linspace(0, len(whole) - 1, _SHAPE_FRAMES).astype(int))]
    votes = sum(_shape_scores(frames[k].astype(np.float64), mask[k]) for k in chosen)
    return Patch(tuple(COLOURS)[index], area, SHAPES[int(np.argmax(votes))], track)


def _shape_scores(image: Floats, mask: NDArray[np.bool_]) -> Floats:
    """How well each shape fits what has the mask's colour, at its best angle."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    grow = max(3, round(0.35 * max(rows[-1] - rows[0], columns[-1] - columns[0])) + 2)
    top, left = max(0, rows[0] - grow), max(0, columns[0] - grow)
    box = (slice(top, rows[-1] + grow + 1), slice(left, columns[-1] + grow + 1))
    matte = _matte(image[box], mask[box])
    grid = _normalised(matte)
    templates = _templates()
    return np.einsum("satg,g->sat", templates, grid).max(axis=(1, 2))


def _matte(pixels: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Share of the object's colour in each pixel, from the object's own colour and its row's background."""
    colour = np.median(pixels[mask], axis=0)
    edge = np.concatenate([pixels[:, :2], pixels[:, -2:]], axis=1)
    ground = np.median(edge, axis=1)[:, None, :]
    axis = colour - ground
    share = np.sum((pixels - ground) * axis, axis=-1) / np.sum(axis * axis, axis=-1)
    off = np.linalg.norm(pixels - (ground + np.clip(share, 0, 1)[..., None] * axis), axis=-1)
    return np.where(off < 70.0, np.clip(share, 0.0, 1.0), 0.0) * (share > 0.25)


def _normalised(matte: Floats) -> Floats:
    """A matte resampled to a grid about its centroid, scaled by its area, with zero mean and unit norm (g,)."""
    ys, xs = np.arange(matte.shape[0]), np.arange(matte.shape[1])
    area = matte.sum() + 1e-9
    y, x = (matte.sum(axis=1) * ys).sum() / area, (matte.sum(axis=0) * xs).sum() / area
    offsets = (np.arange(_GRID) + 0.5 - _GRID / 2) / _GRID * _SPAN * np.sqrt(area)
    grid = _bilinear(_bilinear(matte, y + offsets).T, x + offsets).T
    flat = grid.ravel() - grid.mean()
    return flat / (np.linalg.norm(flat) + 1e-9)


def _bilinear(rows: Floats, at: Floats) -> Floats:
    """Rows interpolated at fractional places, zero outside."""
    padded = np.pad(rows, ((1, 1), (0, 0)))
    place = np.clip(at + 1, 0, len(padded) - 1.001)
    low = place.astype(int)
    share = (place - low)[:, None]
    return padded[low] * (1 - share) + padded[low + 1] * share


@cache
def _templates() -> Floats:
    """Each shape at many angles, sharp and blurred: (shapes, angles, blurs, g)."""
    size, radius = 72, 20.0
    shapes = []
    for shape in SHAPES:
        turns = []
        for k in range(_ANGLES):
            at = Pose(size / 2, size / 2, radius, 1.0, 1.0, 2 * np.pi * k / _ANGLES + 1e-9, 0.0)
            matte = coverage(shape, at, (0, 0, size, size)).astype(np.float64)
            turns.append([_normalised(_blurred(matte, blur * radius)) for blur in _BLURS])
        shapes.append(turns)
    return np.array(shapes)


def _blurred(matte: Floats, sigma: float) -> Floats:
    if sigma == 0:
        return matte
    reach = int(3 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    rows = np.apply_along_axis(lambda line: np.convolve(line, kernel, "same"), 0, matte)
    return np.apply_along_axis(lambda line: np.convolve(line, kernel, "same"), 1, rows)
