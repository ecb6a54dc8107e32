"""What a command leaves on the screen, and its exit code."""

import dataclasses
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from ltx2_eval.commands.options import Given
from ltx2_eval.console import note
from ltx2_eval.metrics.catalogue import HEADLINES, PRIMARY
from ltx2_reports.comparison import compare
from ltx2_reports.escape import for_json, for_terminal
from ltx2_reports.records import Run, ValueRecord
from ltx2_reports.render import render_terminal
from ltx2_reports.report import Page, write_report
from ltx2_reports.summary import summarise

_PIPE_WIDTH = 120


def show_report(
    runs: Sequence[Run], out: Path, given: Given, made: Page | None = None, exports: Sequence[str] = ()
) -> None:
    """Write tables and report below `out`, print the table (or JSON) and where the report is.

    Raises:
        ValueError: --strict, and a metric was measured in different ways.
    """
    scored = {value.metric for run in runs for value in run.values.values()}
    view = View(
        baseline=given.get("baseline") or _first_of_several(runs),
        primary=tuple(metric for metric in PRIMARY if metric in scored),
    )
    if given.get("strict"):
        compare(runs, baseline=view.baseline, primary=view.primary).require_one_protocol_per_metric()
    files = write_report(
        [run.folder for run in runs], out, baseline=view.baseline, primary=view.primary, made=made, exports=exports
    )
    if given.json:
        print(for_json({"report": str(files.html), "systems": [summarise(run) for run in runs]}))
        return
    shown = {*HEADLINES, *(given.get("metric") or ())}
    _print_headlines(runs, view, shown)
    hidden = len(scored - shown)
    print(for_terminal(f"report: {files.html.resolve()}" + (f" ({hidden} more metrics there)" if hidden else "")))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """How a comparison is shown."""

    baseline: str | None
    primary: tuple[str, ...]


def _first_of_several(runs: Sequence[Run]) -> str | None:
    return runs[0].header.spec.system if len(runs) > 1 else None


def _print_headlines(runs: Sequence[Run], view: View, metrics: Collection[str]) -> None:
    """The table of the metrics that decide or were asked for by name; all of them where a run has no other."""
    from rich.console import Console

    chosen = [_only(run, metrics) for run in runs]
    shown = chosen if any(run.values for run in chosen) else runs
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    console.print(render_terminal(compare(shown, baseline=view.baseline, primary=view.primary), console.width))


def _only(run: Run, metrics: Collection[str]) -> Run:
    return dataclasses.replace(
        run,
        values={key: value for key, value in run.values.items() if value.metric in metrics},
        protocols={key: found for key, found in run.protocols.items() if found.metric.id in metrics},
    )


def finish(runs: Sequence[Run], max_failed: float, wanted: Sequence[str] = ()) -> None:
    """Exit with 1 when more clips failed than the error budget allows, a set metric failed, or weights are unusable.

    Args:
        runs: What was done.
        max_failed: Share of clips that may fail.
        wanted: Metrics that were asked for by name; it is a failure if their weights or reference are missing.
    """
    clips = sum(len(run.clips) for run in runs)
    broken = sum(len(_broken_clips(run)) for run in runs)
    sets = sorted({value.metric for run in runs for value in run.values.values() if _is_failed_set(value)})
    if sets:
        note(f"{', '.join(sets)} failed; the table says why, and the same command tries again")
    if clips and broken / clips > max_failed:
        note(f"{broken} of {clips} clips failed (allowed: {max_failed:.0%}); their records say why")
    absent = [metric for metric in wanted if any(_is_absent(run, metric) for run in runs)]
    if absent:
        note(f"{', '.join(absent)}: asked for by name, but not available; the table says what is missing")
    unusable = sorted({value.metric for run in runs for value in run.values.values() if _has_unusable_weights(value)})
    if unusable:
        note(f"{', '.join(unusable)}: the weights are here but cannot be used; the table says what to do")
    unloaded = sorted({value.metric for run in runs for value in run.values.values() if _was_not_loaded(value)})
    if unloaded:
        note(f"{', '.join(unloaded)}: could not be loaded; the table says why, and the same command tries again")
    if sets or absent or unusable or unloaded or (clips and broken / clips > max_failed):
        raise SystemExit(1)


def _broken_clips(run: Run) -> set[str]:
    """Samples that could not be made, read, or judged by some metric."""
    broken = {clip.sample for clip in run.clips.values() if clip.reason is not None}
    for value in run.values.values():
        if value.sample is not None and value.reason is not None and value.reason.kind == "failed":
            broken.add(value.sample)
        broken |= {sample for sample, reason in value.left_out.items() if reason.kind == "failed"}
    return broken


_ABSENT = {False: ("not_available",), True: ("not_available", "not_applicable")}
"""By whether it is a value of the set: a clip without speech is no failure, a reference set that does not fit is."""


def _is_absent(run: Run, metric: str) -> bool:
    values = run.of_metric(metric)
    return bool(values) and all(v.reason is not None and v.reason.kind in _ABSENT[v.sample is None] for v in values)


def _has_unusable_weights(value: ValueRecord) -> bool:
    return value.reason is not None and value.reason.error == "UnusableWeights"


def _was_not_loaded(value: ValueRecord) -> bool:
    """Loading met other trouble than weights that are missing or unusable; such a record names the exception."""
    reason = value.reason
    return reason is not None and reason.kind == "not_available" and reason.error not in (None, "UnusableWeights")


def _is_failed_set(value: ValueRecord) -> bool:
    return value.sample is None and value.reason is not None and value.reason.kind == "failed"
