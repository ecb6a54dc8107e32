"""Small run folders for the tests of the reports, written through the real writer."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ltx2_reports import records
from ltx2_reports.records import MetricSpec, Protocol, ProtocolRecord, Reason, ValueRecord


def metric_spec(metric: str, **changes: Any) -> MetricSpec:
    known: dict[str, Any] = {
        "id": metric,
        "version": 1,
        "title": metric.replace("_", " ").capitalize(),
        "unit": "",
        "direction": "up",
        "range": (0.0, None),
        "level": "clip",
        "needs": ("video",),
        "least_n": 2,
        "source": "made for a test",
        "code_licence": "Apache-2.0",
        "weight_licence": None,
        "cannot_see": "anything at all",
    }
    return MetricSpec(**{**known, **changes})


def protocol(metric: str, **changes: Any) -> Protocol:
    known: dict[str, Any] = {
        "metric": metric,
        "metric_version": 1,
        "extractor": None,
        "extractor_version": None,
        "weights_sha256": None,
        "preprocessing": None,
        "decoder": "pyav-rgb24",
        "sampling": "all",
        "aggregation": "mean",
        "reference": None,
        "suite": "smoke@1#abcdefabcdef",
        "n": None,
        "settings": {},
    }
    return Protocol(**{**known, **changes})


def header(system: str = "nano", prompts: int = 6, seeds: tuple[int, ...] = (0, 1), **text: str) -> records.RunHeader:
    return records.RunHeader(
        schema_version=records.SCHEMA_VERSION,
        status="done",
        created_at="2026-11-20T10:00:00Z",
        spec=records.RunSpec(
            system=system,
            model=text.get("model", "ltx2:nano"),
            model_identity={"weights": "ab" * 32, "guidance": 3.0, "steps": 8, "compiled": False, "lora": None},
            suite=records.SuiteRef(
                name=text.get("suite", "smoke"),
                version="1",
                sha256=text.get("suite_sha", "abcdef" * 10 + "abcd"),
                licence="CC0-1.0",
            ),
            prompts=tuple(
                records.PromptRef(
                    id=f"p{i:03}",
                    text=text.get("prompt", f"A ball bounces {i} times."),
                    category="impact",
                    language="en",
                    visual_text=None,
                    audio_text=None,
                )
                for i in range(prompts)
            ),
            seeds=seeds,
            clip=records.ClipShape(num_frames=25, height=64, width=96, fps="24"),
            container=text.get("container", "mp4") or None,
            noise=text.get("noise", "prompt-seed") or None,  # type: ignore[arg-type]
        ),
        environment=records.Environment(
            packages={"torch": "2.9.0", "numpy": "2.1.0"},
            python="3.11.9",
            platform=text.get("platform", "Linux-6.1-x86_64"),
            machine="x86_64",
            device="cpu",
            threads=2,
            git=None,
        ),
        weights={"i3d-k400": "cd" * 32},
    )


def samples_of(head: records.RunHeader) -> list[tuple[str, str, int]]:
    return [(f"{p.id}-s{seed}", p.id, seed) for p in head.spec.prompts for seed in head.spec.seeds]


def clip_lines(head: records.RunHeader, failed: Iterable[str]) -> list[records.ClipRecord]:
    gone = set(failed)
    return [
        records.ClipRecord(
            sample=sample,
            prompt_id=prompt_id,
            seed=seed,
            file=None if sample in gone else f"clips/{sample}.mp4",
            sha256=None if sample in gone else "ef" * 32,
            stages=(records.Stage(name="denoise", seconds=0.5, peak_bytes=1000),),
            details={"width": 96},
            reason=Reason(kind="failed", message="out of memory", stage="generate", error="MemoryError")
            if sample in gone
            else None,
        )
        for sample, prompt_id, seed in samples_of(head)
    ]


def value_line(
    metric: str, identity: str, sample: str | None, value: float | Reason | None, **more: Any
) -> ValueRecord | None:
    if value is None:
        return None
    reason = value if isinstance(value, Reason) else None
    return ValueRecord(
        sample=sample,
        metric=metric,
        protocol=identity,
        value=None if isinstance(value, Reason) else value,
        reason=reason,
        **more,
    )


def wave(metric: str, index: int, system: str) -> float:
    """A value that depends on all three, without a random generator."""
    phase = sum(map(ord, metric + system[:3]))
    return 0.5 + 0.2 * math.sin(phase + 1.7 * index) + 0.01 * (phase % 7)


def write_run(
    folder: Path,
    *,
    system: str = "nano",
    prompts: int = 6,
    seeds: tuple[int, ...] = (0, 1),
    metrics: Mapping[str, Mapping[str, Any]] | None = None,
    failed: Iterable[str] = (),
    warnings: tuple[str, ...] = (),
    **text: str,
) -> Path:
    """Write a run folder and return it.

    metrics: id -> {"values": callable (index, sample) -> float | Reason | None, "spec": {...}, "protocol": {...}};
    a set metric gives {"value": float | Reason, "replicates": (...), "left_out": {sample: Reason}} instead.
    """
    head = header(system, prompts, seeds, **text)
    with patch("os.fsync"):  # durability is tested elsewhere; hundreds of small runs are quicker without
        _write(folder, head, metrics, system, failed, warnings)
    return folder


def _write(
    folder: Path,
    head: records.RunHeader,
    metrics: Mapping[str, Mapping[str, Any]] | None,
    system: str,
    failed: Iterable[str],
    warnings: tuple[str, ...],
) -> None:
    records.write_header(folder, head)
    with records.open_journal(folder) as journal:
        for clip in clip_lines(head, failed):
            records.append(journal, clip)
        for metric, facts in (metrics if metrics is not None else {"sharpness": {}, "offset": {}}).items():
            for line in metric_lines(head, metric, facts, system, failed, warnings):
                records.append(journal, line)


def metric_lines(
    head: records.RunHeader,
    metric: str,
    facts: Mapping[str, Any],
    system: str,
    failed: Iterable[str],
    warnings: tuple[str, ...],
) -> list[ProtocolRecord | ValueRecord]:
    how = protocol(metric, **facts.get("protocol", {}))
    level = {"level": "set"} if "value" in facts else {}
    lines: list[ProtocolRecord | ValueRecord | None] = [
        ProtocolRecord(id=how.identity, metric=metric_spec(metric, **{**level, **facts.get("spec", {})}), protocol=how)
    ]
    if "value" in facts:
        more = {"replicates": facts.get("replicates", ()), "warnings": warnings, "left_out": facts.get("left_out", {})}
        gone = {*failed, *more["left_out"]}
        members = [clip for clip in clip_lines(head, failed) if clip.sample not in gone]
        more["inputs_sha256"] = facts.get("inputs_sha256", records.inputs_hash(members))
        lines.append(value_line(metric, how.identity, None, facts["value"], **more))
    else:
        values = facts.get("values", lambda index, sample: wave(metric, index, system))
        for index, (sample, _, _) in enumerate(samples_of(head)):
            value = (
                Reason(kind="not_applicable", message="there is no clip") if sample in failed else values(index, sample)
            )
            lines.append(value_line(metric, how.identity, sample, value, warnings=warnings))
    return [line for line in lines if line is not None]
