"""What a command leaves on the screen, and its exit code."""

from collections.abc import Sequence
from pathlib import Path

from ltx2_eval.commands.options import Given
from ltx2_eval.console import note
from ltx2_eval.metrics.catalogue import PRIMARY
from ltx2_reports.comparison import compare
from ltx2_reports.records import Run, ValueRecord
from ltx2_reports.render import render_terminal
from ltx2_reports.report import write_report
from ltx2_reports.store import strict_json
from ltx2_reports.summary import summarise


def show_report(runs: Sequence[Run], out: Path, given: Given) -> None:
    """Write tables and report below `out`, print the table (or JSON) and where the report is."""
    files = write_report([run.folder for run in runs], out, baseline=given.baseline, primary=PRIMARY)
    if given.json:
        print(strict_json({"report": str(files.html), "systems": [summarise(run) for run in runs]}))
        return
    from rich.console import Console

    console = Console()
    comparison = compare(runs, baseline=given.baseline, primary=PRIMARY)
    if given.get("strict"):
        comparison.require_one_protocol_per_metric()
    console.print(render_terminal(comparison, console.width))
    print(f"report: {files.html.resolve()}")


def finish(runs: Sequence[Run], max_failed: float) -> None:
    """Exit with 1 when more clips failed than the error budget allows; the records say why."""
    clips = [clip for run in runs for clip in run.clips.values()]
    broken = {
        (run.header.spec.system, value.sample) for run in runs for value in run.values.values() if _is_broken(value)
    }
    broken |= {(run.header.spec.system, c.sample) for run in runs for c in run.clips.values() if c.reason is not None}
    if clips and len(broken) / len(clips) > max_failed:
        note(f"{len(broken)} of {len(clips)} clips failed (allowed: {max_failed:.0%}); their records say why")
        raise SystemExit(1)


def _is_broken(value: ValueRecord) -> bool:
    return value.sample is not None and value.reason is not None and value.reason.kind == "failed"
