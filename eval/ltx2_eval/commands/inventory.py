"""`list` and `doctor`."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ltx2_benchmarks.baselines import load_baseline
from ltx2_benchmarks.nearest import unknown
from ltx2_eval.commands.checks import CHECKS, Finding, metric_findings, together
from ltx2_eval.commands.options import Given
from ltx2_reports.escape import for_json, for_terminal
from ltx2_reports.published import check_beside_embedded

if TYPE_CHECKING:
    from ltx2_eval.metrics.base import MetricEntry

Rows = list[dict[str, Any]]
_PIPE_WIDTH = 160
_FOR_PROGRAMS = ("file", "sha256", "next", "values", "spec", "computed")
"""Left out of the tables for people, which would become too wide."""


def list_command(given: Given) -> None:
    """Print the inventory."""
    if given.what != "all" and given.what not in _LISTS:
        raise ValueError(unknown("list", given.what, [*_LISTS, "all"]))
    if given.check is not None:
        _check(given)
        return
    names = list(_LISTS) if given.what == "all" else [given.what]
    found = {name: _LISTS[name]() for name in names}
    if given.json:
        print(for_json(found))
        return
    for name, rows in found.items():
        _print_table(name, rows)


def _check(given: Given) -> None:
    """Lint a user's file of published figures.

    Raises:
        ValueError: not asked of `baselines`, or the file cannot be used.
        SystemExit: 1, the linter found something.
    """
    if given.what != "baselines":
        raise ValueError(f"--check is for `list baselines --check FILE`, found `list {given.what}`")
    problems = check_beside_embedded(str(given.check))
    if given.json:
        print(for_json({"file": str(given.check), "problems": problems}))
    else:
        for problem in problems:
            print(for_terminal(problem))
        count = sum(1 for _ in load_baseline(str(given.check)).values())
        print(
            for_terminal(
                f"{given.check}: {count} value{'s' * (count != 1)}, {len(problems)} problem{'s' * (len(problems) != 1)}"
            )
        )
    if problems:
        raise SystemExit(1)


def doctor_command(given: Given) -> None:
    """Check this machine; exit code 1 if something that `run` needs is missing, or weights are damaged."""
    findings = [*(check() for check in CHECKS), *metric_findings()]
    if given.json:
        print(for_json([finding._asdict() for finding in findings]))
    else:
        for finding in together(findings):
            _print_finding(finding)
    if any(finding.state in ("missing", "damaged") for finding in findings):
        raise SystemExit(1)


def _print_finding(finding: Finding) -> None:
    mark = {"ok": "ok     ", "optional": "absent ", "damaged": "DAMAGED", "missing": "MISSING"}[finding.state]
    mend = f"  ->  {finding.mend}" if finding.mend else ""
    print(for_terminal(f"{mark}  {finding.what}: {finding.found}{mend}"))


def _print_table(name: str, rows: Rows) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [{key: value for key, value in row.items() if key not in _FOR_PROGRAMS} for row in rows]
    table = Table(title=name, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column in rows[0] if rows else ():
        table.add_column(column, overflow="fold", no_wrap=column in ("id", "name", "profile"))
    for row in rows:
        table.add_row(*(Text(for_terminal(_cell(value))) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)
    print()


def _cell(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else "" if value is None else str(value)


def _models() -> Rows:
    from ltx2_eval.models.registry import KINDS, plugins

    built_in = [{"name": name, "usage": kind.usage, "what": kind.title} for name, kind in KINDS.items()]
    return [
        *built_in,
        *({"name": name, "usage": name, "what": f"plug-in {value}"} for name, value in plugins().items()),
    ]


def _settings() -> Rows:
    from ltx2_eval.models.words import DIFFUSERS, LTX2

    return [
        {"name": f"{kind}: {name}", "example": f"{name}={example}", "what": meaning}
        for kind, words in (("ltx2", LTX2), ("diffusers", DIFFUSERS))
        for name, (example, meaning) in words.items()
    ]


def _suites() -> Rows:
    from ltx2_benchmarks.suite import list_suites, load_suite

    suites = [load_suite(name) for name in list_suites()]
    return [
        {
            "name": suite.name,
            "version": suite.version,
            "prompts": len(suite.prompts),
            "hash": suite.sha256[:12],
            "licence": suite.licence,
            "what": suite.title,
        }
        for suite in suites
    ]


def _metrics() -> Rows:
    from ltx2_eval.metrics.catalogue import catalogue

    arrows = {"up": "↑", "down": "↓", "zero": "→0", "none": ""}
    return [
        {
            "id": entry.spec.id,
            "best": arrows[entry.spec.direction],
            "unit": entry.spec.unit,
            "of": entry.spec.level,
            "needs": list(entry.spec.needs),
            "extractor": entry.extractor,
            "what": entry.spec.title,
            "spec": entry.spec.model_dump(mode="json"),
            "computed": _computed(entry),
        }
        for entry in catalogue().values()
    ]


def _computed(entry: "MetricEntry") -> dict[str, Any]:
    """What its protocol will hold, as far as it is known before a run."""
    import dataclasses

    from ltx2_eval.extractors.catalogue import EXTRACTORS

    extractor = dataclasses.asdict(EXTRACTORS[entry.extractor]) if entry.extractor else None
    return {
        "implementation": entry.implementation,
        "aggregation": entry.aggregation,
        "settings": entry.settings,
        "extractor": extractor,
    }


def _extractors() -> Rows:
    from ltx2_eval.extractors.catalogue import EXTRACTORS

    return [
        {"id": spec.id, "stream": spec.stream, "dimension": spec.dimension, "weights": spec.weights, "what": spec.title}
        for spec in EXTRACTORS.values()
    ]


def _profiles() -> Rows:
    from ltx2_eval.metrics.catalogue import profiles
    from ltx2_eval.metrics.profiles import TITLES

    return [{"profile": name, "what": TITLES[name], "metrics": list(metrics)} for name, metrics in profiles().items()]


def _baselines() -> Rows:
    from ltx2_benchmarks.baselines import load_baselines

    return [
        {
            "id": baseline.protocol.id,
            "of": baseline.protocol.kind,
            "systems": len(baseline.systems),
            "metrics": [metric.name for metric in baseline.metrics.values()],
            "prompts": baseline.protocol.n_prompts,
            "trust": baseline.protocol.confidence,
            "source": baseline.source.label,
            "values": [
                {
                    "system": value.system.name,
                    "metric": value.metric.name,
                    "value": value.value,
                    "unit": value.metric.unit,
                    "direction": value.metric.direction,
                    "source": value.source.label,
                    "confidence": value.confidence,
                }
                for value in baseline.values()
            ],
        }
        for baseline in load_baselines()
    ]


def _weights() -> Rows:
    from ltx2_eval.commands.weights import rows

    return rows()


def _recipes() -> Rows:
    from ltx2_benchmarks.recipe import list_recipes, load_recipe

    return [
        {"name": recipe.name, "measure": recipe.measure, "models": list(recipe.models), "what": recipe.title}
        for recipe in map(load_recipe, list_recipes())
    ]


def _gpus() -> Rows:
    from ltx2_benchmarks.hardware import gpus

    return [
        {
            "name": gpu.name,
            "bfloat16 TFLOP/s": gpu.tflops["bfloat16"],
            "GB/s": gpu.bandwidth_gb_s,
            "GiB": gpu.memory_gib,
            "what": gpu.title,
            "from": gpu.source,
        }
        for gpu in gpus().values()
    ]


_LISTS: dict[str, Callable[[], Rows]] = {
    "models": _models,
    "settings": _settings,
    "suites": _suites,
    "metrics": _metrics,
    "extractors": _extractors,
    "profiles": _profiles,
    "weights": _weights,
    "baselines": _baselines,
    "recipes": _recipes,
    "gpus": _gpus,
}
