"""A folder with every kind of bad clip: each is a record with a reason, and the run ends (M1, M3)."""

import json
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from ltx2_eval.clip import Clip
from ltx2_eval.media import write_clip
from ltx2_reports.records import read_run

FPS, RATE_HZ = Fraction(24), 24000


def clip(*, video=True, audio=True, silent=False, frames=24):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (frames, 48, 64, 3), dtype=np.uint8)
    sound = (
        np.zeros((2, RATE_HZ), np.float32) if silent else generator.uniform(-0.5, 0.5, (2, RATE_HZ)).astype(np.float32)
    )
    return Clip(
        video=pixels if video else None,
        fps=FPS if video else None,
        audio=sound if audio else None,
        rate_hz=RATE_HZ if audio else None,
    )


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A folder scored by the command, with the run it left."""
    root = tmp_path_factory.mktemp("odd")
    clips = root / "clips"
    clips.mkdir()
    write_clip(clip(), clips / "good.mp4", container="mp4")
    write_clip(clip(silent=True), clips / "silent.mp4", container="mp4")
    write_clip(clip(audio=False), clips / "no audio.mp4", container="mp4")
    write_clip(clip(video=False), clips / "no-video.mkv", container="mkv")
    write_clip(clip(frames=1), clips / "one-frame.mp4", container="mp4")
    whole = (clips / "good.mp4").read_bytes()
    (clips / "empty.mp4").write_bytes(b"")
    (clips / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (clips / "text.mp4").write_bytes(b"this is not a film\n" * 100)
    (clips / "=1+1<script>.mp4").write_bytes(whole)
    (clips / "folder.mp4").mkdir()
    (clips / "dangling.mp4").symlink_to(root / "nowhere.mp4")
    os.mkfifo(clips / "pipe.mp4")
    (clips / "prompts.jsonl").write_text(json.dumps({"file": "good.mp4", "text": "Noise."}) + "\n")

    def score(*words):
        return subprocess.run(
            [sys.executable, "-m", "ltx2_eval.cli", "score", str(clips), "--profile", "dsp", *words],
            env={**os.environ, "LTX2_EVAL_CACHE": str(root / "cache"), "LTX2_EVAL_OFFLINE": "1"},
            cwd=root,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    done = score("--out", str(root / "run"))
    return done, read_run(root / "run"), score, root


def test_the_run_ends_and_says_that_clips_failed(scored):
    done, run, _, _ = scored
    assert done.returncode == 1, done.stderr
    assert "6 of 12 clips failed (allowed: 0%)" in done.stderr
    assert "Traceback" not in done.stderr
    assert run.header.status == "done"


def test_an_error_budget_accepts_them(scored):
    _, _, score, root = scored
    again = score("--out", str(root / "run"), "--max-failed", "0.5")
    assert again.returncode == 0, again.stderr


def test_every_clip_has_every_metric_with_a_value_or_a_reason(scored):
    _, run, _, _ = scored
    metrics = {metric for _, metric in run.values}
    assert len(run.clips) == 12
    assert len(run.values) == 12 * len(metrics)
    for value in run.values.values():
        assert (value.value is None) != (value.reason is None)


@pytest.mark.parametrize("name", ["empty.mp4", "cut.mp4", "text.mp4", "folder.mp4", "dangling.mp4", "pipe.mp4"])
def test_a_file_that_cannot_be_read_is_named_as_such(scored, name):
    _, run, _, _ = scored
    reason = run.values[(name, "video.black_ratio")].reason
    assert (reason.kind, reason.stage) == ("failed", "decode")
    assert reason.message


def test_a_missing_stream_is_not_a_failure(scored):
    _, run, _, _ = scored
    assert run.values[("no audio.mp4", "audio.loudness_lufs")].reason.kind == "not_applicable"
    assert run.values[("no audio.mp4", "video.black_ratio")].value is not None
    assert run.values[("no-video.mkv", "video.black_ratio")].reason.kind == "not_applicable"
    assert run.values[("no-video.mkv", "audio.loudness_lufs")].value is not None


def test_silence_and_stills_make_the_offset_abstain(scored):
    _, run, _, _ = scored
    for name in ("silent.mp4", "one-frame.mp4"):
        assert run.values[(name, "av_offset_ms")].reason.kind in ("abstained", "not_applicable")
    assert run.values[("silent.mp4", "audio.loudness_lufs")].value is None


def test_nothing_is_written_beside_the_clips(scored):
    root = scored[3]
    assert len(list((root / "clips").iterdir())) == 13


def test_hostile_file_names_are_inert_in_the_report(scored):
    root = scored[3]
    page = (root / "run/report.html").read_text(encoding="utf-8")
    assert "<script>.mp4" not in page
    assert '"=1+1\\u003cscript\\u003e"' in page
    assert '"../clips/%3D1%2B1%3Cscript%3E.mp4"' in page
