"""Media file to clip: one decode for all metrics, on the container's clock, checked against what the header claims."""

from fractions import Fraction
from pathlib import Path

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ltx2_eval.clip import Clip
from ltx2_eval.media_frames import FrameSink
from ltx2_eval.media_probe import DEFAULT_LIMITS, Limits, MediaError, Probe, media_streams, opened
from ltx2_eval.media_samples import SampleSink

DECODER = "pyav-rgb24-v1"
"""Id of this decode path, for protocols: change it when a pixel or a sample can change."""

Sink = FrameSink | SampleSink


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
            _feed(by_index[packet.stream.index], packet)
        return _clip(path, header, sinks)


def _feed(sink: Sink, packet: Packet) -> None:
    for frame in packet.decode():
        if isinstance(sink, FrameSink) and isinstance(frame, VideoFrame):  # noqa: SIM114  (each narrows both types)
            sink.add(frame)
        elif isinstance(sink, SampleSink) and isinstance(frame, AudioFrame):
            sink.add(frame)


def _first_streams(container: InputContainer) -> list[VideoStream | AudioStream]:
    streams = media_streams(container)
    video = [stream for stream in streams if isinstance(stream, VideoStream)][:1]
    audio = [stream for stream in streams if isinstance(stream, AudioStream)][:1]
    return [*video, *audio]


def _sink(stream: VideoStream | AudioStream, path: Path, limits: Limits) -> Sink:
    if isinstance(stream, AudioStream):
        return SampleSink(stream=stream, path=path, limits=limits)
    stream.thread_type = "FRAME"  # the fastest by far: with slices or AUTO a third is lost
    return FrameSink(stream=stream, path=path, limits=limits)


def _clip(path: Path, header: Probe, sinks: list[Sink]) -> Clip:
    video = next((sink for sink in sinks if isinstance(sink, FrameSink)), None)
    audio = next((sink for sink in sinks if isinstance(sink, SampleSink)), None)
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
