"""`summary.json`: what one run says of each metric, derived from its records and rebuilt at any time."""

from pathlib import Path
from typing import Any

from ltx2_reports.cells import Cell
from ltx2_reports.comparison import RUNTIME_PREFIX, Column, compare
from ltx2_reports.records import Run, read_run
from ltx2_reports.store import atomic_write, canonical_hash, strict_json

SUMMARY_FILE = "summary.json"
SUMMARY_VERSION = 1


def summarise(run: Run) -> dict[str, Any]:
    """Per metric and protocol the value, its interval and counts.

    Equal clips, features and values give equal bytes for everything but the block `runtime`, which holds timings; time,
    machine and environment are left to `run.json`.
    """
    comparison = compare([run])
    blocks: dict[str, dict[str, Any]] = {"metrics": {}, "runtime": {}}
    for column in comparison.columns:
        block = blocks["runtime" if column.metric.id.startswith(RUNTIME_PREFIX) else "metrics"]
        block.setdefault(column.metric.id, []).append(_facts(column, column.cells[0]))
    (system,) = comparison.systems
    spec = run.header.spec
    return {
        "summary_version": SUMMARY_VERSION,
        "schema_version": run.header.schema_version,
        "system": spec.system,
        "suite": spec.suite.label,
        "prompts_sha256": canonical_hash([prompt.model_dump(mode="json") for prompt in spec.prompts]),
        "clips_sha256": canonical_hash([[clip.sample, clip.sha256] for _, clip in sorted(run.clips.items())]),
        "n_prompts": len(spec.prompts),
        "n_clips": system.clips,
        "n_failed": system.failed,
        "interval": {"level": comparison.level, "resamples": comparison.resamples, "unit": "prompt"},
        "notes": list(comparison.notes),
        **blocks,
    }


def _facts(column: Column, cell: Cell) -> dict[str, Any]:
    interval = cell.interval
    return {
        "value": cell.value,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "interval_by": interval.made if interval else None,
        "unit": column.metric.unit,
        "direction": column.metric.direction,
        "level": column.metric.level,
        "n": cell.n,
        "n_prompts": len(cell.by_prompt) or len(cell.prompts),
        "n_asked": cell.asked,
        "n_failed": cell.missing.get("failed", 0),
        "n_abstained": cell.missing.get("abstained", 0),
        "missing": dict(cell.missing),
        "reason": cell.reason,
        "warnings": list(cell.warnings),
        "protocol": column.id,
        "signature": column.protocol.signature,
    }


def write_summary(folder: Path) -> Path:
    """Rebuild `summary.json` of a run folder, atomically; return its path.

    Raises:
        ValueError: not a run folder, damaged, or of a newer schema.
    """
    path = folder / SUMMARY_FILE
    atomic_write(path, strict_json(summarise(read_run(folder)), indent=1) + "\n")
    return path
