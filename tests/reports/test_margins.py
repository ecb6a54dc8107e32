"""Margins stated in advance: against scipy's t-tests and the library's own, in every output, and in the gate."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import ttest_1samp

from ltx2_reports.contrast import Contrasts
from ltx2_reports.contrast_facts import facts
from ltx2_reports.contrast_render import render_markdown, render_terminal
from ltx2_reports.contrast_runs import contrast_runs
from ltx2_reports.contrast_words import sentence
from ltx2_reports.escape import for_json
from ltx2_reports.gate.decision import decide
from ltx2_reports.gate.policy import read_policy
from ltx2_reports.margins import Margin, judge_margin, parse_margin
from ltx2_reports.records import read_run
from ltx2_reports.statistics import equivalent, non_inferior
from ltx2_reports.statistics.crossed import Error, prompt_error

MakeRun = Callable[..., Path]
LOSSES = np.random.default_rng(3).normal(-0.02, 0.05, 30)


def _margin(value: float, both_sides: bool = False) -> Margin:
    return Margin(value=value, both_sides=both_sides)


@pytest.mark.parametrize("value", [0.001, 0.02, 0.03, 0.1])
def test_a_margin_is_a_one_sided_t_test(value: float) -> None:
    error, mean = prompt_error(LOSSES), float(LOSSES.mean())
    found = judge_margin(_margin(value), mean, error, len(LOSSES), "up")
    expected = ttest_1samp(LOSSES, -value, alternative="greater").pvalue
    assert found.p == pytest.approx(expected)
    assert (found.outcome == "kept") == (expected < 0.05)
    ours = non_inferior(LOSSES, value)
    assert (found.p, -found.limit) == pytest.approx((ours.p, ours.limit))


@pytest.mark.parametrize("value", [0.001, 0.02, 0.04, 0.1])
def test_an_equivalence_is_two_of_them(value: float) -> None:
    found = judge_margin(_margin(value, both_sides=True), float(LOSSES.mean()), prompt_error(LOSSES), 30, "down")
    sides = [
        ttest_1samp(LOSSES, -value, alternative="greater").pvalue,
        ttest_1samp(LOSSES, value, alternative="less").pvalue,
    ]
    assert found.p == pytest.approx(max(sides))
    assert (found.outcome == "kept") == equivalent(LOSSES, value).holds


def test_by_hand() -> None:
    """Loss 1, error 1, many degrees of freedom: 1.645 errors above it are 2.645."""
    error = Error(value=1.0, freedom=1e9)
    outcomes = {v: judge_margin(_margin(v), 1.0, error, 9, "down").outcome for v in (2.6, 2.7)}
    assert outcomes == {2.6: "open", 2.7: "kept"}
    assert judge_margin(_margin(0.5), 2.2, error, 9, "down").outcome == "exceeded"
    assert judge_margin(_margin(0.5), -2.2, error, 9, "down").outcome == "kept"
    assert judge_margin(_margin(0.5), -2.2, error, 9, "none").outcome == "exceeded"


def test_what_cannot_be_judged_has_no_p() -> None:
    for error, prompts in ((None, 30), (Error(value=1.0, freedom=4), 5)):
        found = judge_margin(_margin(99.0), 0.0, error, prompts, "up")
        assert (found.outcome, found.p, found.limit) == ("not judged", None, None)
    still = judge_margin(_margin(0.1), 0.0, Error(value=0.0, freedom=9), 10, "up")
    assert (still.outcome, still.p) == ("kept", None)


def test_margins_are_written_as_metric_and_number() -> None:
    assert parse_margin("a=b=0.5") == ("a=b", _margin(0.5))
    assert parse_margin("fvd=±20") == parse_margin("fvd=+-20") == ("fvd", _margin(20, both_sides=True))


@pytest.mark.parametrize("text", ["fvd", "=1", "fvd=", "fvd=-1", "fvd=0", "fvd=nan", "fvd=inf", "fvd=5%", "fvd=+-+-1"])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected METRIC=VALUE"):
        parse_margin(text)


def _runs(make_run: MakeRun, shift: float, **more: Any) -> list[Any]:
    spread = np.random.default_rng(0).normal(0, 0.01, 400)
    sides = [
        make_run("old", prompts=20, metrics={"m": {"values": lambda i, s: 1.0 + i / 50}}, **more),
        make_run("new", prompts=20, metrics={"m": {"values": lambda i, s: 1.0 + i / 50 + shift + spread[i]}}, **more),
    ]
    return [read_run(side) for side in sides]


def _compared(make_run: MakeRun, shift: float, margin: Margin, **more: Any) -> Contrasts:
    return contrast_runs(*_runs(make_run, shift, **more), margins={"m": margin})


@pytest.mark.parametrize(
    ("shift", "margin", "outcome", "said"),
    [
        (
            -0.05,
            _margin(0.1),
            "kept",
            "B is not worse than A by 0.1000 or more, the margin",
        ),
        (-0.05, _margin(0.05), "open", "It is not shown that B is not worse than A by 0.0500 or"),
        (-0.05, _margin(0.01), "exceeded", "The loss is larger than the margin of 0.0100 stated in advance"),
        (
            0.05,
            _margin(0.01),
            "kept",
            "B is not worse than A by 0.0100 or more, the margin",
        ),
        (0.05, _margin(0.01, True), "exceeded", "The difference is larger than the margin"),
    ],
)
def test_the_sentence_and_every_format_say_what_became_of_it(
    make_run: MakeRun, shift: float, margin: Margin, outcome: str, said: str
) -> None:
    made = _compared(make_run, shift, margin)
    assert said in sentence(made.contrasts[0])
    found = json.loads(for_json(facts(made)))["metrics"][0]["margin"]
    assert (found["outcome"], found["value"], found["both_sides"]) == (outcome, margin.value, margin.both_sides)
    console = Console(record=True, width=200, force_terminal=False)
    with console.capture() as captured:
        console.print(render_terminal(made))
    for text in (captured.get(), render_markdown(made)):
        assert outcome in text
        assert "claim all of them together" in text


def test_without_a_margin_nothing_speaks_of_one(make_run: MakeRun) -> None:
    made = contrast_runs(*_runs(make_run, 0.05))
    assert "| margin |" not in render_markdown(made)
    assert "margin:" not in render_markdown(made)
    assert facts(made)["metrics"][0]["margin"] is None  # type: ignore[index]


def test_few_prompts_and_equal_runs(make_run: MakeRun) -> None:
    runs = [dataclasses.replace(run, clips=dict(list(run.clips.items())[:8])) for run in _runs(make_run, 0.05)]
    (few,) = contrast_runs(*runs, margins={"m": _margin(9.0)}).contrasts
    assert sentence(few).endswith("cannot be judged: fewer than 6 prompts.")
    same = _runs(make_run, 0.0)[0]
    (equal,) = contrast_runs(same, same, margins={"m": _margin(9.0)}).contrasts
    assert sentence(equal).endswith("B is not worse than A by 9 or more, the margin stated in advance.")


def test_prompts_that_share_noise_make_the_margin_as_unsure_as_the_difference(make_run: MakeRun) -> None:
    common = np.random.default_rng(1).normal(0, 0.1, 4)
    shift = lambda i, s: 1.0 + common[int(s[-1])] + 1e-4 * (i % 7)  # noqa: E731
    sides = {"old": {"values": lambda i, s: 1.0}, "new": {"values": shift}}
    runs = [
        read_run(make_run(name, prompts=20, seeds=(0, 1, 2, 3), noise="", metrics={"m": values}))
        for name, values in sides.items()
    ]
    (contrast,) = contrast_runs(*runs, margins={"m": _margin(0.05)}).contrasts
    assert (contrast.noise, contrast.margin.outcome) == ("counted", "open")
    assert contrast.margin.limit > 0.05


@pytest.mark.parametrize(("margin", "outcome"), [("0.1", "passed"), ("0.045", "regressed")])
def test_a_policy_can_state_it(make_run: MakeRun, tmp_path: Path, margin: str, outcome: str) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(f"[metrics.m]\nmargin = {margin}\n")
    verdict = decide(contrast_runs(*_runs(make_run, -0.05)), read_policy(path)).verdicts[-1]
    assert verdict.outcome == outcome
    assert f"margin stated in advance: {margin}" in verdict.why


def test_a_margin_in_a_policy_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text("[metrics.m]\nmargin = 0.1\nrelative = 0.05\n")
    with pytest.raises(ValueError, match=r"metrics\.m: a margin stands alone"):
        read_policy(path)
