"""Media file to clip: one decode for all metrics, on the container's clock, checked against what the header claims."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream
from einops import rearrange
from numpy.typing import NDArray

from ltx2_eval.clip import Clip
from ltx2_eval.media_probe import DEFAULT_LIMITS, Limits, MediaError, Probe, check_rate, media_streams, opened

DECODER = "pyav-rgb24-v1"
"""Id of this decode path, for protocols: change it when a pixel or a sample can change."""

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_HD_HEIGHT = 720
_SCALES = {"u8": 1 / 2**7, "s16": 1 / 2**15, "s32": 1 / 2**31, "s64": 1 / 2**63, "flt": 1.0, "dbl": 1.0}
_GAP_S = 0.02


def read_clip(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> Clip:
    """Decode the first video and the first audio stream of a file.

    Frames come as RGB with the matrix and range of the stream (unspecified: BT.709 from 720 lines on, else BT.601),
    turned as the container says. Samples come as float at the native rate; priming and edit lists are honoured. Frames
    that follow a constant rate within the container's clock tick have `frame_times_s` None.

    Raises:
        MediaError: not a usable media file, more than `limits`, damaged, or shorter than its header says.
    """
    with opened(path, limits) as (container, header):
        sinks = [_sink(stream, path, limits) for stream in _first_streams(container)]
        by_index = {sink.stream.index: sink for sink in sinks}
        for packet in container.demux([sink.stream for sink in sinks]):
            sink = by_index[packet.stream.index]
            for frame in packet.decode():
                sink.add(frame)
        return _clip(path, header, sinks)


def _first_streams(container: InputContainer) -> list[VideoStream | AudioStream]:
    streams = media_streams(container)
    video = [stream for stream in streams if isinstance(stream, VideoStream)][:1]
    audio = [stream for stream in streams if isinstance(stream, AudioStream)][:1]
    return [*video, *audio]


def _sink(stream: VideoStream | AudioStream, path: Path, limits: Limits) -> "_Video | _Audio":
    if isinstance(stream, AudioStream):
        return _Audio(stream=stream, path=path, limits=limits)
    stream.thread_type = "FRAME"  # the fastest by far: with slices or AUTO a third is lost
    return _Video(stream=stream, path=path, limits=limits)


def _clip(path: Path, header: Probe, sinks: list["_Video | _Audio"]) -> Clip:
    video = next((sink for sink in sinks if isinstance(sink, _Video)), None)
    audio = next((sink for sink in sinks if isinstance(sink, _Audio)), None)
    frames, fps, times_s, start_s = video.finish() if video else (None, None, None, 0.0)
    samples, rate_hz, audio_start_s = audio.finish() if audio else (None, None, 0.0)
    clip = Clip(
        video=frames,
        fps=fps,
        audio=samples,
        rate_hz=rate_hz,
        frame_times_s=times_s,
        video_start_s=start_s,
        audio_start_s=audio_start_s,
    )
    _check_length(path, header, clip)
    return clip


def _check_length(path: Path, header: Probe, clip: Clip) -> None:
    """A decoder content with half a file is noticed here."""
    ends: list[float] = []
    if clip.fps is not None:
        ends.append(_check_stream(path, header, "video", float(clip.times_s[0]), clip.video_duration_s, 0.5 / clip.fps))
    if clip.rate_hz is not None:
        # Lossy codecs work in blocks of up to 2048 samples; containers may count the last one whole or not.
        slack_s = 2048 / clip.rate_hz
        ends.append(_check_stream(path, header, "audio", clip.audio_start_s, clip.audio_duration_s, slack_s))
    if header.duration_s is not None and all(stream.duration_s is None for stream in header.streams):
        _not_shorter(path, "clip", max(ends), header.duration_s, 0.1)


def _check_stream(
    path: Path, header: Probe, kind: str, start_s: float, found_s: float | None, slack_s: float | Fraction
) -> float:
    claimed = header.first("video" if kind == "video" else "audio")
    length_s = found_s or 0.0
    if claimed is not None and claimed.duration_s is not None:
        _not_shorter(path, kind, length_s, claimed.duration_s, float(slack_s) + 0.002)
    return start_s + length_s


def _not_shorter(path: Path, what: str, found_s: float, claimed_s: float, slack_s: float) -> None:
    if found_s < claimed_s - slack_s:
        raise MediaError(
            f"{path.name}: decoded {found_s:.3f} s of {what}, the header says {claimed_s:.3f} s; the file is cut short"
        )


@dataclass(kw_only=True, slots=True)
class _Video:
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
        return self.reformatter.reformat(
            frame,
            format="rgb24",
            src_colorspace=guessed if frame.colorspace == _UNSPECIFIED else None,
            dst_color_range=ColorRange.JPEG,
            threads=1,  # the decoder's threads fill the cores already
        ).to_ndarray()

    def finish(self) -> tuple[NDArray[np.uint8], Fraction, NDArray[np.float64] | None, float]:
        """Frames, rate, times where they are not constant, start."""
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


@dataclass(kw_only=True, slots=True)
class _Audio:
    """Collects the samples of one stream."""

    stream: AudioStream
    path: Path
    limits: Limits
    pieces: list[NDArray[np.float32]] = field(default_factory=list)
    count: int = 0
    start: Fraction | None = None
    rate_hz: int = 0
    channels: int = 0

    def add(self, frame: AudioFrame) -> None:
        if not self.pieces:
            self.rate_hz, self.channels = frame.sample_rate, frame.layout.nb_channels
            check_rate(self.path, self.rate_hz)
            self.start = self._time(frame) or Fraction(0)
        found = (frame.sample_rate, frame.layout.nb_channels)
        if found != (self.rate_hz, self.channels):
            raise MediaError(
                f"{self.path.name}: the audio changes from {self.channels} channels at {self.rate_hz} Hz "
                f"to {found[1]} at {found[0]}; expected one form"
            )
        self._keep_time(frame)
        self._append(_samples(frame))

    def _time(self, frame: AudioFrame) -> Fraction | None:
        return None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base

    def _keep_time(self, frame: AudioFrame) -> None:
        """Fill a hole in the time stamps with silence, so that what follows stays in its place."""
        time = self._time(frame)
        if time is None or self.start is None:
            return
        gap_s = float(time - self.start) - self.count / self.rate_hz
        if gap_s > self.limits.max_duration_s:
            raise MediaError(f"{self.path.name}: a hole of {gap_s:.0f} s in the audio; the file is damaged")
        if gap_s > _GAP_S:
            self._append(np.zeros((self.channels, round(gap_s * self.rate_hz)), np.float32))

    def _append(self, samples: NDArray[np.float32]) -> None:
        self.pieces.append(samples)
        self.count += samples.shape[1]
        if self.count > self.limits.max_duration_s * self.rate_hz:
            raise MediaError(f"{self.path.name}: more than {self.limits.max_duration_s:g} s of audio, the limit")
        if self.count * self.channels * 4 > self.limits.max_bytes:
            raise MediaError(f"{self.path.name}: more than {self.limits.max_bytes} bytes of audio, the limit")

    def finish(self) -> tuple[NDArray[np.float32], int, float]:
        """Samples, rate, start."""
        if not self.pieces:
            raise MediaError(f"{self.path.name}: the audio stream has no sample that can be decoded")
        samples = self._without_padding(np.concatenate(self.pieces, axis=1))
        if not np.isfinite(samples).all():
            bad = int((~np.isfinite(samples)).sum())
            raise MediaError(f"{self.path.name}: {bad} audio samples are not finite; expected numbers")
        return samples, self.rate_hz, float(self.start or 0)

    def _without_padding(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cut what the encoder added to fill its last block, where the container says how long the sound is."""
        if self.stream.duration is None or self.stream.time_base is None:
            return samples
        claimed = round(self.stream.duration * self.stream.time_base * self.rate_hz)
        block = self.stream.codec_context.frame_size or 0
        return samples[:, :claimed] if 0 < samples.shape[1] - claimed <= 2 * block else samples


def _samples(frame: AudioFrame) -> NDArray[np.float32]:
    """(c, n) in -1..1 from any sample format; integers are divided by half their span."""
    name = frame.format.name
    kind = name.removesuffix("p")
    if kind not in _SCALES:
        raise MediaError(f"sample format {name}, expected one of {', '.join(_SCALES)}")
    raw = frame.to_ndarray()
    if not frame.format.is_planar:
        raw = rearrange(raw, "1 (n c) -> c n", c=frame.layout.nb_channels)
    values = raw.astype(np.float64) if kind in ("s32", "s64", "dbl") else raw.astype(np.float32)
    offset = 2**7 if kind == "u8" else 0
    return np.ascontiguousarray((values - offset) * _SCALES[kind], dtype=np.float32)
