"""What the checks of the picture know of each frame, gathered in one pass over a clip."""

from dataclasses import dataclass

import numpy as np
from einops import reduce
from numpy.typing import NDArray

from ltx2_eval.metrics.memo import per_array

_BT709 = np.array([0.2126, 0.7152, 0.0722], np.float32) / np.float32(255)
_SMALL_SIDE = 128
_SHARPNESS_SIDE = 512
_DARK = 0.10
_GRID = 8
_HISTOGRAM_BINS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoStatistics:
    """Per frame (f) or per pair of neighbouring frames (f - 1); luma is BT.709 in 0..1."""

    luma: NDArray[np.float64]
    """(f,) mean."""
    dark_share: NDArray[np.float64]
    """(f,) share of pixels below 0.1."""
    sharpness: NDArray[np.float64]
    """(f,) variance of the Laplacian at a short side of at most 512 pixels."""
    noise: NDArray[np.float64]
    """(f,) standard deviation of noise after Immerkær, "Fast noise variance estimation", CVIU 1996."""
    on_grid: NDArray[np.float64]
    """(f,) mean step between pixels across the borders of 8x8 blocks."""
    off_grid: NDArray[np.float64]
    """(f,) mean step elsewhere."""
    histogram: NDArray[np.float64]
    """(f, 512) shares of 8x8x8 colours."""
    change: NDArray[np.float64]
    """(f - 1,) mean absolute difference."""
    small_change: NDArray[np.float64]
    """(f - 1,) the same at a short side of at most 128 pixels."""
    same: NDArray[np.bool_]
    """(f - 1,) whether every bit is equal."""


@per_array
def video_statistics(video: NDArray[np.uint8]) -> VideoStatistics:
    """Look at each frame of (f, h, w, 3) once; at most two frames are held as float."""
    frames: list[tuple[float, ...]] = []
    pairs: list[tuple[float, float]] = []
    histograms: list[NDArray[np.float64]] = []
    before: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    for image in video:
        plane = luma(image)
        small = shrunk(plane, _SMALL_SIDE)
        frames.append(_of_frame(plane))
        histograms.append(_histogram(image))
        if before is not None:
            pairs.append((_distance(plane, before[0]), _distance(small, before[1])))
        before = plane, small
    of_frames = np.array(frames, np.float64).reshape(-1, 6)
    of_pairs = np.array(pairs, np.float64).reshape(-1, 2)
    return VideoStatistics(
        luma=of_frames[:, 0],
        dark_share=of_frames[:, 1],
        sharpness=of_frames[:, 2],
        noise=of_frames[:, 3],
        on_grid=of_frames[:, 4],
        off_grid=of_frames[:, 5],
        histogram=np.array(histograms, np.float64).reshape(-1, _HISTOGRAM_BINS**3),
        change=of_pairs[:, 0],
        small_change=of_pairs[:, 1],
        same=np.array([np.array_equal(*pair) for pair in zip(video[1:], video[:-1], strict=True)], np.bool_),
    )


def luma(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(..., h, w) BT.709 luma, 0..1, of RGB (..., h, w, 3)."""
    plane: NDArray[np.float32] = (image.astype(np.float32) @ _BT709).astype(np.float32, copy=False)
    return plane


def shrunk(plane: NDArray[np.float32], short_side: int) -> NDArray[np.float32]:
    """(h, w) averaged over square blocks so that the short side has at most `short_side` pixels; the rest is cut."""
    height, width = plane.shape
    block = -(-min(height, width) // short_side)
    if block <= 1:
        return plane
    whole = plane[: height // block * block, : width // block * block]
    return reduce(whole, "(h block_h) (w block_w) -> h w", "mean", block_h=block, block_w=block)


def _distance(plane: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.abs(plane - other).mean(dtype=np.float64))


def _of_frame(plane: NDArray[np.float32]) -> tuple[float, float, float, float, float, float]:
    on_grid, off_grid = _steps(plane)
    return (
        float(plane.mean(dtype=np.float64)),
        float((plane < _DARK).mean()),
        _laplacian_variance(shrunk(plane, _SHARPNESS_SIDE)),
        _noise(plane),
        on_grid,
        off_grid,
    )


def _laplacian_variance(plane: NDArray[np.float32]) -> float:
    if min(plane.shape) < 3:
        return 0.0
    middle = plane[1:-1, 1:-1]
    around = plane[:-2, 1:-1] + plane[2:, 1:-1] + plane[1:-1, :-2] + plane[1:-1, 2:]
    return float((around - 4 * middle).var(dtype=np.float64))


def _noise(plane: NDArray[np.float32]) -> float:
    if min(plane.shape) < 3:
        return 0.0
    rows = plane[:-2] - 2 * plane[1:-1] + plane[2:]
    cross = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(cross).mean(dtype=np.float64))


def _steps(plane: NDArray[np.float32]) -> tuple[float, float]:
    """Mean absolute step across borders of 8x8 blocks, and elsewhere."""
    across, down = np.abs(np.diff(plane, axis=1)).mean(axis=0), np.abs(np.diff(plane, axis=0)).mean(axis=1)
    steps = np.concatenate([across, down]).astype(np.float64)
    places = np.concatenate([np.arange(len(across)), np.arange(len(down))])
    border = places % _GRID == _GRID - 1
    return (float(steps[border].mean()) if border.any() else 0.0, float(steps[~border].mean()) if steps.size else 0.0)


def _histogram(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    bins = (image // (256 // _HISTOGRAM_BINS)).astype(np.int64)
    index = (bins[..., 0] * _HISTOGRAM_BINS + bins[..., 1]) * _HISTOGRAM_BINS + bins[..., 2]
    return np.bincount(index.ravel(), minlength=_HISTOGRAM_BINS**3) / max(1, index.size)
