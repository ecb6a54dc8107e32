"""Ways to spoil the picture of a clip. Each is a pure function: (clip, amount) -> clip; the sound stays the same array.

All but `at_speed` keep the presentation times, and all keep the number of frames and their size.
"""

import dataclasses

import numpy as np
from einops import rearrange
from numpy.typing import NDArray
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable

_BLOCK = 8


def blurred(clip: Clip, sigma_px: float) -> Clip:
    """Each frame through a Gaussian of that standard deviation in pixels."""
    video = _frames(clip)
    return _with(clip, _rounded(gaussian_filter(video.astype(np.float32), (0, sigma_px, sigma_px, 0))))


def grainy(clip: Clip, sigma: float, generator: np.random.Generator) -> Clip:
    """Gaussian noise of that standard deviation (of 255) on every pixel and channel, new in every frame."""
    video = _frames(clip)
    return _with(clip, _rounded(video + sigma * generator.standard_normal(video.shape, dtype=np.float32)))


def block_coded(clip: Clip, step: float) -> Clip:
    """What a coarse block codec leaves: cosine coefficients of 8x8 blocks rounded to multiples of `step` (of 255).

    The transform is orthonormal. Rows and columns beyond a multiple of 8 stay as they are.

    Raises:
        NotApplicable: frames smaller than a block.
    """
    video = _frames(clip)
    height, width = (side - side % _BLOCK for side in video.shape[1:3])
    if not height or not width:
        raise NotApplicable(f"frames of {video.shape[2]}x{video.shape[1]} hold no block of 8x8")
    blocks = rearrange(video[:, :height, :width], "f (y a) (x b) c -> f y x c a b", a=_BLOCK, b=_BLOCK)
    coarse = step * np.round(dctn(blocks.astype(np.float32), axes=(-2, -1), norm="ortho") / step)
    coded = video.astype(np.float32)
    coded[:, :height, :width] = rearrange(idctn(coarse, axes=(-2, -1), norm="ortho"), "f y x c a b -> f (y a) (x b) c")
    return _with(clip, _rounded(coded))


def frozen(clip: Clip, share: float) -> Clip:
    """The last `share` of the clip, 0..1, stands still on the frame before it (the first one where nothing is)."""
    video = _frames(clip)
    first = round((1 - share) * len(video))
    return _with(clip, video[np.minimum(np.arange(len(video)), max(0, first - 1))])


def blackened(clip: Clip, share: float) -> Clip:
    """Black frames over the last `share` of the clip, 0..1."""
    video = _frames(clip).copy()
    video[round((1 - share) * len(video)) :] = 0
    return _with(clip, video)


def shuffled(clip: Clip, window: float, generator: np.random.Generator) -> Clip:
    """Frames in random order within windows of that many frames: every frame is still there, time is not."""
    video = _frames(clip)
    size = int(window)
    starts = range(0, len(video), size)
    order = [start + generator.permutation(min(size, len(video) - start)) for start in starts]
    return _with(clip, video[np.concatenate(order)])


def jittered(clip: Clip, most: float, generator: np.random.Generator) -> Clip:
    """Every frame shows one up to `most` frames before or after it: the picture stutters and never drifts."""
    video = _frames(clip)
    moved = np.arange(len(video)) + generator.integers(-int(most), int(most) + 1, len(video))
    return _with(clip, video[np.clip(moved, 0, len(video) - 1)])


def at_speed(clip: Clip, factor: float) -> Clip:
    """The picture `factor` times as fast against the same sound, for as long; past its end it runs backwards."""
    video = _frames(clip)
    last = len(video) - 1
    if not last:
        raise NotApplicable("the clip has one frame")
    places = np.floor(np.arange(len(video)) * factor + 1e-9).astype(np.intp) % (2 * last)
    return _with(clip, video[np.where(places > last, 2 * last - places, places)])


def flickering(clip: Clip, amplitude: float) -> Clip:
    """Brightness alternates from frame to frame by plus and minus `amplitude` in shares of full scale."""
    video = _frames(clip)
    sign = np.where(np.arange(len(video)) % 2, -1, 1)[:, None, None, None]
    return _with(clip, _rounded(video + np.float32(255 * amplitude) * sign.astype(np.float32)))


def with_cuts(clip: Clip, other: Clip, cuts: float) -> Clip:
    """Cut that many times, evenly, between this picture and that of another clip, frame by frame in step.

    Raises:
        NotApplicable: the other clip has frames of another size, or fewer of them.
    """
    video, foreign = _frames(clip), _frames(other)
    if foreign.shape[1:] != video.shape[1:] or len(foreign) < len(video):
        raise NotApplicable(
            f"a cut needs another clip of the same size and length: found {foreign.shape[:3]} beside {video.shape[:3]}"
        )
    part = np.arange(len(video)) * (int(cuts) + 1) // len(video)
    return _with(clip, np.where((part % 2 == 1)[:, None, None, None], foreign[: len(video)], video))


def _frames(clip: Clip) -> NDArray[np.uint8]:
    if clip.video is None or clip.video.size == 0:
        raise NotApplicable("the clip has no picture")
    return clip.video


def _rounded(video: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.clip(np.rint(video), 0, 255).astype(np.uint8)


def _with(clip: Clip, video: NDArray[np.uint8]) -> Clip:
    return dataclasses.replace(clip, video=video)
