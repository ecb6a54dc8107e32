"""One invocation of `bench`: every case ends in a record, whatever happens to its neighbours."""

import datetime
import secrets
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ltx2_benchmarks.hardware import Gpu
from ltx2_benchmarks.recipe import Recipe
from ltx2_eval.bench.case import Case
from ltx2_eval.bench.devices import Device, host_peak_bytes
from ltx2_eval.bench.models import BenchModel, Workload, bench_model
from ltx2_eval.bench.outputs import all_finite, distance, on_host, same
from ltx2_eval.bench.peak import matmul_flops_per_s
from ltx2_eval.bench.timing import Timings, measure
from ltx2_eval.bench.verdict import Evidence, judge, quartiles
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
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    _peaks: dict[str, float] = field(default_factory=dict)
    _references: dict[tuple[Any, ...], "tuple[torch.Tensor, ...]"] = field(default_factory=dict)
    _full: set[str] = field(default_factory=set)
    """Models that did not fit, where the recipe says to stop there."""

    def run(self, cases: Sequence[Case]) -> list[BenchRecord]:
        """Estimate or measure each case.

        Raises:
            ValueError: a case that its model can never run, before anything is measured.
        """
        models = {name: bench_model(name) for name in dict.fromkeys(case.model for case in cases)}
        for case in cases:
            models[case.model].check(case)
        return [self._kept(self._one(case, models[case.model])) for case in cases]

    def run_pair(self, first: Case, second: Case, models: tuple[BenchModel, BenchModel]) -> list[BenchRecord]:
        """Measure two cases in turn: A B A B.

        Raises:
            ValueError: a case that its model can never run.
        """
        cases = (first, second)
        for case, model in zip(cases, models, strict=True):
            model.check(case)
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
        if case.model in self._full:
            reason = Reason(kind="not_applicable", message="left out: a smaller size of this model did not fit")
            return self._without(case, estimate, reason)
        self.announce(f"{case.record().name}: about {estimate.memory_bytes / 2**30:.3g} GiB")
        if problem := self._too_large(estimate.memory_bytes):
            self._mark_full(case)
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
            is_full = device.is_out_of_memory(error)
            text = " ".join(str(error).split())[:300]
            message = f"out of memory on {device.kind}: {text}" if is_full else text or type(error).__name__
            reason = Reason(kind="failed", message=message, stage="bench", error=type(error).__name__)
            for case in cases if is_full else ():
                self._mark_full(case)
        device.recover()
        return reason

    def _mark_full(self, case: Case) -> None:
        if self.recipe.stop_when_full:
            self._full.add(case.model)

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
        before, watch, meter = device.describe(), device.other_load(), device.energy_meter()
        meter.start()
        timings = measure(workloads, device, self.recipe.timing)
        energy, others, after = meter.stop(), watch(), device.describe()
        records = []
        for case, estimate, workload, found, role in zip(cases, estimates, workloads, timings, roles, strict=True):
            if not found.seconds:
                raise ValueError("no call was timed: the clock went backwards in each")
            number, timed = found.kept or (0, ())
            kept = on_host(timed)
            found.kept = None
            again, peak = device.peak_during(lambda w=workload, n=number: on_host(w.run(n)))  # type: ignore[misc]
            evidence = Evidence(
                timings=found,
                before=before,
                after=after,
                others=others,
                same_output=same(kept, again),
                finite=all_finite(again),
            )
            timing = self._timing(case, estimate, found, peak, energy if len(cases) == 1 else None)
            timing = timing.model_copy(update={"error": self._error(case, workload)})
            records.append(
                self._record(case, estimate, role, device=_state(before, after), timing=timing, verdict=judge(evidence))
            )
        return records

    def _timing(
        self, case: Case, estimate: BenchEstimate, found: Timings, peak: int | None, energy: Energy | None
    ) -> BenchTiming:
        low, middle, high = quartiles(found.seconds)
        highest = self._peak(case.dtype)
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
            energy=_per_call(energy, found.warmup + len(found.seconds) + found.backwards),
            flops_per_s=achieved,
            peak_flops_per_s=highest,
            utilisation=achieved / highest if achieved and highest else None,
        )

    def _peak(self, dtype: str) -> float:
        assert self.device is not None
        if dtype not in self._peaks:
            self._peaks[dtype] = matmul_flops_per_s(self.device.torch_device, dtype, self.device.now)
        return self._peaks[dtype]

    def _error(self, case: Case, workload: Workload) -> float | None:
        """Distance of the output from that of the first model that ran this size, where the recipe asks for it."""
        if not self.recipe.quality:
            return None
        output = on_host(workload.run(0))
        key = (case.width, case.height, case.frames, case.dtype, case.batch)
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


def _state(before: BenchDevice, after: BenchDevice) -> BenchDevice:
    """As after the run, with the mean clock of both looks and every reason for throttling that was seen."""
    clocks = [device.clock_mhz for device in (before, after) if device.clock_mhz is not None]
    reasons = [device.throttling for device in (before, after) if device.throttling is not None]
    return after.model_copy(
        update={
            "clock_mhz": statistics.fmean(clocks) if clocks else None,
            "throttling": "; ".join(sorted({reason for reason in reasons if reason})) if reasons else None,
        }
    )
