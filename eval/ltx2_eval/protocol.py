"""Builds a value's protocol: everything that can change it."""

from ltx2_eval.extractors.base import NotAvailable, arithmetic
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.libraries import libraries_of
from ltx2_eval.media import decoder_id
from ltx2_eval.metrics.base import MetricEntry, Text
from ltx2_eval.metrics.catalogue import catalogue, program_settings
from ltx2_reports.records import Protocol, ReferenceRef, RunHeader, Scalar


def protocol_of(
    entry: MetricEntry,
    header: RunHeader,
    pool: ExtractorPool,
    *,
    reference: ReferenceRef | None = None,
    n: int | None = None,
) -> Protocol:
    """The protocol under which `entry` is computed here and now."""
    spec = pool.spec(entry.extractor) if entry.extractor else None
    summed = catalogue()[entry.corpus_of] if entry.corpus_of else None
    return Protocol(
        metric=entry.spec.id,
        metric_version=entry.spec.version,
        extractor=spec.id if spec else None,
        extractor_version=spec.version if spec else None,
        weights_sha256=pool.weights_sha256(spec.id) if spec else None,
        preprocessing=spec.preprocessing if spec else None,
        decoder=decoder_id(),
        sampling=spec.sampling if spec else None,
        aggregation=entry.aggregation,
        reference=reference.label if reference else None,
        suite=header.spec.suite.label,
        n=n,
        settings={**entry.settings, **_timing_settings(entry, header), **_program(entry), **_summed(summed)},
        arithmetic=arithmetic(pool.device) if spec else None,
        libraries=libraries_of(*(part.implementation for part in (entry, spec, summed) if part)),
        text=_rule(entry.text) if entry.text else None,
    )


def _rule(field: Text) -> str:
    """Which text a clip is compared with: what the suite says apart, and what is cut out of a prompt without it.

    Which prompts have it is the suite's content, whose hash stands beside: runs of a part of it are measured alike.
    """
    return f"{field}, else {'quotes in text' if field == 'speech' else 'text without quotes'}"


def _summed(entry: MetricEntry | None) -> dict[str, Scalar]:
    """How the errors were counted that a rate of a corpus sums: by which version of the clip metric."""
    return {f"{entry.spec.id}_version": entry.spec.version} if entry else {}


def _program(entry: MetricEntry) -> dict[str, Scalar]:
    try:
        return program_settings(entry)
    except NotAvailable:  # told again where the value is computed
        return {}


def _timing_settings(entry: MetricEntry, header: RunHeader) -> dict[str, Scalar]:
    """A duration means something only together with the machine it was measured on."""
    if "runtime" not in entry.spec.needs:
        return {}
    environment = header.environment
    return {
        "machine": environment.machine,
        "device": environment.device,
        "threads": environment.threads,
        "torch": environment.packages.get("torch", ""),
        "timed": "whole process" if header.spec.model.startswith("command:") else "stages of a loaded model",
    }
