"""`bench`."""

import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ltx2_benchmarks.hardware import load_gpu
from ltx2_benchmarks.recipe import SIZE_PATTERN, Recipe, Timing, load_recipe
from ltx2_eval.bench.case import Case, cases_of
from ltx2_eval.bench.devices import Device, open_device
from ltx2_eval.bench.estimate import BYTES
from ltx2_eval.bench.models import bench_model
from ltx2_eval.bench.session import Session
from ltx2_eval.commands.options import Given
from ltx2_eval.console import note
from ltx2_reports.bench import BenchRecord, append_bench, open_bench
from ltx2_reports.bench_cost import cost_rows, cost_table
from ltx2_reports.bench_plot import scaling_svg
from ltx2_reports.bench_summary import summarise_bench
from ltx2_reports.bench_tables import Table, device_line, number, render_csv, render_markdown, tables
from ltx2_reports.escape import for_json, for_terminal
from ltx2_reports.records import read_run
from ltx2_reports.store import atomic_write, strict_json

_PAIRED_ROUNDS = 40
_OF_RECIPES = ("model", "size", "frames", "steps", "dtype", "batch", "measure")
_PIPE_WIDTH = 200
_Model = TypeVar("_Model", bound=BaseModel)


def bench_command(given: Given) -> None:
    """Estimate or measure; exit code 1: a case failed, none was timed, or b is slower; 3: a pair is undecided."""
    recipe = _recipe(given)
    gpu_name = given.gpu or recipe.gpu
    gpu = load_gpu(gpu_name) if gpu_name else None
    device = None if given.device == "meta" else open_device(given.device)
    cases = _cases(recipe, given)
    if given.against:
        _check_pair(cases, device)
    runs = [read_run(Path(folder).expanduser()) for folder in given.run or ()]
    session = Session(
        device=device, recipe=recipe, is_named=bool(given.recipe), gpu=gpu, announce=note if not given.json else _quiet
    )
    records = _run(session, cases, given)
    summary = summarise_bench(records, recipe, price_per_gpu_hour=given.price_per_gpu_hour)
    summary["quality_against_cost"] = cost_rows(runs, given.price_per_gpu_hour)
    if given.out is not None:
        _write(Path(given.out).expanduser(), summary)
    _show(summary, given)
    _finish(records, summary)


def _run(session: Session, cases: Sequence[Case], given: Given) -> list[BenchRecord]:
    """The session; records go to the journal one by one, so that nothing measured is lost."""
    if given.out is None:
        return _records(session, cases, given)
    with open_bench(Path(given.out).expanduser()) as journal:
        session.keep = lambda record: append_bench(journal, record)
        return _records(session, cases, given)


def _records(session: Session, cases: Sequence[Case], given: Given) -> list[BenchRecord]:
    if not given.against:
        return session.run(cases)
    first = cases[0]
    second = dataclasses.replace(first, model=given.against)
    return session.run_pair(first, second, (bench_model(first.model), bench_model(second.model)))


def _recipe(given: Given) -> Recipe:
    """The recipe named, or one made of the options."""
    if given.recipe:
        extra = [name for name in _OF_RECIPES if given.get(name)]
        if extra:
            raise ValueError(
                f"--{extra[0]} is what a recipe decides; leave out --recipe, or write a recipe of your own"
            )
        recipe = load_recipe(given.recipe)
    else:
        recipe = _from_options(given)
    rule = {
        key: given[key] for key in ("warmup", "repeats", "max_seconds", "session_seconds") if given[key] is not None
    }
    if given.against and given.repeats is None:
        rule["repeats"] = _PAIRED_ROUNDS
    for dtype in recipe.dtypes:
        if dtype not in BYTES:
            raise ValueError(f"dtype {dtype!r}: expected one of {', '.join(BYTES)}")
    timing = _validated(Timing, {**recipe.timing.model_dump(), **rule})
    return recipe.model_copy(update={"timing": timing})


def _from_options(given: Given) -> Recipe:
    if given.steps and given.measure != "clip":
        raise ValueError("--steps counts the steps of a clip; add --measure clip, or leave it out: a step is one")
    sizes = given.size or ["96x96"]
    for size in sizes:
        if not re.fullmatch(SIZE_PATTERN, size):
            raise ValueError(f"--size {size!r}: expected WIDTHxHEIGHT, each from 1 to 99999, as in 768x512")
    fields = {
        "name": "custom",
        "title": "Speed by the options given",
        "about": "Made on the command line.",
        "measure": given.measure or "step",
        "models": given.model or ["ltx2:nano"],
        "dtypes": given.dtype or ["float32"],
        "steps": given.steps or [20],
        "batches": given.batch or [1],
        "grid": [{"label": size, "size": size, "frames": given.frames or [49]} for size in sizes],
    }
    return _validated(Recipe, fields)


def _validated(kind: type[_Model], fields: dict[str, Any]) -> _Model:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}, found {first['input']!r}") from None


def _cases(recipe: Recipe, given: Given) -> list[Case]:
    """All cases, each checked by its model before anything is measured."""
    cases = [dataclasses.replace(case, weights=_weights(case.model, given.weights)) for case in cases_of(recipe)]
    for case in cases:
        bench_model(case.model).check(case)
    return cases


def _weights(model: str, asked: str | None) -> str:
    found = "checkpoint" if bench_model(model).has_checkpoint else "random"
    if asked is not None and asked not in ("random", "checkpoint"):
        raise ValueError(f"weights {asked!r}: expected random or checkpoint")
    if asked is not None and asked != found:
        raise ValueError(
            f"model {model} runs with {found} weights; name a checkpoint as ltx2:FILE.safetensors, or a size as "
            "ltx2:nano or ltx2:19b for random ones"
        )
    return found


def _check_pair(cases: Sequence[Case], device: Device | None) -> None:
    if device is None:
        raise ValueError("--against compares by the clock; choose --device cpu or cuda")
    if len(cases) != 1:
        raise ValueError(f"--against compares one case with another model; the options make {len(cases)} cases")


def _write(folder: Path, summary: dict[str, Any]) -> None:
    atomic_write(folder / "bench.json", strict_json(summary, indent=1) + "\n")
    atomic_write(folder / "bench.md", render_markdown(summary))
    atomic_write(folder / "bench.csv", render_csv(summary))
    drawing = scaling_svg(summary)
    if drawing is not None:
        atomic_write(folder / "scaling.svg", drawing)


def _show(summary: dict[str, Any], given: Given) -> None:
    if given.json:
        print(for_json(summary))
        return
    print(for_terminal(summary["title"]))
    if summary["device"] is not None and summary["device"]["kind"] != "meta":
        print(for_terminal(device_line(summary["device"])))
    costs = cost_table(summary["quality_against_cost"])
    for table in (*tables(summary), *((costs,) if costs else ())):
        _print(table)
    if summary["difference"] is not None:
        print(for_terminal(_difference(summary["difference"])))
        for doubt in summary["difference"]["doubts"]:
            print(for_terminal(f"! {doubt}"))
    if given.out is not None:
        print(for_terminal(f"records: {Path(given.out).expanduser().resolve()}"))


def _difference(found: dict[str, Any]) -> str:
    return (
        f"{found['b']} takes {number(found['ratio'])} of the time of {found['a']} "
        f"[{number(found['low'])}, {number(found['high'])}], {found['pairs']} pairs: {found['verdict']}"
    )


def _print(table: Table) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(title=Text(for_terminal(table.title)), title_justify="left", box=None, pad_edge=False)
    for place, name in enumerate(table.head):
        shown.add_column(Text(for_terminal(name)), overflow="fold", justify="left" if place == 0 else "right")
    for row in table.rows:
        shown.add_row(*(Text(for_terminal(cell)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    console.print()
    console.print(shown)
    for text in table.notes:
        console.print(Text(for_terminal(f"! {text}")))


def _finish(records: Sequence[BenchRecord], summary: dict[str, Any]) -> None:
    """1 where a case failed, could not be had or is slower; a size that does not fit is an answer, not a
    failure, unless nothing at all was timed.
    """
    broken = [record for record in records if record.reason and record.reason.kind in ("failed", "not_available")]
    verdict = summary["difference"]["verdict"] if summary["difference"] is not None else None
    if broken:
        note(f"{len(broken)} of {len(records)} cases failed; their records say why")
    is_idle = not any(record.timing for record in records) and any(record.device.kind != "meta" for record in records)
    if is_idle and not broken:
        note("no case was timed; the table says why (--device meta estimates without running)")
    if broken or is_idle or verdict == "slower":
        raise SystemExit(1)
    if verdict == "undecided":
        raise SystemExit(3)


def _quiet(text: str) -> None:
    del text
