"""Clip to media file: a browser-playable MP4 or a lossless MKV, the same bytes each time."""

import heapq
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from einops import rearrange
from numpy.typing import NDArray

from ltx2_eval.clip import Clip

Container = Literal["mp4", "mkv"]

_CRF = 12
# Without these, swscale rounds chroma by up to two steps.
_ACCURATE = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_VIDEO_CLOCK = 90_000
_AAC_RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AAC_BITS_PER_CHANNEL = 128_000
_AAC_BITS_PER_SAMPLE = 6  # the standard's ceiling of 6144 bits for a block of 1024
_AAC_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_PCM_LAYOUTS = {**_AAC_LAYOUTS, 7: "6.1"}
_BLOCK = 1024


def write_clip(clip: Clip, path: Path, *, container: Container) -> None:
    """Write a clip to `path`; the same clip gives the same bytes on the same machine.

    mp4: H.264 (yuv420p, BT.709) and AAC, index first, so that browsers play and seek it. Sound that starts after time
    0 is written with silence before it. mkv: FFV1 and float PCM, every bit kept; its clock ticks in milliseconds. In
    both a sound and a picture keep their distance in time within 1 ms. If a stream starts before 0, both are moved so
    that the earlier starts at 0.

    Args:
        clip: what to write.
        path: file to create; wrap it in `ltx2_reports.store.atomic_path` inside run folders.
        container: which of the two forms.

    Raises:
        ValueError: the form cannot hold this clip (no frames or samples; for mp4: odd sizes, rates that AAC lacks, a
            number of channels without a layout).
    """
    _check(clip, container)
    shift_s = -min([0.0, *_starts_s(clip)])
    movie_clock = clip.rate_hz or _VIDEO_CLOCK
    options = {"fflags": "+bitexact"}
    if container == "mp4":
        # A clock as fine as the audio's: edit lists in milliseconds would move the sound.
        options |= {"movflags": "+faststart", "movie_timescale": str(movie_clock)}
    with av.open(f"file:{path}", "w", format="matroska" if container == "mkv" else "mp4", options=options) as output:
        sources = []
        if clip.video is not None:
            sources.append(_video_packets(output, clip, container, shift_s))
        if clip.audio is not None:
            sources.append(_audio_packets(output, clip, container, shift_s))
        for _, packet in heapq.merge(*sources, key=lambda item: item[0]):
            output.mux(packet)


def _starts_s(clip: Clip) -> list[float]:
    starts_s = [] if clip.video is None else [float(clip.times_s[0])]
    return starts_s if clip.audio is None else [*starts_s, clip.audio_start_s]


def _check(clip: Clip, container: Container) -> None:
    if container not in ("mp4", "mkv"):
        raise ValueError(f"container {container!r}, expected mp4 or mkv")
    if clip.video is not None and clip.video.size == 0:
        raise ValueError(f"video of shape {clip.video.shape} has no pixel; a file needs at least one frame")
    if clip.audio is not None:
        _check_audio(clip.audio, container, clip.rate_hz)
    if clip.video is not None and container == "mp4":
        _, height, width, _ = clip.video.shape
        if height % 2 or width % 2:
            raise ValueError(
                f"frames of {width}x{height}: browsers play H.264 with even sizes only; choose mkv or crop by one pixel"
            )


def _check_audio(audio: NDArray[np.float32], container: Container, rate_hz: int | None) -> None:
    channels, samples = audio.shape
    if not samples:
        raise ValueError("audio has no samples; a file needs at least one, or no audio stream")
    if not np.isfinite(audio).all():
        raise ValueError("audio has samples that are not finite; a file needs numbers")
    layouts = _AAC_LAYOUTS if container == "mp4" else _PCM_LAYOUTS
    if channels not in layouts:
        raise ValueError(f"{channels} audio channels, {container} is written with {sorted(layouts)}; mix them first")
    if container == "mp4" and rate_hz not in _AAC_RATES_HZ:
        raise ValueError(
            f"audio at {rate_hz} Hz: AAC knows {', '.join(map(str, sorted(_AAC_RATES_HZ)))}; choose mkv or resample"
        )


def _video_packets(
    output: OutputContainer, clip: Clip, container: Container, shift_s: float
) -> Iterator[tuple[float, av.Packet]]:
    assert clip.video is not None
    assert clip.fps is not None
    times_s = clip.times_s + shift_s
    constant = clip.frame_times_s is None and times_s[0] == 0.0
    clock = 1 / clip.fps if constant else Fraction(1, _VIDEO_CLOCK)
    stream = _video_stream(output, clip, container, clock)
    return _encoded_video(stream, clip.video, times_s, clock, constant, container)


def _video_stream(output: OutputContainer, clip: Clip, container: Container, clock: Fraction) -> VideoStream:
    assert clip.video is not None
    assert clip.fps is not None
    if container == "mp4":
        # No B frames: a picture's place then does not hang on an edit list that a player may ignore. No mbtree: on
        # processors with AVX-512 its result depends on what happens to lie in memory, and the bytes with it.
        options = {"crf": str(_CRF), "preset": "medium", "bf": "0", "mbtree": "0"}
        stream = output.add_stream("libx264", rate=clip.fps, options=options)
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.color_range, context.colorspace = ColorRange.MPEG, 1
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    else:
        stream = output.add_stream("ffv1", rate=clip.fps, options={"level": "3", "slices": "4", "slicecrc": "1"})
        stream.pix_fmt = "bgr0"
        context = stream.codec_context
    _, stream.height, stream.width, _ = clip.video.shape
    context.time_base = clock
    context.thread_count = 1  # the bytes must not depend on the number of cores
    context.flags |= Flags.bitexact
    return stream


def _encoded_video(
    stream: VideoStream,
    video: NDArray[np.uint8],
    times_s: NDArray[np.float64],
    clock: Fraction,
    constant: bool,
    container: Container,
) -> Iterator[tuple[float, av.Packet]]:
    reformatter = VideoReformatter()
    for index, (image, time_s) in enumerate(zip(video, times_s, strict=True)):
        frame = _picture(reformatter, image, container)
        frame.pts = index if constant else round(time_s * _VIDEO_CLOCK)
        frame.time_base = clock
        for packet in stream.encode(frame):
            yield float(time_s), packet
    for packet in stream.encode(None):
        yield float(times_s[-1]), packet


def _picture(reformatter: VideoReformatter, image: NDArray[np.uint8], container: Container) -> VideoFrame:
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    if container == "mkv":
        return reformatter.reformat(frame, format="bgr0")
    return reformatter.reformat(
        frame,
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        interpolation=_ACCURATE,
        threads=1,
    )


def _audio_packets(
    output: OutputContainer, clip: Clip, container: Container, shift_s: float
) -> Iterator[tuple[float, av.Packet]]:
    assert clip.audio is not None
    assert clip.rate_hz is not None
    audio, start = clip.audio, round((clip.audio_start_s + shift_s) * clip.rate_hz)
    if container == "mp4":
        # AAC begins with a block of priming that an edit list hides only at time 0.
        audio, start = np.pad(audio, ((0, 0), (start, 0))), 0
    stream = _audio_stream(output, audio, clip.rate_hz, container)
    return _encoded_audio(stream, audio, clip.rate_hz, start)


def _audio_stream(
    output: OutputContainer, audio: NDArray[np.float32], rate_hz: int, container: Container
) -> AudioStream:
    channels = len(audio)
    if container == "mkv":
        stream = output.add_stream("pcm_f32le", rate=rate_hz, layout=_PCM_LAYOUTS[channels])
    else:
        stream = output.add_stream("aac", rate=rate_hz, layout=_AAC_LAYOUTS[channels])
        stream.bit_rate = channels * min(_AAC_BITS_PER_CHANNEL, _AAC_BITS_PER_SAMPLE * rate_hz)
    stream.codec_context.time_base = Fraction(1, rate_hz)
    stream.codec_context.flags |= Flags.bitexact
    return stream


def _encoded_audio(
    stream: AudioStream, audio: NDArray[np.float32], rate_hz: int, start: int
) -> Iterator[tuple[float, av.Packet]]:
    layout = stream.codec_context.layout.name
    samples = audio.shape[1]
    for first in range(0, samples, _BLOCK):
        packed = rearrange(audio[:, first : first + _BLOCK], "c n -> 1 (n c)")
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(packed), format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, start + first, Fraction(1, rate_hz)
        for packet in stream.encode(frame):
            yield (start + first) / rate_hz, packet
    for packet in stream.encode(None):
        yield (start + samples) / rate_hz, packet
