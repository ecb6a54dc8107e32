"""Runs of one name and columns of one metric are told apart, and one cause is said once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import pytest

from ltx2_reports import grid
from ltx2_reports.comparison import Comparison, compare
from ltx2_reports.latex import render_latex
from ltx2_reports.records import read_run
from ltx2_reports.render import render_markdown
from ltx2_reports.report import render_html
from ltx2_reports.told_apart import distinctions, labels_of

MakeRun = Callable[..., Path]


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["a/nano", "b/nano"], ["nano (a)", "nano (b)"]),
        (["a/1/nano", "a/2/nano", "b/1/nano"], ["nano (a/1)", "nano (a/2)", "nano (b/1)"]),
        (["a", "b"], ["nano (a)", "nano (b)"]),
        (["a/nano", "a/nano"], ["nano", "nano (2)"]),
        (["a/nano", "a/nano", "b/nano"], ["nano (a)", "nano (a) (2)", "nano (b)"]),
        (["x", "x/y"], None),
    ],
)
def test_equal_names_are_told_apart_by_folder(
    make_run: MakeRun, folders: list[str], expected: list[str] | None
) -> None:
    labels = labels_of([read_run(make_run(folder)) for folder in folders])
    assert labels == (expected or labels)
    assert len(set(labels)) == len(labels)


def test_a_name_of_several_runs_means_the_first_as_baseline(make_run: MakeRun) -> None:
    runs = [read_run(make_run(folder)) for folder in ("a/nano", "b/nano")]
    assert compare(runs, baseline="nano").baseline == "nano (a)"
    assert compare(runs, baseline="nano (b)").baseline == "nano (b)"
    with pytest.raises(ValueError, match=r"expected one of 'nano \(a\)', 'nano \(b\)'"):
        compare(runs, baseline="mano")


def _of_suites(make_run: MakeRun, suites: Mapping[str, str], metrics: int = 3) -> Comparison:
    runs = []
    for system, suite in suites.items():
        made = {f"m{k}": {"protocol": {"suite": suite}} for k in range(metrics)}
        runs.append(read_run(make_run(system, system=system, metrics=made)))
    return compare(runs)


def test_one_cause_is_one_sentence_whatever_the_number_of_metrics(make_run: MakeRun) -> None:
    comparison = _of_suites(make_run, {"a": "w[:4]@1#4444", "b": "w[:6]@1#6666", "c": "w[:6]@1#6666"})
    (sentence,) = comparison.mixed
    assert sentence.startswith("3 metrics (m0, m1, m2): a and b, c are not comparable, they differ in suite: ")
    assert "`ltx2-eval compare A B` takes the prompts" in sentence
    assert render_html(comparison).count("Not comparable.") == 1


def test_rows_of_one_metric_say_by_what_they_differ(make_run: MakeRun) -> None:
    comparison = _of_suites(make_run, {"a": "w[:4]@1#4444", "b": "w[:6]@1#6666"}, metrics=1)
    assert {row.distinction for row in grid.value_rows(comparison)} == {"suite w[:4]@1", "suite w[:6]@1"}
    assert "suite w[:4]@1</span>" in render_html(comparison)
    assert "[suite w" in render_latex(comparison)
    assert "suite w" in render_markdown(comparison)
    assert {row.n for row in grid.value_rows(comparison)} == {"12"}


def test_a_metric_measured_in_one_way_needs_no_distinction(make_run: MakeRun) -> None:
    comparison = _of_suites(make_run, {"a": "w@1#4444", "b": "w@1#4444"})
    assert {row.distinction for row in grid.value_rows(comparison)} == {""}


def test_what_differs_in_a_hash_only_is_shown_with_it(factory: ModuleType) -> None:
    ways = [factory.protocol("m", suite=f"w@1#{letter * 12}", settings={"bins": k}) for k, letter in enumerate("ab")]
    assert distinctions(ways) == ["suite w@1, bins 0", "suite w@1, bins 1"]
    assert distinctions([factory.protocol("m", suite=f"w@1#{k * 12}") for k in "ab"]) == [
        f"suite w@1#{'a' * 12}",
        f"suite w@1#{'b' * 12}",
    ]
