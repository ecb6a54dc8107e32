"""VMAF (Netflix): how close a picture looks to its reference, by the libvmaf in the FFmpeg of a package.

FFmpeg runs as a program of its own. It is fed the frames that every other metric gets too, so that nothing is decoded
twice, and in two ways.
"""

import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import Extractor, NotApplicable, NotAvailable
from ltx2_eval.metrics.base import Outcome, Subject
from ltx2_reports.records import Scalar

INSTALL = "`pip install 'ltx2-eval[vmaf]'`"
_LIMIT_S = 900
_LOG = "vmaf.json"
_LUMA = "scale=out_color_matrix=bt709:out_range=tv,format=yuv444p"
_QUIET = ("-hide_banner", "-loglevel", "error", "-nostdin")
_MOST_THREADS = 8
_PROBE_SIDE = 32
_MODEL = "vmaf_v0.6.1"

Frames = NDArray[np.uint8]


def vmaf(
    subject: Subject, features: NDArray[np.float32] | None, extractor: Extractor | None, *, model: str = _MODEL
) -> Outcome:
    """VMAF of a clip against its own reference: the mean over the frames.

    What it measures: how close the picture looks to the reference's, as viewers rated compressed television; for what a
    quantised or faster model loses against the full one on the same prompts and seeds. 100 is alike, though short clips
    without any difference stay a little below, since frames without motion never reach it. Frames are compared in
    order, at their own size, without scaling to the 1080 lines that the model was made for. It cannot see sound, or the
    prompt, or which of the two clips is better.

    Args:
        subject: the clip and its reference, of the same size and frame rate.
        features: none.
        extractor: none.
        model: name of a model that libvmaf carries.

    Raises:
        NotApplicable: no picture, or one of another size or frame rate than the reference's.
        NotAvailable: no FFmpeg with libvmaf.
    """
    del features, extractor
    own, other = paired_frames(subject)
    assert subject.clip.fps is not None
    log = _compared(_ffmpeg()[0], own, other, float(subject.clip.fps), model)
    pooled = log["pooled_metrics"]["vmaf"]
    details: dict[str, Scalar] = {
        "frames": len(log["frames"]),
        "least": float(pooled["min"]),
        "harmonic_mean": float(pooled["harmonic_mean"]),
        "libvmaf": str(log["version"]),
    }
    return Outcome(value=float(pooled["mean"]), details=details, warnings=_cut(subject))


def paired_frames(subject: Subject) -> tuple[Frames, Frames]:
    """The frames (f, h, w, 3) of a clip and of its reference, as many as both have.

    Raises:
        NotApplicable: no picture, or one of another size or frame rate than the reference's.
    """
    assert subject.reference is not None
    own, other = (_video(clip) for clip in (subject.clip, subject.reference))
    if own.shape[1:] != other.shape[1:]:
        sizes = [f"{frames.shape[2]}x{frames.shape[1]}" for frames in (own, other)]
        raise NotApplicable(f"a picture of {sizes[0]} and a reference of {sizes[1]}; they are compared pixel by pixel")
    rates = [float(clip.fps) for clip in (subject.clip, subject.reference) if clip.fps is not None]
    if not np.isclose(rates[0], rates[1], rtol=1e-3):
        raise NotApplicable(
            f"{rates[0]:g} frames a second and {rates[1]:g} of the reference; they are compared in order"
        )
    count = min(len(own), len(other))
    return own[:count], other[:count]


def _video(clip: Clip) -> Frames:
    if clip.video is None or not len(clip.video):
        raise NotApplicable("the clip or its reference has no video frame")
    return clip.video


def _cut(subject: Subject) -> tuple[str, ...]:
    assert subject.reference is not None
    own, other = len(_video(subject.clip)), len(_video(subject.reference))
    return () if own == other else (f"{own} frames and {other} of the reference: only as many as both have count",)


def program() -> dict[str, Scalar]:
    """What computes it, as protocols say; another build of the same FFmpeg may carry another libvmaf.

    Raises:
        NotAvailable: no FFmpeg with libvmaf, or one that judges nothing; ends with the command that brings it.
    """
    path, version = _ffmpeg()
    try:
        return {"ffmpeg": version, "libvmaf": _libvmaf(path)}
    except ValueError as error:
        raise NotAvailable(f"the FFmpeg of imageio-ffmpeg makes no VMAF ({error}): {INSTALL}") from error


@functools.cache
def _libvmaf(path: str) -> str:
    """The version that an FFmpeg carries, as its log of one black frame says: nothing else tells it."""
    black = np.zeros((1, _PROBE_SIDE, _PROBE_SIDE, 3), np.uint8)
    return str(_compared(path, black, black, 25.0, _MODEL)["version"])


@functools.cache
def _ffmpeg() -> tuple[str, str]:
    """Path and version of an FFmpeg with libvmaf."""
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise NotAvailable(f"VMAF needs an FFmpeg with libvmaf: {INSTALL}") from error
    try:
        path = imageio_ffmpeg.get_ffmpeg_exe()
        told = [
            subprocess.run([path, *words], check=True, capture_output=True, text=True, timeout=60).stdout
            for words in (["-version"], ["-hide_banner", "-filters"])
        ]
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        raise NotAvailable(f"the FFmpeg of imageio-ffmpeg does not run ({error}): {INSTALL}") from error
    if " libvmaf " not in told[1]:
        raise NotAvailable(f"{path} has no libvmaf; unset IMAGEIO_FFMPEG_EXE, or {INSTALL}")
    return path, told[0].split()[2]


def _compared(path: str, own: Frames, other: Frames, rate_hz: float, model: str) -> dict[str, Any]:
    """libvmaf's log of every frame; both pictures go to FFmpeg through pipes.

    Raises:
        ValueError: FFmpeg refuses, takes too long or judges fewer frames than it is given.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ends:
        readers, writers = zip(*(_pipe(ends) for _ in range(2)), strict=True)
        height, width = own.shape[1:3]
        given = ["-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", f"{width}x{height}"]
        given += ["-framerate", f"{rate_hz:.6f}"]
        inputs = [word for reader in readers for word in (*given, "-i", f"pipe:{reader.fileno()}")]
        judge = f"libvmaf=model=version={model}:n_threads={_threads()}:log_fmt=json:log_path={_LOG}"
        graph = f"[0:v]{_LUMA}[own];[1:v]{_LUMA}[other];[own][other]{judge}"
        command = [path, *_QUIET, *inputs, "-lavfi", graph, "-f", "null", "-"]
        _run(command, folder, readers, list(zip(writers, (own, other), strict=True)))
        log: dict[str, Any] = json.loads((Path(folder) / _LOG).read_text(encoding="utf-8"))
    if len(log["frames"]) != len(own):
        raise ValueError(f"FFmpeg judged {len(log['frames'])} of {len(own)} frames")
    return log


def _pipe(ends: ExitStack) -> tuple[BinaryIO, BinaryIO]:
    """Both ends of a pipe, closed with the stack at the latest."""
    read, write = os.pipe()
    return ends.enter_context(os.fdopen(read, "rb")), ends.enter_context(os.fdopen(write, "wb"))


def _threads() -> int:
    """Of libvmaf, which takes as long as anything here; they change no value."""
    return min(_MOST_THREADS, os.cpu_count() or 1)


def _run(
    command: list[str], folder: str, readers: Sequence[BinaryIO], given: Sequence[tuple[BinaryIO, Frames]]
) -> None:
    """Run FFmpeg, feeding it; it has ended when this returns or raises."""
    fds = [reader.fileno() for reader in readers]
    with (
        ThreadPoolExecutor(len(given)) as threads,
        subprocess.Popen(command, cwd=folder, pass_fds=fds, stderr=subprocess.PIPE, text=True) as process,
    ):
        try:
            for reader in readers:
                reader.close()
            poured = [threads.submit(_poured, *one) for one in given]
            _, told = process.communicate(timeout=_LIMIT_S)
        except subprocess.TimeoutExpired as error:
            raise ValueError(f"FFmpeg did not finish VMAF in {_LIMIT_S} s") from error
        finally:
            process.kill()  # nothing where it has ended
    if process.returncode != 0:
        raise ValueError(f"FFmpeg refused VMAF: {(told.strip().splitlines() or ['no message'])[-1]}")
    for one in poured:
        one.result()


def _poured(pipe: BinaryIO, frames: Frames) -> None:
    """Write all frames; a reader that went away says why itself."""
    with suppress(BrokenPipeError), pipe:
        pipe.write(np.ascontiguousarray(frames).data)
