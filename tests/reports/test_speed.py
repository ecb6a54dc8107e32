"""Is one of two slower: planted slow-downs on noisy, drifting timings, and the interval against scipy."""

import json

import numpy as np
import pytest
from scipy import stats

from ltx2_reports.bench import (
    BenchCase,
    BenchDevice,
    BenchEstimate,
    BenchRecord,
    BenchTiming,
    BenchVerdict,
    append_bench,
    comparable,
    open_bench,
    read_bench,
    rolling_median,
    sessions,
)
from ltx2_reports.gate.bench import decide_bench
from ltx2_reports.gate.policy import default_policy, read_policy
from ltx2_reports.gate.writers import to_json, to_junit
from ltx2_reports.records import Reason
from ltx2_reports.speed import (
    against_history,
    compare_records,
    hodges_lehmann,
    pair_doubts,
    paired_difference,
    reach_of_next,
)
from ltx2_reports.store import DamagedError

CASE = BenchCase(
    model="ltx2:nano",
    measure="step",
    width=96,
    height=96,
    frames=49,
    fps=24.0,
    steps=1,
    dtype="float32",
    batch=1,
    weights="random",
)
DEVICE = BenchDevice(kind="cpu", name="2 x A processor", threads=2)


def turns(slower, seed, pairs=40, noise=0.02, spikes=0.03):
    """Timings of a and b in turn: both drift alike, each is noisy, some calls are disturbed."""
    generator = np.random.default_rng(seed)
    drift = 1 + 0.1 * np.sin(np.arange(pairs) / 5 + seed)
    sides = []
    for factor in (1.0, slower):
        disturbed = 1 + 0.5 * (generator.random(pairs) < spikes)
        sides.append(0.1 * factor * drift * disturbed * np.exp(generator.normal(0, noise, pairs)))
    return sides


def test_a_slow_down_of_five_percent_is_found_in_19_of_20_tries():
    verdicts = [paired_difference(*turns(1.05, seed)).verdict for seed in range(20)]
    assert verdicts.count("slower") >= 19


def test_no_slow_down_is_found_where_there_is_none():
    verdicts = [paired_difference(*turns(1.0, seed)).verdict for seed in range(20)]
    assert verdicts.count("slower") <= 1
    assert verdicts.count("faster") <= 1


@pytest.mark.long
def test_the_same_in_200_tries():
    slower = [paired_difference(*turns(1.05, seed)).verdict for seed in range(100, 300)]
    equal = [paired_difference(*turns(1.0, seed)).verdict for seed in range(100, 300)]
    assert slower.count("slower") >= 190
    assert equal.count("slower") <= 10


def test_the_interval_covers_and_the_middle_is_that_of_the_ratios():
    found = paired_difference(*turns(1.2, 3))
    assert found.low < 1.2 < found.high
    assert found.ratio == pytest.approx(1.2, rel=0.02)
    assert paired_difference(*reversed(turns(1.2, 3))).verdict == "faster"


def test_the_interval_is_where_the_signed_rank_test_turns():
    values = np.random.default_rng(1).normal(0.3, 1, 15)
    middle, low, high = hodges_lehmann(values, 0.95)
    assert low < middle < high
    for limit, inside in ((low, 1e-9), (high, -1e-9)):
        assert stats.wilcoxon(values - (limit + inside), mode="exact").pvalue >= 0.05
        assert stats.wilcoxon(values - (limit - inside), mode="exact").pvalue < 0.055
    by_hand = hodges_lehmann(np.array([1.0, 2.0, 6.0]), 0.95)
    assert by_hand == (2.75, 1.0, 6.0)  # means 1, 1.5, 2, 3.5, 4, 6; too few for the level: the widest interval


def test_few_pairs_do_not_decide():
    found = paired_difference([1.0] * 5, [2.0] * 5)
    assert (found.verdict, found.pairs) == ("undecided", 5)
    assert paired_difference([1.0] * 20, [1.0] * 20).verdict == "same"


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1.0], [1.0, 2.0], "1 and 2 timings"),
        ([], [], "0 and 0"),
        ([1.0], [-1.0], "not a positive number"),
        ([1.0], [float("nan")], "not a positive number"),
    ],
)
def test_bad_timings_are_refused(a, b, message):
    with pytest.raises(ValueError, match=message):
        paired_difference(a, b)


def record(seconds=0.1, *, session="s", day=1, role="alone", valid=True, device=DEVICE, case=CASE, n=40, rounds=True):
    taken = tuple(seconds) if not isinstance(seconds, float) else (seconds,) * n
    middle = float(np.median(taken))
    return BenchRecord(
        created_at=f"2026-01-{day:02d}T00:00:00+00:00",
        session=session,
        role=role,
        case=case,
        device=device,
        timing=BenchTiming(
            seconds=taken,
            rounds=tuple(range(len(taken))) if rounds else (),
            cold_s=1.0,
            warmup=3,
            median_s=middle,
            quartile_low_s=middle,
            quartile_high_s=middle,
        ),
        verdict=BenchVerdict(valid=valid, reasons=() if valid else ("spread: wide",)),
    )


def test_records_of_one_session_are_compared_pair_by_pair():
    a, b = (record(side, role=role) for side, role in zip(turns(1.05, 4), "ab", strict=True))
    assert compare_records(a, b).verdict == "slower"
    with pytest.raises(ValueError, match="not timed in turn"):
        compare_records(a, b.model_copy(update={"session": "other"}))
    elsewhere = b.model_copy(update={"device": BenchDevice(kind="cpu", name="another")})
    with pytest.raises(ValueError, match="no pair"):
        compare_records(a, elsewhere)


def test_taking_turns_mends_load_and_drift_but_not_a_wrong_output():
    wrong = "output: it holds numbers that are not finite; speed may depend on that"
    shared = ("drift: the last third", "other load: others kept 1.5 cores busy", "spread: wide", "throttling: heat")

    def doubted(*reasons):
        return record().model_copy(update={"verdict": BenchVerdict(valid=not reasons, reasons=reasons)})

    assert pair_doubts(doubted(*shared), doubted()) == ()
    assert pair_doubts(doubted(wrong, *shared), doubted(wrong)) == (wrong,)


def test_the_history_of_a_device_has_a_rolling_median_of_valid_records():
    history = [record(0.1 + 0.01 * i, session=f"s{i}", day=i + 1) for i in range(12)]
    history += [
        record(9.0, session="doubtful", day=13, valid=False),
        record(9.0, session="elsewhere", day=13, device=BenchDevice(kind="cpu", name="another", threads=2)),
        record(9.0, session="threads", day=13, device=DEVICE.model_copy(update={"threads": 1})),
        record(9.0, session="other", day=13, case=CASE.model_copy(update={"dtype": "bfloat16"})),
    ]
    new = record(0.2, session="new", day=20)
    assert len(comparable(new, history)) == 12
    assert rolling_median(new, history, window=3) == pytest.approx(0.20)
    assert rolling_median(record(0.2, session="old", day=1), history[1:]) is None


def test_a_record_is_judged_against_its_history():
    history = [record(0.1 * (1 + 0.004 * (-1) ** i), session=f"s{i}", day=i + 1) for i in range(9)]
    assert against_history(record(0.115, session="n", day=20), history).verdict == "slower"
    assert against_history(record(0.1, session="n", day=20), history).verdict == "same"
    assert against_history(record(0.115, session="n", day=20), history[:2]).verdict == "undecided"
    assert against_history(record(0.1, session="n", day=20), []) is None


def test_the_next_record_lies_within_its_reach_99_times_of_100():
    """Three records by hand: deviation 1, t of two degrees of freedom 9.925, error √(1 + π/6)."""
    assert reach_of_next(np.array([-1.0, 0.0, 1.0])) == pytest.approx(9.925 * (1 + np.pi / 6) ** 0.5, rel=1e-3)
    random = np.random.default_rng(0)
    for k in (3, 5, 9):
        drawn = random.normal(size=(4000, k + 1))
        outside = np.abs(drawn[:, -1] - np.median(drawn[:, :-1], axis=1)) > reach_of_next(drawn[:, :-1])
        assert outside.mean() < 0.015


def test_bench_records_are_kept_and_read_back(tmp_path):
    reason = Reason(kind="failed", message="out of memory")
    failed = record().model_copy(update={"timing": None, "verdict": None, "reason": reason, "session": "t"})
    estimate = BenchEstimate(
        parameters=1,
        tokens={"video": 2},
        flops_per_forward=3,
        linear_flops=2,
        attention_flops=1,
        flops=3,
        parts={"a": 3},
        weight_bytes=4,
        traffic_bytes=5,
        memory_bytes=6,
    )
    kept = [record(), failed.model_copy(update={"estimate": estimate})]
    with open_bench(tmp_path) as journal:
        for item in kept:
            append_bench(journal, item)
    assert read_bench(tmp_path) == kept
    assert list(sessions(kept)) == ["s", "t"]


def test_damaged_newer_and_absent_records_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"holds no bench\.jsonl"):
        read_bench(tmp_path)
    with open_bench(tmp_path) as journal:
        journal.append({**record().model_dump(mode="json"), "schema_version": 2})
    with pytest.raises(DamagedError, match="line 1: schema version 2"):
        read_bench(tmp_path)
    other = tmp_path / "other"
    with open_bench(other) as journal:
        journal.append({**record().model_dump(mode="json"), "role": "c"})
    with pytest.raises(DamagedError, match="field 'role'"):
        read_bench(other)


def test_a_record_has_a_timing_or_a_reason():
    with pytest.raises(ValueError, match="a timing with its verdict"):
        BenchRecord.model_validate({**record().model_dump(), "timing": None})
    with pytest.raises(ValueError, match="reasons exactly where"):
        BenchVerdict(valid=False)


def judged(tmp_path, name, *records, against=(), policy=None):
    for folder, made in ((name, records), *((f"{name}-{i}", side) for i, side in enumerate(against))):
        with open_bench(tmp_path / folder) as journal:
            for one in made:
                append_bench(journal, one)
    file = default_policy() if policy is None else read_policy(policy, for_bench=True)
    return decide_bench(tmp_path / name, [tmp_path / f"{name}-{i}" for i in range(len(against))], file)


def test_the_gate_judges_a_bench_by_its_history(tmp_path):
    before = [record(0.1 + 0.0005 * day, session=f"h{day}", day=day) for day in range(1, 6)]
    slow, same = record(0.13, session="new", day=9), record(0.1012, session="new", day=9)
    assert judged(tmp_path, "slow", slow, against=[before]).outcome == "regressed"
    passed = judged(tmp_path, "same", same, against=[before])
    assert (passed.outcome, passed.exit_code) == ("passed", 0)
    assert passed.verdicts[0].loss.baseline == pytest.approx(0.1015)
    assert json.loads(to_json(passed))["baseline"]["system"] == "earlier records"
    assert 'tests="1" failures="1"' in to_junit(judged(tmp_path, "again", slow, against=[before]))
    few = judged(tmp_path, "few", slow, against=[before[:2]])
    assert (few.outcome, "2 earlier records" in few.verdicts[0].why) == ("not enough data", True)
    other = [one.model_copy(update={"device": BenchDevice(kind="cpu", name="another")}) for one in before]
    assert judged(tmp_path, "elsewhere", slow, against=[other]).outcome == "not enough data"


def test_the_gate_judges_interleaved_sides_and_refuses_wild_ones(tmp_path):
    slow = [record(side, role=role) for side, role in zip(turns(0.8, 4), "ab", strict=True)]
    even = [record(side, role=role) for side, role in zip(turns(1.0, 4), "ab", strict=True)]
    assert judged(tmp_path, "slow", *slow).outcome == "regressed"
    assert judged(tmp_path, "even", *even).outcome == "passed"
    wild = judged(tmp_path, "wild", slow[0], slow[1].model_copy(update={"verdict": record(valid=False).verdict}))
    assert (wild.outcome, "not to be believed, time it again: spread: wide" in wild.verdicts[0].why) == (
        "not enough data",
        True,
    )


def test_a_case_that_cannot_be_timed_any_more_regresses_and_policies_widen(tmp_path):
    before = [record(0.1, session=f"h{day}", day=day) for day in range(1, 5)]
    gone = record(0.1, session="new", day=9).model_copy(
        update={"timing": None, "verdict": None, "reason": Reason(kind="failed", message="no memory", stage="bench")}
    )
    lost = judged(tmp_path, "lost", gone, against=[before])
    assert (lost.outcome, "had 4 before" in lost.verdicts[0].why) == ("regressed", True)
    (tmp_path / "p.toml").write_text("[speed]\nrelative = 0.5\n")
    wide = judged(tmp_path, "wide", record(0.13, session="new", day=9), against=[before], policy=tmp_path / "p.toml")
    assert wide.outcome == "passed"


def test_earlier_records_count_once_and_those_that_do_not_count_are_told(tmp_path):
    before = [record(0.1, session="h1", day=1), record(0.1, session="h2", day=2)]
    doubtful = record(0.1, session="h3", day=3, valid=False)
    elsewhere = record(0.1, session="h4", day=3).model_copy(update={"device": BenchDevice(kind="cpu", name="another")})
    late = record(0.1, session="h5", day=20)
    new = record(0.1, session="new", day=9)
    made = judged(tmp_path, "twice", new, against=[before, [*before, doubtful, elsewhere, late, new]])
    assert made.outcome == "not enough data"
    assert made.verdicts[0].why == (
        "2 earlier records of this case on this device, 3 are needed (1 more is of another device, 1 more is not to be "
        "believed, 1 more is later than this one): --history FOLDER, or bench --against"
    )


def test_metrics_of_a_policy_have_no_say_in_a_bench(tmp_path):
    (tmp_path / "p.toml").write_text("[metrics.av_align]\nabsolute = 0.1\n")
    made = judged(tmp_path, "case", record(0.1, session="new", day=9), policy=tmp_path / "p.toml")
    assert made.notes == ("of the policy only [speed] speaks of a bench; nothing is said of its metrics av_align",)
