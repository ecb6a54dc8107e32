"""The stopwatch on a device with a known delay, and every reason to doubt a timing."""

import dataclasses
import time

import pytest
import torch

from ltx2_benchmarks.recipe import Timing
from ltx2_eval.bench.devices import CpuDevice
from ltx2_eval.bench.outputs import distance, same
from ltx2_eval.bench.peak import matmul_flops_per_s
from ltx2_eval.bench.timing import Timings, measure
from ltx2_eval.bench.verdict import Evidence, judge, quartiles
from ltx2_eval.bench.watch import Seen
from ltx2_reports.bench import BenchDevice

from .conftest import FakeDevice, FakeWorkload

RULE = Timing(warmup=3, repeats=12)
CPU, GPU = BenchDevice(kind="cpu", name="a"), BenchDevice(kind="cuda", name="b")
CALM = Seen(clock_mhz=1980.0, clock_low_mhz=1965.0, throttling="", others=0.0)


@pytest.mark.parametrize("seconds", [0.02, 0.3, 1.22, 22.3])
def test_a_known_delay_is_measured_within_two_percent(device, seconds):
    (found,) = measure([FakeWorkload(device, seconds)], device, RULE)
    assert len(found.seconds) == 12
    assert quartiles(found.seconds)[1] == pytest.approx(seconds, rel=0.02)


def test_without_waiting_for_the_device_it_would_not_be(device):
    workload = FakeWorkload(device, 0.3)
    before = device._time
    workload.run(0)
    assert device._time - before < 0.01  # the call returns at once: the delay is seen by waiting only


def test_a_real_clock_sees_a_real_delay():
    class Sleeper:
        def __init__(self):
            self.slept = []

        def run(self, index):
            began = time.perf_counter()
            time.sleep(0.1)
            self.slept.append(time.perf_counter() - began)  # on a busy machine a sleep lasts longer than asked for
            return (torch.ones(1),)

        def stages(self):
            return {}

    sleeper = Sleeper()
    (found,) = measure([sleeper], CpuDevice(), Timing(warmup=1, repeats=5))
    ratios = [seen / slept for seen, slept in zip(found.seconds, sleeper.slept[1:], strict=True)]
    assert min(found.seconds) >= 0.1
    assert 1 <= min(ratios) < 1.02


def test_warm_up_lasts_until_two_calls_agree(device):
    (found,) = measure([FakeWorkload(device, 0.1, cold=(30, 5, 3, 2))], device, RULE)
    assert found.cold_s == pytest.approx(3.0, rel=0.02)
    assert found.settled
    assert found.warmup == 6  # 30, 5, 3, 2, 1, 1
    assert max(found.seconds) == pytest.approx(0.1, rel=0.02)


def test_what_never_settles_is_a_doubt(device):
    (found,) = measure([FakeWorkload(device, 0.1, cold=[2.0**-i for i in range(40)])], device, RULE)
    assert not found.settled
    assert any(reason.startswith("warm-up") for reason in judge(evidence(found)).reasons)


def test_workloads_take_turns(device):
    order = []

    class Named(FakeWorkload):
        def run(self, index):
            order.append((self.name, index))
            return super().run(index)

    first, second = Named(device, 0.1), Named(device, 0.2)
    first.name, second.name = "a", "b"
    a, b = measure([first, second], device, Timing(warmup=1, repeats=6))
    assert order[2:] == [(n, i) for i in (0, 1, 1, 3, 4, 4) for n in "ab"]  # each third input is seen again
    assert a.rounds == b.rounds == list(range(6))


def test_no_call_begins_after_its_time(device):
    (found,) = measure([FakeWorkload(device, 1.0)], device, Timing(warmup=1, repeats=50, max_seconds=4.5))
    assert len(found.seconds) == 5


def test_a_clock_that_goes_backwards_costs_that_call_only():
    device = FakeDevice(back={12, 16})
    (found,) = measure([FakeWorkload(device, 0.1)], device, Timing(warmup=1, repeats=10))
    assert found.backwards >= 1
    assert all(0 < seconds < 600 for seconds in found.seconds)
    reasons = judge(evidence(found)).reasons
    assert any(reason.startswith("clock: it went backwards") for reason in reasons)


def evidence(timings, **fields):
    return Evidence(**{"timings": timings, "device": CPU, "seen": CALM, **fields})


def timings(seconds, **fields):
    return Timings(seconds=list(seconds), repeated=fields.pop("repeated", [False] * len(seconds)), **fields)


GOOD = [0.1, 0.101, 0.099, 0.1, 0.1, 0.102, 0.1, 0.1, 0.1, 0.1]
BUSY = BenchDevice(kind="cpu", name="a", cores=2, threads=2)


def seen(**fields):
    return dataclasses.replace(CALM, **fields)


def test_a_calm_run_is_valid():
    verdict = judge(evidence(timings(GOOD)))
    assert verdict.valid
    assert verdict.reasons == ()


@pytest.mark.parametrize(
    ("word", "doubtful"),
    [
        ("count", evidence(timings(GOOD[:4]))),
        ("length", evidence(timings([1e-5] * 10))),
        ("length", evidence(timings([1e-3] * 10))),
        ("spread", evidence(timings([0.1, 0.14] * 5))),
        ("drift", evidence(timings([0.1, 0.1, 0.1, 0.104, 0.104, 0.104, 0.108, 0.108, 0.108]))),
        ("throttling: the driver", evidence(timings(GOOD), device=GPU, seen=seen(throttling="heat (hardware)"))),
        ("throttling: the driver names heat", evidence(timings(GOOD), seen=seen(throttling="power limit, heat"))),
        ("throttling: the clock fell to 1500", evidence(timings(GOOD), device=GPU, seen=seen(clock_low_mhz=1500.0))),
        ("other load: others kept 1.5 cores", evidence(timings(GOOD), seen=seen(others=1.5))),
        ("other load: others kept 0.6 cores", evidence(timings(GOOD), device=BUSY, seen=seen(others=0.6))),
        ("other load: others kept the GPU busy for 40%", evidence(timings(GOOD), device=GPU, seen=seen(others=0.4))),
        ("clock", evidence(timings(GOOD, backwards=1))),
        ("output: it holds", evidence(timings(GOOD), finite=False)),
        ("output: a timed call", evidence(timings(GOOD), same_output=False)),
        ("cache", evidence(timings([0.1, 0.1, 0.08] * 4, repeated=[False, False, True] * 4))),
        ("warm-up", evidence(timings(GOOD, settled=False))),
    ],
)
def test_each_doubt_is_said(word, doubtful):
    verdict = judge(doubtful)
    assert not verdict.valid
    assert any(reason.startswith(word) for reason in verdict.reasons)


def test_a_power_limit_alone_and_cores_to_spare_are_no_doubt():
    spare = BenchDevice(kind="cpu", name="a", cores=8, threads=4)
    assert judge(evidence(timings(GOOD), device=GPU, seen=seen(throttling="power limit"))).valid
    assert judge(evidence(timings(GOOD), device=spare, seen=seen(others=1.5))).valid


def test_what_could_not_be_seen_is_said_and_not_taken_for_good():
    blind = Seen(blind="pip install ltx2-eval[nvidia] to read the GPU's state")
    verdict = judge(evidence(timings(GOOD), device=GPU, seen=blind, same_output=None))
    assert verdict.valid
    assert [text.split(":")[0] for text in verdict.unchecked] == ["throttling", "other load", "output"]
    assert "ltx2-eval[nvidia]" in verdict.unchecked[0]
    assert judge(evidence(timings(GOOD))).unchecked == ()


def test_a_clock_too_coarse_to_tell_is_a_doubt_and_no_crash():
    assert not judge(evidence(timings([0.0] * 9))).valid


def test_a_model_that_caches_is_found_out(device):
    (found,) = measure([FakeWorkload(device, 0.1, cached=True)], device, Timing(warmup=2, repeats=15))
    assert [r for r in judge(evidence(found)).reasons if r.startswith("cache: ")]
    (honest,) = measure([FakeWorkload(device, 0.1)], device, Timing(warmup=2, repeats=15))
    assert judge(evidence(honest)).valid


def test_outputs_are_compared_by_their_distance():
    a, b = torch.tensor([3.0, 4.0]), torch.tensor([3.0, 4.5])
    assert distance((b,), (a,)) == pytest.approx(0.1)
    assert same((a,), (a.clone(),))
    assert not same((a,), (b,))
    assert distance((a * torch.nan,), (a,)) is None


def test_the_peak_is_operations_over_seconds():
    ticks = iter(x * 0.5 for x in range(1000))
    assert matmul_flops_per_s(torch.device("cpu"), "float32", lambda: next(ticks)) == pytest.approx(2 * 1024**3 / 0.5)


def test_a_full_device_has_no_peak(monkeypatch):
    def full(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("torch.randn", full)
    assert matmul_flops_per_s(torch.device("cpu"), "float32", time.perf_counter) is None
