"""The gate: verdicts and exit codes, what widens or narrows them, policies that are refused, and its writers."""

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from ltx2_reports.contrast import Contrast
from ltx2_reports.contrast_metric import clip_contrast
from ltx2_reports.contrast_runs import contrast_runs
from ltx2_reports.gate import writers
from ltx2_reports.gate.calibration import calibrate, floor_of_seeds, noise_of, policy_text
from ltx2_reports.gate.decision import Decision, decide
from ltx2_reports.gate.losses import losses_from
from ltx2_reports.gate.policy import MetricPolicy, Policy, read_policy, require_validated
from ltx2_reports.gate.sameness import cosine, sameness_verdict
from ltx2_reports.gate.verdict import judge
from ltx2_reports.pairing import Paired
from ltx2_reports.records import Reason, read_run
from ltx2_reports.statistics import Interval, detectable
from ltx2_reports.statistics.crossed import Error
from ltx2_reports.statistics.sets import SetDraws
from ltx2_reports.timings import typical
from ltx2_reports.validation import MetricValidation, Trial

MakeRun = Callable[..., Path]
PROMPTS, SEEDS = 30, (0, 1)


def _noisy(seed: int, mean: float = 1.0, spread: float = 0.02) -> Callable[[int, str], float]:
    values = np.random.default_rng(seed).normal(mean, spread, 1000)
    return lambda index, sample: float(values[index])


@pytest.fixture
def gated(make_run: MakeRun, tmp_path: Path) -> Callable[..., Decision]:
    """Judge `new` against `old`, values of one metric `m`, under a policy written as TOML."""

    def go(old: Any, new: Any, policy: str, *, spec: dict[str, Any] | None = None, **more: Any) -> Decision:
        number = len(list(tmp_path.iterdir()))
        facts = {"prompts": PROMPTS, "seeds": SEEDS, **more}
        runs = [
            read_run(
                make_run(f"{name}{number}", system=name, metrics={"m": {"values": v, "spec": spec or {}}}, **facts)
            )
            for name, v in (("old", old), ("new", new))
        ]
        path = tmp_path / f"policy{number}.toml"
        path.write_text(policy, encoding="utf-8")
        return decide(contrast_runs(*runs), read_policy(path))

    return go


FIVE = "[metrics.m]\nrelative = 0.05\n"


def _m(decision: Decision) -> Any:
    return next(verdict for verdict in decision.verdicts if verdict.metric == "m")


def test_the_three_verdicts_and_their_exit_codes(gated: Callable[..., Decision]) -> None:
    cases = {
        "passed": (_noisy(2), 0),
        "regressed": (_noisy(2, mean=0.9), 1),
        "not enough data": (_noisy(2, spread=0.4), 3),
    }
    for outcome, (new, code) in cases.items():
        decision = gated(_noisy(1), new, FIVE)
        assert (decision.outcome, decision.exit_code, _m(decision).outcome) == (outcome, code, outcome)


def test_a_certain_loss_within_the_tolerance_passes(gated: Callable[..., Decision]) -> None:
    decision = gated(_noisy(1), _noisy(2, mean=0.97), FIVE)
    assert _m(decision).p_holm < 0.005
    assert decision.outcome == "passed"


def test_more_is_a_loss_where_less_is_better_and_change_where_nothing_is(gated: Callable[..., Decision]) -> None:
    up = _noisy(2, mean=1.1)
    assert gated(_noisy(1), up, FIVE).outcome == "passed"
    assert gated(_noisy(1), up, FIVE, spec={"direction": "down"}).outcome == "regressed"
    same = FIVE + 'direction = "same"\n'
    for new in (up, _noisy(2, mean=0.9)):
        assert gated(_noisy(1), new, same, spec={"direction": "none"}).outcome == "regressed"
    with pytest.raises(ValueError, match='write direction = "up", "down" or "same"'):
        gated(_noisy(1), up, FIVE, spec={"direction": "none"})
    with pytest.raises(ValueError, match="the policy says 'down'"):
        gated(_noisy(1), up, FIVE + 'direction = "down"\n')


def test_constant_values_pass_or_fail_but_never_by_chance(gated: Callable[..., Decision]) -> None:
    zero = lambda index, sample: 0.0  # noqa: E731
    assert gated(zero, zero, "[metrics.m]\nabsolute = 0.01\n").outcome == "passed"
    one = gated(lambda i, s: 1.0, lambda i, s: 0.5, FIVE)
    assert one.outcome == "regressed"


def test_one_prompt_and_missing_values_do_not_decide(gated: Callable[..., Decision]) -> None:
    one = gated(_noisy(1), _noisy(2, mean=0.5), FIVE, prompts=1)
    assert (one.exit_code, "1 prompt gives" in _m(one).why) == (3, True)
    gone = Reason(kind="abstained", message="quiet", stage="metric")
    none = gated(_noisy(1), lambda i, s: gone, FIVE)
    assert none.exit_code == 3
    assert "abstained in the run" in _m(none).why
    some = gated(_noisy(1), lambda i, s: gone if i % 3 == 0 else _noisy(2)(i, s), FIVE)
    assert "33% of the baseline's values have no partner" in _m(some).why


def test_clips_that_failed_regress(make_run: MakeRun, gated: Callable[..., Decision], tmp_path: Path) -> None:
    runs = [read_run(make_run(name, metrics={"m": {}}, failed=bad)) for name, bad in (("o", ()), ("n", ("p000-s0",)))]
    path = tmp_path / "p.toml"
    path.write_text("[metrics.m]\nrelative = 1.0\n")
    decision = decide(contrast_runs(*runs), read_policy(path))
    assert decision.verdicts[0].outcome == "regressed"


def test_a_floor_is_noise_and_makes_no_pass(gated: Callable[..., Decision]) -> None:
    worse = _noisy(2, mean=0.9)
    decision = gated(_noisy(1), worse, FIVE + "floor = 0.3\n")
    assert decision.outcome == "not enough data"
    assert MetricPolicy(floor=0.3).tolerance(1.0) == 0.3
    assert MetricPolicy(floor=0.3, relative=0.05).tolerance(-2.0) == pytest.approx(0.1)


def test_the_prompts_that_are_asked_for_are_enough(gated: Callable[..., Decision]) -> None:
    few = _m(gated(_noisy(1, spread=0.2), _noisy(2, spread=0.2), FIVE, prompts=20))
    needed = int(few.why.split("about ")[1].split(" ")[0])
    assert few.outcome == "not enough data"
    assert gated(_noisy(1, spread=0.2), _noisy(2, spread=0.2), FIVE, prompts=needed).outcome == "passed"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "nothing to judge"),
        ("[metrics.m\n", "not TOML"),
        ("[metrics.m]\nrelativ = 1\n", "metrics.m.relativ: unknown key 'relativ'. Did you mean 'relative'"),
        ("[metrics.m]\nrelativ = 1\nabsolut = 2\n", "metrics.m.absolut: .*Did you mean 'absolute'"),
        ("[speed]\nwindo = 1\n", "speed.windo: .*Did you mean 'window'"),
        ("[metrics.m]\nrelative = -1\n", "metrics.m.relative"),
        ("schema = 2\n[metrics.m]\n", "schema"),
        ("false_alarm = 0\n[metrics.m]\n", "false_alarm"),
    ],
)
def test_a_bad_policy_is_refused_by_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_policy(path)


def test_metrics_unfit_to_gate_are_refused_unless_the_policy_insists(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(FIVE)
    verdict: Any = SimpleNamespace(verdict="report only", why="it slept through noise")
    validation = {"m": verdict}
    with pytest.raises(ValueError, match="m may only be reported, not gate: it slept through noise"):
        require_validated(read_policy(path), validation)
    path.write_text(FIVE + "despite_validation = true\n[metrics.other]\nabsolute = 1\n")
    notes = require_validated(read_policy(path), validation)
    assert "gates although" in notes[0]
    assert notes[1] == "other: gates although no validation has judged it: nothing says what moves it"


def test_a_verdict_that_leaves_something_open_is_shown_with_it(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(FIVE)
    open_trial = Trial(degradation="video.freeze", expected="still", points=(), held=None, why="too few clips to say")
    found = MetricValidation.model_construct(verdict="may gate", trials=(open_trial,), protocol_fields={})
    (note,) = require_validated(read_policy(path), {"m": found})
    assert note == "m: may gate, not tested for video.freeze (too few clips in the validation)"
    told = found.model_copy(update={"trials": (open_trial.model_copy(update={"held": True}),)})
    assert require_validated(read_policy(path), {"m": told}) == []


def test_a_policy_names_one_file_of_verdicts_or_several(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    for written, names in (
        ("", []),
        ('validation = "a.json"\n', ["a.json"]),
        ('validation = ["a", "b"]\n', ["a", "b"]),
    ):
        path.write_text(written + FIVE)
        assert read_policy(path).validations == [tmp_path / name for name in names]


def _timed(make_run: MakeRun, name: str, seconds: float, machine: str = "x", **text: str) -> Any:
    facts = {
        "values": lambda i, s: 30.0 if i == 0 else seconds + 0.001 * i,
        "spec": {"direction": "down", "needs": ("runtime",)},
        "protocol": {"settings": {"machine": machine}},
    }
    return read_run(make_run(name, metrics={"runtime.s": facts}, **text))


def test_timings_are_judged_by_earlier_runs_of_the_same_device(make_run: MakeRun, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[metrics."runtime.s"]\nrelative = 0.1\n')
    base, *earlier = [_timed(make_run, f"e{i}", 2.0 + 0.002 * i) for i in range(5)]
    other = _timed(make_run, "other", 9.0, machine="y")

    def judged(seconds: float, history: list[Any]) -> Any:
        run = _timed(make_run, f"new{seconds}-{len(history)}", seconds)
        contrasts = contrast_runs(base, run, metrics=())
        return decide(contrasts, read_policy(path), earlier=history).verdicts[-1]

    assert judged(2.01, [*earlier, other]).outcome == "passed"
    slow = judged(2.6, [*earlier, other, base])
    assert slow.outcome == "regressed"
    assert slow.loss.n == 5
    assert "1 runs of other systems, devices" in slow.why
    assert judged(2.6, [other]).why.startswith(
        "1 earlier run of this system on this device (1 of other systems, devices or"
    )
    assert typical(base, "runtime.s", warm_up=1) < 3
    assert typical(base, "runtime.s", warm_up=100) is None


def test_a_cosine_worked_by_hand_and_its_refusals() -> None:
    assert cosine(np.array([1.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx(2**-0.5)
    assert cosine(np.zeros(3), np.zeros(3)) == 1.0
    assert cosine(np.zeros(3), np.ones(3)) == 0.0
    with pytest.raises(ValueError, match="expected equal ones"):
        cosine(np.zeros(3), np.zeros(4))


def test_the_least_similar_clip_decides() -> None:
    first = {"a": np.array([1.0, 0.0]), "b": np.array([1.0, 0.0])}
    second = {"a": np.array([1.0, 0.0]), "b": np.array([1.0, 0.2])}
    bad = sameness_verdict("same", "features", first, second, least=0.99)
    assert bad.outcome == "regressed"
    assert "(b)" in bad.why
    assert "1 of 2 exactly equal" in bad.why
    assert sameness_verdict("same", "features", first, second, least=0.98).outcome == "passed"
    assert sameness_verdict("same", "features", first, {}, least=0.98).outcome == "not enough data"
    assert sameness_verdict("same", "features", first, {"a": np.ones(3)}, least=0).outcome == "regressed"


def test_a_floor_is_what_the_prompts_of_a_seed_share() -> None:
    random = np.random.default_rng(3)
    prompts, clips, shared = random.normal(size=(60, 1)), random.normal(0, 0.1, (60, 8)), random.normal(0, 0.2, 8)
    assert floor_of_seeds(prompts + clips, runs=2) == 0.0
    floor = floor_of_seeds(prompts + clips + shared, runs=2)
    assert floor == pytest.approx(3.5 * shared.std(ddof=1) * np.sqrt(2 / 4), rel=0.1)


def test_calibration_writes_a_policy_that_passes_its_own_runs(make_run: MakeRun, tmp_path: Path) -> None:
    metrics = [
        {
            "quiet": {"values": _noisy(2 * seed, spread=0.02)},
            "loud": {"values": _noisy(2 * seed + 1, spread=0.5)},
            "zero": {"values": lambda i, s: 0.0},
        }
        for seed in range(2)
    ]
    runs = [
        read_run(make_run(f"r{i}", prompts=PROMPTS, seeds=(2 * i, 2 * i + 1), metrics=found))
        for i, found in enumerate(metrics)
    ]
    for sample, clip in list(runs[1].clips.items()):
        runs[1].clips[sample] = clip.model_copy(update={"sha256": "12" * 32})
    policy = Policy()
    made = calibrate(runs, relative=0.1, policy=policy)
    path = tmp_path / "gate.toml"
    path.write_text(policy_text(made, relative=0.1, policy=policy), encoding="utf-8")
    assert list(tomllib.loads(path.read_text())["metrics"]) == ["quiet"]
    assert "loud" in path.read_text()
    assert "0 in every run" in path.read_text()
    assert decide(made.pairs[0], read_policy(path)).outcome == "passed"


def test_a_policy_of_metrics_that_never_moved_passes_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    """The metrics that vary are too noisy; what is left is constant, and says nothing of quality."""
    metrics = [
        {"loud": {"values": _noisy(seed + 1, spread=0.5)}, "still": {"values": lambda i, s: 0.5}} for seed in range(2)
    ]
    runs = [
        read_run(make_run(f"r{i}", prompts=PROMPTS, seeds=(2 * i, 2 * i + 1), metrics=found))
        for i, found in enumerate(metrics)
    ]
    for sample, clip in list(runs[1].clips.items()):
        runs[1].clips[sample] = clip.model_copy(update={"sha256": "12" * 32})
    made = calibrate(runs, relative=0.05, policy=Policy())
    loud = next(noise for noise in made.noises if noise.metric.id == "loud")
    assert loud.needed is not None
    assert loud.needed > PROMPTS
    path = tmp_path / "gate.toml"
    path.write_text(policy_text(made, relative=0.05, policy=Policy()), encoding="utf-8")
    file = read_policy(path)
    assert (file.policy.left_out, file.policy.metrics["still"].constant) == (("loud",), True)
    decision = decide(made.pairs[0], file)
    assert (decision.outcome, decision.exit_code) == ("not enough data", 3)
    assert "1 metrics left out" in writers.headline(decision)
    path.write_text(path.read_text() + "[metrics.loud]\nabsolute = 9\n")
    assert decide(made.pairs[0], read_policy(path)).outcome == "passed"


@pytest.mark.parametrize("mean", [-22.0, -1.0, 3.0])
def test_a_level_in_decibels_tolerates_a_share_of_the_amplitude(factory: ModuleType, mean: float) -> None:
    """20 log10(1 / 0.95) = 0.4455 dB, wherever the zero of the scale lies."""
    paired = Paired(
        metric=factory.metric_spec("loudness", unit="LUFS", direction="none"),
        protocol=factory.protocol("loudness"),
        prompts=tuple(f"p{i}" for i in range(20)),
        first=np.full(20, mean),
        second=np.full(20, mean) + np.linspace(-0.1, 0.1, 20),
        clips=20,
        by_seed=False,
        excluded=(),
        lost=0.0,
        tables=(),
    )
    noise = noise_of([clip_contrast(paired)], None, runs=2, relative=0.05, policy=Policy(), metrics=1)
    assert noise is not None
    assert noise.tolerance == pytest.approx(0.4455, abs=1e-4)


def test_calibration_refuses_copies_and_strangers(make_run: MakeRun) -> None:
    first, copy = read_run(make_run("a")), read_run(make_run("b"))
    with pytest.raises(ValueError, match="at least two"):
        calibrate([first], relative=0.05, policy=Policy())
    with pytest.raises(ValueError, match="hold the same clips"):
        calibrate([first, copy], relative=0.05, policy=Policy())
    with pytest.raises(ValueError, match="expected runs of one system"):
        calibrate([first, read_run(make_run("c", model="ltx2:other"))], relative=0.05, policy=Policy())


def test_every_report_says_the_same(gated: Callable[..., Decision], hostile: ModuleType) -> None:
    payload = "".join(hostile.PAYLOADS.values())[:3000]
    decision = gated(_noisy(1), _noisy(2, mean=0.9), FIVE, spec={"title": payload, "unit": payload[:200]})
    root = ElementTree.fromstring(writers.to_junit(decision))
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "1", "0")
    assert [case.get("name") for case in root.iter("testcase")] == ["clips", "m"]
    assert root.find(".//testcase[@name='m']/failure").get("type") == "regressed"
    content = json.loads(writers.to_json(decision))
    assert (content["outcome"], content["exit_code"], content["verdicts"][1]["n"]) == ("regressed", 1, PROMPTS)
    sarif = json.loads(writers.to_sarif(decision))
    (result,) = sarif["runs"][0]["results"]
    assert (result["level"], result["locations"][0]["physicalLocation"]["region"]) == ("error", {"startLine": 1})
    assert writers.to_markdown(decision).startswith("### ✗ Gate: regressed: new against old")
    assert "✗ m      regressed: worse by" in writers.to_text(decision)


def _judged(factory: ModuleType, first: Any, second: Any, policy: Policy) -> Any:
    """Verdict on one of the policy's metrics, by values of each prompt."""
    spec = factory.metric_spec("m")
    paired = Paired(
        metric=spec,
        protocol=factory.protocol("m"),
        prompts=tuple(f"p{i:03}" for i in range(len(first))),
        first=first,
        second=second,
        clips=len(first),
        by_seed=True,
        excluded=(),
        lost=0.0,
        tables=(),
    )
    (loss,) = losses_from({"m": clip_contrast(paired)}, policy).values()
    return judge([loss], false_alarm=policy.false_alarm / len(policy.metrics), confidence=policy.confidence)[0]


@pytest.mark.parametrize("prompts", [6, 7, 12, 13])
@pytest.mark.parametrize("direction", ["up", "same"])
def test_few_prompts_and_many_metrics_find_a_huge_loss(factory: ModuleType, prompts: int, direction: str) -> None:
    wanted = MetricPolicy(relative=0.05, direction=direction)  # type: ignore[arg-type]
    policy = Policy(metrics=dict.fromkeys(("m", *"abcdefghij"), wanted))
    first = 1 + np.random.default_rng(3).normal(0, 0.005, (2, prompts))
    verdict = _judged(factory, first[0], 0.5 * first[1], policy)
    assert verdict.outcome == "regressed"
    assert verdict.detectable < 0.05


@pytest.mark.parametrize(("prompts", "metrics"), [(7, 1), (12, 11), (20, 1), (60, 1)])
def test_the_loss_that_is_said_to_be_found_is_found(factory: ModuleType, prompts: int, metrics: int) -> None:
    policy = Policy(metrics={name: MetricPolicy(relative=1e-6) for name in ("m", *map(str, range(metrics - 1)))})
    random, spread, found = np.random.default_rng(4), 0.1, 0
    least = detectable(spread / prompts**0.5, prompts, policy.false_alarm / metrics, policy.confidence, 1)
    for _ in range(100):
        first = np.ones(prompts)
        second = first - least + random.normal(0, spread, prompts)
        found += _judged(factory, first, second, policy).outcome == "regressed"
    assert found / 100 > policy.confidence - 0.05


def test_a_floor_above_the_tolerance_asks_for_seeds_and_not_for_prompts(gated: Callable[..., Decision]) -> None:
    verdict = _m(gated(_noisy(1), _noisy(2), FIVE + "floor = 0.1\n"))
    assert "more seeds per run (and a new calibration) would settle it, more prompts would not" in verdict.why


def test_one_failed_clip_costs_a_set_metric_its_verdict_and_no_other(make_run: MakeRun, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("max_lost = 0.2\nmax_failed = 0.2\n[metrics.fd]\nrelative = 0.5\n[metrics.m]\nrelative = 0.5\n")

    def run(name: str, n: int, failed: tuple[str, ...]) -> Any:
        fd = {"value": 10.0, "protocol": {"n": n}, "spec": {"direction": "down"}}
        return read_run(make_run(name, metrics={"fd": fd, "m": {"values": _noisy(1)}}, failed=failed))

    base, new = run("base", 12, ()), run("new", 11, ("p000-s0",))
    made = decide(contrast_runs(base, new, metrics=("fd", "m")), read_policy(path))
    assert [(v.metric, v.outcome) for v in made.verdicts] == [
        ("clips", "passed"),
        ("fd", "not enough data"),
        ("m", "passed"),
    ]
    assert "n: 12 and 11" in made.verdicts[1].why
    draws = tuple(np.random.default_rng(0).normal(0, 0.1, 200).tolist())
    again = {"fd": SetDraws(first=10.0, second=10.1, draws=draws, swapped=(), error=None, prompts=6)}
    found = contrast_runs(base, new, metrics=("fd", "m"), sets=again)
    assert decide(found, read_policy(path)).outcome == "passed"
    assert found.of("fd").lost == pytest.approx(1 / 12)
    assert found.of("fd").excluded == ("1 clip left out: failed in B",)


def test_timings_of_other_systems_are_no_history(make_run: MakeRun, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[metrics."runtime.s"]\nrelative = 0.1\n')
    base, *earlier = [_timed(make_run, f"e{i}", 2.0 + 0.002 * i) for i in range(4)]
    big = [_timed(make_run, f"big{i}", 9.0, model="ltx2:19b") for i in range(4)]
    run = _timed(make_run, "new", 4.0)
    verdict = decide(contrast_runs(base, run, metrics=()), read_policy(path), earlier=[*big, *earlier]).verdicts[-1]
    assert (verdict.outcome, verdict.loss.n) == ("regressed", 4)
    assert "4 runs of other systems" in verdict.why


def test_lost_samples_and_values_that_are_not_finite_are_no_sameness() -> None:
    first = {f"s{i}": np.array([1.0, i]) for i in range(24)}
    one = sameness_verdict("same", "latents", first, {"s3": first["s3"]}, least=0.99)
    assert (one.outcome, "96% of the baseline's samples have no partner" in one.why) == ("not enough data", True)
    broken = sameness_verdict("same", "latents", first, {**first, "s5": np.array([np.nan, 1.0])}, least=0.99)
    assert (broken.outcome, broken.why.split(":")[0]) == ("regressed", "s5")
    bad_base = sameness_verdict("same", "latents", {**first, "s5": np.array([np.inf, 1.0])}, first, least=0.99)
    assert (bad_base.outcome, "the baseline has values" in bad_base.why) == ("not enough data", True)


def test_a_verdict_on_another_version_of_a_metric_is_none(factory: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(FIVE)
    now = factory.protocol("m", metric_version=2)
    fields = factory.protocol("m").model_dump(mode="json")
    verdict: Any = SimpleNamespace(verdict="may gate", why="", protocol_fields=fields, untested=())
    validation = {"m": verdict}
    (note,) = require_validated(read_policy(path), validation, {"m": now})
    assert "another version (metric_version: 1 and 2)" in note
    assert require_validated(read_policy(path), validation, {"m": factory.protocol("m", n=3)}) == []


def test_a_ban_stands_for_a_newer_version_until_that_is_validated(factory: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(FIVE)
    fields = factory.protocol("m").model_dump(mode="json")
    verdict: Any = SimpleNamespace(verdict="report only", why="slept", protocol_fields=fields, untested=())
    now = {"m": factory.protocol("m", metric_version=2)}
    with pytest.raises(ValueError, match=r"slept; it was validated in another version \(metric_version: 1 and 2\)"):
        require_validated(read_policy(path), {"m": verdict}, now)
    path.write_text(FIVE + "despite_validation = true\n")
    assert len(require_validated(read_policy(path), {"m": verdict}, now)) == 1


def test_a_constant_check_is_gated_by_what_its_prompts_can_rule_out(factory: ModuleType) -> None:
    """Of 30 equal checks 1 - 0.025^(1/30) = 0.116 of the range; of 5 nothing."""

    def noise(prompts: int) -> Any:
        paired = Paired(
            metric=factory.metric_spec("m", range=(0.0, 1.0)),
            protocol=factory.protocol("m"),
            prompts=tuple(map(str, range(prompts))),
            first=np.zeros(prompts),
            second=np.zeros(prompts),
            clips=prompts,
            by_seed=False,
            excluded=(),
            lost=0.0,
            tables=(),
        )
        return noise_of([clip_contrast(paired)], None, runs=2, relative=0.05, policy=Policy(), metrics=1)

    thirty = noise(30)
    assert (thirty.detectable, thirty.absolute) == (pytest.approx(0.1157, abs=1e-4), 0.12)
    assert (thirty.usable, thirty.constant, noise(5).usable) == (True, True, False)


def test_set_metrics_get_a_floor_from_what_their_draws_do_not_explain(factory: ModuleType) -> None:
    """Draws say 0.1 and runs differ by ten times that, or by no more than the draws say."""
    draws = tuple(np.random.default_rng(1).normal(0, 0.1, 300).tolist())

    def floor(*values: float) -> float:
        pairs = [
            _set_contrast(factory, SetDraws(first=a, second=b, draws=draws, swapped=(), error=None, prompts=30))
            for a, b in combinations(values, 2)
        ]
        noise = noise_of(pairs, None, runs=len(values), relative=0.05, policy=Policy(), metrics=1)
        assert noise is not None
        return noise.floor

    assert floor(10.0, 11.0, 9.0, 10.5) > 1.0
    assert floor(10.0, 10.1, 9.95, 10.05) == 0.0


def _set_contrast(factory: ModuleType, draws: SetDraws) -> Contrast:
    values = np.zeros(draws.prompts)
    paired = Paired(
        metric=factory.metric_spec("fd", level="set", direction="down"),
        protocol=factory.protocol("fd"),
        prompts=tuple(map(str, range(draws.prompts))),
        first=values,
        second=values,
        clips=draws.prompts,
        by_seed=True,
        excluded=(),
        lost=0.0,
        tables=(),
    )
    error = Error(value=draws.standard_error or 0.0, freedom=draws.prompts - 1)
    difference = Interval(value=draws.difference, low=None, high=None, n=draws.prompts)
    return replace(clip_contrast(paired), first=draws.first, difference=difference, set_draws=draws, error=error)


def test_calibration_leaves_out_what_validation_found_unfit(make_run: MakeRun) -> None:
    runs = [
        read_run(
            make_run(
                f"r{seed}", prompts=PROMPTS, seeds=(2 * seed, 2 * seed + 1), metrics={"m": {"values": _noisy(seed)}}
            )
        )
        for seed in range(2)
    ]
    for sample, clip in list(runs[1].clips.items()):
        runs[1].clips[sample] = clip.model_copy(update={"sha256": "12" * 32})
    made = calibrate(runs, relative=0.1, policy=Policy())
    assert "m" in tomllib.loads(policy_text(made, relative=0.1, policy=Policy()))["metrics"]
    text = policy_text(made, relative=0.1, policy=Policy(), unfit={"m": "slept"})
    assert "metrics" not in tomllib.loads(text)
    assert '# [metrics."m"]: may only be reported: slept' in text
