"""How much the picture moves, without a network: displacement of blocks between frames an eighth of a second apart."""

from itertools import pairwise

import numpy as np
from einops import rearrange
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ltx2_eval.extractors.base import Extractor, NotApplicable
from ltx2_eval.extractors.frames import frames_at
from ltx2_eval.metrics.base import Outcome, Subject, abstain
from ltx2_eval.metrics.picture import luma, shrunk

Plane = NDArray[np.float32]

RATE_HZ = 8.0
_SIDE = 64
"""Short side at which blocks are compared."""
_BLOCK = 8
_REACH = 12
"""Displacements that are tried, in pixels at that side: 1.5 short sides a second at most."""
_LEAST_CONTRAST, _LEAST_CHANGE = 0.01, 0.004
"""Of a block, in shares of full scale; flatter or stiller ones say nothing of motion."""
_LEAST_GAIN = 0.8
"""A displacement counts where it leaves less than this share of the difference at rest: noise moves nothing."""


def dynamic_degree(
    subject: Subject,
    features: NDArray[np.float32] | None = None,
    extractor: Extractor | None = None,
    *,
    least_motion: float = 6 / 256,
    top_share: float = 0.05,
) -> Outcome:
    """1 where the clip moves, else 0; the mean over clips is the dynamic degree.

    What it measures: VBench's rule with block matching in the place of RAFT: at 8 frames a second, the mean
    displacement of the fastest 5 % of the picture exceeds 6/256 of the short side in at least a quarter of the steps.
    It belongs beside every consistency score, since a frozen picture is perfectly consistent. It cannot tell the
    camera's motion from an object's, nor see what moves by more than 1.5 short sides a second.

    Args:
        subject: the clip.
        features: none.
        extractor: none.
        least_motion: of a step that counts, in short sides per eighth of a second.
        top_share: of the blocks, the fastest.

    Raises:
        NotApplicable: no video.
    """
    del features, extractor
    steps = motion_steps(subject, top_share)
    if not len(steps):
        return abstain("less than a quarter of a second of video: motion has no steps to be seen in")
    moving = int((steps > least_motion).sum())
    needed = max(1, round((len(steps) + 1) / 4))
    return Outcome(
        value=float(moving >= needed),
        details={
            "short_sides_per_s": float(steps.mean() * RATE_HZ),
            "moving_steps": moving,
            "steps": len(steps),
        },
    )


def motion_steps(subject: Subject, top_share: float = 0.05) -> NDArray[np.float64]:
    """(k,) mean displacement of the fastest blocks in each eighth of a second, in short sides.

    Raises:
        NotApplicable: no video.
    """
    clip = subject.clip
    if clip.video is None or clip.video_duration_s is None:
        raise NotApplicable("the clip has no video; this metric looks at the picture")
    count = int(clip.video_duration_s * RATE_HZ + 1e-6)
    if count < 2:
        return np.zeros(0)
    frames = frames_at(clip, clip.times_s[0] + np.arange(count) / RATE_HZ)
    planes = [shrunk(luma(frame), _SIDE) for frame in frames]
    short = min(planes[0].shape)
    if short < 2 * _BLOCK:
        return np.zeros(0)
    moved = [_fastest(a, b, top_share) for a, b in pairwise(planes)]
    return np.array(moved) / short


def _fastest(before: Plane, after: Plane, top_share: float) -> float:
    """Mean length of the largest displacements of blocks, in pixels."""
    lengths = np.sort(displacements(before, after).ravel())[::-1]
    return float(lengths[: max(1, round(top_share * len(lengths)))].mean())


def displacements(before: Plane, after: Plane) -> NDArray[np.float64]:
    """(rows, columns) length of the displacement of each 8x8 block of `before`, in pixels; 0 where nothing is sure."""
    rows, columns = (size // _BLOCK for size in before.shape)
    blocks = rearrange(before[: rows * _BLOCK, : columns * _BLOCK], "(r a) (c b) -> (r c) a b", a=_BLOCK, b=_BLOCK)
    span = _BLOCK + 2 * _REACH
    around = sliding_window_view(np.pad(after, _REACH, mode="edge"), (span, span))[::_BLOCK, ::_BLOCK]
    around = rearrange(around[:rows, :columns], "r c a b -> (r c) a b")
    middle = slice(_REACH, _REACH + _BLOCK)
    rest = np.abs(blocks - around[:, middle, middle]).mean(axis=(1, 2))
    sure = np.flatnonzero((blocks.std(axis=(1, 2)) > _LEAST_CONTRAST) & (rest > _LEAST_CHANGE))
    lengths = np.zeros(rows * columns)
    for block in sure:
        places = sliding_window_view(around[block], (_BLOCK, _BLOCK))
        place, cost = _best_place(places, blocks[block])
        if cost < _LEAST_GAIN * rest[block]:
            lengths[block] = np.hypot(place[0] - _REACH, place[1] - _REACH)
    return lengths.reshape(rows, columns)


def _best_place(places: Plane, block: Plane) -> tuple[tuple[float, float], float]:
    """Where in (k, k, 8, 8) a block fits best, to a part of a pixel, and the mean difference that is left.

    Every other place is tried first, then the eight around the best.
    """
    coarse = np.abs(places[::2, ::2] - block).mean(axis=(2, 3))
    row, column = (2 * int(i) for i in np.unravel_index(coarse.argmin(), coarse.shape))
    top, left = max(row - 1, 0), max(column - 1, 0)
    fine = np.abs(places[top : row + 2, left : column + 2] - block).mean(axis=(2, 3))
    i, j = (int(k) for k in np.unravel_index(fine.argmin(), fine.shape))
    down, across = (_vertex(line, k) for line, k in ((fine[:, j], i), (fine[i], j)))
    return (top + i + down, left + j + across), float(fine[i, j])


def _vertex(line: Plane, k: int) -> float:
    """Where between its neighbours the least of a line lies, -0.5 to 0.5; 0 at an end."""
    if not 0 < k < len(line) - 1:
        return 0.0
    bend = line[k - 1] - 2 * line[k] + line[k + 1]
    return float((line[k - 1] - line[k + 1]) / (2 * bend)) if bend > 0 else 0.0
