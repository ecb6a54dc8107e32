"""Verdicts from points, on cases worked by hand; and what `validate` expects, for every metric there is."""

import numpy as np
import pytest

from ltx2_eval.metrics.catalogue import BUILT_IN
from ltx2_eval.validation.catalogue import DEGRADATIONS
from ltx2_eval.validation.expectations import EXPECTATIONS, Response, expectation_of, touches
from ltx2_eval.validation.judge import judge_trial, verdict_of
from ltx2_eval.validation.measure import Row
from ltx2_eval.validation.plan import Aim, aims_of
from ltx2_eval.validation.samples import pairs_of, point_of, wins
from ltx2_eval.validation.slope import slope_of
from ltx2_reports.statistics import wilson
from ltx2_reports.validation import Point


def aim(metric, degradation, course=None, **more):
    response = Response(degradation=degradation, course=course, **more) if course else None
    return Aim(entry=BUILT_IN[metric], scale=DEGRADATIONS[degradation], response=response)


def still(metric, degradation, **more):
    return Aim(entry=BUILT_IN[metric], scale=DEGRADATIONS[degradation], **(more or {"still": True}))


def point(level, difference, accuracy=None, n=20, error=0.1, missing=0):
    low, high = (None, None) if accuracy is None else wilson(accuracy, n)
    return Point(
        level=level,
        n=n,
        missing=missing,
        value=10 + difference,
        difference=difference,
        low=difference - 2 * error,
        high=difference + 2 * error,
        error=error,
        pairs=0 if accuracy is None else n,
        accuracy=accuracy,
        accuracy_low=low,
        accuracy_high=high,
    )


def judge(aim_, points, slope=None, smallest=None, least_n=10):
    return judge_trial(aim_, points, slope, smallest, least_n)


BLUR = (0.5, 1, 2, 4)


def test_a_response_in_order_and_told_right_holds():
    points = [point(level, -step, accuracy=1.0) for step, level in enumerate(BLUR, start=1)]
    trial = judge(aim("video.sharpness", "video.blur", "falls"), points)
    assert trial.held is True
    assert trial.rank_correlation == pytest.approx(1.0)
    assert trial.why == "rank correlation 1.00; 100% of 20 pairs told right at 4 px"


def test_the_wrong_direction_the_wrong_order_and_too_few_right_do_not_hold():
    falls = aim("video.sharpness", "video.blur", "falls")
    rising = [point(level, step, accuracy=0.0) for step, level in enumerate(BLUR, start=1)]
    assert judge(falls, rising).rank_correlation == pytest.approx(-1.0)
    assert judge(falls, rising).held is False
    shuffled = [point(level, -step, accuracy=1.0) for level, step in zip(BLUR, (4, 2, 3, 1), strict=True)]
    assert "rank correlation 0.10" in judge(falls, shuffled).why  # ranks 0 4 2 3 1 against 0 1 2 3 4: 1 - 6 * 18 / 120
    weak = [point(level, -step, accuracy=0.7) for step, level in enumerate(BLUR, start=1)]
    assert judge(falls, weak).why == "at 4 px 70% of 20 pairs told right, at least 80% are needed"


def test_pairs_that_cannot_be_told_from_chance():
    """8 of 10 is 80 %, but its Wilson interval begins at 0.49."""
    points = [point(level, -step, accuracy=0.8, n=10) for step, level in enumerate(BLUR, start=1)]
    assert judge(aim("video.sharpness", "video.blur", "falls"), points).why.endswith(
        "10 pairs are too few to tell 80% from chance"
    )


def test_a_level_at_which_the_metric_declines_is_not_judged_but_told():
    shift = aim("av_offset_ms", "audio.shift", "follows")
    points = [point(level, level, accuracy=1.0) for level in (-400, -200, 200)]
    points += [point(400, 400, accuracy=0.0, n=3, missing=17)]
    trial = judge(shift, points)
    assert trial.held is True
    assert "told right at 200 ms" in trial.why
    assert "declines to answer on 17 of 20 clips at 400 ms" in trial.why


def test_both_sides_are_judged():
    shift = aim("av_offset_ms", "audio.shift", "follows")
    points = [point(-400, -400, accuracy=0.5), point(400, 400, accuracy=1.0)]
    assert "at -400 ms 50% of 20 pairs" in judge(shift, points).why


def test_a_saturated_metric_is_asked_for_order_below_and_for_pairs_above():
    falls = aim("av_align", "audio.shift", "falls", saturates=80)
    points = [
        point(level, difference, accuracy=accuracy)
        for level, difference, accuracy in ((40, -1, 0.9), (80, -3, 0.9), (120, -2, 0.9), (800, -2.5, 0.9))
    ]
    assert judge(falls, points).held is True
    assert judge(falls, [*points[:2], point(120, -2, accuracy=0.5), points[3]]).held is False


def test_slopes_are_met_within_five_per_cent():
    follows = aim("av_offset_ms", "audio.shift", "follows", slope=1.0)
    points = [point(level, level, accuracy=1.0) for level in (-400, 400)]
    amounts, owners = [-400.0, 400.0], [np.arange(3)] * 2
    for factor, held in ((1.0, True), (1.04, True), (0.94, False)):
        slope = slope_of(amounts, [np.full(3, factor * amount) for amount in amounts], owners)
        assert slope.value == pytest.approx(factor)
        assert judge(follows, points, slope=slope).held is held
    assert judge(follows, points, slope=None).held is False


def test_the_slope_is_that_of_least_squares():
    generator = np.random.default_rng(0)
    amounts = [-2.0, 1.0, 5.0]
    differences = [generator.normal(3 * amount, 1, 7) for amount in amounts]
    x = np.concatenate([np.zeros(7), *(np.full(7, amount) for amount in amounts)])
    y = np.concatenate([np.zeros(7), *differences])
    found = slope_of(amounts, differences, [np.arange(7)] * 3)
    assert found.value == pytest.approx(np.polyfit(x, y, 1)[0])
    assert found.low < found.value < found.high
    assert slope_of(amounts, [d[:1] for d in differences], [np.zeros(1)] * 3) is None


def test_what_must_stay_still():
    """Within a fifth of the smallest effect that matters, interval and all; what noise hides is neither."""
    reencode = still("av_offset_ms", "file.reencode")
    hidden = judge(reencode, [point(1, 0.19, error=0.1)])
    assert (hidden.held, "too few clips to say" in hidden.why) == (None, True)
    assert judge(reencode, [point(1, 1.0, error=5.0)], smallest=40).held is None
    assert judge(reencode, [point(1, 0.21, error=0.1)]).held is False
    assert judge(reencode, [point(1, 7.7, error=0.1)], smallest=40).held is True
    assert judge(reencode, [point(1, -8.1, error=0.1)], smallest=40).held is False
    assert judge(reencode, [point(1, 0.0)], smallest=40).tolerance == 8


def test_what_is_not_touched_must_not_move_at_all():
    blur = still("audio.loudness_lufs", "video.blur", untouched=True)
    assert judge(blur, [point(4, 0.0)]).held is True
    assert judge(blur, [point(4, 1e-12, error=1.0)], smallest=100).held is False
    swap = still("fad_soundnet", "video.blur", untouched=True)
    assert judge(swap, [point(4, 1e-9)]).held is True  # sums in another order
    assert judge(swap, [point(4, 1e-3)]).held is False


def test_too_few_clips_decide_nothing():
    points = [point(level, -1.0, accuracy=1.0, n=9) for level in BLUR]
    trial = judge(aim("video.sharpness", "video.blur", "falls"), points)
    assert trial.held is None
    assert trial.why == "9 clips with a value both clean and degraded, at least 10 are needed"


def test_verdicts():
    seen = judge(aim("video.sharpness", "video.blur", "falls"), [point(v, -v, accuracy=1.0) for v in BLUR])
    moved = judge(still("video.sharpness", "file.reencode"), [point(1, 5.0)])
    calm = judge(still("video.sharpness", "file.reencode"), [point(1, 0.0)], smallest=40)
    assert verdict_of(20, 10, [seen, calm], None)[0] == "may gate"
    assert verdict_of(20, 10, [seen, calm], None)[1].endswith("unmoved by 1 others")
    noisy = judge(still("video.sharpness", "file.reencode"), [point(1, 0.0, error=1.0)])
    assert verdict_of(20, 10, [seen, noisy], None)[0] == "report only"
    assert verdict_of(20, 10, [seen, calm, noisy], None)[0] == "may gate"
    assert "too few clips to tell whether file.reencode move it" in verdict_of(20, 10, [seen, calm, noisy], None)[1]
    assert verdict_of(20, 10, [seen, moved], None)[0] == "report only"
    assert verdict_of(20, 10, [calm], None) == ("report only", "no degradation is stated that it must see")
    assert verdict_of(0, 10, [], "the clip has no audio") == (
        "report only",
        "no clip has a value, at least 10 are needed (the clip has no audio)",
    )


def test_wins_count_the_right_direction_and_ties_half():
    clean, degraded = np.array([1.0, 1.0, 1.0]), np.array([2.0, 1.0, 0.5])
    assert wins(aim("video.sharpness", "video.blur", "falls"), 4, clean, degraded).tolist() == [0, 0.5, 1]
    assert wins(aim("video.noise", "video.grain", "rises"), 20, clean, degraded).tolist() == [1, 0.5, 0]
    follows = aim("av_offset_ms", "audio.shift", "follows")
    assert wins(follows, -40, clean, degraded).tolist() == [0, 0.5, 1]
    away = aim("av_offset_ms", "audio.swap", "away")
    assert wins(away, 1, np.array([-1.0, 1.0]), np.array([2.0, -0.5])).tolist() == [1, 0]


def test_points_pair_clips_and_count_what_is_missing():
    blur = aim("video.sharpness", "video.blur", "falls")
    values = [(10.0, 7.0), (12.0, 11.0), (8.0, "abstains"), ("no video", 3.0)]
    rows = [
        Row(
            clip=str(i),
            prompt_id=str(i),
            values={"clean": {"video.sharpness": before}, "video.blur@4": {"video.sharpness": after}},
        )
        for i, (before, after) in enumerate(values)
    ]
    found = point_of(blur, pairs_of(rows, blur, 4))
    assert (found.n, found.missing, found.value, found.difference) == (2, 1, 9.0, -2.0)
    assert (found.pairs, found.accuracy) == (2, 1.0)
    assert found.error == pytest.approx(1.0)  # differences -3 and -1: deviation sqrt(2), over sqrt(2)


def test_every_expectation_names_what_exists():
    for metric, expectation in EXPECTATIONS.items():
        assert metric in BUILT_IN
        named = [response.degradation for response in expectation.responses]
        for degradation in (*named, *expectation.still, *expectation.shown):
            assert degradation in DEGRADATIONS
        for degradation in (*named, *expectation.shown):
            assert touches(DEGRADATIONS[degradation], BUILT_IN[metric]), (metric, degradation)
        assert len({*named, *expectation.still, *expectation.shown}) == len(
            [*named, *expectation.still, *expectation.shown]
        )


@pytest.mark.parametrize("metric", EXPECTATIONS)
def test_something_must_be_seen_and_something_must_not(metric):
    aims = aims_of(BUILT_IN[metric])
    assert any(one.response for one in aims)
    assert any(one.still or one.untouched for one in aims)


def test_a_brief_plan_keeps_what_a_verdict_needs():
    whole, brief = aims_of(BUILT_IN["fvd"]), aims_of(BUILT_IN["fvd"], brief=True)
    levels = {aim_.scale.id: aim_.levels for aim_ in brief}
    assert (levels["video.blur"], levels["video.grain"]) == ((0.5, 4), (2, 20))
    assert levels["file.reencode"] == (1.0,)
    assert {aim_.scale.id for aim_ in whole} - set(levels) == set(expectation_of(BUILT_IN["fvd"]).shown)
    align = {aim_.scale.id: aim_.levels for aim_ in aims_of(BUILT_IN["av_align"], brief=True)}
    assert align["audio.shift"] == (-800, -80, -40, 40, 80, 800)  # order is asked for up to 80 ms


def test_two_levels_are_enough_for_an_order():
    brief = next(a for a in aims_of(BUILT_IN["video.sharpness"], brief=True) if a.scale.id == "video.blur")
    right = judge(brief, [point(0.5, -1, accuracy=1.0), point(4, -2, accuracy=1.0)])
    assert (right.held, right.rank_correlation) == (True, pytest.approx(1.0))
    assert judge(brief, [point(0.5, -2, accuracy=1.0), point(4, -1, accuracy=1.0)]).held is False


def test_an_unknown_metric_gets_what_its_kind_implies():
    entry = BUILT_IN["fvd"]
    other = entry.__class__(
        spec=entry.spec.model_copy(update={"id": "other.fvd"}),
        implementation=entry.implementation,
        extractor=entry.extractor,
        aggregation=entry.aggregation,
    )
    found = expectation_of(other)
    assert found.derived
    assert [response.degradation for response in found.responses] == ["video.blur", "video.grain"]
