"""One invocation of `bench`: every case ends in a record, whatever happens to its neighbours."""

import datetime
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ltx2_benchmarks.hardware import Gpu
from ltx2_benchmarks.recipe import Recipe
from ltx2_eval.bench.case import Case
from ltx2_eval.bench.devices import Device
from ltx2_eval.bench.host import host_peak_bytes
from ltx2_eval.bench.models import BenchModel, Workload, bench_model
from ltx2_eval.bench.outputs import all_finite, distance, on_host, same
from ltx2_eval.bench.peak import matmul_flops_per_s
from ltx2_eval.bench.timing import Timings, time_in_turn, warm_up
from ltx2_eval.bench.verdict import LEAST_SAMPLES, Evidence, judge, quartiles
from ltx2_eval.energy import Energy
from ltx2_eval.extractors.base import NotAvailable
from ltx2_reports.bench import (
    BenchDevice,
    BenchEnergy,
    BenchEstimate,
    BenchRecord,
    BenchTiming,
    Role,
)
from ltx2_reports.records import Reason

if TYPE_CHECKING:
    import torch

Announce = Callable[[str], None]
META = BenchDevice(kind="meta", name="meta (nothing is run)")


@dataclass(kw_only=True, slots=True)
class Session:
    """What the records of one invocation share."""

    device: Device | None
    """None: estimates only."""
    recipe: Recipe
    is_named: bool = True
    """Whether the recipe has a name to be recorded."""
    gpu: Gpu | None = None
    keep: Callable[[BenchRecord], None] = lambda record: None
    """Called with every record as soon as there is one."""
    announce: Announce = lambda text: None
    now: Callable[[], float] = time.monotonic
    """For the time that the session has; calls are timed by the device's clock."""
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    _peaks: dict[str, float | None] = field(default_factory=dict)
    """Measured throughput by dtype, before any model takes memory; None where there was too little."""
    _began_s: float = field(init=False)
    _references: dict[tuple[Any, ...], "tuple[torch.Tensor, ...]"] = field(default_factory=dict)
    _full: dict[str, int] = field(default_factory=dict)
    """Least need (estimate, bytes) at which each model did not fit, where the recipe says to stop there."""

    def __post_init__(self) -> None:
        self._began_s = self.now()

    def run(self, cases: Sequence[Case]) -> list[BenchRecord]:
        """Estimate or measure each case.

        Raises:
            ValueError: a case that its model can never run, before anything is measured.
        """
        models = {name: bench_model(name) for name in dict.fromkeys(case.model for case in cases)}
        for case in cases:
            models[case.model].check(case)
        self._measure_peaks(cases)
        return [self._kept(self._one(case, models[case.model])) for case in cases]

    def run_pair(self, first: Case, second: Case, models: tuple[BenchModel, BenchModel]) -> list[BenchRecord]:
        """Measure two cases in turn: A B A B.

        Raises:
            ValueError: a case that its model can never run.
        """
        cases = (first, second)
        for case, model in zip(cases, models, strict=True):
            model.check(case)
        self._measure_peaks(cases)
        estimates = [model.estimate(case, self.gpu) for case, model in zip(cases, models, strict=True)]
        self.announce(f"{first.record().name} and {second.record().name}, in turn")
        found = self._too_large(sum(estimate.memory_bytes for estimate in estimates))
        records = found or self._measured(cases, models, estimates, ("a", "b"))
        if isinstance(records, Reason):
            roles: tuple[Role, Role] = ("a", "b")
            records = [self._without(*each[:2], records, each[2]) for each in zip(cases, estimates, roles, strict=True)]
        return [self._kept(record) for record in records]

    def _kept(self, record: BenchRecord) -> BenchRecord:
        self.keep(record)
        return record

    def _one(self, case: Case, model: BenchModel) -> BenchRecord:
        estimate = model.estimate(case, self.gpu)
        if self.device is None:
            return self._without(case, estimate, Reason(kind="not_applicable", message="estimated only: device meta"))
        if estimate.memory_bytes >= self._full.get(case.model, estimate.memory_bytes + 1):
            message = "left out: a size of this model that needs less memory did not fit"
            reason = Reason(kind="not_applicable", message=message)
            return self._without(case, estimate, reason)
        self.announce(f"{case.record().name}: about {estimate.memory_bytes / 2**30:.3g} GiB")
        if problem := self._too_large(estimate.memory_bytes):
            self._mark_full(case, estimate)
            return self._without(case, estimate, problem)
        if problem := self._too_long(case, estimate):
            return self._without(case, estimate, problem)
        found = self._measured([case], [model], [estimate], ("alone",))
        return self._without(case, estimate, found) if isinstance(found, Reason) else found[0]

    def _measured(
        self,
        cases: Sequence[Case],
        models: Sequence[BenchModel],
        estimates: Sequence[BenchEstimate],
        roles: Sequence[Role],
    ) -> list[BenchRecord] | Reason:
        """The one place where the trouble of a case becomes a reason instead of the end of the session."""
        device = self.device
        assert device is not None
        try:
            ready = [model.workload(case, device) for case, model in zip(cases, models, strict=True)]
            return self._timed(cases, estimates, ready, roles)
        except NotAvailable as error:
            reason = Reason(kind="not_available", message=str(error), stage="bench")
        except Exception as error:
            reason = self._trouble(error)
            if device.is_out_of_memory(error):
                for case, estimate in zip(cases, estimates, strict=True):
                    self._mark_full(case, estimate)
        device.recover()
        return reason

    def _trouble(self, error: Exception) -> Reason:
        """A size that does not fit is an answer, and no failure."""
        assert self.device is not None
        text = " ".join(str(error).split())[:300] or type(error).__name__
        if not self.device.is_out_of_memory(error):
            return Reason(kind="failed", message=text, stage="bench", error=type(error).__name__)
        message = text if text.startswith("out of memory") else f"out of memory on {self.device.kind}: {text}"
        return Reason(kind="not_applicable", message=message, stage="bench", error=type(error).__name__)

    def _mark_full(self, case: Case, estimate: BenchEstimate) -> None:
        if self.recipe.stop_when_full:
            self._full[case.model] = min(estimate.memory_bytes, self._full.get(case.model, estimate.memory_bytes))

    def _too_large(self, needed_bytes: int) -> Reason | None:
        assert self.device is not None
        free = self.device.free_bytes()
        if free is None or needed_bytes <= free:
            return None
        message = (
            f"not run: it needs about {needed_bytes / 2**30:.3g} GiB (estimate), {free / 2**30:.3g} GiB are free on "
            f"{self.device.kind}; use a smaller size, a narrower dtype or @layers=N"
        )
        return Reason(kind="not_applicable", message=message, stage="bench")

    def _too_long(self, case: Case, estimate: BenchEstimate) -> Reason | None:
        rule, peak = self.recipe.timing, self._peaks.get(case.dtype)
        if rule.session_seconds is None or peak is None:
            return None
        calls = max(1, rule.warmup) + min(rule.repeats, LEAST_SAMPLES)
        needed, left = calls * estimate.flops / peak, rule.session_seconds - (self.now() - self._began_s)
        if needed <= left:
            return None
        message = (
            f"left out: {calls} calls take {needed:.3g} s at best, {max(left, 0):.3g} s are left of "
            f"{rule.session_seconds:g}; raise --session-seconds"
        )
        return Reason(kind="not_applicable", message=message, stage="bench")

    def _timed(
        self,
        cases: Sequence[Case],
        estimates: Sequence[BenchEstimate],
        workloads: Sequence[Workload],
        roles: Sequence[Role],
    ) -> list[BenchRecord]:
        """Time workloads that are ready, in turn, and make their records."""
        device = self.device
        assert device is not None
        timings = warm_up(workloads, device, self.recipe.timing)
        watch, meter = device.watch(), device.energy_meter()
        try:
            meter.start()  # after the warm-up: calls that choose kernels and compile cost many times the energy
            time_in_turn(workloads, timings, device, self.recipe.timing)
        finally:
            energy, seen = meter.stop(), watch.stop()
        state = seen.put(device.describe())
        records = []
        for case, estimate, workload, found, role in zip(cases, estimates, workloads, timings, roles, strict=True):
            if not found.seconds:
                raise ValueError("no call was timed: the clock went backwards in each")
            number, timed = found.kept or (0, ())
            kept = on_host(timed)
            found.kept = None
            again, peak = self._again(workload, number)
            evidence = Evidence(
                timings=found,
                device=state,
                seen=seen,
                same_output=None if again is None else same(kept, again),
                finite=all_finite(kept if again is None else again),
            )
            timing = self._timing(case, estimate, found, peak, energy if len(cases) == 1 else None)
            timing = timing.model_copy(update={"error": self._error(case, workload)})
            records.append(self._record(case, estimate, role, device=state, timing=timing, verdict=judge(evidence)))
        return records

    def _again(self, workload: Workload, number: int) -> "tuple[tuple[torch.Tensor, ...] | None, int | None]":
        """An untimed call: its output, and the peak of the device's memory.

        What was timed before must not be lost: where the memory is too small for looking at it, there is no output.
        """
        assert self.device is not None
        try:
            return self.device.peak_during(lambda: on_host(workload.run(number)))
        except Exception as error:
            if not self.device.is_out_of_memory(error):
                raise
        self.device.recover()
        return None, None

    def _timing(
        self, case: Case, estimate: BenchEstimate, found: Timings, peak: int | None, energy: Energy | None
    ) -> BenchTiming:
        low, middle, high = quartiles(found.seconds)
        highest = self._peaks.get(case.dtype)
        achieved = estimate.flops / middle if middle > 0 else None
        names = found.stages[0] if found.stages else {}
        return BenchTiming(
            seconds=tuple(found.seconds),
            rounds=tuple(found.rounds),
            cold_s=max(found.cold_s, 0.0),
            warmup=found.warmup,
            median_s=middle,
            quartile_low_s=low,
            quartile_high_s=high,
            stages_s={name: statistics.median(stages[name] for stages in found.stages) for name in names},
            device_peak_bytes=peak,
            host_peak_bytes=host_peak_bytes(),
            energy=_per_call(energy, len(found.seconds) + found.backwards),
            flops_per_s=achieved,
            peak_flops_per_s=highest,
            utilisation=achieved / highest if achieved and highest else None,
        )

    def _measure_peaks(self, cases: Sequence[Case]) -> None:
        if self.device is None:
            return
        for dtype in dict.fromkeys(case.dtype for case in cases):
            if dtype not in self._peaks:
                self._peaks[dtype] = matmul_flops_per_s(self.device.torch_device, dtype, self.device.now)

    def _error(self, case: Case, workload: Workload) -> float | None:
        """Distance of the output from that of the first model that ran this size, where the recipe asks for it."""
        if not self.recipe.quality:
            return None
        output, _ = self._again(workload, 0)
        if output is None:
            return None
        key = (case.measure, case.width, case.height, case.frames, case.steps, case.dtype, case.batch)
        return distance(output, self._references.setdefault(key, output))

    def _without(self, case: Case, estimate: BenchEstimate | None, reason: Reason, role: Role = "alone") -> BenchRecord:
        device = META if self.device is None else self.device.describe()
        return self._record(case, estimate, role, device=device, reason=reason)

    def _record(self, case: Case, estimate: BenchEstimate | None, role: Role, **fields: Any) -> BenchRecord:
        return BenchRecord(
            created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            recipe=self.recipe.name if self.is_named else None,
            label=case.label,
            role=role,
            session=self.id,
            case=case.record(),
            estimate=estimate,
            **fields,
        )


def _per_call(energy: Energy | None, calls: int) -> BenchEnergy:
    if energy is None:
        return BenchEnergy(joules=None, reason="not available: two models ran in turn")
    joules = None if energy.joules is None else energy.joules / calls
    return BenchEnergy(joules=joules, source=energy.source, reason=energy.reason)
