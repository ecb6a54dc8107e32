"""Collects the decoded frames of one video stream: RGB, upright, with their times."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ltx2_eval.media_probe import Limits, MediaError

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_HD_HEIGHT = 720


@dataclass(kw_only=True, slots=True)
class FrameSink:
    """Collects the frames of one stream."""

    stream: VideoStream
    path: Path
    limits: Limits
    frames: NDArray[np.uint8] | None = None
    count: int = 0
    pts: list[int | None] = field(default_factory=list)
    last_duration: int = 0
    quarter_turns: int = 0
    reformatter: VideoReformatter = field(default_factory=VideoReformatter)

    def add(self, frame: VideoFrame) -> None:
        """Take the next frame in order of presentation.

        Raises:
            MediaError: damaged, of another size than the first, or more than the limits.
        """
        if frame.is_corrupt:
            raise MediaError(f"{self.path.name}: frame {self.count} is damaged")
        if self.frames is None:
            self._allocate(frame)
        assert self.frames is not None
        _, height, width, _ = self.frames.shape
        if (frame.height, frame.width) != (height, width):
            raise MediaError(
                f"{self.path.name}: frame {self.count} is {frame.width}x{frame.height}, expected {width}x{height}"
            )
        if self.count == len(self.frames):
            self._grow()
        self.frames[self.count] = self._rgb(frame)
        self.count += 1
        self.pts.append(frame.pts)
        self.last_duration = int(frame.duration or 0)

    def _allocate(self, frame: VideoFrame) -> None:
        if frame.width * frame.height > self.limits.max_pixels:
            raise MediaError(f"{self.path.name}: frames of {frame.width}x{frame.height} are too large to read")
        turns, rest = divmod(frame.rotation, 90)
        if rest:
            raise MediaError(f"{self.path.name}: turned by {frame.rotation} degrees, expected a multiple of 90")
        self.quarter_turns = turns % 4
        guess = self.stream.frames or 128
        self.frames = np.empty((self._room(guess, frame.width * frame.height), frame.height, frame.width, 3), np.uint8)

    def _grow(self) -> None:
        assert self.frames is not None
        _, height, width, _ = self.frames.shape
        more = self._room(2 * self.count, height * width)
        if more <= self.count:
            raise MediaError(f"{self.path.name}: more than {self.count} frames, the limit of what is read")
        grown = np.empty((more, height, width, 3), np.uint8)
        grown[: self.count] = self.frames
        self.frames = grown

    def _room(self, wanted: int, pixels: int) -> int:
        return max(1, min(wanted, self.limits.max_frames, self.limits.max_bytes // (3 * pixels)))

    def _rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        guessed = Colorspace.ITU709 if frame.height >= _HD_HEIGHT else Colorspace.ITU601
        image: NDArray[np.uint8] = self.reformatter.reformat(
            frame,
            format="rgb24",
            src_colorspace=guessed if frame.colorspace == _UNSPECIFIED else None,
            dst_color_range=ColorRange.JPEG,
            threads=1,  # the decoder's threads fill the cores already
        ).to_ndarray()  # type: ignore[assignment]  # rgb24 is uint8
        return image

    def finish(self) -> tuple[NDArray[np.uint8], Fraction, NDArray[np.float64] | None, float]:
        """Frames (f, h, w, 3), rate, times (f,) where they are not constant, start in seconds."""
        if self.frames is None:
            raise MediaError(f"{self.path.name}: the video stream has no frame that can be decoded")
        frames = self.frames[: self.count]
        if self.quarter_turns:
            frames = np.ascontiguousarray(np.rot90(frames, self.quarter_turns, axes=(1, 2)))
        fps, times_s = self._rate_and_times()
        if times_s is None:
            start_s = float((self.stream.start_time or 0) * self._tick)
            return frames, fps, None, start_s
        constant = times_s[0] + np.arange(self.count) / float(fps)
        is_constant = np.abs(times_s - constant).max() <= float(self._tick) + 1e-6
        return frames, fps, None if is_constant else times_s, float(times_s[0])

    @property
    def _tick(self) -> Fraction:
        return self.stream.time_base or Fraction(1)

    def _rate_and_times(self) -> tuple[Fraction, NDArray[np.float64] | None]:
        rates = [rate for rate in (self.stream.average_rate, self.stream.guessed_rate) if rate]
        pts = [value for value in self.pts if value is not None]
        if len(pts) < self.count:
            if not rates:
                raise MediaError(f"{self.path.name}: neither frame rate nor time stamps; expected one of them")
            return rates[0], None
        times_s = np.array(pts, np.float64) * float(self._tick)
        if np.any(np.diff(times_s) <= 0):
            raise MediaError(f"{self.path.name}: the time stamps of its frames do not increase; the file is damaged")
        return self._best_rate(rates, times_s), times_s

    def _best_rate(self, rates: list[Fraction], times_s: NDArray[np.float64]) -> Fraction:
        """The declared rate that fits the time stamps best; containers round, and some declare a wrong one."""
        if self.count > 1:
            rates = [*rates, Fraction((self.count - 1) / float(times_s[-1] - times_s[0])).limit_denominator(1001)]
        elif not rates and self.last_duration:
            rates = [1 / (self.last_duration * self._tick)]
        if not rates:
            raise MediaError(f"{self.path.name}: one frame and no frame rate; expected a rate")
        steps = np.arange(self.count)
        misses = [float(np.abs(times_s - times_s[0] - steps / float(rate)).max()) for rate in rates]
        best = min(range(len(rates)), key=lambda index: (misses[index] > float(self._tick), index))
        return rates[best]
