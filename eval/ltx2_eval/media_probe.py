"""What a media file claims, read from its header, and what is refused before anything is decoded."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from ltx2_eval.media_claims import check_sample_tables, check_wave

# Formats that hold one clip. Play lists, scripts and image sequences are left out: they can name other files.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,wav,w64,aiff,avi,flac,ogg,mp3,aac,mpegts,mpeg"
RATE_RANGE_HZ = (1_000, 768_000)
MAX_FPS = 1_000


class MediaError(ValueError):
    """A file cannot be used as a clip; `stage` and `error` go into the record of the sample."""

    def __init__(self, message: str, *, stage: str = "decode", error: str | None = None) -> None:
        super().__init__(message)
        self.stage = stage
        self.error = error or type(self).__name__
        """Class of the exception that was met, e.g. `InvalidDataError`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a file may claim at most; above that it is refused from its header."""

    max_pixels: int = 8192 * 4320
    """Of one frame."""
    max_frames: int = 36_000
    max_duration_s: float = 1_200.0
    max_streams: int = 16
    max_bytes: int = 8 * 2**30
    """Of one stream when decoded."""


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamProbe:
    """What the container says about one stream; null where it says nothing."""

    kind: Literal["video", "audio"]
    codec: str
    start_s: float
    """Presentation time of the first frame or sample."""
    duration_s: float | None
    frames: int | None
    """Video: number of frames the container lists."""
    width: int | None = None
    height: int | None = None
    pixel_format: str | None = None
    fps: Fraction | None = None
    rate_hz: int | None = None
    channels: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """Header of a media file."""

    container: str
    size_bytes: int
    duration_s: float | None
    streams: tuple[StreamProbe, ...]

    def first(self, kind: Literal["video", "audio"]) -> StreamProbe | None:
        """The stream of that kind that is read, the first one."""
        return next((stream for stream in self.streams if stream.kind == kind), None)


def probe(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> Probe:
    """Read the header of a media file; nothing is decoded beyond what the demuxer needs.

    Raises:
        MediaError: not a regular file, not a media file, or it claims more than `limits` allow.
    """
    with opened(path, limits) as (container, header):
        del container
        return header


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[tuple[InputContainer, Probe]]:
    """Open a checked file; every exception inside the block leaves it as a MediaError."""
    size_bytes = check_file(path)
    check_sample_tables(path, limits.max_frames, limits.max_streams, MediaError)
    check_wave(path, MediaError)
    try:
        # `file:` keeps a name such as `concat:a|b` from being read as a protocol.
        with av.open(
            f"file:{path}",
            metadata_errors="replace",
            options={
                "format_whitelist": FORMATS,
                "protocol_whitelist": "file",
                "max_streams": str(limits.max_streams + 1),
            },
        ) as container:
            header = _header(container, size_bytes)
            _check_claims(path, header, len(container.streams), limits)
            yield container, header
    except MediaError:
        raise
    except Exception as error:  # the decoder raises ten classes, not all its own: this is the one place they end
        name = type(error).__name__
        text = " ".join(str(error).split()) or name
        raise MediaError(f"{path.name}: cannot be decoded ({text}); the file is damaged", error=name) from error


def check_file(path: Path) -> int:
    """Size in bytes of a regular file that is not empty.

    Raises:
        MediaError: anything else; the file is not opened, so a pipe or device cannot block.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        name = type(error).__name__
        raise MediaError(f"{path.name}: no such file, expected a media file ({name})", error=name) from error
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise MediaError(f"{path.name}: found {kind}, expected a regular media file")
    if status.st_size == 0:
        raise MediaError(f"{path.name}: found an empty file, expected a media file")
    return status.st_size


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def _header(container: InputContainer, size_bytes: int) -> Probe:
    duration_s = None if container.duration is None else container.duration / av.time_base
    return Probe(
        container=container.format.name,
        size_bytes=size_bytes,
        duration_s=duration_s,
        streams=tuple(_stream(stream) for stream in media_streams(container)),
    )


def media_streams(container: InputContainer) -> list[VideoStream | AudioStream]:
    """Video and audio streams, without cover pictures."""
    cover = av.stream.Disposition.attached_pic
    return [
        stream
        for stream in container.streams
        if isinstance(stream, VideoStream | AudioStream) and not stream.disposition & cover
    ]


def _stream(stream: VideoStream | AudioStream) -> StreamProbe:
    tick = stream.time_base or Fraction(1)
    start_s = 0.0 if stream.start_time is None else float(stream.start_time * tick)
    duration_s = _tagged_duration_s(stream, start_s) if stream.duration is None else float(stream.duration * tick)
    codec = stream.codec_context.name if stream.codec_context is not None else "unknown"
    if isinstance(stream, VideoStream):
        return StreamProbe(
            kind="video",
            codec=codec,
            start_s=start_s,
            duration_s=duration_s,
            frames=stream.frames or None,
            width=stream.codec_context.width,
            height=stream.codec_context.height,
            pixel_format=stream.codec_context.pix_fmt,
            fps=stream.average_rate or stream.guessed_rate,
        )
    context = stream.codec_context
    return StreamProbe(
        kind="audio",
        codec=codec,
        start_s=start_s,
        duration_s=duration_s,
        frames=None,
        rate_hz=context.sample_rate,
        channels=context.layout.nb_channels,
    )


def _tagged_duration_s(stream: VideoStream | AudioStream, start_s: float) -> float | None:
    """Matroska keeps the end of each stream in a tag `hh:mm:ss.fraction`."""
    text = stream.metadata.get("DURATION", "")
    try:
        hours, minutes, seconds = (float(part) for part in text.split(":"))
    except ValueError:
        return None
    return max(0.0, hours * 3600 + minutes * 60 + seconds - start_s)


def _check_claims(path: Path, header: Probe, num_streams: int, limits: Limits) -> None:
    if not header.streams:
        raise MediaError(f"{path.name}: found neither video nor audio, expected at least one of them")
    _at_most(path, "streams", num_streams, limits.max_streams)
    _at_most(path, "seconds", header.duration_s, limits.max_duration_s)
    for stream in header.streams:
        _at_most(path, f"seconds of {stream.kind}", stream.duration_s, limits.max_duration_s)
        if stream.kind == "video":
            _check_video_claims(path, stream, limits)
        else:
            check_rate(path, stream.rate_hz or 0)


def _check_video_claims(path: Path, stream: StreamProbe, limits: Limits) -> None:
    pixels = (stream.width or 0) * (stream.height or 0)
    _at_most(path, f"pixels a frame ({stream.width}x{stream.height})", pixels, limits.max_pixels)
    _at_most(path, "frames", stream.frames, limits.max_frames)
    _at_most(path, "frames a second", None if stream.fps is None else float(stream.fps), MAX_FPS)
    _at_most(path, "bytes of decoded video", pixels * 3 * (stream.frames or 1), limits.max_bytes)


def check_rate(path: Path, rate_hz: int) -> None:
    """Refuse sample rates that no sound has.

    Raises:
        MediaError: outside RATE_RANGE_HZ.
    """
    low, high = RATE_RANGE_HZ
    if not low <= rate_hz <= high:
        raise MediaError(f"{path.name}: the audio claims {rate_hz} Hz, expected {low} to {high} Hz")


def _at_most(path: Path, what: str, found: float | None, limit: float) -> None:
    if found is not None and found > limit:
        raise MediaError(f"{path.name}: claims {found:.15g} {what}, at most {limit:.15g} are read; refused unopened")
