"""A comparison for other programs: what is written reads back with readers that are not ours."""

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import yaml

from ltx2_benchmarks.baselines import load_baseline
from ltx2_reports.comparison import Comparison, compare
from ltx2_reports.exports import FORMATS, badge, model_index, table_json, to_frame, write_exports
from ltx2_reports.records import read_run

MakeRun = Callable[..., Path]


@pytest.fixture
def comparison(make_run: MakeRun) -> Comparison:
    runs = [read_run(make_run(name, system=name)) for name in ("nano", "world")]
    return compare(runs, baseline="nano", resamples=50)


def test_frame_and_parquet_hold_the_same_rows(comparison: Comparison, tmp_path: Path) -> None:
    frame = to_frame(comparison)
    assert len(frame) == len(comparison.columns) * 2
    assert set(frame["system"]) == {"nano", "world"}
    (path,) = write_exports(comparison, tmp_path, ["parquet"])
    again = pd.read_parquet(path)
    pd.testing.assert_frame_equal(again, frame, check_dtype=False)
    first = comparison.columns[0].cells[0]
    assert again["value"][0] == first.value


def test_json_has_the_rows_and_a_schema(comparison: Comparison, tmp_path: Path) -> None:
    (path,) = write_exports(comparison, tmp_path, ["json"])
    content = json.loads(path.read_text())
    assert content["schema"] == 1
    assert len(content["rows"]) == len(to_frame(comparison))
    assert content["rows"][0]["protocol"] == comparison.columns[0].id


def test_model_index_names_protocol_and_interval_of_every_value(comparison: Comparison) -> None:
    entries = yaml.safe_load(model_index(comparison))["model-index"]
    assert [entry["name"] for entry in entries] == ["nano", "world"]
    metrics = entries[0]["results"][0]["metrics"]
    cell = comparison.columns[0].cells[0]
    assert metrics[0]["value"] == cell.value
    assert metrics[0]["args"]["low"] == cell.interval.low
    assert metrics[0]["args"]["protocol"] == comparison.columns[0].protocol.signature


def test_hostile_names_are_text_in_yaml_and_svg(make_run: MakeRun, hostile: ModuleType) -> None:
    for place, payload in enumerate(hostile.PAYLOADS.values()):
        metrics = {"m": {"spec": {"title": payload[:200], "unit": payload[:20]}}}
        made = compare([read_run(make_run(f"r{place}", system=payload, metrics=metrics))], resamples=20)
        assert len(yaml.safe_load(model_index(made))["model-index"]) == 1
        root = ElementTree.fromstring(badge(made))
        assert {element.tag.rpartition("}")[2] for element in root.iter()} == {
            "svg",
            "title",
            "rect",
            "path",
            "g",
            "text",
        }
        assert not {name for element in root.iter() for name in element.attrib if name.startswith("on")}


def test_a_badge_says_the_first_value(comparison: Comparison) -> None:
    texts = [
        element.text for element in ElementTree.fromstring(badge(comparison)).iter() if element.tag.endswith("text")
    ]
    assert texts[0].startswith(f"nano: {comparison.columns[0].metric.title}")
    assert "[" in texts[1]


def test_an_unknown_form_is_told(comparison: Comparison, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="export 'xlsx': expected one of json, parquet"):
        write_exports(comparison, tmp_path, ["json", "xlsx"])
    assert not list(tmp_path.glob("table.json"))
    written = write_exports(comparison, tmp_path, list(FORMATS))
    assert len(written) == len(FORMATS) + len(comparison.systems)  # a model card each
    assert all(path.is_file() for path in written)


def test_published_figures_stand_apart_in_json_and_parquet(comparison: Comparison, tmp_path: Path) -> None:
    chosen = [load_baseline("ltx2-speed"), load_baseline("avgen-bench")]
    count = sum(1 for found in chosen for _ in found.values())
    written = write_exports(comparison, tmp_path, ["json", "parquet"], chosen)
    assert [path.name for path in written] == ["table.json", "table.parquet", "published.parquet"]
    content = json.loads(written[0].read_text())
    assert len(content["rows"]) == len(pd.read_parquet(written[1])) == len(to_frame(comparison))
    assert len(content["published"]) == len(pd.read_parquet(written[2])) == count
    wan = next(row for row in content["published"] if row["system"] == "Wan 2.2-14B")
    assert (wan["printed"], wan["value"]) == ("22.30", 22.3)
    assert "Wan" not in json.dumps(content["rows"])
    assert json.loads(table_json(comparison))["published"] == []


def test_a_model_card_holds_one_model(comparison: Comparison, tmp_path: Path) -> None:
    written = write_exports(comparison, tmp_path, ["model-index"])
    assert [path.name for path in written] == ["model-index.yaml", "1-nano.yaml", "2-world.yaml"]
    for path, name in zip(written[1:], ("nano", "world"), strict=True):
        assert [entry["name"] for entry in yaml.safe_load(path.read_text())["model-index"]] == [name]


def test_a_badge_is_cut_and_as_wide_as_its_letters(make_run: MakeRun) -> None:
    def drawn(system: str) -> tuple[int, str, float]:
        root = ElementTree.fromstring(badge(compare([read_run(make_run(system, system=system))], resamples=20)))
        label = next(e for e in root.iter() if e.tag.endswith("text"))
        return int(root.attrib["width"]), label.text or "", 2 * float(label.attrib["x"])

    long, short, wide = drawn("x" * 200), drawn("xxxx"), drawn("猫猫猫猫")
    assert long[1] == "x" * 47 + "…"
    assert long[0] < 600
    assert wide[2] - short[2] == 4 * 5  # a wide letter has five pixels more
