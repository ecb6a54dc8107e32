"""Energy: synthetic traces with a known integral, counters that wrap, and reasons where nothing can be read."""

import math
from pathlib import Path

import pytest

from ltx2_eval import energy
from ltx2_eval.energy import CounterMeter, SampledMeter, energy_meter, integrate, rapl_meter


class Clock:
    def __init__(self) -> None:
        self.t = 0.0

    def __call__(self) -> float:
        return self.t


@pytest.mark.parametrize(
    ("power", "joules"),
    [
        (lambda t: 250.0, 2500.0),
        (lambda t: 100 + 20 * t, 1000 + 10 * 100),
        (lambda t: 300 + 100 * math.sin(2 * math.pi * t / 5), 3000.0),
        (lambda t: 400.0 if t >= 4 else 100.0, 400 + 2400),
    ],
    ids=["constant", "rising", "waves", "jump"],
)
def test_the_integral_of_a_trace_is_within_two_percent(power, joules) -> None:
    trace = [(i * 0.05, power(i * 0.05)) for i in range(201)]
    assert integrate(trace) == pytest.approx(joules, rel=0.02)


def test_uneven_samples_are_weighted_by_their_time() -> None:
    assert integrate([(0, 100), (1, 100), (1.5, 200), (4, 200)]) == pytest.approx(100 + 75 + 500)
    assert integrate([(3.0, 50.0)]) == 0


def test_a_sampled_meter_integrates_what_it_saw() -> None:
    clock, watts = Clock(), iter([100.0, 300.0])
    meter = SampledMeter("test", lambda: next(watts), clock, every_s=60)
    meter.start()
    clock.t = 2.0
    assert meter.stop() == (400.0, "test", None)


def test_a_sampled_meter_samples_in_the_background() -> None:
    seen = []
    meter = SampledMeter("test", lambda: float(len(seen.append(1) or seen)), every_s=0.002)
    meter.start()
    while len(seen) < 5:
        pass
    assert (meter.stop().joules or 0) > 0


def test_counters_add_up_and_wrap() -> None:
    readings = iter([[95.0, 10.0], [5.0, 12.5]])
    meter = CounterMeter("test", lambda: next(readings), [100.0, 100.0], every_s=60)
    meter.start()
    assert meter.stop().joules == pytest.approx(10 + 2.5)


def test_a_counter_that_goes_backwards_gives_no_figure() -> None:
    readings = iter([[95.0], [5.0]])
    meter = CounterMeter("test", lambda: next(readings), [0.0], every_s=60)
    meter.start()
    found = meter.stop()
    assert found.joules is None
    assert "went backwards" in (found.reason or "")


def test_a_counter_that_wraps_twice_is_followed() -> None:
    clock, seen = Clock(), []

    def read() -> list[float]:
        seen.append(None)
        return [40.0 * len(seen) % 100.0]

    meter = CounterMeter("test", read, [100.0], clock, every_s=0.001)
    meter.start()
    while len(seen) < 7:
        pass
    assert meter.stop().joules == pytest.approx(40.0 * (len(seen) - 1))


def test_a_part_of_a_trace_has_its_own_energy() -> None:
    clock, joules = Clock(), iter([0.0, 100.0, 700.0])
    meter = CounterMeter("test", lambda: [next(joules)], [0.0], clock, every_s=60)
    meter.start()
    clock.t = 100.0
    meter._look()
    clock.t = 400.0
    meter.stop()
    assert meter.between(50.0, 250.0) == pytest.approx(50 + 300)
    assert meter.between(50.0, 60.0) is None  # shorter than the samples tell
    assert meter.between(50.0, 500.0) is None  # not watched to its end


def test_a_meter_that_was_never_stopped_begins_anew() -> None:
    meter = SampledMeter("test", lambda: 100.0, every_s=0.001)
    meter.start()
    first = meter._ticker._thread
    meter.start()
    assert not first.is_alive()
    assert meter.stop().joules < 100.0


def test_a_counter_that_fails_meanwhile_is_a_reason() -> None:
    readings = iter([[1.0]])

    def read() -> list[float]:
        try:
            return next(readings)
        except StopIteration:
            raise OSError("gone") from None

    meter = CounterMeter("test", read, [0.0], every_s=60)
    meter.start()
    assert meter.stop().reason == "not available: test: gone"


def package(root: Path, name: str, energy_uj: int, label: str) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "name").write_text(f"{label}\n")
    (folder / "max_energy_range_uj").write_text("262143328850\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    return folder


def test_processor_packages_are_read_and_their_parts_are_not_counted_twice(tmp_path: Path) -> None:
    first = package(tmp_path, "intel-rapl:0", 1_000_000, "package-0")
    second = package(tmp_path, "intel-rapl:1", 2_000_000, "package-1")
    part = package(tmp_path, "intel-rapl:0:0", 500_000, "core")
    platform = package(tmp_path, "intel-rapl:2", 700_000, "psys")
    again = package(tmp_path, "intel-rapl-mmio:0", 1_000_000, "package-0")
    meter = rapl_meter(tmp_path)
    meter.start()
    for folder, microjoules in ((first, 4_000_000), (second, 2_500_000), (part, 9_000_000), (platform, 8_000_000)):
        (folder / "energy_uj").write_text(str(microjoules))
    (again / "energy_uj").write_text("4000000")
    assert meter.stop() == (pytest.approx(3.5), "RAPL, processor packages", None)


class FakeNvml:
    """Energy in millijoules and power in milliwatts, as NVML gives them."""

    def __init__(self, *, counter: bool) -> None:
        self.counter, self.millijoules = counter, 7_000

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        if not self.counter:
            raise RuntimeError("Not Supported")
        self.millijoules += 5_000
        return self.millijoules

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        return 350_000


@pytest.mark.parametrize(("counter", "source"), [(True, "NVML, energy counter"), (False, "NVML, samples of power")])
def test_a_gpu_is_read_by_its_counter_or_else_by_its_power(monkeypatch, counter: bool, source: str) -> None:
    monkeypatch.setattr(energy, "nvml_handle", lambda device: (FakeNvml(counter=counter), "handle"))
    meter = energy_meter("cuda:0")
    meter.start()
    found = meter.stop()
    assert found.source == source
    assert found.joules == 5.0 if counter else 0 <= found.joules < 35


def test_without_counters_there_is_a_reason(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(energy, "nvml_handle", lambda device: "no driver")
    for meter in (rapl_meter(tmp_path), energy_meter("cuda")):
        meter.start()
        found = meter.stop()
        assert found.joules is None
        assert (found.reason or "").startswith("not available: ")
