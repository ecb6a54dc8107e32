"""Published figures beside measured ones: never in one column, each with its protocol, cited."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from ltx2_benchmarks.baselines import load_baseline, load_baselines
from ltx2_reports.citations import bibtex
from ltx2_reports.published import chosen_baselines, namesake_tables, protocol_table
from ltx2_reports.published_render import published_csv, published_latex, published_markdown
from ltx2_reports.report import write_report

MakeRun = Callable[..., Path]


def test_five_desync_values_stay_in_five_columns_that_say_why() -> None:
    table = next(table for table in namesake_tables(load_baselines()) if table.id == "desync")
    line = next(line for line in table.lines if line.system == "LTX-2")
    filled = [(head, value) for head, value in zip(table.heads, line.values, strict=True) if value != "—"]
    assert sorted(value for _, value in filled) == ["0.23", "0.384", "0.451", "0.608", "0.8756"]
    assert len({head.protocol for head, _ in filled}) == len({head.about for head, _ in filled}) == 5
    assert any("softmax-expected" in head.about for head, _ in filled)


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
    assert "22.30" in html
    latex = published_latex(tables)
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2
    assert latex.count("{") == latex.count("}")
    assert len(published_csv(chosen).splitlines()) == 1 + sum(1 for found in chosen for _ in found.values())
    assert published_markdown([]) == published_latex([]) == ""


def test_bibtex_has_an_entry_per_work() -> None:
    text = bibtex(load_baselines())
    keys = re.findall(r"^@misc\{([^,]+),$", text, re.MULTILINE)
    assert keys == sorted(set(keys))
    assert "arxiv-2601.03233" in keys
    assert text.count("{") == text.count("}")
    assert "https://arxiv.org/abs/2601.03233v1" in text


def test_a_leaderboard_shows_them_apart_and_marked(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run(name, system=name) for name in ("nano", "world")]
    files = write_report(runs, tmp_path, published=load_baselines(), title="Board", is_board=True)
    text = files.html.read_text()
    assert files.html.name == "index.html"
    assert "Published, not measured here." in text
    board = text[text.index('id="board-table"') : text.index("</table>", text.index('id="board-table"'))]
    assert "Seedance" not in board
    assert "Seedance 2.0" in text
    assert (tmp_path / "references.bib").read_text() == bibtex(load_baselines())


def test_an_unknown_protocol_is_told() -> None:
    with pytest.raises(ValueError, match="unknown baseline 'avgen'"):
        chosen_baselines(["avgen"])
