"""VMAF through the package's FFmpeg, against that FFmpeg on files whose luma was computed here."""

import builtins
import json
import os
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ltx2_eval.clip import Clip
from ltx2_eval.commands.checks import metric_findings
from ltx2_eval.extractors.base import NotApplicable, NotAvailable
from ltx2_eval.metrics import vmaf as module
from ltx2_eval.metrics.base import Subject
from ltx2_eval.metrics.catalogue import profiles
from ltx2_eval.metrics.vmaf import INSTALL, paired_frames, program, vmaf

FRAMES = 12


@pytest.fixture(scope="module")
def ffmpeg():
    """Its path; the package is among those that tests are run with."""
    return module._ffmpeg()[0]


def _video(noise, frames=FRAMES):
    random = np.random.default_rng(0)
    wall = np.kron(random.integers(0, 256, (9, 16, 3)), np.ones((16, 16, 1)))
    moving = np.stack([np.roll(wall, 3 * t, axis=1) for t in range(frames)])
    return np.clip(moving + random.normal(0, noise, moving.shape), 0, 255).astype(np.uint8)


def _subject(own, other, rate="24"):
    clips = [Clip(video=video, fps=Fraction(24), audio=None, rate_hz=None) for video in (own, other)]
    return Subject(clip=clips[0], record=None, prompt=None, reference=replace(clips[1], fps=Fraction(rate)))


def _luma_file(path, video):
    """Y4M of what BT.709 says is the luma of a picture, in television's range."""
    luma = 16 + 219 * (video / 255) @ np.array([0.2126, 0.7152, 0.0722])
    frames = luma.round().astype(np.uint8)
    head = f"YUV4MPEG2 W{video.shape[2]} H{video.shape[1]} F24:1 Ip A1:1 C444\n".encode()
    grey = np.full((2, *frames.shape[1:]), 128, np.uint8).tobytes()
    path.write_bytes(head + b"".join(b"FRAME\n" + frame.tobytes() + grey for frame in frames))


@pytest.mark.parametrize("noise", [0, 8, 40])
def test_it_equals_ffmpeg_on_files(ffmpeg, tmp_path, noise):
    for name, video in (("own", _video(noise)), ("other", _video(0))):
        _luma_file(tmp_path / f"{name}.y4m", video)
    graph = "[0:v][1:v]libvmaf=log_fmt=json:log_path=log.json"
    command = [ffmpeg, "-loglevel", "error", "-i", "own.y4m", "-i", "other.y4m", "-lavfi", graph, "-f", "null", "-"]
    subprocess.run(command, cwd=tmp_path, check=True)
    expected = json.loads((tmp_path / "log.json").read_text())["pooled_metrics"]["vmaf"]
    found = vmaf(_subject(_video(noise), _video(0)), None, None)
    assert found.value == pytest.approx(expected["mean"], abs=0.1)
    assert found.details["least"] == pytest.approx(expected["min"], abs=0.3)
    assert (found.details["frames"], found.warnings) == (FRAMES, ())


def test_more_noise_is_further_away(ffmpeg):
    values = [vmaf(_subject(_video(noise), _video(0)), None, None).value for noise in (0, 10, 60)]
    assert 100 >= values[0] > values[1] > values[2] >= 0
    assert values[0] > 97


def test_of_different_lengths_what_both_have_counts(ffmpeg):
    found = vmaf(_subject(_video(0)[:8], _video(0)), None, None)
    assert found.details["frames"] == 8
    assert found.warnings == ("8 frames and 12 of the reference: only as many as both have count",)


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (_subject(_video(0), _video(0)[:, :, :200]), "a picture of 256x144 and a reference of 200x144"),
        (_subject(_video(0), _video(0), "25"), "24 frames a second and 25 of the reference"),
    ],
)
def test_what_cannot_be_compared(subject, message):
    with pytest.raises(NotApplicable, match=message):
        paired_frames(subject)


def test_a_clip_without_a_picture_is_not_applicable(sound_clip):
    subject = _subject(_video(0), _video(0))
    with pytest.raises(NotApplicable, match="no video frame"):
        paired_frames(replace(subject, reference=sound_clip(np.zeros(800), 8000)))


def test_a_refusal_of_ffmpeg_is_told(ffmpeg):
    with pytest.raises(ValueError, match="FFmpeg refused VMAF"):
        vmaf(_subject(_video(0), _video(0)), None, None, model="vmaf_of_nobody")


@pytest.mark.parametrize(
    ("poured", "error", "message"),
    [
        (lambda pipe, frames: _some(pipe, frames, 4, MemoryError("no room")), MemoryError, "no room"),
        (lambda pipe, frames: _some(pipe, frames, 4), ValueError, "FFmpeg judged 4 of 12 frames"),
    ],
)
def test_fewer_frames_than_given_are_an_error(ffmpeg, monkeypatch, poured, error, message):
    monkeypatch.setattr(module, "_poured", poured)
    before = _descriptors()
    with pytest.raises(error, match=message):
        vmaf(_subject(_video(0), _video(0)), None, None)
    assert _descriptors() == before


def _some(pipe, frames, count, error=None):
    with pipe:
        pipe.write(frames[:count].tobytes())
        if error:
            raise error


def _descriptors():
    return sorted(path.name for path in Path("/dev/fd").iterdir())


def test_a_program_that_does_not_start_leaves_no_pipe_open(tmp_path):
    before = _descriptors()
    with pytest.raises(FileNotFoundError):
        module._compared(str(tmp_path / "nothing"), _video(0), _video(0), 24.0, "any")
    assert _descriptors() == before


def test_a_program_that_hangs_is_ended(monkeypatch, tmp_path):
    hangs = tmp_path / "ffmpeg"
    hangs.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    hangs.chmod(0o755)
    monkeypatch.setattr(module, "_LIMIT_S", 0.5)
    before = _descriptors()
    with pytest.raises(ValueError, match=r"did not finish VMAF in 0\.5 s"):
        module._compared(str(hangs), _video(0), _video(0), 24.0, "any")
    with pytest.raises(ProcessLookupError):  # ended and waited for
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert _descriptors() == before


def test_the_libvmaf_of_the_values_is_in_the_identity(ffmpeg):
    found = vmaf(_subject(_video(0), _video(0)), None, None)
    assert program()["libvmaf"] == found.details["libvmaf"]


@pytest.fixture
def without(monkeypatch):
    """The package is not installed."""
    imported = builtins.__import__

    def refusing(name, *others, **more):
        if name == "imageio_ffmpeg":
            raise ImportError(name)
        return imported(name, *others, **more)

    module._ffmpeg.cache_clear()
    monkeypatch.setattr(builtins, "__import__", refusing)
    yield
    module._ffmpeg.cache_clear()


def test_without_the_package_the_command_that_brings_it_is_told(without):
    with pytest.raises(NotAvailable) as told:
        vmaf(_subject(_video(0), _video(0)), None, None)
    assert str(told.value) == f"VMAF needs an FFmpeg with libvmaf: {INSTALL}"
    finding = next(found for found in metric_findings() if found.what == "metric vmaf")
    assert (finding.state, finding.mend) == ("optional", "pip install 'ltx2-eval[vmaf]'")


def test_an_ffmpeg_without_libvmaf_is_told(monkeypatch, tmp_path):
    stand_in = tmp_path / "ffmpeg"
    stand_in.write_text("#!/bin/sh\necho ffmpeg version 7.0 of nobody\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(stand_in))
    module._ffmpeg.cache_clear()
    with pytest.raises(NotAvailable, match="has no libvmaf"):
        program()
    module._ffmpeg.cache_clear()


def test_no_profile_needs_a_program_but_that_of_all_that_is_free():
    assert [name for name, metrics in profiles().items() if "vmaf" in metrics] == ["commercial"]
