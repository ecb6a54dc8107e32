"""A clip in memory: what every metric gets, from one decode."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """Video and audio on one clock. Either stream may be absent (both its fields None), never both.

    Time 0 is the presentation time of the container's zero; a stream that starts later says so, so that the offset
    between picture and sound is kept through writing and reading (`metrics` never guess it from lengths).
    """

    video: NDArray[np.uint8] | None
    """(f, h, w, 3), RGB, 0..255."""
    fps: Fraction | None
    """Average frame rate."""
    audio: NDArray[np.float32] | None
    """(c, n) in -1..1."""
    rate_hz: int | None
    frame_times_s: NDArray[np.float64] | None = None
    """(f,) presentation time of each frame; None: frame i is shown from `video_start_s + i / fps` on."""
    video_start_s: float = 0.0
    audio_start_s: float = 0.0
    """Time of the first audio sample."""

    def __post_init__(self) -> None:
        if (self.video is None) != (self.fps is None) or (self.audio is None) != (self.rate_hz is None):
            raise ValueError(
                "a stream needs its rate: give video with fps and audio with rate_hz, or neither of a pair"
            )
        if self.video is None and self.audio is None:
            raise ValueError("a clip needs at least one stream, found neither video nor audio")
        if self.video is not None and (
            self.video.ndim != 4 or self.video.shape[3] != 3 or self.video.dtype != np.uint8
        ):
            raise ValueError(f"video: found {self.video.dtype} {self.video.shape}, expected uint8 (f, h, w, 3)")
        if self.audio is not None and (self.audio.ndim != 2 or self.audio.dtype != np.float32):
            raise ValueError(f"audio: found {self.audio.dtype} {self.audio.shape}, expected float32 (c, n)")

    @property
    def times_s(self) -> NDArray[np.float64]:
        """(f,) presentation time of each frame. Raises ValueError without video."""
        if self.video is None or self.fps is None:
            raise ValueError("this clip has no video")
        if self.frame_times_s is not None:
            return self.frame_times_s
        return self.video_start_s + np.arange(len(self.video)) / float(self.fps)

    @property
    def video_duration_s(self) -> float | None:
        """Seconds from the first frame's start to the last frame's end."""
        if self.video is None or self.fps is None or not len(self.video):
            return None
        return float(self.times_s[-1] - self.times_s[0] + 1 / self.fps)

    @property
    def audio_duration_s(self) -> float | None:
        """Seconds of audio."""
        return None if self.audio is None or self.rate_hz is None else self.audio.shape[1] / self.rate_hz
