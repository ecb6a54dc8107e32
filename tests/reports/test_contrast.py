"""Comparing two runs: pairing, exclusions, refusals, families of tests, and what the sentences say."""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from ltx2_reports.comparison import MixedProtocolsError
from ltx2_reports.contrast import Contrasts
from ltx2_reports.contrast_facts import facts
from ltx2_reports.contrast_render import render_markdown, render_terminal
from ltx2_reports.contrast_runs import contrast_runs
from ltx2_reports.contrast_words import sentence
from ltx2_reports.escape import for_json
from ltx2_reports.pairing import pair
from ltx2_reports.records import Reason, read_run

MakeRun = Callable[..., Path]
NOISE = np.random.default_rng(0).normal(0, 0.01, 400)


def _compared(make_run: MakeRun, ours: Mapping[str, Any], theirs: Mapping[str, Any], **more: Any) -> Contrasts:
    """`ours` and `theirs` go to the two runs; what both have comes from `more`, and `primary`, `metrics` further."""
    words = {key: more.pop(key) for key in ("primary", "metrics") if key in more}
    runs = [
        read_run(make_run(name, system=name, **{"prompts": 20, **more, **facts}))
        for name, facts in (("old", ours), ("new", theirs))
    ]
    return contrast_runs(*runs, **words)


def _metric(shift: float = 0.0, noise: float = 1.0, **spec: Any) -> dict[str, Any]:
    return {"values": lambda i, sample: 1.0 + i / 50 + shift + noise * shift * NOISE[i], "spec": spec}


def test_a_shift_is_found_with_its_size_and_in_words(make_run: MakeRun) -> None:
    made = _compared(
        make_run, {"metrics": {"m": _metric()}}, {"metrics": {"m": _metric(0.5, unit="s", direction="down")}}
    )
    (contrast,) = made.contrasts
    assert contrast.difference.value == pytest.approx(0.5, abs=0.005)
    assert contrast.difference.low < 0.5 < contrast.difference.high
    assert contrast.p == pytest.approx(1 / 10_001, rel=1)
    assert contrast.win_rate.wins == 20
    assert (contrast.prompts, contrast.clips, contrast.by_seed) == (20, 40, True)
    assert sentence(contrast).startswith("B is better by 0.4997 (95 % interval [+0.49")
    assert "it is ahead on 20 of 20" in sentence(contrast)


def test_a_test_and_an_interval_that_disagree_are_both_told(make_run: MakeRun) -> None:
    (found,) = _compared(make_run, {"metrics": {"m": _metric()}}, {"metrics": {"m": _metric(0.5)}}).contrasts
    across = dataclasses.replace(found.difference, low=-0.1)
    told = sentence(dataclasses.replace(found, difference=across, p=0.01, p_holm=0.04))
    untold = sentence(dataclasses.replace(found, p=0.06, p_holm=0.06))
    assert told.endswith(
        "; the test tells it from 0 (before correction), the interval does not; to settle it, "
        "compare on new prompts, their number decided beforehand."
    )
    assert untold.endswith("; the interval excludes 0, the test does not (p 0.060), and the test decides.")
    assert "the interval" not in sentence(found) + sentence(dataclasses.replace(found, difference=across, p=0.3))
    assert (
        facts(_compared(make_run, {"metrics": {"m": _metric()}}, {"metrics": {"m": _metric(0.5)}}))["metrics"][0][
            "interval_by"
        ]
        == "studentised"
    )


def test_less_is_worse_or_better_as_the_metric_says(make_run: MakeRun) -> None:
    made = _compared(
        make_run,
        {"metrics": {"up": _metric(), "down": _metric(direction="down"), "none": _metric(direction="none")}},
        {"metrics": {"up": _metric(-0.5), "down": _metric(-0.5), "none": _metric(-0.5)}},
    )
    words = {contrast.metric.id: sentence(contrast).split(" by ")[0] for contrast in made.contrasts}
    assert words == {"up": "B is worse", "down": "B is better", "none": "B is lower"}
    assert made.of("down").win_rate.rate == 1.0


def test_of_metrics_that_should_be_zero_the_distance_from_zero_counts(make_run: MakeRun) -> None:
    made = _compared(
        make_run,
        {"metrics": {"m": {"values": lambda i, s: -40.0, "spec": {"direction": "zero"}}}},
        {"metrics": {"m": {"values": lambda i, s: 40.0, "spec": {"direction": "zero"}}}},
    )
    assert made.contrasts[0].is_equal


def test_runs_of_equal_values_differ_nowhere_and_burden_no_other_metric(make_run: MakeRun) -> None:
    same = {f"same{i}": _metric() for i in range(9)}
    made = _compared(make_run, {"metrics": {**same, "m": _metric()}}, {"metrics": {**same, "m": _metric(0.5)}})
    equal = made.of("same0")
    assert (equal.p, equal.p_holm, equal.effect_size) == (1.0, 1.0, None)
    assert sentence(equal) == "A and B are equal on every one of the 20 prompts."
    assert made.of("m").p_holm == made.of("m").p


def test_primary_and_other_metrics_are_corrected_apart(make_run: MakeRun) -> None:
    names = [f"m{i}" for i in range(6)]
    made = _compared(
        make_run,
        {"metrics": {name: _metric() for name in names}},
        {"metrics": {name: _metric(0.5) for name in names}},
        primary=("m3",),
    )
    assert made.contrasts[0].metric.id == "m3"
    assert made.of("m3").p_holm == made.of("m3").p
    assert made.of("m0").p_holm == pytest.approx(5 * made.of("m0").p)


def test_only_shared_seeds_are_paired_and_the_rest_is_counted(make_run: MakeRun) -> None:
    failed = Reason(kind="abstained", message="quiet", stage="metric")
    runs = [
        read_run(make_run("a", prompts=8, seeds=(0, 1), metrics={"m": _metric()})),
        read_run(
            make_run(
                "b",
                prompts=8,
                seeds=(1, 2),
                metrics={"m": {"values": lambda i, s: failed if s == "p003-s1" else 2.0}},
            )
        ),
    ]
    made = pair(*runs, "m")
    assert (made.clips, len(made.prompts), made.by_seed) == (7, 7, True)
    assert made.excluded == (
        "8 clips left out: not in A",
        "8 clips left out: not in B",
        "1 clip left out: abstained in B",
    )
    assert made.lost == 9 / 16


def test_without_a_shared_seed_prompts_are_paired_and_that_is_said(make_run: MakeRun) -> None:
    made = _compared(
        make_run, {"metrics": {"m": _metric()}, "seeds": (0,)}, {"metrics": {"m": _metric(0.5)}, "seeds": (7,)}
    )
    assert not made.contrasts[0].by_seed
    assert made.contrasts[0].prompts == 20
    assert "seeds were averaged" in made.contrasts[0].excluded[0]


def test_one_prompt_and_few_prompts_are_never_significant(make_run: MakeRun) -> None:
    for prompts, said in ((1, "too little for an interval or a test"), (3, "no test on fewer than 6 prompts")):
        made = _compared(
            make_run, {"metrics": {"m": _metric()}}, {"metrics": {"m": _metric(0.5)}}, prompts=prompts, seeds=(0,)
        )
        assert said in sentence(made.contrasts[0])
    assert made.contrasts[0].p >= 2**-2


def test_other_protocols_are_refused_by_field(make_run: MakeRun) -> None:
    other = {"metrics": {"m": {**_metric(), "protocol": {"suite": "smoke@2#123456123456"}}}}
    with pytest.raises(MixedProtocolsError, match=r"m: measured in different ways.*suite: 'smoke@1#abcdefabcdef' and"):
        _compared(make_run, {"metrics": {"m": _metric()}}, other)


def test_timings_of_other_machines_are_left_out_unless_asked_for(make_run: MakeRun) -> None:
    sides = [
        {"metrics": {"m": _metric(), "runtime.s": {"protocol": {"settings": {"machine": machine}}}}} for machine in "xy"
    ]
    made = _compared(make_run, *sides)
    assert [contrast.metric.id for contrast in made.contrasts] == ["m"]
    assert "settings" in made.left_out[0]
    with pytest.raises(MixedProtocolsError):
        _compared(make_run, *sides, metrics=("runtime.s",))


def test_runs_without_a_shared_prompt_are_refused(make_run: MakeRun) -> None:
    runs = [read_run(make_run("a", prompts=2)), read_run(make_run("b", prompts=2))]
    for sample, clip in list(runs[1].clips.items()):
        runs[1].clips[sample] = clip.model_copy(update={"prompt_id": f"other-{clip.prompt_id}"})
    with pytest.raises(ValueError, match="share no prompt id"):
        contrast_runs(*runs)


def test_a_metric_without_values_is_left_out_with_its_reason(make_run: MakeRun) -> None:
    gone = Reason(kind="abstained", message="quiet", stage="metric")
    made = _compared(
        make_run,
        {"metrics": {"m": _metric(), "k": {"values": lambda i, s: gone}}},
        {"metrics": {"m": _metric(), "k": {}}},
    )
    assert [contrast.metric.id for contrast in made.contrasts] == ["m"]
    assert made.left_out == ("k: no prompt has a value on both sides: 40 clips left out: abstained in A",)


def test_set_metrics_are_compared_draw_by_draw(make_run: MakeRun) -> None:
    draws = np.random.default_rng(1).normal(50, 5, 200)
    sides = [
        {"metrics": {"fd": {"value": value, "replicates": tuple(draws + value), "spec": {"direction": "down"}}}}
        for value in (100.0, 103.0)
    ]
    (contrast,) = _compared(make_run, *sides).contrasts
    assert contrast.difference.value == 3.0
    assert contrast.difference.low == pytest.approx(3.0)
    assert contrast.win_rate is None


def test_every_format_is_made_and_safe(make_run: MakeRun, hostile: ModuleType) -> None:
    payload = "".join(hostile.PAYLOADS.values())[:3000]
    made = _compared(
        make_run,
        {"metrics": {"m": _metric(unit=payload)}},
        {"metrics": {"m": _metric(0.5)}},
        prompt=payload,
    )
    made = made.with_notes([payload])
    assert json.loads(for_json(facts(made)))["metrics"][0]["n_prompts"] == 20
    console = Console(record=True, width=200, force_terminal=False)
    with console.capture() as captured:
        console.print(render_terminal(made))
    assert "\x1b" not in captured.get()
    assert not re.search(r"(?<!\\)<", render_markdown(made))


def _shared(seed: int, spread: float = 0.5) -> Callable[[int, str], float]:
    """Values whose noise all prompts of a seed share, and little of their own."""
    random = np.random.default_rng(seed)
    common, own = random.normal(0, spread, 20), random.normal(0, 0.02, 400)
    return lambda i, sample: 5 + common[int(sample.rpartition("s")[2])] + float(own[i])


def _alike(make_run: MakeRun, **more: Any) -> Contrasts:
    return _compared(
        make_run, {"metrics": {"m": {"values": _shared(1)}}}, {"metrics": {"m": {"values": _shared(5)}}}, **more
    )


def test_seeds_that_prompts_share_are_in_the_error(make_run: MakeRun) -> None:
    """Two equal systems whose seeds differ: by prompts alone they are surely different, counting seeds they are not."""
    made = _alike(make_run, seeds=(0, 1, 2, 3), noise="")
    (contrast,) = made.contrasts
    assert (contrast.noise, contrast.p_wilcoxon) == ("counted", None)
    assert contrast.p > 0.05
    assert contrast.difference.low < 0 < contrast.difference.high
    assert contrast.error.freedom == pytest.approx(3, abs=0.1)
    assert "m: prompts of one seed may share noise" in made.left_out[-1]
    assert made.left_out[-1].endswith("intervals and p count the seeds too")


def test_too_few_shared_seeds_hold_for_themselves_only(make_run: MakeRun) -> None:
    made = _alike(make_run, seeds=(0, 1), noise="")
    assert made.contrasts[0].noise == "given"
    assert made.left_out[-1].endswith("hold for these seeds only")


def test_prompts_with_noise_of_their_own_need_no_seeds(make_run: MakeRun) -> None:
    made = _compared(make_run, {"metrics": {"m": _metric()}}, {"metrics": {"m": _metric(0.1)}}, seeds=(0,))
    assert (made.contrasts[0].noise, made.left_out) == ("own", ())


def test_timings_have_a_ratio_and_no_test(make_run: MakeRun) -> None:
    def timed(seconds: float) -> dict[str, Any]:
        values = lambda i, s: 30.0 if i == 0 else seconds + 1e-5 * i  # noqa: E731
        return {"metrics": {"runtime.s": {"values": values, "spec": {"needs": ("runtime",), "direction": "down"}}}}

    made = _compared(make_run, timed(2.0), timed(2.02))
    (contrast,) = made.contrasts
    assert contrast.ratio == pytest.approx(1.01, abs=1e-4)
    assert (contrast.p, contrast.p_holm, contrast.difference.low, contrast.detectable) == (None,) * 4
    assert sentence(contrast).startswith("B's median is 1.01 times A's")
    assert facts(made)["metrics"][0]["ratio_of_medians"] == contrast.ratio


def test_six_prompts_are_the_least_that_can_find_anything(make_run: MakeRun) -> None:
    made = _compared(make_run, {"metrics": {"m": _metric()}}, {"metrics": {"m": _metric(0.1)}}, prompts=5)
    assert made.contrasts[0].detectable is None


def test_who_named_the_primary_metrics_is_said(make_run: MakeRun) -> None:
    made = _compared(make_run, {"metrics": {"m": _metric()}}, {"metrics": {"m": _metric(0.1)}}, primary=("m",))
    assert "Primary: as declared." in render_markdown(made)
    assert "--primary names none" in render_markdown(dataclasses.replace(made, declared=False))


def test_equal_checks_of_other_clips_leave_open_what_other_prompts_would_show(make_run: MakeRun) -> None:
    metric = {"m": {"values": lambda i, sample: 1.0, "spec": {"range": (0.0, 1.0)}}}
    first, second = (read_run(make_run(name, system=name, prompts=12, metrics=metric)) for name in ("old", "new"))
    (same,) = contrast_runs(first, second).contrasts
    assert (same.difference.low, same.difference.high) == (0, 0)
    for sample, clip in second.clips.items():
        second.clips[sample] = clip.model_copy(update={"sha256": "ab" * 32})
    (other,) = contrast_runs(first, second).contrasts
    reach = 1 - 0.025 ** (1 / 12)
    assert (other.difference.low, other.difference.high) == pytest.approx((-reach, reach))
    assert other.is_equal


def test_the_legend_names_only_what_made_the_numbers(make_run: MakeRun) -> None:
    text = render_markdown(_compared(make_run, {"metrics": {"m": _metric()}}, {"metrics": {"m": _metric(0.5)}}))
    assert "studentised bootstrap over prompts" in text
    assert "sign flips" in text
    assert "Student's t" not in text
    assert "swapped labels" not in text
