"""Every case ends in a record: measured, too large, out of memory, unavailable; and the next size goes on."""

import pytest
import torch

from ltx2_benchmarks.recipe import Recipe, Timing
from ltx2_eval.bench import session as session_module
from ltx2_eval.bench.case import Case, cases_of
from ltx2_eval.bench.session import Session
from ltx2_eval.extractors.base import NotAvailable
from ltx2_reports.bench import BenchEstimate
from ltx2_reports.bench_summary import summarise_bench

from .conftest import WATTS, FakeDevice, FakeWorkload

GIB = 2**30
DELAYS = {"fake:a": 0.1, "fake:b": 0.1, "fake:slow": 0.105}


class FakeModel:
    """Needs a GiB per 8 frames; may refuse, run out of memory, or lack a package."""

    has_checkpoint = False

    def __init__(self, name, device):
        self.name, self._device = name, device

    def check(self, case):
        if case.frames % 8 != 1:
            raise ValueError(f"frames is {case.frames}; it must be 8k + 1")

    def estimate(self, case, gpu=None):
        tokens = {"video": case.frames}
        bytes_ = case.frames // 8 * GIB
        flops = {"flops_per_forward": 100, "linear_flops": 60, "attention_flops": 40, "flops": 100, "parts": {}}
        return BenchEstimate(parameters=1, tokens=tokens, weight_bytes=1, traffic_bytes=1, memory_bytes=bytes_, **flops)

    def workload(self, case, device):
        if "missing" in self.name:
            raise NotAvailable("timing it needs a package: pip install it")
        if "full" in self.name and case.frames > 9:
            raise MemoryError("tried to allocate 3 GiB")
        output = (lambda index: torch.full((4,), float("nan"))) if "nan" in self.name else None
        return FakeWorkload(device, DELAYS.get(self.name, 0.1), spread=0.01, seed=len(self.name), output=output)


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    monkeypatch.setattr(session_module, "bench_model", lambda name: FakeModel(name, None))
    monkeypatch.setattr(session_module, "matmul_flops_per_s", lambda device, dtype, now: 4000.0)


def recipe(*models, frames=(9, 17, 25), **fields):
    return Recipe(
        name="r",
        title="t",
        about="a",
        measure="step",
        models=models,
        timing=Timing(warmup=2, repeats=9),
        grid=[{"label": "s", "size": "64x64", "frames": frames}],
        **fields,
    )


def run(made, device, **fields):
    return Session(device=device, recipe=made, **fields).run(cases_of(made))


def test_a_known_delay_energy_and_share_of_the_peak(device):
    (record,) = run(recipe("fake:a", frames=(9,)), device)
    timing = record.timing
    assert record.verdict.valid
    assert timing.median_s == pytest.approx(0.1, rel=0.02)
    assert timing.flops_per_s == pytest.approx(1000, rel=0.02)
    assert timing.utilisation == pytest.approx(0.25, rel=0.02)
    assert timing.energy.joules == pytest.approx(WATTS * 0.1, rel=0.02)
    assert timing.device_peak_bytes == 123
    assert len(timing.seconds) == 9


def test_energy_is_that_of_the_timed_calls(device, monkeypatch):
    slow_start = FakeWorkload(device, 0.1, cold=(30, 5, 3, 2))
    monkeypatch.setattr(FakeModel, "workload", lambda self, case, device: slow_start)
    (record,) = run(recipe("fake:a", frames=(9,)), device)
    assert record.timing.cold_s == pytest.approx(3.0, rel=0.02)
    assert record.timing.energy.joules == pytest.approx(WATTS * 0.1, rel=0.02)


def test_timings_are_kept_when_there_is_no_memory_to_look_closer(monkeypatch):
    class Tight(FakeDevice):
        def peak_during(self, call):
            raise MemoryError("one copy too many")

    device = Tight()
    (record,) = run(recipe("fake:a", frames=(9,), quality=True), device)
    assert len(record.timing.seconds) == 9
    assert (record.timing.device_peak_bytes, record.timing.error) == (None, None)
    assert record.verdict.unchecked == ("output: no memory was left to run a call again",)
    assert device.recovered


def test_without_a_peak_there_is_no_share_of_it(device, monkeypatch):
    monkeypatch.setattr(session_module, "matmul_flops_per_s", lambda device, dtype, now: None)
    (record,) = run(recipe("fake:a", frames=(9,)), device)
    assert record.timing.flops_per_s > 0
    assert record.timing.utilisation is None


def test_what_does_not_fit_is_said_before_and_the_next_goes_on():
    kept = []
    records = run(recipe("fake:a", frames=(33, 9)), FakeDevice(free_bytes=2 * GIB), keep=kept.append)
    assert records[0].reason.message.startswith("not run: it needs about 4 GiB (estimate), 2 GiB are free")
    assert records[1].timing is not None
    assert kept == records


def test_out_of_memory_in_the_middle_is_a_record_and_the_next_goes_on():
    device = FakeDevice()
    records = run(recipe("fake:full", frames=(9, 17, 9)), device)
    assert [record.timing is not None for record in records] == [True, False, True]
    assert records[1].reason.message == "out of memory on cuda: tried to allocate 3 GiB"
    assert (records[1].reason.kind, records[1].reason.error) == ("not_applicable", "MemoryError")
    assert device.recovered == 1


def test_a_ladder_stops_at_the_first_that_does_not_fit(device):
    records = run(recipe("fake:full", "fake:a", stop_when_full=True, budgets_gib=[1, 2.5]), device)
    by_model = {m: [r for r in records if r.case.model == m] for m in ("fake:full", "fake:a")}
    assert [r.timing is not None for r in by_model["fake:full"]] == [True, False, False]
    assert (
        by_model["fake:full"][2].reason.message == "left out: a size of this model that needs less memory did not fit"
    )
    assert all(r.timing for r in by_model["fake:a"])
    budgets = summarise_bench(records, recipe("fake:a", budgets_gib=[1, 2.5]))["budgets"]
    assert [(b["largest"] or "").split()[1] for b in budgets if b["model"] == "fake:a"] == ["64x64x9", "64x64x17"]


def test_a_smaller_size_after_one_that_does_not_fit_is_tried(device):
    records = run(recipe("fake:full", frames=(25, 9, 33), stop_when_full=True), device)
    assert [r.timing is not None for r in records] == [False, True, False]
    assert records[2].reason.message.startswith("left out")


def test_cases_that_cannot_be_timed_in_what_is_left_are_left_out(device):
    """100 FLOPs at a peak of 4,000 a second: seven calls take 0.175 s at best."""
    made = recipe("fake:a", frames=(9, 17, 25))
    made = made.model_copy(update={"timing": Timing(warmup=2, repeats=9, session_seconds=10)})
    ticks = iter([0.0, 0.0, 9.9, 9.9])
    records = Session(device=device, recipe=made, now=lambda: next(ticks)).run(cases_of(made))
    assert [record.timing is not None for record in records] == [True, False, False]
    assert records[1].reason.message.startswith("left out: 7 calls take 0.175 s at best, 0.1 s are left of 10")


def test_a_missing_package_is_a_reason(device):
    (record,) = run(recipe("fake:missing", frames=(9,)), device)
    assert (record.reason.kind, record.timing) == ("not_available", None)


def test_a_result_that_is_not_finite_is_not_valid(device):
    (record,) = run(recipe("fake:nan", frames=(9,)), device)
    assert not record.verdict.valid
    assert "not finite" in record.verdict.reasons[0]


def test_a_clock_that_always_goes_backwards_is_a_failure():
    class Broken(FakeDevice):
        def now(self):
            self._looks += 1
            return -float(self._looks)

    (record,) = run(recipe("fake:a", frames=(9,)), Broken())
    assert "the clock went backwards" in record.reason.message


def test_wrong_sizes_are_refused_before_anything_runs(device):
    with pytest.raises(ValueError, match="8k"):
        run(recipe("fake:a", frames=(9, 10)), device)
    assert device._looks == 0


def test_without_a_device_there_are_estimates_only():
    (record,) = run(recipe("fake:a", frames=(9,)), None)
    assert record.device.kind == "meta"
    assert record.estimate.memory_bytes == GIB
    assert record.timing is None


@pytest.mark.parametrize(("other", "verdict"), [("fake:slow", "slower"), ("fake:b", "same")])
def test_a_pair_is_timed_in_turn_and_judged(device, other, verdict):
    made = recipe("fake:a", frames=(9,)).model_copy(update={"timing": Timing(warmup=2, repeats=40)})
    session = Session(device=device, recipe=made)
    case = Case(model="fake:a", measure="step", width=64, height=64, frames=9)
    second = Case(model=other, measure="step", width=64, height=64, frames=9)
    records = session.run_pair(case, second, (FakeModel("fake:a", device), FakeModel(other, device)))
    assert [record.role for record in records] == ["a", "b"]
    found = summarise_bench(records, made)["difference"]
    assert (found["verdict"], found["pairs"]) == (verdict, 40)
    assert records[0].timing.energy.joules is None


def test_the_error_is_that_against_the_first_model(device):
    records = run(recipe("fake:a", "fake:b", frames=(9,), quality=True), device)
    assert [record.timing.error for record in records] == [0.0, 0.0]
