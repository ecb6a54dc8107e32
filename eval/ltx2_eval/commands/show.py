"""What a command leaves on the screen, and its exit code."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from ltx2_eval.commands.options import Given
from ltx2_eval.console import note
from ltx2_eval.metrics.catalogue import HEADLINES, PRIMARY
from ltx2_reports.comparison import compare
from ltx2_reports.records import Run, ValueRecord
from ltx2_reports.render import render_terminal
from ltx2_reports.report import write_report
from ltx2_reports.store import strict_json
from ltx2_reports.summary import summarise

_PIPE_WIDTH = 120


def show_report(runs: Sequence[Run], out: Path, given: Given) -> None:
    """Write tables and report below `out`, print the table (or JSON) and where the report is."""
    scored = {value.metric for run in runs for value in run.values.values()}
    primary = tuple(metric for metric in PRIMARY if metric in scored)
    files = write_report([run.folder for run in runs], out, baseline=given.get("baseline"), primary=primary)
    if given.json:
        print(strict_json({"report": str(files.html), "systems": [summarise(run) for run in runs]}))
        return
    comparison = compare(runs, baseline=given.get("baseline"), primary=primary)
    if given.get("strict"):
        comparison.require_one_protocol_per_metric()
    _print_headlines(runs, given, primary)
    hidden = len(scored - set(HEADLINES))
    print(f"report: {files.html.resolve()}" + (f" ({hidden} more metrics there)" if hidden else ""))


def _print_headlines(runs: Sequence[Run], given: Given, primary: tuple[str, ...]) -> None:
    """The table of the metrics that decide; all of them where a run has no other."""
    from rich.console import Console

    chosen = [_only(run, HEADLINES) for run in runs]
    shown = chosen if any(run.values for run in chosen) else runs
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    console.print(render_terminal(compare(shown, baseline=given.get("baseline"), primary=primary), console.width))


def _only(run: Run, metrics: Sequence[str]) -> Run:
    return dataclasses.replace(
        run,
        values={key: value for key, value in run.values.items() if value.metric in metrics},
        protocols={key: found for key, found in run.protocols.items() if found.metric.id in metrics},
    )


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
