"""No spread is no proof: what few prompts, equal values and identical clips let the gate and a margin say."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from ltx2_reports.contrast import Contrast
from ltx2_reports.contrast_metric import clip_contrast
from ltx2_reports.gate.losses import losses_from
from ltx2_reports.gate.policy import MetricPolicy, Policy
from ltx2_reports.gate.verdict import Verdict, judge, t_test
from ltx2_reports.margins import Margin, judge_margin
from ltx2_reports.pairing import Paired, _same_measured
from ltx2_reports.statistics.crossed import Error
from ltx2_reports.statistics.sets import SetDraws
from ltx2_reports.statistics.unseen import unseen_share


def _contrast(
    factory: ModuleType, first: np.ndarray, second: np.ndarray, *, bounded: bool = True, same_clips: bool = False
) -> Contrast:
    paired = Paired(
        metric=factory.metric_spec("m", range=(0.0, 1.0) if bounded else (None, None)),
        protocol=factory.protocol("m"),
        prompts=tuple(f"p{place:03}" for place in range(len(first))),
        first=first,
        second=second,
        clips=len(first),
        by_seed=True,
        excluded=(),
        lost=0.0,
        tables=(),
        same_clips=same_clips,
    )
    return clip_contrast(paired)


def _judged(contrast: Contrast, absolute: float) -> Verdict:
    policy = Policy(metrics={"m": MetricPolicy(absolute=absolute)})
    losses = list(losses_from({"m": contrast}, policy).values())
    return judge(losses, false_alarm=policy.false_alarm, confidence=policy.confidence)[0]


@pytest.mark.parametrize("prompts", [2, 5])
def test_few_prompts_have_no_p_and_neither_pass_nor_regress(factory: ModuleType, prompts: int) -> None:
    for first, second in ((1.0, 0.0), (0.5, 0.4), (1.0, 1.0)):
        found = _judged(_contrast(factory, np.full(prompts, first), np.full(prompts, second)), 0.05)
        assert (found.outcome, found.p_holm) == ("not enough data", None)
        assert "at least 6 are needed" in found.why


def test_a_p_is_never_zero() -> None:
    assert t_test(1.0, 0.0, 6) == 2.0**-6
    assert t_test(-1.0, 0.0, 6, two_sided=True) == 2.0**-5
    assert t_test(0.0, 0.0, 6) == 1.0
    assert t_test(1.0, 1e-300, 60) > 0


def test_equal_checks_leave_open_what_so_few_of_them_would_miss(factory: ModuleType) -> None:
    """Six of six: up to 46 % of prompts may have changed, by 1 - 0.025^(1/6); 72 would rule out 5 %."""
    ones = np.ones(6)
    few = _judged(_contrast(factory, ones, ones), 0.05)
    assert (few.outcome, few.limit) == ("not enough data", pytest.approx(0.459, abs=1e-3))
    assert "72 prompts without a difference would settle it" in few.why
    assert _judged(_contrast(factory, np.ones(72), np.ones(72)), 0.05).outcome == "passed"
    assert _judged(_contrast(factory, np.ones(71), np.ones(71)), 0.05).outcome == "not enough data"
    assert _judged(_contrast(factory, ones, ones, bounded=False), 0.05).outcome == "passed"


def test_one_prompt_that_moves_by_next_to_nothing_makes_no_pass_of_it(factory: ModuleType) -> None:
    first = np.zeros(30)
    second = np.array([-1e-6, *first[1:]])
    assert _judged(_contrast(factory, first, second), 0.05).outcome == "not enough data"
    moved = np.linspace(-1e-6, 1e-6, 30)
    assert _judged(_contrast(factory, first, moved), 0.05).outcome == "passed"


def test_the_same_clips_are_equal_for_certain(factory: ModuleType) -> None:
    found = _judged(_contrast(factory, np.ones(2), np.ones(2), same_clips=True), 0.0)
    assert (found.outcome, found.limit) == ("passed", 0.0)
    assert "what it measures is the same, bit for bit" in found.why


def test_a_margin_is_not_kept_by_checks_that_are_merely_equal(factory: ModuleType) -> None:
    margin = Margin(value=0.05, both_sides=False)

    def held(prompts: int, same_clips: bool = False) -> str:
        made = _contrast(factory, np.ones(prompts), np.ones(prompts), same_clips=same_clips)
        return judge_margin(
            margin, 0.0, made.error, prompts, "up", unseen=made.largest_unseen, certain=made.surely_equal
        ).outcome

    assert [held(6), held(60), held(2)] == ["open", "kept", "not judged"]
    assert held(2, same_clips=True) == "kept"
    assert judge_margin(margin, -1.0, Error(value=0.0, freedom=5), 6, "up", unseen=1.0).limit == pytest.approx(
        1 + unseen_share(6, 0.05)
    )


def test_equal_sets_have_no_loss_and_no_gain(factory: ModuleType) -> None:
    bare = _contrast(factory, np.zeros(12), np.zeros(12), bounded=False)
    draws = SetDraws(first=9.0, second=9.0, draws=(0.0,) * 9, swapped=(), error=None, prompts=12)
    equal = replace(bare, first=9.0, second=9.0, set_draws=draws, error=Error(value=0.0, freedom=11))
    found = _judged(equal, 0.05)
    assert equal.is_equal
    assert (found.outcome, found.why) == ("passed", "equal on all 12 prompts")
    unlike = replace(equal, set_draws=replace(draws, draws=(0.0, 0.1)))
    assert not unlike.is_equal


def test_measures_that_all_differ_and_agree_to_the_last_bit_are_of_the_same_clips() -> None:
    measured = np.linspace(0.1, 0.7, 12) ** 2
    assert _same_measured(measured, measured.copy())
    assert not _same_measured(measured, np.nextafter(measured, 1))
    assert not _same_measured(np.ones(12), np.ones(12)), "checks agree by chance"
    assert not _same_measured(measured[:3], measured[:3]), "so few do as well"
