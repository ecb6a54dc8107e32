"""Tables of speed and cost: figures, inert text, and quality beside cost by hand."""

import pytest

from ltx2_reports.bench_cost import cost_rows, cost_table
from ltx2_reports.bench_plot import scaling_svg
from ltx2_reports.bench_tables import number, render_csv, render_markdown
from ltx2_reports.records import read_run

CASE = {
    "name": "=cmd|<b>x</b> step",
    "model": "<script>",
    "dtype": "float32",
    "batch": 1,
    "parameters": 2_000_000_000,
    "tokens": {"video": 100},
    "tflop_per_forward": 4.0,
    "tflop_linear": 3.0,
    "tflop_attention": 1.0,
    "weight_bytes": 4e9,
    "memory_bytes": 2**32,
    "roofline_gpu": None,
    "roofline_seconds": None,
    "roofline_bound": None,
    "roofline_fits": None,
    "seconds": None,
    "error": None,
    "weights": "random",
    "reason": None,
}
DEVICE = {"kind": "meta", "name": "meta", "driver": None, "attention": None, "threads": None, "packages": {}}


def summary(*cases):
    return {
        "title": "a | b",
        "device": DEVICE,
        "price_per_gpu_hour": None,
        "cases": list(cases),
        "ratios": [],
        "published": None,
        "budgets": [],
    }


def test_markdown_and_csv_hold_the_figures_and_no_code():
    text = render_markdown(summary(CASE))
    assert "| 2 |" in text
    assert "25.0%" in text
    assert "<b>" not in text
    assert "<script>" not in text
    lines = render_csv(summary(CASE)).splitlines()
    assert lines[0].startswith("name,model")
    assert lines[1].startswith("'=cmd")
    assert "tokens.video" in lines[0]


def test_a_plot_needs_two_sizes_and_holds_no_code():
    larger = {**CASE, "tokens": {"video": 400}, "tflop_per_forward": 30.0}
    assert scaling_svg(summary(CASE)) is None
    drawing = scaling_svg(summary(CASE, larger))
    assert "<script>" not in drawing
    assert drawing == scaling_svg(summary(CASE, larger))


@pytest.mark.parametrize(
    ("value", "text"), [(None, "—"), (0.0, "0"), (536.69, "536.7"), (12920.0, "12,920"), (0.00123456, "0.001235")]
)
def test_numbers(value, text):
    assert number(value) == text


def test_quality_against_cost_by_hand(make_run):
    run = read_run(make_run("a"))  # every clip took 0.5 s
    (row,) = cost_rows([run], 7.2)
    assert row["seconds_per_clip"] == 0.5
    assert row["clips_per_hour"] == 7200
    assert row["cost_per_clip"] == pytest.approx(0.001)
    assert row["metrics"]
    table = cost_table([row])
    assert table.head[:4] == ("system", "s per clip", "clips per hour", "cost per clip")
    assert table.rows[0][3] == "0.001"
    assert cost_rows([run], None)[0]["cost_per_clip"] is None
    assert cost_table([]) is None


def test_different_suites_and_devices_are_said(make_run):
    rows = cost_rows([read_run(make_run("a"))], 1.0)
    notes = cost_table([*rows, {**rows[0], "suite": "other@1#2", "device": "another"}]).notes
    assert any("suites differ" in note for note in notes)
    assert any("devices differ" in note for note in notes)
