"""Builds a value's protocol: everything that can change it."""

import importlib.metadata

from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.media import DECODER
from ltx2_eval.metrics.base import MetricEntry
from ltx2_reports.records import Environment, Protocol, ReferenceRef, Scalar, SuiteRef


def protocol_of(
    entry: MetricEntry,
    suite: SuiteRef,
    pool: ExtractorPool,
    environment: Environment,
    *,
    reference: ReferenceRef | None = None,
    n: int | None = None,
) -> Protocol:
    """The protocol under which `entry` is computed here and now."""
    spec = pool.spec(entry.extractor) if entry.extractor else None
    return Protocol(
        metric=entry.spec.id,
        metric_version=entry.spec.version,
        extractor=spec.id if spec else None,
        extractor_version=spec.version if spec else None,
        weights_sha256=pool.weights_sha256(spec.id) if spec else None,
        preprocessing=spec.preprocessing if spec else None,
        decoder=f"{DECODER} {importlib.metadata.version('av')}",
        sampling=spec.sampling if spec else None,
        aggregation=entry.aggregation,
        reference=reference.label if reference else None,
        suite=suite.label,
        n=n,
        settings={**entry.settings, **_timing_settings(entry, environment)},
    )


def _timing_settings(entry: MetricEntry, environment: Environment) -> dict[str, Scalar]:
    """A duration means something only together with the machine it was measured on."""
    if "runtime" not in entry.spec.needs:
        return {}
    torch_version = environment.packages.get("torch", "")
    return {
        "machine": environment.machine,
        "device": environment.device,
        "threads": environment.threads,
        "torch": torch_version,
    }
