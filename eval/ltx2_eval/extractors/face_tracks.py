"""Faces over time, and the crops that SyncNet's pipeline makes of them (joonson/syncnet_python)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image
from scipy.signal import medfilt
from torch.nn import functional as F

from ltx2_eval.extractors.centerface import Faces, overlap

LEAST_OVERLAP = 0.5
LARGEST_GAP = 25
"""Frames for which a face may be missed."""
MOST_FLEETING = 100
"""A face has to be seen in more frames than these, not counting those between in which it is missed."""
MOST_TINY = 100
"""A face has to be wider or higher than this, in pixels."""
LEAST_SHOT = 15
"""Frames: a change sooner than this after a cut is no cut."""
_MEDIAN = 13
_MARGIN = 0.40
_GREY = 110
_CUT = 27.0
"""Mean change of hue, saturation and value, of 255 (of 180 for hue), from which on two frames are of two shots."""
_CUT_WIDTH = 128

Frames = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Track:
    """One face from frame `start` on."""

    start: int
    boxes: NDArray[np.float64]
    """(k, 4) left, top, right, bottom in pixels, one for each frame; interpolated where the face was missed."""
    seen: int
    """Frames in which the face was found."""

    @property
    def side(self) -> float:
        """The mean width or height of the face in pixels, whichever is larger."""
        return float(_sides(self.boxes).mean(axis=0).max())


def face_tracks(faces: Sequence[Faces], cuts: Sequence[int]) -> list[Track]:
    """The faces that stay long enough and are large enough, as SyncNet's pipeline wants them.

    Args:
        faces: of each frame.
        cuts: frames with which a shot begins; no track goes over one.
    """
    left = [list(frame.boxes) for frame in faces]
    bounds = [0, *sorted(cuts), len(faces)]
    found = []
    for first, end in pairwise(bounds):
        while (track := _next(left, first, end)) is not None:
            if track.seen > MOST_FLEETING and track.side > MOST_TINY:
                found.append(track)
    return found


def _next(left: list[list[NDArray[np.float64]]], first: int, end: int) -> Track | None:
    """Take the next track out of the faces that are left in a shot."""
    at: list[int] = []
    boxes: list[NDArray[np.float64]] = []
    for frame in range(first, end):
        if not left[frame] or (at and frame - at[-1] > LARGEST_GAP):
            continue
        shared = overlap(boxes[-1], np.stack(left[frame])) if boxes else np.ones(1)
        best = int(shared.argmax())
        if shared[best] > LEAST_OVERLAP:
            at.append(frame)
            boxes.append(left[frame].pop(best))
    if not at:
        return None
    every = np.arange(at[0], at[-1] + 1)
    return Track(at[0], np.stack([np.interp(every, at, side) for side in np.stack(boxes, axis=1)], axis=1), len(at))


def _sides(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(k, 2) width and height."""
    return boxes[:, 2:] - boxes[:, :2]


def crops(frames: Frames, track: Track, side: int) -> Frames:
    """The face of a track with its surroundings, a square that follows it, grey beyond the picture.

    Args:
        frames: (f, h, w, 3), of which the track is.
        track: of k frames.
        side: pixels of the crops.

    Returns:
        (k, side, side, 3).
    """
    middles = (track.boxes[:, :2] + track.boxes[:, 2:]) / 2
    half = _smooth(_sides(track.boxes).max(axis=1) / 2)
    middles = np.stack([_smooth(axis) for axis in middles.T], axis=1)
    shown = frames[track.start : track.start + len(half)]
    return np.stack([_crop(*parts, side) for parts in zip(shown, middles, half, strict=True)])


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of 13 frames; beyond the ends the value at the end goes on."""
    pad = _MEDIAN // 2
    return np.asarray(medfilt(np.pad(values, pad, mode="edge"), _MEDIAN)[pad:-pad])


def _crop(frame: Frames, middle: NDArray[np.float64], half: float, side: int) -> Frames:
    pad = int(half * (1 + 2 * _MARGIN)) + 1
    wide = np.pad(frame, ((pad, pad), (pad, pad), (0, 0)), constant_values=_GREY)
    x, y = middle + pad
    rows = slice(int(y - half), int(y + half * (1 + 2 * _MARGIN)))
    columns = slice(int(x - half * (1 + _MARGIN)), int(x + half * (1 + _MARGIN)))
    picture = rearrange(torch.from_numpy(wide[rows, columns].copy()), "h w c -> 1 c h w").float()
    picture = F.interpolate(picture, (side, side), mode="bilinear", align_corners=False)
    return rearrange(picture.round().to(torch.uint8), "1 c h w -> h w c").numpy()


def shot_starts(frames: Frames) -> list[int]:
    """Frames with which a shot begins, without the first: where hue, saturation and value change much at once.

    Within 15 frames of the beginning of a shot nothing is a cut.

    Args:
        frames: (f, h, w, 3).
    """
    height, width = frames.shape[1:3]
    size = (_CUT_WIDTH, max(1, round(height * _CUT_WIDTH / width)))
    weights = np.array([180 / 255, 1, 1]) / 3
    before: NDArray[np.float64] | None = None
    found: list[int] = []
    for index, frame in enumerate(frames):
        picture = Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR).convert("HSV")
        values = np.asarray(picture, np.float64)
        if before is not None:
            change = np.abs(values - before)
            change[..., 0] = np.minimum(change[..., 0], 256 - change[..., 0])  # hues are a circle
            if change.mean(axis=(0, 1)) @ weights >= _CUT and index - (found or [0])[-1] >= LEAST_SHOT:
                found.append(index)
        before = values
    return found
