"""Which frames of a clip an encoder sees: by presentation time, never by index."""

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable

_TOLERANCE_S = 1e-3
"""Containers round presentation times to a millisecond: a frame that is due counts as shown."""


def frames_at(clip: Clip, times_s: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The frame on screen at each time: the last whose presentation time has come (the first one before that).

    Returns:
        (len(times_s), h, w, 3) uint8.

    Raises:
        NotApplicable: the clip has no frame.
    """
    if clip.video is None or len(clip.video) == 0:
        raise NotApplicable("the clip has no video frame")
    index = np.searchsorted(clip.times_s, times_s + _TOLERANCE_S, side="right") - 1
    return clip.video[np.clip(index, 0, len(clip.video) - 1)]


def centred_frames(clip: Clip, num_frames: int, rate_hz: float) -> NDArray[np.uint8]:
    """`num_frames` frames at `rate_hz`, symmetric about the middle of the clip.

    Frame j is the one on screen at `middle + (j - (num_frames - 1) / 2) / rate_hz`.

    Raises:
        NotApplicable: the clip is shorter than `num_frames / rate_hz` or has fewer frames a second than `rate_hz`.
    """
    duration_s = clip.video_duration_s
    if duration_s is None or clip.fps is None:
        raise NotApplicable("the clip has no video frame")
    needed_s = num_frames / rate_hz
    if duration_s < needed_s - _TOLERANCE_S:
        raise NotApplicable(f"{duration_s:.2f} s of video, {num_frames} frames at {rate_hz:g} Hz need {needed_s:g} s")
    if float(clip.fps) < rate_hz - 1e-6:
        raise NotApplicable(f"{float(clip.fps):g} frames a second, at least {rate_hz:g} are needed")
    middle_s = clip.times_s[0] + duration_s / 2
    return frames_at(clip, middle_s + (np.arange(num_frames) - (num_frames - 1) / 2) / rate_hz)


def bin_centre_frames(clip: Clip, num_frames: int) -> NDArray[np.uint8]:
    """The frames on screen at the centres of `num_frames` equal parts of the clip; short clips repeat frames.

    Raises:
        NotApplicable: the clip has no frame.
    """
    duration_s = clip.video_duration_s
    if duration_s is None:
        raise NotApplicable("the clip has no video frame")
    return frames_at(clip, clip.times_s[0] + (np.arange(num_frames) + 0.5) / num_frames * duration_s)


def frames_from(clip: Clip, start_s: float, rate_hz: float) -> NDArray[np.uint8]:
    """Frames at `rate_hz` from a time on to the end: for each moment the first frame that is due then or later.

    So the audio-video benchmarks of Synchformer's family resample; never by index, which drifts.

    Returns:
        (k, h, w, 3) uint8, k the whole number of frames that fit.

    Raises:
        NotApplicable: the clip has no frame.
    """
    duration_s = clip.video_duration_s
    if clip.video is None or duration_s is None:
        raise NotApplicable("the clip has no video frame")
    end_s = clip.times_s[0] + duration_s
    times_s = start_s + np.arange(int((end_s - start_s) * rate_hz + _TOLERANCE_S * rate_hz)) / rate_hz
    index = np.searchsorted(clip.times_s, times_s - _TOLERANCE_S, side="left")
    return clip.video[np.clip(index, 0, len(clip.video) - 1)]


def middle_frames(clip: Clip, num_frames: int) -> NDArray[np.uint8]:
    """`num_frames` consecutive frames from the middle of the clip, at its own rate.

    Raises:
        NotApplicable: fewer frames.
    """
    if clip.video is None or len(clip.video) < num_frames:
        found = 0 if clip.video is None else len(clip.video)
        raise NotApplicable(f"{found} frames of video, {num_frames} are needed")
    first = (len(clip.video) - num_frames) // 2
    return clip.video[first : first + num_frames]
