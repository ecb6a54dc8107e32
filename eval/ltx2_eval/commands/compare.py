"""`compare`."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ltx2_benchmarks.nearest import unknown
from ltx2_eval.commands.options import Given
from ltx2_eval.commands.report import whole_run
from ltx2_eval.commands.resolve import device_of
from ltx2_eval.metrics.catalogue import PRIMARY, catalogue
from ltx2_eval.paired_sets import paired_sets
from ltx2_reports.contrast import Contrasts
from ltx2_reports.contrast_facts import facts
from ltx2_reports.contrast_render import render_markdown, render_terminal
from ltx2_reports.contrast_runs import contrast_runs
from ltx2_reports.escape import for_json
from ltx2_reports.margins import Margin, parse_margin
from ltx2_reports.records import Run
from ltx2_reports.store import atomic_write

_PIPE_WIDTH = 140


def compare_command(given: Given) -> None:
    """Compare two runs and print the table, or JSON."""
    first, second = (whole_run(Path(path).expanduser()) for path in (given.a, given.b))
    margins = margins_of(given)
    declared = {**dict.fromkeys(given.primary or (), "declared primary"), **dict.fromkeys(margins, "has a margin")}
    known = {*catalogue(), *scored(first), *scored(second)}
    for name in (*(given.metric or ()), *declared):
        if name not in known:
            raise ValueError(unknown("metric", name, known))
    _require_scored(first, second, declared)
    asked = list(dict.fromkeys([*given.metric, *declared])) if given.metric else None
    contrasts = contrasts_of(first, second, given, primary=given.primary or PRIMARY, metrics=asked, margins=margins)
    absent = [
        f"{name}: {why}, but A and B cannot be compared by it"
        for name, why in declared.items()
        if contrasts.of(name) is None
    ]
    contrasts = replace(contrasts, left_out=(*absent, *contrasts.left_out), declared=bool(given.primary))
    if not contrasts.contrasts:
        raise ValueError(f"nothing to compare: {'; '.join(contrasts.left_out)}")
    if given.out is not None:
        out = Path(given.out).expanduser()
        atomic_write(out / "compare.md", render_markdown(contrasts))
        atomic_write(out / "compare.json", for_json(facts(contrasts)) + "\n")
    if given.json:
        print(for_json(facts(contrasts)))
    else:
        _print(contrasts)


def margins_of(given: Given) -> dict[str, Margin]:
    """What `--margin` states, by metric.

    Raises:
        ValueError: not of the form METRIC=VALUE, or two margins of one metric.
    """
    stated: dict[str, Margin] = {}
    for text in given.margin or ():
        name, margin = parse_margin(text)
        if stated.setdefault(name, margin) != margin:
            raise ValueError(f"{name}: two margins were stated, expected one")
    return stated


def _require_scored(first: Run, second: Run, declared: Mapping[str, str]) -> None:
    """A metric that somebody relies on and that a run lacks must not go unnoticed."""
    for name, why in declared.items():
        lacking = [side for side, run in (("A", first), ("B", second)) if name not in scored(run)]
        if lacking:
            raise ValueError(
                f"{name}: {why}, but not scored in {' and '.join(lacking)}; run `ltx2-eval score RUN "
                f"--metric {name}` first"
            )


def contrasts_of(
    first: Run,
    second: Run,
    given: Given,
    *,
    primary: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
    margins: Mapping[str, Margin] | None = None,
) -> Contrasts:
    """Contrasts of two runs, set metrics drawn again on the shared clips wherever their features are at hand."""
    names = sorted(scored(first) & scored(second) if metrics is None else metrics)
    sets, notes = paired_sets(first, second, names, reference=given.reference, device=device_of(given.device))
    made = contrast_runs(first, second, primary=primary, metrics=metrics, sets=sets, margins=margins)
    return made.with_notes(notes)


def scored(run: Run) -> set[str]:
    """Ids of the metrics that a run has records of."""
    return {line.metric for line in run.values.values()}


def _print(contrasts: Contrasts) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    console.print(render_terminal(contrasts))
