"""Quality against cost: what a clip of each run cost at a price per hour of its device, beside its metrics."""

import statistics
from collections.abc import Sequence
from typing import Any

from ltx2_reports.bench_tables import Table, number
from ltx2_reports.records import ClipRecord, Run
from ltx2_reports.summary import summarise

_WRITE_STAGE = "write"
_MOST_METRICS = 8


def cost_rows(runs: Sequence[Run], price_per_gpu_hour: float | None) -> list[dict[str, Any]]:
    """One row per run: median seconds and cost of a clip, and the values of its metrics.

    Args:
        runs: As read; of any suites.
        price_per_gpu_hour: In any currency; None: no cost.
    """
    rows = []
    for run in runs:
        seconds = [spent for clip in run.clips.values() if (spent := seconds_of(clip)) is not None]
        middle = statistics.median(seconds) if seconds else None
        hour = None if middle is None or price_per_gpu_hour is None else price_per_gpu_hour * middle / 3600
        rows.append(
            {
                "system": run.header.spec.system,
                "device": run.header.environment.machine,
                "suite": run.header.spec.suite.label,
                "clips": len(seconds),
                "seconds_per_clip": middle,
                "clips_per_hour": 3600 / middle if middle else None,
                "cost_per_clip": hour,
                "cost_per_1000_clips": None if hour is None else 1000 * hour,
                "metrics": _metrics(run),
            }
        )
    return rows


def seconds_of(clip: ClipRecord) -> float | None:
    """Seconds that the model worked on a clip; None where it was not made here, or failed."""
    stages = [stage.seconds for stage in clip.stages if stage.name != _WRITE_STAGE]
    return sum(stages) if stages and clip.file is not None else None


def cost_table(rows: Sequence[dict[str, Any]]) -> Table | None:
    """The table, or None without rows. A metric of runs on different suites stands here all the same: the suite does
    too, and the reader is told.
    """
    if not rows:
        return None
    metrics = list(dict.fromkeys(name for row in rows for name in row["metrics"]))[:_MOST_METRICS]
    head = ("system", "s per clip", "clips per hour", "cost per clip", "cost per 1000", *metrics)
    cells = tuple(
        (
            row["system"],
            number(row["seconds_per_clip"]),
            number(row["clips_per_hour"]),
            number(row["cost_per_clip"], 3),
            number(row["cost_per_1000_clips"], 3),
            *(number(row["metrics"].get(name)) for name in metrics),
        )
        for row in rows
    )
    notes = [f"{row['system']}: {row['suite']}, {row['clips']} clips, {row['device']}" for row in rows]
    if len({row["suite"] for row in rows}) > 1:
        notes.append("The suites differ: the metrics of these rows may not be compared.")
    if len({row["device"] for row in rows}) > 1:
        notes.append("The devices differ: one price does not fit them all.")
    return Table(title="Quality against cost", head=head, rows=cells, notes=tuple(notes))


def _metrics(run: Run) -> dict[str, float]:
    found = summarise(run)["metrics"]
    # A metric that was measured in several ways has several values, of which none is "the" value.
    return {
        name: facts[0]["value"]
        for name, facts in sorted(found.items())
        if len(facts) == 1 and facts[0]["value"] is not None
    }
