"""Checks of the picture that need no network: what is broken, frozen, black, flickering, blurred or blocky."""

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.extractors.base import Extractor, NotApplicable
from ltx2_eval.metrics.base import Outcome, Subject, abstain
from ltx2_eval.metrics.offset import require_both
from ltx2_eval.metrics.picture import VideoStatistics, video_statistics

Features = NDArray[np.float32] | None
_STAY = 4
"""Frames on either side of a cut; even, so that alternating frames have the same mean on both."""


def duration_mismatch_s(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Seconds by which the picture lasts longer than the sound, from decoded frames and samples."""
    del features, extractor
    require_both(subject.clip)
    video_s, audio_s = subject.clip.video_duration_s, subject.clip.audio_duration_s
    if not video_s or not audio_s:
        return abstain("a stream is empty")
    return Outcome(value=video_s - audio_s, details={"video_s": video_s, "audio_s": audio_s})


def start_offset_ms(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Milliseconds by which the first sample comes after the first frame, from the container's clock."""
    del features, extractor
    require_both(subject.clip)
    if not len(subject.clip.times_s):
        return abstain("the video has no frames")
    return Outcome(value=1000 * (subject.clip.audio_start_s - float(subject.clip.times_s[0])))


def black_ratio(
    subject: Subject, features: Features = None, extractor: Extractor | None = None, *, least_share: float = 0.98
) -> Outcome:
    """Share of frames in which at least 98 % of the pixels have a luma below 0.1."""
    del features, extractor
    found = _statistics(subject, 1)
    if isinstance(found, Outcome):
        return found
    return Outcome(
        value=float((found.dark_share >= least_share).mean()), details={"mean_luma": float(found.luma.mean())}
    )


def frozen_ratio(
    subject: Subject, features: Features = None, extractor: Extractor | None = None, *, threshold: float = 0.001
) -> Outcome:
    """Share of neighbouring frames whose mean absolute luma difference is below 0.001 of full scale (-60 dB)."""
    del features, extractor
    found = _statistics(subject, 2)
    if isinstance(found, Outcome):
        return found
    frozen = found.change < threshold
    longest = max((sum(1 for _ in run) for is_frozen, run in groupby(frozen) if is_frozen), default=0)
    assert subject.clip.fps is not None
    return Outcome(value=float(frozen.mean()), details={"longest_freeze_s": longest / float(subject.clip.fps)})


def duplicate_ratio(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Share of frames that repeat the one before them bit for bit, as padding to a higher frame rate does."""
    del features, extractor
    found = _statistics(subject, 2)
    return found if isinstance(found, Outcome) else Outcome(value=float(found.same.mean()))


def flicker(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Mean distance of the frames' mean luma from the middle of its two neighbours, in shares of full scale.

    0 for a steady fade; the full step for brightness that alternates from frame to frame.
    """
    del features, extractor
    found = _statistics(subject, 3)
    if isinstance(found, Outcome):
        return found
    bend = found.luma[1:-1] - (found.luma[:-2] + found.luma[2:]) / 2
    return Outcome(value=float(np.abs(bend).mean()))


def sharpness(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Median over the frames of the variance of the Laplacian, of luma in 0..255 at a short side of at most 512."""
    del features, extractor
    found = _statistics(subject, 1)
    if isinstance(found, Outcome):
        return found
    values = found.sharpness * 255**2
    quarter = max(1, len(values) // 4)
    first, last = float(np.median(values[:quarter])), float(np.median(values[-quarter:]))
    kept = last / first if first > 0 else None
    return Outcome(value=float(np.median(values)), details={"last_quarter_over_first": kept})


def noise(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Median over the frames of the estimated standard deviation of noise, luma in 0..255."""
    del features, extractor
    found = _statistics(subject, 1)
    return found if isinstance(found, Outcome) else Outcome(value=float(np.median(found.noise)) * 255)


def blockiness(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Mean step between pixels across the borders of 8x8 blocks over the mean step elsewhere; 1: no blocks."""
    del features, extractor
    found = _statistics(subject, 1)
    if isinstance(found, Outcome):
        return found
    clip_video = subject.clip.video
    assert clip_video is not None
    if min(clip_video.shape[1:3]) < 2 * 8:
        return abstain(f"frames of {clip_video.shape[2]}x{clip_video.shape[1]} hold less than two blocks a side")
    elsewhere = float(found.off_grid.mean())
    if elsewhere < 1e-6:
        return abstain("the frames have no structure between the borders of blocks")
    return Outcome(value=float(found.on_grid.mean()) / elsewhere)


def num_cuts(
    subject: Subject, features: Features = None, extractor: Extractor | None = None, *, threshold: float = 0.5
) -> Outcome:
    """Number of places where the colours change at once and stay changed; a flash is not a cut, nor is flicker.

    Distance of colour histograms p, q: sum((p - q)^2 / (p + q)) / 2, in 0..1; of neighbouring frames, and of the means
    of the four frames on either side, in which what comes and goes is on both sides alike.
    """
    del features, extractor
    found = _statistics(subject, 2)
    if isinstance(found, Outcome):
        return found
    colours = found.histogram
    cuts = [
        index
        for index in range(1, len(colours))
        if _distance(colours[index - 1], colours[index]) > threshold
        and _distance(colours[max(0, index - _STAY) : index].mean(0), colours[index : index + _STAY].mean(0))
        > threshold
    ]
    # A cross-fade over a few frames is one cut.
    separate = [cut for number, cut in enumerate(cuts) if number == 0 or cut - cuts[number - 1] > 3]
    return Outcome(value=float(len(separate)), details={"first_cut_frame": separate[0] if separate else None})


def motion(subject: Subject, features: Features = None, extractor: Extractor | None = None) -> Outcome:
    """Mean change of luma per second, in shares of full scale, at a short side of at most 128 pixels."""
    del features, extractor
    found = _statistics(subject, 2)
    if isinstance(found, Outcome):
        return found
    assert subject.clip.fps is not None
    return Outcome(value=float(found.small_change.mean()) * float(subject.clip.fps))


def _statistics(subject: Subject, least_frames: int) -> VideoStatistics | Outcome:
    video = subject.clip.video
    if video is None:
        raise NotApplicable("the clip has no video; this metric looks at the picture")
    if len(video) < least_frames or video.size == 0:
        return abstain(
            f"found {len(video)} frames of {video.shape[2]}x{video.shape[1]}, expected {least_frames} or more"
        )
    return video_statistics(video)


def _distance(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    total = left + right
    filled = total > 0
    return float(((left - right)[filled] ** 2 / total[filled]).sum() / 2)
