"""`validate`."""

import sys
from pathlib import Path

from ltx2_eval.commands.options import Given
from ltx2_eval.commands.resolve import device_of, output_folder, pull_for
from ltx2_eval.console import note, progress_lines
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.metrics.base import MetricEntry
from ltx2_eval.metrics.catalogue import chosen
from ltx2_eval.reference import Reference, check_reference, clips_reference
from ltx2_eval.validation.sources import WORLD, Source, source_of
from ltx2_eval.validation.validate import LEAST_CLIPS, Plan, validate
from ltx2_reports.escape import for_json, for_terminal
from ltx2_reports.validation import Validation
from ltx2_reports.validation_report import ValidationFiles, write_validation_report

_WORLD_REFERENCE = "world:64"
_NOT_ENOUGH = 3
_PIPE_WIDTH = 120


def validate_command(given: Given) -> None:
    """Degrade clips, judge metrics, write the verdicts; exit code 3 where there are too few clips to judge any."""
    entries = chosen(given.metric or (), given.profile)
    device_of(given.device)
    if given.reference:
        check_reference(given.reference)
    source = source_of(given.target)
    if len(source.items) < LEAST_CLIPS:
        note(f"{source.name}: found {len(source.items)} clips, at least {LEAST_CLIPS} are needed to judge a metric")
        raise SystemExit(_NOT_ENOUGH)
    if given.pull:
        pull_for(entries, given.reference or "")
    reference = _reference(given, entries)
    parts = [source.sha256, [e.spec.id for e in entries], reference and reference.ref.label]
    out = output_folder(given, "validate", *parts, *(["brief"] if given.brief else []))
    _announce(source, entries, reference, out)
    plan = Plan(
        source=source, entries=entries, reference=reference, pool=ExtractorPool(given.device), brief=given.brief
    )
    found = validate(plan, out, progress_lines(source.name))
    files = write_validation_report(found, out)
    _show(found, files, given)
    if all(metric.n < LEAST_CLIPS for metric in found.metrics.values()):
        note("no metric has values on enough of these clips to be judged; the page says why")
        raise SystemExit(_NOT_ENOUGH)


def _reference(given: Given, entries: tuple[MetricEntry, ...]) -> Reference | None:
    """The one named; for the world, more of the world."""
    if not any("reference" in entry.spec.needs for entry in entries):
        return None
    text = given.reference or (_WORLD_REFERENCE if given.target.startswith(WORLD) else "")
    return clips_reference(text, "mp4") if text else None


def _announce(source: Source, entries: tuple[MetricEntry, ...], reference: Reference | None, out: Path) -> None:
    against = f", reference {reference.name} ({reference.ref.n} clips)" if reference else ""
    note(f"{len(source.items)} clips of {source.name}, {len(entries)} metrics{against} -> {out}")


def _show(found: Validation, files: ValidationFiles, given: Given) -> None:
    if given.json:
        verdicts = {
            metric: {"verdict": one.verdict, "untested": one.untested, "why": one.why}
            for metric, one in found.metrics.items()
        }
        print(for_json({"validation": str(files.json), "report": str(files.html), "metrics": verdicts}))
        return
    _print_table(found)
    print(for_terminal(f"report: {files.html.resolve()}"))
    print(for_terminal(f"obeyed by gate: {files.json.resolve()}"))


def _print_table(found: Validation) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in ("metric", "verdict", "n", "why"):
        table.add_column(
            column, overflow="fold", no_wrap=column in ("metric", "n"), min_width=11 if column == "verdict" else None
        )
    for metric, one in found.metrics.items():
        style = "green" if one.verdict == "may gate" else "yellow"
        table.add_row(
            Text(for_terminal(metric)), Text(one.judgement, style=style), Text(str(one.n)), Text(for_terminal(one.why))
        )
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)
    for metric, why in found.left_out.items():
        print(for_terminal(f"{metric}: no verdict, {why}"))
