"""The committed pages of the metrics are those that the code gives, and say what a page has to say."""

from pathlib import Path

import pytest

from ltx2_eval.metrics.catalogue import BUILT_IN
from ltx2_eval.metrics.floor import is_derived
from ltx2_eval.metrics.pages import pages, write
from ltx2_eval.metrics.typical import TYPICAL

DOCS = Path(__file__).parents[2] / "docs" / "metrics"


@pytest.fixture(scope="module")
def made():
    return pages()


def test_the_committed_pages_are_current(made):
    committed = {path.name: path.read_text(encoding="utf-8") for path in DOCS.glob("*")}
    stale = sorted(name for name in made.keys() | committed.keys() if made.get(name) != committed.get(name))
    assert not stale, "run: python -m ltx2_eval.metrics.pages docs/metrics"


@pytest.mark.parametrize("name", [name for name, entry in BUILT_IN.items() if not is_derived(entry)])
def test_every_metric_has_a_whole_page(name, made):
    text = made[f"{name}.md"]
    for heading in (
        "What it measures, and how",
        "What it cannot see",
        "Preprocessing and aggregation",
        "Typical values",
    ):
        body = text.partition(f"## {heading}\n\n")[2].partition("\n## ")[0].strip()
        assert len(body) > 10, heading
    assert "Args:" not in text
    assert f"| id | `{name}`" in text
    assert BUILT_IN[name].spec.source in text


def test_typical_values_are_of_metrics_that_exist():
    assert TYPICAL.keys() <= BUILT_IN.keys()


def test_pages_of_metrics_that_are_gone_are_removed(tmp_path):
    (tmp_path / "gone.md").write_text("old")
    write(tmp_path)
    assert not (tmp_path / "gone.md").exists()
    assert (tmp_path / "fvd.md").exists()
