"""Runs of two suites: compared on the prompts that are the same in both, the others named; sets stay apart."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ltx2_reports.contrast_runs import contrast_runs
from ltx2_reports.gate.decision import decide
from ltx2_reports.gate.policy import read_policy
from ltx2_reports.pairing import pair
from ltx2_reports.records import Run, read_run
from ltx2_reports.statistics.sets import SetDraws

MakeRun = Callable[..., Path]
SHA = {8: "12" * 32, 6: "34" * 32}


def _values(index: int, sample: str) -> float:
    return float(sample[1:4]) + 0.1 * float(sample[-1])


def _run(make_run: MakeRun, prompts: int, metrics: dict[str, Any] | None = None, **more: Any) -> Run:
    suite = {"suite": f"smoke@1#{SHA[prompts][:12]}"}
    given = metrics or {"m": {"values": _values}}
    with_suite = {name: {**of, "protocol": {**suite, **of.get("protocol", {})}} for name, of in given.items()}
    return read_run(make_run(f"r{prompts}", prompts=prompts, metrics=with_suite, suite_sha=SHA[prompts], **more))


def _with_prompt(run: Run, place: int, **changes: Any) -> Run:
    prompts = list(run.header.spec.prompts)
    prompts[place] = prompts[place].model_copy(update=changes)
    spec = run.header.spec.model_copy(update={"prompts": tuple(prompts)})
    return replace(run, header=run.header.model_copy(update={"spec": spec}))


def test_clips_are_compared_on_shared_prompts_and_seeds(make_run: MakeRun) -> None:
    runs = _run(make_run, 8), _run(make_run, 6, seeds=(1, 2))
    made = contrast_runs(*runs)
    (contrast,) = made.contrasts
    assert (contrast.prompts, contrast.clips, contrast.by_seed) == (6, 6, True)
    assert contrast.first == contrast.second == pytest.approx(2.5 + 0.1)  # mean of 0..5, of seed 1
    assert contrast.lost == 10 / 16
    assert contrast.excluded == (
        "6 clips left out: not in A",
        "6 clips left out: not in B",
        "4 clips left out: the prompt is not in B's suite: p006, p007",
    )
    assert made.left_out[0].startswith(f"suites: smoke@1#{SHA[8][:12]} in A, smoke@1#{SHA[6][:12]} in B; compared on")


def test_a_prompt_of_another_wording_is_another_prompt(make_run: MakeRun) -> None:
    first, second = _run(make_run, 8), _with_prompt(_run(make_run, 6), 2, text="Something else.", category="odd")
    found = pair(first, second, "m")
    assert found.prompts == ("p000", "p001", "p003", "p004", "p005")
    assert "2 clips left out: the prompt is not the same in A and B (text): p002" in found.excluded
    assert found.lost == 6 / 16


def test_what_no_metric_reads_makes_no_other_prompt(make_run: MakeRun) -> None:
    first, second = _run(make_run, 8), _with_prompt(_run(make_run, 6), 2, category="odd")
    assert len(pair(first, second, "m").prompts) == 6


def test_suites_that_share_ids_only_are_refused(make_run: MakeRun) -> None:
    second = _run(make_run, 6)
    for place in range(6):
        second = _with_prompt(second, place, text=f"Another {place}.")
    with pytest.raises(ValueError, match=r"no prompt in common: of all 6 ids .* \(p000: text\)"):
        contrast_runs(_run(make_run, 8), second)


def test_sets_of_other_clips_are_left_out_unless_drawn_again_on_the_shared_ones(make_run: MakeRun) -> None:
    sides = [
        _run(make_run, n, {"m": {"values": _values}, "fd": {"value": 5.0, "protocol": {"n": 2 * n}}}) for n in (8, 6)
    ]
    made = contrast_runs(*sides)
    assert [contrast.metric.id for contrast in made.contrasts] == ["m"]
    assert made.left_out[1].startswith("fd: of two sets of other clips, which cannot be compared: suite: ")
    assert "n: 16 and 12" in made.left_out[1]
    again = SetDraws(first=4.0, second=5.0, draws=(1.0, 1.2), swapped=(0.5, -0.4), error=None, prompts=6)
    found = contrast_runs(*sides, sets={"fd": again}).of("fd")
    assert (found.difference.value, found.clips, found.lost) == (1.0, 12, 0.25)
    assert "4 clips left out: the prompt is not in B's suite: p006, p007" in found.excluded


def test_timings_are_of_the_shared_prompts(make_run: MakeRun) -> None:
    timed = {"runtime.s": {"values": _values, "spec": {"needs": ("runtime",), "direction": "down"}}}
    (contrast,) = contrast_runs(*(_run(make_run, n, timed, seeds=(0,)) for n in (8, 6))).contrasts
    assert (contrast.first, contrast.second) == (3.0, 3.0)  # of 1..5: the first is warm-up, 6 and 7 are not shared


def test_the_gate_judges_a_larger_run_and_not_a_smaller_one(make_run: MakeRun, tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text("[metrics.m]\nabsolute = 0.1\n")
    large, small = _run(make_run, 8), _run(make_run, 6)
    assert decide(contrast_runs(small, large), read_policy(path)).outcome == "passed"
    decision = decide(contrast_runs(large, small), read_policy(path))
    assert decision.outcome == "not enough data"
    assert decision.verdicts[-1].why.startswith("25% of the baseline's values have no partner")
    assert "m: 4 clips left out: the prompt is not in the run's suite: p006, p007" in decision.notes
