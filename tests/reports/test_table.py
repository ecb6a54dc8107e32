"""Comparisons: one column per protocol, intervals and differences by prompt, honest marks, notes on what is missing."""

import csv
import io
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from rich.console import Console

from ltx2_reports import grid, numbers
from ltx2_reports.cells import MISSING_WORDS
from ltx2_reports.comparison import Comparison, MixedProtocolsError, compare
from ltx2_reports.latex import render_latex
from ltx2_reports.records import Reason, ReasonKind, Run, ValueRecord, append, open_journal, read_run
from ltx2_reports.render import CSV_FIELDS, render_csv, render_markdown, render_terminal
from ltx2_reports.statistics import Difference, Interval, centred_interval, mean_interval, paired_difference
from ltx2_reports.told_apart import distinct_labels

MakeRun = Callable[..., Path]
ABSTAINED = Reason(kind="abstained", message="the sound track is silent")


def rising(index: int, sample: str) -> float:
    return float(index)


def shifted(by: float, spread: float = 0.0) -> Callable[[int, str], float]:
    return lambda index, sample: index + by + spread * (1 if index % 4 < 2 else -1)


_numbers = itertools.count()


def _compare(make_run: MakeRun, systems: dict[str, dict[str, Any]], **options: Any) -> Comparison:
    folders = [make_run(f"run-{next(_numbers)}", system=name, **facts) for name, facts in systems.items()]
    return compare([read_run(folder) for folder in folders], **options)


def _metric(values: Callable[[int, str], Any], metric: str = "m", **spec: Any) -> dict[str, Any]:
    return {"metrics": {metric: {"values": values, "spec": spec}}}


def test_values_are_means_over_prompts_with_their_bootstrap_interval(make_run: MakeRun) -> None:
    comparison = _compare(make_run, {"a": _metric(rising)})
    (column,) = comparison.columns
    (cell,) = column.cells
    assert cell.by_prompt == {f"p{i:03}": [2.0 * i, 2.0 * i + 1] for i in range(6)}
    assert cell.interval == mean_interval(cell.by_prompt)
    assert (cell.value, cell.n, cell.asked, cell.interval.n) == (5.5, 12, 12, 6)


def test_clips_without_a_value_are_counted_by_kind_and_left_out(make_run: MakeRun) -> None:
    def values(index: int, sample: str) -> Any:
        return ABSTAINED if index in (0, 1) else None if index == 2 else 1.0

    comparison = _compare(make_run, {"a": {**_metric(values), "failed": ("p005-s1",)}})
    cell = comparison.columns[0].cells[0]
    assert cell.missing == {"abstained": 2, "not_applicable": 1, "not_scored": 1}
    assert (cell.n, cell.asked) == (8, 12)
    assert "p000" not in cell.by_prompt
    assert "a: 1 of 12 clips could not be made or read" in comparison.notes
    assert "m (a): 8 of 12 clips have a value (2 abstained, 1 not applicable, 1 not scored)" in comparison.notes


def test_an_unfinished_run_counts_what_it_was_asked_for(make_run: MakeRun) -> None:
    run = read_run(make_run(**_metric(rising)))
    clips = dict(list(run.clips.items())[:8])
    values = {key: value for key, value in run.values.items() if key[0] in clips}
    half = Run(folder=run.folder, header=run.header, clips=clips, values=values, protocols=run.protocols)
    cell = compare([half]).columns[0].cells[0]
    assert (cell.n, cell.asked, cell.missing) == (8, 12, {"not_made": 4})


def test_a_metric_without_any_value_says_why(make_run: MakeRun) -> None:
    reason = Reason(kind="not_available", message="weights of clip are missing; run: ltx2-eval weights pull clip")
    comparison = _compare(make_run, {"a": {"metrics": {"clip": {"value": reason, "spec": {"level": "clip"}}}}})
    cell = comparison.columns[0].cells[0]
    assert cell.value is None
    assert cell.reason == f"not available: {reason.message}"
    assert comparison.notes == (f"clip (a): not available: {reason.message}",)
    every = _compare(make_run, {"x": _metric(lambda i, s: ABSTAINED)})
    assert every.columns[0].cells[0].reason == "abstained: the sound track is silent"


def test_set_metrics_have_centred_intervals_from_their_replicates(make_run: MakeRun) -> None:
    replicates = tuple(100.0 + i for i in range(20))
    facts = {"metrics": {"fvd": {"value": 90.0, "replicates": replicates, "protocol": {"n": 12}}}}
    cell = _compare(make_run, {"a": facts}).columns[0].cells[0]
    assert cell.interval == centred_interval(90.0, replicates)
    assert cell.n == 12


def test_different_protocols_never_share_a_column_and_the_field_is_named(make_run: MakeRun) -> None:
    facts = [
        {"metrics": {"fvd": {"value": 9.0, "protocol": {"n": n, "decoder": d}}}} for n, d in ((12, "x"), (10, "y"))
    ]
    comparison = _compare(make_run, {"a": facts[0], "b": facts[1]})
    assert len(comparison.columns) == 2
    for column in comparison.columns:
        assert sum(cell.value is not None for cell in column.cells) == 1
        assert all(cell.mark == "" for cell in column.cells)
    (sentence,) = comparison.mixed
    assert "they differ in decoder: 'x' and 'y'; n: 12 and 10" in sentence or "decoder: 'y' and 'x'" in sentence
    assert comparison.notes[0] == sentence
    with pytest.raises(MixedProtocolsError, match="decoder"):
        comparison.require_one_protocol_per_metric()


def test_strictly_a_mixture_is_refused_and_equal_runs_are_not(make_run: MakeRun) -> None:
    sides = [{"metrics": {"fvd": {"value": 9.0, "protocol": {"n": n}}}} for n in (12, 10)]
    _compare(make_run, {"a": sides[0], "b": sides[0]}).require_one_protocol_per_metric()
    mixture = _compare(make_run, {"a": sides[0], "b": sides[1]})
    with pytest.raises(MixedProtocolsError, match=r"fvd: .*differ in n: 1[02] and 1[02]; score the runs again"):
        mixture.require_one_protocol_per_metric()


@pytest.mark.parametrize("field", ["metric_version", "weights_sha256", "reference", "suite", "settings", "decoder"])
def test_no_difference_in_a_protocol_goes_unnoticed(make_run: MakeRun, field: str) -> None:
    change = {"metric_version": 2, "settings": {"threshold": 1.0}}.get(field, "another")
    changed = {"metrics": {"m": {"values": rising, "protocol": {field: change}}}}
    comparison = _compare(make_run, {"a": _metric(rising), "b": changed})
    assert len(comparison.columns) == 2
    assert field in comparison.mixed[0]


def test_a_reason_shares_the_column_of_the_numbers_it_stands_beside(make_run: MakeRun) -> None:
    missing = Reason(kind="not_available", message="weights are missing")
    facts = {"metrics": {"m": {"value": missing, "spec": {"level": "clip"}, "protocol": {"weights_sha256": "-"}}}}
    for systems in ({"a": _metric(rising), "b": facts}, {"b": facts, "a": _metric(rising)}):
        comparison = _compare(make_run, systems)
        (column,) = comparison.columns
        assert comparison.mixed == ()
        reasons = {cell.system: cell.reason for cell in column.cells}
        assert reasons == {"a": None, "b": "not available: weights are missing"}
        comparison.require_one_protocol_per_metric()


def test_differences_are_paired_by_prompt_from_the_baseline(make_run: MakeRun) -> None:
    comparison = _compare(
        make_run, {"a": _metric(rising), "b": _metric(shifted(0.5, 0.3)), "c": _metric(rising)}, baseline="a"
    )
    a, b, c = comparison.columns[0].cells
    assert a.difference is None
    assert b.difference == paired_difference(b.by_prompt, a.by_prompt)
    assert b.difference is not None
    assert b.difference.prompts == 6
    assert c.difference is not None
    assert c.difference.interval.value == 0


def test_prompts_that_one_side_lacks_are_excluded_and_noted(make_run: MakeRun) -> None:
    half = _metric(lambda index, sample: ABSTAINED if sample.startswith("p000") else index + 1.0)
    comparison = _compare(make_run, {"a": _metric(rising), "b": half}, baseline="a")
    difference = comparison.columns[0].cells[1].difference
    assert difference is not None
    assert (difference.prompts, difference.excluded, difference.interval.value) == (5, 1, 1.0)
    assert any("1 prompts left out of the difference" in note for note in comparison.notes)


def test_set_metrics_are_compared_draw_by_draw_on_equal_prompts_only(make_run: MakeRun) -> None:
    def facts(value: float, wobble: float, prompts: int = 8) -> dict[str, Any]:
        draws = tuple(value + 30 * math.sin(i) + wobble * math.cos(2 * i) for i in range(50))
        return {
            "prompts": prompts,
            "metrics": {"fvd": {"value": value, "replicates": draws, "spec": {"direction": "down"}}},
        }

    comparison = _compare(make_run, {"a": facts(100, 0), "b": facts(95, 1), "c": facts(90, 0, prompts=7)}, baseline="a")
    _, b, c = comparison.columns[0].cells
    assert b.interval is not None
    assert b.interval.low is not None
    assert b.interval.low < 70
    assert b.difference is not None
    assert b.difference.interval.high is not None
    assert b.difference.interval.high < -3
    assert b.difference.separated
    assert c.difference is None


SILENT = Reason(kind="not_applicable", message="no sound", stage="features")
BROKEN = Reason(kind="failed", message="cannot be decoded", stage="features")


def _fvd(value: float, **more: Any) -> dict[str, Any]:
    draws = tuple(value + math.sin(i) for i in range(50))
    return {"prompts": 8, "seeds": (0,), "metrics": {"fvd": {"value": value, "replicates": draws, **more}}}


def test_clips_left_out_of_a_set_are_counted_by_kind_with_their_reasons(make_run: MakeRun) -> None:
    left_out = {"p001-s0": SILENT, "p002-s0": BROKEN, "p003-s0": SILENT}
    comparison = _compare(make_run, {"a": {**_fvd(9.0, left_out=left_out), "failed": ("p000-s0",)}})
    (cell,) = comparison.columns[0].cells
    assert (cell.n, cell.asked, cell.missing) == (4, 8, {"failed": 2, "not_applicable": 2})
    assert cell.prompts == {f"p00{i}" for i in (4, 5, 6, 7)}
    assert "fvd (a): 4 of 8 clips have a value (2 failed, 2 not applicable)" in comparison.notes
    assert "fvd (a): 2 clips left out, not applicable: no sound" in comparison.notes
    assert "fvd (a): 1 clip left out, failed: cannot be decoded" in comparison.notes
    assert not cell.warnings


def test_many_different_reasons_are_summed_up(make_run: MakeRun) -> None:
    left_out = {f"p00{i}-s0": Reason(kind="failed", message=f"byte {i} is wrong") for i in range(6)}
    (cell,) = _compare(make_run, {"a": _fvd(9.0, left_out=left_out)}).columns[0].cells
    told = [f"1 clip left out, failed: byte {i} is wrong" for i in range(3)]
    assert cell.left_out == (*told, "3 clips left out for other reasons")


@pytest.mark.parametrize(("theirs", "paired"), [(("p001-s0",), True), (("p002-s0",), False), ((), False)])
def test_sets_are_paired_only_when_the_same_prompts_took_part(
    make_run: MakeRun, theirs: tuple[str, ...], paired: bool
) -> None:
    systems = {
        "a": _fvd(100.0, left_out={"p001-s0": SILENT}),
        "b": _fvd(90.0, left_out=dict.fromkeys(theirs, BROKEN)),
    }
    difference = _compare(make_run, systems, baseline="a").columns[0].cells[1].difference
    assert (difference is not None) == paired
    if difference is not None:
        assert difference.prompts == 7


def test_a_set_value_of_other_clips_than_the_run_has_is_said_and_not_compared(make_run: MakeRun) -> None:
    old = _fvd(90.0, inputs_sha256="12" * 32)
    comparison = _compare(make_run, {"a": _fvd(100.0), "b": old, "c": old}, baseline="b")
    sentence = "made from other clips than the run has now; score it again"
    assert [cell.warnings for cell in comparison.columns[0].cells] == [(), (sentence,), (sentence,)]
    assert [cell.difference for cell in comparison.columns[0].cells] == [None] * 3
    assert any(note.endswith(sentence) and "(b; c)" in note for note in comparison.notes)


def test_other_containers_are_said(make_run: MakeRun) -> None:
    systems = {name: {**_metric(rising), "container": kind} for name, kind in (("a", "mp4"), ("b", "mkv"), ("c", ""))}
    notes = _compare(make_run, systems).notes
    assert "codec differs between systems: mp4 (a); mkv (b); not written here (c)" in notes
    same = {name: {**_metric(rising), "container": "mkv"} for name in "ab"}
    assert not any("codec" in note for note in _compare(make_run, same).notes)


def test_every_kind_of_missing_value_has_words_and_a_csv_field() -> None:
    kinds = (*get_args(ReasonKind), "not_scored", "not_made")
    assert sorted(MISSING_WORDS) == sorted(kinds)
    assert {f"n_{kind}" for kind in kinds} <= set(CSV_FIELDS)


@pytest.mark.parametrize(("direction", "best"), [("up", "b"), ("down", "a")])
def test_the_best_is_marked_when_it_is_certain(make_run: MakeRun, direction: str, best: str) -> None:
    systems = {"a": _metric(rising, direction=direction), "b": _metric(shifted(1, 0.2), direction=direction)}
    comparison = _compare(make_run, systems)
    assert {cell.system: cell.mark for cell in comparison.columns[0].cells} == {
        best: "best",
        ({"a", "b"} - {best}).pop(): "",
    }


def test_what_is_not_told_from_the_best_is_tied_with_it(make_run: MakeRun) -> None:
    systems = {"a": _metric(rising), "b": _metric(shifted(0.01, 3.0)), "c": _metric(shifted(-5))}
    marks = {cell.system: cell.mark for cell in _compare(make_run, systems).columns[0].cells}
    assert marks == {"a": "tied", "b": "tied", "c": ""}


@pytest.mark.parametrize("direction", ["zero", "none"])
def test_where_better_is_not_defined_nothing_is_marked(make_run: MakeRun, direction: str) -> None:
    systems = {"a": _metric(rising, direction=direction), "b": _metric(shifted(5), direction=direction)}
    assert {cell.mark for cell in _compare(make_run, systems).columns[0].cells} == {""}


def test_five_prompts_are_too_few_to_tell_systems_apart(make_run: MakeRun) -> None:
    for prompts, marks in ((5, ["tied", "tied"]), (6, ["", "best"])):
        systems = {name: {**_metric(values), "prompts": prompts} for name, values in (("a", rising), ("b", shifted(1)))}
        assert [cell.mark for cell in _compare(make_run, systems).columns[0].cells] == marks


def test_primary_metrics_come_first_and_runtime_last(make_run: MakeRun) -> None:
    metrics = {name: {} for name in ("runtime.seconds", "b", "z", "a", "fvd")}
    comparison = _compare(make_run, {"x": {"metrics": metrics}}, primary=("z", "fvd", "absent"))
    assert [column.metric.id for column in comparison.columns] == ["z", "fvd", "a", "b", "runtime.seconds"]
    assert [column.primary for column in comparison.columns] == [True, True, False, False, False]
    assert "absent: declared primary, but no run has it" in comparison.notes


def test_warnings_are_noted_once(make_run: MakeRun) -> None:
    facts = {**_metric(rising), "warnings": ("12 clips, at least 256 expected",)}
    comparison = _compare(make_run, {"a": facts, "b": facts})
    assert comparison.notes == ("m (all systems): 12 clips, at least 256 expected",)


def test_equal_systems_are_numbered_and_unknown_baselines_refused(make_run: MakeRun) -> None:
    assert distinct_labels(["a", "b", "a", "a (2)", "a"]) == ["a", "b", "a (2)", "a (2) (2)", "a (3)"]
    run = read_run(make_run(system="nano"))
    assert [system.label for system in compare([run, run]).systems] == ["nano", "nano (2)"]
    with pytest.raises(ValueError, match=r"baseline 'other': expected one of 'nano', 'nano \(2\)'"):
        compare([run, run], baseline="other")
    with pytest.raises(ValueError, match="found no run"):
        compare([])


def test_values_that_were_scored_again_count_once(make_run: MakeRun) -> None:
    folder = make_run(**_metric(rising))
    run = read_run(folder)
    with open_journal(folder) as journal:
        for value in run.values.values():
            append(journal, ValueRecord(**{**value.model_dump(), "value": 7.0}))
    assert compare([read_run(folder)]).columns[0].cells[0].value == 7.0


def _interval(value: float, low: float | None, high: float | None) -> Interval:
    return Interval(value=value, low=low, high=high, n=9)


@pytest.mark.parametrize(
    ("interval", "value", "limits"),
    [
        (_interval(0.31234, 0.2981, 0.3271), "0.312", "[0.298, 0.327]"),
        (_interval(312.5, 290.8, 336.9), "312", "[291, 337]"),
        (_interval(-0.0004, -0.5, 0.5), "0.00", "[-0.50, 0.50]"),
        (_interval(1.0, None, None), "1", ""),
        (_interval(0.0, 0.0, 0.0), "0", "[0, 0]"),
        (_interval(1.23456789e9, 1.2e9, 1.3e9), "1.235e+09", "[1.2e+09, 1.3e+09]"),
        (_interval(1.5e-9, 1e-9, 2e-9), "1.5e-09", "[1e-09, 2e-09]"),
        (_interval(99.996, 99.95, 100.04), "99.996", "[99.950, 100.040]"),
        (_interval(12000.0, 12000.0, 12000.0), "12000", "[12000, 12000]"),
    ],
)
def test_numbers_have_the_digits_that_their_interval_supports(interval: Interval, value: str, limits: str) -> None:
    assert numbers.format_value(interval) == value
    assert numbers.format_limits(interval) == limits


def test_signs_and_verdicts() -> None:
    assert numbers.format_number(0.5, 2, signed=True) == "+0.50"
    assert numbers.format_number(-0.5, 2, signed=True) == "-0.50"
    assert numbers.format_number(0.0001, 2, signed=True) == "+0.00"
    up = Difference(interval=_interval(1, 0.5, 2), prompts=6, excluded=0)
    few = Difference(interval=_interval(1, 0.5, 2), prompts=5, excluded=0)
    wide = Difference(interval=_interval(1, -0.5, 2), prompts=60, excluded=0)
    assert [numbers.verdict(up, d) for d in ("up", "down", "zero", "none")] == ["better", "worse", "higher", "higher"]
    assert numbers.verdict(few, "up") == numbers.verdict(wide, "up") == ""


def test_bytes_are_shown_in_a_readable_unit() -> None:
    assert numbers.readable_unit("bytes", 3 * 1024**3) == (1 / 1024**3, "GiB")
    assert numbers.readable_unit("bytes", 5000) == (1 / 1024, "KiB")
    assert numbers.readable_unit("bytes", 0) == (1.0, "bytes")
    assert numbers.readable_unit("ms", 5000) == (1.0, "ms")


def _large(make_run: MakeRun) -> Comparison:
    titles = ("Fréchet video distance (I3D)", "Kernel audio distance (SoundNet)", "Audio-video offset", "Sharpness")
    metrics = {f"m{i:02}": {"spec": {"title": titles[i % 4], "unit": ("", "", "ms", "")[i % 4]}} for i in range(12)}
    systems = {name: {"metrics": metrics} for name in ("nano", "nano, no guidance", "synthetic world")}
    systems["nano, no guidance"] = {"metrics": metrics, "failed": ("p001-s1",)}
    return _compare(make_run, systems, baseline="nano")


def _printed(comparison: Comparison, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(render_terminal(comparison, width=width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [100, 110, 120, 200])
def test_twelve_metrics_and_three_systems_are_readable(make_run: MakeRun, width: int) -> None:
    comparison = _large(make_run)
    text = _printed(comparison, width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    for column in comparison.columns:
        assert f"#{column.id}" in text
    for row in (*grid.value_rows(comparison), *grid.difference_rows(comparison)):
        for cell in row.cells:
            assert any(cell.limits in line for line in lines), cell.limits
            assert any(cell.value in line for line in lines)


def test_wide_terminals_put_the_interval_beside_the_value(make_run: MakeRun) -> None:
    comparison = _compare(make_run, {"a": _metric(rising, title="A metric")})
    cell = grid.value_rows(comparison)[0].cells[0]
    beside = f"5.5 {cell.limits}"
    assert beside in _printed(comparison, 100)
    assert beside not in _printed(comparison, 40)


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_one_row_per_system_and_metric_with_every_fact(make_run: MakeRun) -> None:
    comparison = _large(make_run)
    rows = _rows(render_csv(comparison))
    assert len(rows) == 36
    assert tuple(rows[0]) == CSV_FIELDS
    for row, (column, cell) in zip(rows, [(c, x) for c in comparison.columns for x in c.cells], strict=True):
        assert (row["system"], row["metric"], row["protocol"]) == (cell.system, column.metric.id, column.id)
        assert float(row["value"]) == cell.value
        assert cell.interval is not None
        assert float(row["low"]) == cell.interval.low
        assert int(row["n_clips"]) == cell.n
        assert int(row["n_asked"]) == 12
        assert (row["difference"] == "") == (cell.difference is None)


def test_csv_leaves_what_is_missing_empty(make_run: MakeRun) -> None:
    (row,) = _rows(render_csv(_compare(make_run, {"a": _metric(lambda i, s: ABSTAINED)})))
    assert (row["value"], row["low"], row["high"], row["n_clips"], row["n_abstained"]) == ("", "", "", "0", "12")
    assert row["reason"] == "abstained: the sound track is silent"


def _markdown_rows(text: str) -> list[Sequence[str]]:
    return [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]


def test_markdown_has_a_row_per_metric(make_run: MakeRun) -> None:
    comparison = _large(make_run)
    rows = _markdown_rows(render_markdown(comparison))
    assert [cell.strip() for cell in rows[0]] == [
        "metric",
        "n",
        "nano",
        "nano, no guidance",
        "synthetic world",
        "protocol",
    ]
    assert len(rows) == 13 + 13
    assert {len(row) for row in rows} == {6, 5}


def test_latex_is_a_booktabs_table(make_run: MakeRun) -> None:
    text = render_latex(_large(make_run))
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") > 0
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[1:]
    assert {line.count(" & ") for line in body} == {5}
    assert text.count("{") == text.count("}")


def test_the_legend_explains_marks_only_where_there_are_some(make_run: MakeRun) -> None:
    alone = _compare(make_run, {"a": _metric(rising)})
    both = _compare(make_run, {"c": _metric(rising), "d": _metric(rising)})
    assert len(grid.legend(alone)) == 2
    assert any("★ best" in line for line in grid.legend(both))


def test_timings_of_one_run_are_medians_without_interval_difference_or_mark(make_run: MakeRun) -> None:
    """Medians by hand: 11 clips without the first hold 2.0 (1.0), however the first was."""
    spec = {"needs": ("runtime",), "direction": "down"}
    slow = {"spec": spec, "values": lambda i, s: 90.0 if i == 0 else 2.0 + 0.001 * (i % 3)}
    quick = {"spec": spec, "values": lambda i, s: 1.0}
    comparison = _compare(
        make_run, {"a": {"metrics": {"m": slow}}, "b": {"metrics": {"m": quick}}}, baseline="a", primary=("m",)
    )
    first, second = comparison.columns[0].cells
    assert (first.value, second.value) == (pytest.approx(2.001), 1.0)
    assert (first.interval.low, second.interval.high) == (None, None)
    assert (first.mark, second.mark, second.difference) == ("", "", None)
    assert second.ratio == pytest.approx(1 / 2.001)
    assert "(0.5 × baseline)" in render_markdown(comparison)


def test_checks_that_are_equal_everywhere_leave_open_what_so_few_prompts_would_miss(make_run: MakeRun) -> None:
    always = _metric(lambda index, sample: 1.0, range=(0.0, 1.0))
    comparison = _compare(make_run, {"a": always, "b": always}, baseline="a")
    difference = comparison.columns[0].cells[1].difference
    assert difference is not None
    reach = 1 - 0.025 ** (1 / 6)  # of six prompts none differs, with a chance of 2.5 %, where this share does
    assert (difference.interval.low, difference.interval.high) == pytest.approx((-reach, reach))
