"""What is said of noise: prompts that share it, seeds that are one, pairs that are none, repeats that are none."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ltx2_reports.comparison import compare
from ltx2_reports.contrast_runs import contrast_runs
from ltx2_reports.gate.calibration import calibrate, policy_text
from ltx2_reports.gate.policy import Policy
from ltx2_reports.records import Run, read_run
from ltx2_reports.shared_noise import independence_notes, noise_notes, noise_within

MakeRun = Callable[..., Path]
Rule = Callable[[str, int], int | None]


def by_both(prompt: str, seed: int) -> int | None:
    return 10 * int(prompt[1:]) + seed


def by_seed(prompt: str, seed: int) -> int | None:
    return seed


def by_prompt(prompt: str, seed: int) -> int | None:
    return int(prompt[1:])


def _run(make_run: MakeRun, rule: Rule | None, name: str = "a", **more: Any) -> Run:
    run = read_run(make_run(name, **more))
    clips = run.clips.values()
    seeds = {clip.sample: rule(clip.prompt_id, clip.seed) if rule else None for clip in clips}
    return replace(run, clips={c.sample: c.model_copy(update={"noise_seed": seeds[c.sample]}) for c in clips})


@pytest.mark.parametrize(
    ("rule", "noise", "expected"),
    [
        (by_both, "prompt-seed", "own"),
        (by_both, "", "own"),
        (by_seed, "prompt-seed", "shared"),
        (by_seed, "", "shared"),
        (None, "", "unknown"),
        (None, "none", "own"),
        (None, "prompt-seed", "own"),
    ],
)
def test_records_tell_whether_prompts_share_noise(
    make_run: MakeRun, rule: Rule | None, noise: str, expected: str
) -> None:
    assert noise_within(_run(make_run, rule, noise=noise)) == expected


def test_two_clips_of_many_meet_in_a_noise_seed_by_chance(make_run: MakeRun) -> None:
    once = lambda prompt, seed: 3 if prompt in ("p000", "p001") and seed == 0 else by_both(prompt, seed)  # noqa: E731
    assert noise_within(_run(make_run, once, prompts=15)) == "own"


def test_seeds_of_a_prompt_with_one_noise_are_one_clip(make_run: MakeRun) -> None:
    assert noise_notes([_run(make_run, by_prompt)], ["nano"]) == [
        "nano: several seeds of a prompt start from the same noise, and are one clip, not several"
    ]
    assert noise_notes([_run(make_run, by_both)], ["nano"]) == []


def test_pairs_of_two_rules_are_told(make_run: MakeRun) -> None:
    ours, theirs = _run(make_run, by_both, "a"), _run(make_run, by_seed, "b", noise="")
    made = contrast_runs(ours, theirs)
    assert any("A and B: 10 clips of 12 started from other noise than the partner" in note for note in made.left_out)
    assert any("prompts of one seed may share noise" in note for note in made.left_out)
    unknown = contrast_runs(ours, _run(make_run, None, "c", noise=""))
    assert any("A and B: the noise of one side is not known" in note for note in unknown.left_out)


def test_pairs_of_one_noise_need_no_word(make_run: MakeRun) -> None:
    made = contrast_runs(_run(make_run, by_both, "a"), _run(make_run, by_both, "b", system="other"))
    assert not any("noise" in note for note in made.left_out)


def test_tables_tell_what_their_intervals_take_for_independent(make_run: MakeRun) -> None:
    own, shared, unknown = (
        _run(make_run, by_both, "a", system="own"),
        _run(make_run, by_seed, "b", system="shared", noise="", model="ltx2:FILE"),
        _run(make_run, None, "c", system="unknown", noise="", model="folder"),
    )
    notes = compare([own, shared, unknown]).notes
    assert "shared: prompts of one seed start from the same noise; intervals are over prompts and hold for these " in (
        " ".join(notes)
    )
    assert any(note.startswith("unknown: prompts of one seed may start from the same noise") for note in notes)
    assert not any(note.startswith("own:") for note in notes)


def test_one_model_with_one_noise_is_no_repeat(make_run: MakeRun) -> None:
    runs = [_run(make_run, by_both, name) for name in "ab"]
    assert "no independent repeats" in independence_notes(runs, ["nano (a)", "nano (b)"])[0]
    other = _run(make_run, lambda p, s: 1000 + by_both(p, s), "c")
    assert independence_notes([runs[0], other], ["a", "c"]) == []


def test_calibration_on_one_noise_holds_for_its_seeds(make_run: MakeRun) -> None:
    values = [lambda i, s, k=k: 1.0 + 0.01 * ((3 * i + k) % 5) for k in (0, 1)]
    runs = [_run(make_run, by_both, f"r{k}", prompts=20, metrics={"m": {"values": of}}) for k, of in enumerate(values)]
    changed = {sample: clip.model_copy(update={"sha256": "12" * 32}) for sample, clip in runs[1].clips.items()}
    made = calibrate([runs[0], replace(runs[1], clips=changed)], relative=0.1, policy=Policy())
    assert "one model with the same noise" in made.same_noise[0]
    assert "# Runs with the same noise" in policy_text(made, relative=0.1, policy=Policy())
