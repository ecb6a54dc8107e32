"""VMAF (Netflix): how close a picture looks to its reference, by the libvmaf in the FFmpeg of a package.

FFmpeg runs as a program of its own. It is fed the frames that every other metric gets too, so that nothing is decoded
twice, and in two ways.
"""

import functools
import json
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

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

Frames = NDArray[np.uint8]


def vmaf(
    subject: Subject, features: NDArray[np.float32] | None, extractor: Extractor | None, *, model: str = "vmaf_v0.6.1"
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
    log = _compared(own, other, float(subject.clip.fps), model)
    pooled = log["pooled_metrics"]["vmaf"]
    details: dict[str, Scalar] = {
        "frames": len(own),
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
    """What computes it, as protocols say.

    Raises:
        NotAvailable: no FFmpeg with libvmaf; ends with the command that brings it.
    """
    return {"ffmpeg": _ffmpeg()[1]}


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


def _compared(own: Frames, other: Frames, rate_hz: float, model: str) -> dict[str, Any]:
    """libvmaf's log; both pictures go to FFmpeg through pipes."""
    path, _ = _ffmpeg()
    pipes = [os.pipe() for _ in range(2)]
    height, width = own.shape[1:3]
    given = ["-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", f"{width}x{height}"]
    inputs = [word for read, _ in pipes for word in (*given, "-framerate", f"{rate_hz:.6f}", "-i", f"pipe:{read}")]
    graph = (
        f"[0:v]{_LUMA}[own];[1:v]{_LUMA}[other];[own][other]libvmaf=model=version={model}:log_fmt=json:log_path={_LOG}"
    )
    command = [path, "-hide_banner", "-loglevel", "error", "-nostdin", *inputs, "-lavfi", graph, "-f", "null", "-"]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as threads:
        process = subprocess.Popen(
            command, cwd=folder, pass_fds=[read for read, _ in pipes], stderr=subprocess.PIPE, text=True
        )
        for (read, write), frames in zip(pipes, (own, other), strict=True):
            os.close(read)
            threads.submit(_poured, write, frames)
        try:
            _, told = process.communicate(timeout=_LIMIT_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise ValueError(f"FFmpeg did not finish VMAF in {_LIMIT_S} s") from error
        if process.returncode != 0:
            raise ValueError(f"FFmpeg refused VMAF: {(told.strip().splitlines() or ['no message'])[-1]}")
        log: dict[str, Any] = json.loads((Path(folder) / _LOG).read_text(encoding="utf-8"))
        return log


def _poured(pipe: int, frames: Frames) -> None:
    """Write all frames; a reader that went away says why itself."""
    with suppress(BrokenPipeError), os.fdopen(pipe, "wb") as file:
        file.write(np.ascontiguousarray(frames).data)
