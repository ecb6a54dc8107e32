"""Published figures beside measured ones: never in one column, each with its protocol, cited."""

import csv
import importlib.resources
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from ltx2_benchmarks.baselines import Source, load_baseline, load_baselines
from ltx2_reports.citations import bibtex
from ltx2_reports.escape import for_html, for_latex, for_markdown
from ltx2_reports.published import chosen_baselines, namesake_tables, protocol_table
from ltx2_reports.published_render import published_csv, published_latex, published_markdown
from ltx2_reports.report import Page, write_report

MakeRun = Callable[..., Path]


REASONS = {
    "avgen-bench": ("0.23", "mean absolute value of the softmax-expected offset"),
    "javisbench-omniforcing": ("0.384", "Issue 24 of its repository asks for the clip settings"),
    "verse-bench-mova": ("0.451", "arg-max over 21 classes, on the first and the last 4.8 s"),
    "javisbench-mini-salt": ("0.608", "clips of 121 frames (5 s) with 40 steps"),
    "t2av-compass": ("0.8756", "was reported wrong and mended"),
}
"""What LTX-2's DeSync is in each protocol, and the words that say why it is another."""


def test_five_desync_values_stay_in_five_columns_that_say_why() -> None:
    table = next(table for table in namesake_tables(load_baselines()) if table.id == "desync")
    line = next(line for line in table.lines if line.system == "LTX-2")
    filled = {
        head.protocol: (value, head) for head, value in zip(table.heads, line.values, strict=True) if value != "—"
    }
    assert filled.keys() == REASONS.keys()
    for protocol, (value, why) in REASONS.items():
        assert filled[protocol][0] == value
        assert why in filled[protocol][1].about
    assert len({head.name for head in table.heads}) == len(table.heads)
    for cause in ("softmax", "arg-max", "4.8 s", "decoder", "mended", "prompts, steps and resolution"):
        assert cause in table.lead


def test_every_form_has_the_five_apart_and_says_why(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run(name, system=name) for name in ("nano", "world")]
    write_report(runs, tmp_path, made=Page(published=load_baselines()), exports=("json", "parquet"))
    (family,) = [f for f in json.loads((tmp_path / "table.json").read_text())["namesakes"] if f["family"] == "desync"]
    values = {
        column["protocol"]: column["printed"]["LTX-2"] for column in family["columns"] if "LTX-2" in column["printed"]
    }
    assert values == {protocol: value for protocol, (value, _) in REASONS.items()}
    frame = pd.read_parquet(tmp_path / "published.parquet")
    ours = frame[(frame["model"] == "LTX-2") & (frame["family"] == "desync")]
    assert dict(zip(ours["protocol"], ours["printed"], strict=True)) == values
    rows = list(csv.DictReader(io.StringIO((tmp_path / "published.csv").read_text())))
    ours = [row for row in rows if row["model"] == "LTX-2" and row["family"] == "desync"]
    assert {row["protocol"]: row["printed"] for row in ours} == values
    markdown = (tmp_path / "table.md").read_text()
    latex = (tmp_path / "table.tex").read_text()
    page = (tmp_path / "report.html").read_text()
    for text, escape in ((markdown, for_markdown), (latex, for_latex), (page, for_html)):
        start = text.index(escape(f"desync: {len(family['columns'])} protocols"))
        part = text[start : start + 25_000]
        for value, why in REASONS.values():
            assert value in part
            assert escape(why) in part
        assert escape(family["why"]) in part


def test_one_protocol_is_shown_once_and_two_files_of_one_id_are_refused(tmp_path: Path) -> None:
    ids = [found.protocol.id for found in chosen_baselines(["all", "avgen-bench"])]
    assert sorted(set(ids)) == ids
    source = importlib.resources.files("ltx2_benchmarks") / "baselines" / "ltx2-speed.toml"
    path = tmp_path / "mine.toml"
    path.write_text(source.read_text())
    with pytest.raises(ValueError, match=r"mine.toml: ltx2-speed: 2 files have this id"):
        chosen_baselines(["ltx2-speed", str(path)])
    path.write_text(source.read_text().replace("22.30", "1e9").replace('"ltx2-speed"', '"mine"'))
    with pytest.raises(ValueError, match="lies outside"):
        chosen_baselines([str(path)])


def test_rows_copied_from_elsewhere_are_no_measurements() -> None:
    javis = next(table for table in namesake_tables(load_baselines()) if table.id == "fvd")
    line = next(line for line in javis.lines if line.system == "JavisDiT")
    assert sorted(value for value in line.values if value != "—") == ["204.1", "248.9"]


def test_a_protocols_table_has_the_digits_of_the_source() -> None:
    table = protocol_table(load_baseline("avgen-bench"))
    assert table.heads[-1].name == "Total ↑"
    veo = next(line for line in table.lines if line.system == "Veo 3.1-fast")
    assert veo.values[0] == "0.960"
    assert dict(table.facts)["prompts"] == "235"


def test_tables_in_markdown_latex_and_csv() -> None:
    chosen = chosen_baselines(["ltx2-speed", "verse-bench-mova", "ltx2-speed"])
    assert [found.protocol.id for found in chosen] == ["ltx2-speed", "verse-bench-mova"]
    tables = [protocol_table(found) for found in chosen]
    html = MarkdownIt("commonmark").enable("table").render(published_markdown(tables))
    assert html.count("<table>") == 2
    assert "arxiv" in html
    assert "22.30" in html
    latex = published_latex(tables)
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2
    assert latex.count("{") == latex.count("}")
    assert len(published_csv(chosen).splitlines()) == 1 + sum(1 for found in chosen for _ in found.values())
    assert published_markdown([]) == published_latex([]) == ""


def test_bibtex_has_an_entry_per_work_with_authors_and_tables_cite_them(make_run: MakeRun, tmp_path: Path) -> None:
    specs = {"fvd": {"spec": {"source": "Unterthiner et al. 2018"}}, "own": {"spec": {"source": "decoded frames"}}}
    runs = [make_run(name, system=name, metrics=specs) for name in ("a", "b")]
    write_report(runs, tmp_path, made=Page(published=load_baselines()))
    text, latex = (tmp_path / "references.bib").read_text(), (tmp_path / "table.tex").read_text()
    entries = dict(re.findall(r"^@misc\{([a-z0-9.-]+),\n(.*?)^\}$", text, re.MULTILINE | re.DOTALL))
    assert list(entries) == sorted(entries)
    assert len(entries) == text.count("@misc{")
    assert "HaCohen, Yoav and Brazowski, Benny" in entries["arxiv-2601.03233"]
    assert "https://arxiv.org/abs/2601.03233v1" in entries["arxiv-2601.03233"]
    assert all("author = {" in entry for key, entry in entries.items() if key.startswith("arxiv-"))
    assert "Unterthiner et al. 2018" in entries["metric-unterthiner-et-al-2018"]
    cited = {key for keys in re.findall(r"\\cite\{([^}]*)\}", latex) for key in keys.split(",")}
    assert cited == entries.keys()
    assert text.count("{") == text.count("}")


def test_keys_of_other_scripts_and_commits_stay_apart() -> None:
    def keyed(**facts: str) -> str:
        source = Source(table="T", date="2026", **facts)
        return "".join(bibtex([load_baseline("ltx2-speed").model_copy(update={"source": source})]))

    first, second = (keyed(title=title) for title in ("中文论文", "另一篇"))
    assert re.match(r"@misc\{[0-9a-f]{8},", first)
    assert first.split(",")[0] != second.split(",")[0]
    both = [
        load_baseline("ltx2-speed").model_copy(
            update={"source": Source(table="T", date="2026", repository="a/b", commit=commit)}
        )
        for commit in ("1111111", "2222222")
    ]
    assert bibtex(both).count("@misc{") == 2
    hostile = keyed(title="} \\input{x} {{ @misc{y, %")
    assert hostile.count("{") == hostile.count("}")
    assert "\\input{" not in hostile


def test_a_leaderboard_shows_them_apart_and_marked(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run(name, system=name) for name in ("nano", "world")]
    files = write_report(runs, tmp_path, made=Page(published=load_baselines(), title="Board", is_board=True))
    text = files.html.read_text()
    assert files.html.name == "index.html"
    assert "Published, not measured here." in text
    board = text[text.index('id="board-table"') : text.index("</table>", text.index('id="board-table"'))]
    assert "Seedance" not in board
    assert "Seedance 2.0" in text
    assert (tmp_path / "references.bib").read_text().count("@misc{") > 0
    assert '<a rel="noreferrer" href="https://arxiv.org/abs/2604.08540">' in text


def test_an_unknown_protocol_is_told() -> None:
    with pytest.raises(ValueError, match="unknown baseline 'avgen'"):
        chosen_baselines(["avgen"])
