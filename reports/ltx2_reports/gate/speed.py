"""Timings: judged against the latest earlier runs on the same device, never across devices.

The prompts of one run share the state of the machine, so their spread says nothing of how much a run varies. What does
is the spread of earlier runs: the run is judged by the interval in which the next run of an unchanged system would lie.
"""

from collections.abc import Sequence

import numpy as np

from ltx2_reports.gate.losses import direction_of
from ltx2_reports.gate.policy import MetricPolicy, Policy
from ltx2_reports.gate.verdict import Loss, t_test
from ltx2_reports.records import MetricSpec, Protocol, Run
from ltx2_reports.timings import is_timing, typical


def speed_losses(run: Run, baseline: Run, earlier: Sequence[Run], policy: Policy) -> list[Loss]:
    """One loss per metric of the policy that is a timing.

    Args:
        run: the run to judge.
        baseline: says which system its timings are judged against.
        earlier: records of that system; those of other systems, devices or settings, and of later days than the run,
            are left out and counted.
        policy: with its rules for speed.
    """
    described = {found.metric.id: found.metric for found in run.protocols.values() if is_timing(found.metric)}
    return [
        _loss(run, baseline, earlier, described[name], wanted, policy)
        for name, wanted in policy.metrics.items()
        if name in described
    ]


def _loss(
    run: Run, baseline_run: Run, earlier: Sequence[Run], metric: MetricSpec, wanted: MetricPolicy, policy: Policy
) -> Loss:
    value = typical(run, metric.id, policy.speed.warm_up)
    same, others = _of_this_device(run, baseline_run, earlier, metric.id)
    values = [typical(record, metric.id, policy.speed.warm_up) for record in same]
    known = [found for found in values if found is not None][-policy.speed.window :]
    if value is None or len(known) < policy.speed.least_records:
        return _too_few(metric, value, len(known), others, policy)
    baseline, spread = float(np.median(known)), float(np.std(known, ddof=1))
    sign = -1.0 if direction_of(metric, wanted) == "up" else 1.0
    two_sided = direction_of(metric, wanted) == "same"
    loss = sign * (value - baseline)
    # The next run varies by the spread, and the median of k runs by its own error, π/2 times a mean's in variance.
    error = spread * float(np.sqrt(1 + np.pi / 2 / len(known)))
    return Loss(
        metric=metric.id,
        title=metric.title,
        unit=metric.unit,
        baseline=baseline,
        value=value,
        loss=abs(loss) if two_sided else loss,
        error=error,
        n=len(known),
        unit_of_n="earlier runs",
        p=t_test(loss, error, len(known), two_sided),
        tolerance=wanted.tolerance(baseline),
        two_sided=two_sided,
        is_equal=error == 0 and loss == 0,
        notes=(f"{others} runs of other systems, devices or settings, or later ones, left out",) if others else (),
    )


def protocol_of(run: Run, metric: str) -> Protocol | None:
    """How a run measured a metric; None where it has no value."""
    line = next((line for line in run.of_metric(metric) if line.value is not None), None)
    return run.protocols[line.protocol].protocol if line is not None else None


def _of_this_device(run: Run, baseline: Run, earlier: Sequence[Run], metric: str) -> tuple[list[Run], int]:
    """The baseline and earlier runs of its system, measured as this run was (machine, device, threads); oldest first,
    each once; and how many others there were.
    """
    here, system = protocol_of(run, metric), _system(baseline)
    once = {record.folder.resolve(): record for record in (*earlier, baseline)}
    once.pop(run.folder.resolve(), None)
    ordered = sorted(once.values(), key=lambda record: record.header.created_at)
    same = [
        record
        for record in ordered
        if here is not None
        and protocol_of(record, metric) == here
        and _system(record) == system
        and (record.folder == baseline.folder or record.header.created_at <= run.header.created_at)
    ]
    return same, len(ordered) - len(same)


def _system(run: Run) -> tuple[object, ...]:
    """What a timing belongs to: the model and its settings (other weights take no other time), the clips asked for."""
    spec = run.header.spec
    settings = sorted((key, value) for key, value in spec.model_identity.items() if not key.endswith("sha256"))
    return spec.model, tuple(settings), spec.clip, spec.container, spec.suite.sha256


def _too_few(metric: MetricSpec, value: float | None, known: int, others: int, policy: Policy) -> Loss:
    if value is None:
        why = f"no timing is left after {policy.speed.warm_up} clips of warm-up"
    else:
        left = f" ({others} of other systems, devices or settings, or later ones)" if others else ""
        plural = "s" * (known != 1)
        needed = policy.speed.least_records
        why = f"{known} earlier run{plural} of this system on this device{left}, {needed} are needed: --history FOLDER"
    return Loss(
        metric=metric.id,
        title=metric.title,
        unit=metric.unit,
        baseline=None,
        value=value,
        loss=None,
        error=None,
        n=known,
        unit_of_n="earlier runs",
        p=None,
        tolerance=0.0,
        trouble=why,
    )
