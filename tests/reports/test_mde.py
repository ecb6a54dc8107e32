"""The least detectable difference stands in every table of differences, and is the one that simulation finds."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ltx2_reports.comparison import Comparison, compare
from ltx2_reports.exports import table_json
from ltx2_reports.grid import footnotes
from ltx2_reports.latex import render_latex
from ltx2_reports.records import read_run
from ltx2_reports.render import render_csv, render_markdown
from ltx2_reports.report import render_html
from ltx2_reports.statistics import detectable, paired_differences

MakeRun = Callable[..., Path]


@pytest.fixture
def comparison(make_run: MakeRun) -> Comparison:
    values = {"a": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0), "b": (0.1, 0.3, 0.1, 0.3, 0.1, 0.3)}
    runs = [
        make_run(n, system=n, seeds=(0,), metrics={"m": {"values": lambda i, s, v=v: v[i], "spec": {"unit": "ms"}}})
        for n, v in values.items()
    ]
    return compare([read_run(run) for run in runs], baseline="a", primary=("m",), resamples=50)


def test_it_is_the_case_worked_by_hand(comparison: Comparison) -> None:
    """Six differences of 0.1 and 0.3: sd 0.2 * sqrt(0.3), over sqrt(6), times t(0.975; 5) + t(0.8; 5)."""
    found = comparison.columns[0].cells[1].difference
    assert found is not None
    expected = 0.2 * math.sqrt(0.3) / math.sqrt(6) * (2.5705818 + 0.9195438)
    assert found.detectable == pytest.approx(expected, rel=1e-6)


def test_every_form_says_it(comparison: Comparison) -> None:
    line, why = footnotes(comparison)
    assert "chance 0.8 at level 0.05" in why
    assert line.startswith("M: n = 6, protocol #")
    assert line.endswith("; least detectable difference from a in ms: 0.1561 (b).")
    identity = comparison.columns[0].id
    for text in (render_markdown(comparison), render_latex(comparison), render_html(comparison)):
        assert "0.1561 (b)" in text
        assert identity in text
        assert "MDE" in text
    assert '"difference_detectable"' in render_csv(comparison)
    rows = json.loads(table_json(comparison))["rows"]
    assert [row["difference_detectable"] for row in rows] == [None, pytest.approx(0.15608, rel=1e-4)]


def test_a_difference_of_that_size_is_found_four_times_of_five() -> None:
    """10,000 studies of 30 prompts, each judged by the paired t test that the figure speaks of."""
    draw = np.random.default_rng(5)
    n, spread = 30, 0.4
    true = detectable(spread / math.sqrt(n), n)
    studies = true + spread * draw.standard_normal((10_000, n))
    t = studies.mean(axis=1) / (studies.std(axis=1, ddof=1) / math.sqrt(n))
    assert (t > 2.0452296).mean() == pytest.approx(0.8, abs=0.02)


def test_one_prompt_has_none() -> None:
    (only,) = paired_differences([({"p": [1.0]}, {"p": [2.0]})], resamples=10)
    assert only is not None
    assert only.detectable is None
