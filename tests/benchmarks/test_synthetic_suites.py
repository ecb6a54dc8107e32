"""The suites of the procedural world: what the command writes, balanced, with scenes that keep what they promise."""

import json
from collections import Counter
from pathlib import Path

import pytest

from ltx2_benchmarks.suite import load_suite
from ltx2_benchmarks.synthetic import Scene, caption, check, promised, render
from ltx2_benchmarks.synthetic.suites import NANO_COUNT, main, suite_lines
from ltx2_benchmarks.synthetic.vocabulary import BACKGROUNDS, CAMERAS, COLOURS, SHAPES, SIDES, SIZES, SOUNDS, TIMINGS

NAMES = ("world", "nano")
FOLDER = Path(__file__).parents[2] / "benchmarks" / "ltx2_benchmarks" / "suites"


def test_files_are_what_the_command_writes(tmp_path: Path) -> None:
    main(tmp_path)
    for name in NAMES:
        assert (tmp_path / f"{name}.jsonl").read_bytes() == (FOLDER / f"{name}.jsonl").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_prompts_agree_with_their_scenes(name: str) -> None:
    suite = load_suite(name)
    assert suite.origin == "generated"
    assert len(suite.prompts) == {"world": 12, "nano": NANO_COUNT}[name]
    for prompt in suite.prompts:
        scene = Scene.from_json(json.dumps(prompt.scene))
        assert scene.split == "test"
        assert prompt.text == caption(scene)
        assert prompt.duration_s == scene.duration_s
        assert prompt.expectations.world == promised(scene)
        assert prompt.expectations.silence == promised(scene)["silent"]
        counted = [event.count for event in prompt.expectations.sound_events if event.count]
        assert sum(counted) == promised(scene)["impacts"]


def test_world_scenes_pass_their_checks() -> None:
    for prompt in load_suite("world").prompts:
        clip = render(Scene.from_json(json.dumps(prompt.scene)))
        verdicts = check(clip, prompt.expectations.world)
        assert all(verdict.ok for verdict in verdicts.values()), (prompt.id, verdicts)


def test_nano_is_stratified() -> None:
    claims = [prompt.expectations.world for prompt in load_suite("nano").prompts]
    objects = [look for claim in claims for look in claim["objects"]]
    for key, values, least in (("colour", COLOURS, 12), ("shape", SHAPES, 16), ("size", SIZES, 35)):
        counts = Counter(look[key] for look in objects)
        assert min(counts[value] for value in values) >= least, (key, counts)
    for key, values, least in (
        ("background", BACKGROUNDS, 15), ("camera", CAMERAS, 8), ("side", SIDES, 20), ("timing", TIMINGS, 5),
        ("impacts", (1, 2, 3, 4), 12),
    ):  # fmt: skip
        counts = Counter(claim.get(key) for claim in claims)
        assert min(counts[value] for value in values) >= least, (key, counts)
    sounds = Counter(sound for claim in claims for sound in claim["sounds"])
    assert min(sounds[sound] for sound in SOUNDS) >= 5, sounds


def test_unknown_suite_is_refused() -> None:
    with pytest.raises(ValueError, match="suite 'other'"):
        next(suite_lines("other"))
