"""The page and the tables: inert whatever the data says, equal bytes for equal runs, links that are only paths."""

import base64
import csv
import dataclasses
import hashlib
import html.parser
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from ltx2_reports import board, page, summary
from ltx2_reports.clipdata import clip_data
from ltx2_reports.comparison import Comparison, compare
from ltx2_reports.latex import render_latex
from ltx2_reports.media_links import address_of, clip_url
from ltx2_reports.records import Ledger, Reason, Run, read_run
from ltx2_reports.render import render_csv, render_markdown, render_terminal
from ltx2_reports.report import render_html, write_report

MakeRun = Callable[..., Path]
FIELDS = ("system", "prompt", "model", "suite", "platform", "title", "reason", "warning")
HARMLESS: dict[str, Any] = {}
"""Shapes of a report in whose records nothing hostile stands, made once."""
LATEX_OWN = {"textbackslash", "textasciicircum", "textasciitilde", "textless", "textgreater", "textbar", "char"}


def _runs(make_run: MakeRun, name: str, text: dict[str, str]) -> list[Run]:
    """Two systems in whose records every field of `text` stands where data can put it."""
    said = {field: text.get(field, "harmless") for field in FIELDS}
    failed = Reason(kind="failed", message=said["reason"], stage="metric", error="ValueError")
    metrics = {
        "sharpness": {"values": lambda i, s: failed if i == 0 else i / 7, "spec": {"title": said["title"]}},
        "fvd": {"value": failed, "spec": {"title": "FVD", "unit": said["title"]}},
    }
    shared = {key: said[key] for key in ("prompt", "model", "suite", "platform")}
    folders = [
        make_run(f"{name}-{place}", system=system, prompts=2, metrics=metrics, warnings=(said["warning"],), **shared)
        for place, system in enumerate((said["system"], "other"))
    ]
    return [read_run(folder) for folder in folders]


class _Elements(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []
        self.other: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.found.append((f"/{tag}",))

    def handle_comment(self, data: str) -> None:
        self.other.append(data)

    handle_pi = unknown_decl = handle_comment


def _elements(text: str) -> list[tuple[str, ...]]:
    reader = _Elements()
    reader.feed(text)
    reader.close()
    assert not reader.other
    return reader.found


def _markdown_shape(text: str) -> list[str]:
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    flat = [child for token in tokens for child in (token, *(token.children or ()))]
    return [token.type for token in flat if token.type not in ("text", "text_special")]


def _csv_shape(text: str) -> list[int]:
    rows = list(csv.reader(io.StringIO(text)))
    for row in rows[1:]:
        for cell in row:
            assert cell[:1] not in tuple("=+@\t\r") or re.fullmatch(r"[-+]?[\d.e+-]+", cell)
            assert cell[:1] != "-" or re.fullmatch(r"-[\d.e+-]+", cell)
    return [len(row) for row in rows]


def _latex_shape(text: str) -> tuple[list[str], int, int]:
    commands = re.findall(r"\\([A-Za-z]+|\\)", text)
    assert text.count("{") == text.count("}")
    cells = len(re.findall(r"(?<!\\)&", text))
    return [command for command in commands if command not in LATEX_OWN], cells, text.count("\n")


def _json_shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json_shape(item) for key, item in value.items()}
    return [_json_shape(item) for item in value] if isinstance(value, list) else type(value).__name__


def _shapes(runs: list[Run]) -> dict[str, Any]:
    comparison = compare(runs, baseline=runs[1].header.spec.system, resamples=50)
    content = summary.summarise(runs[0])
    return {
        "html": _elements(_page(comparison, runs)),
        "clips": _json_shape({**_data(comparison, runs), "reasons": None}),
        "markdown": _markdown_shape(render_markdown(comparison)),
        "csv": _csv_shape(render_csv(comparison)),
        "latex": _latex_shape(render_latex(comparison)),
        "json": _json_shape(json.loads(json.dumps(content, allow_nan=False))),
    }


def _page(comparison: Comparison, runs: list[Run]) -> str:
    return render_html(comparison, runs, folder=runs[0].folder)


def _data(comparison: Comparison, runs: list[Run], folder: Path | None = None) -> dict[str, Any]:
    """What the clip browser gets."""
    made = clip_data(comparison, runs, address_of(folder or runs[0].folder, "link"))
    return json.loads(made.text if made.form == "json" else zlib.decompress(base64.b64decode(made.text)))


def _assert_printable(text: str) -> None:
    bad = {letter for letter in text if letter != "\n" and unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")}
    assert not bad
    assert not re.search("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", text)


def test_every_format_has_the_structure_of_a_harmless_report(make_run: MakeRun, payload: str) -> None:
    """One run with the payload in all fields; each format is parsed by a reader that is not ours."""
    runs = _runs(make_run, "hostile", dict.fromkeys(FIELDS, payload))
    if not HARMLESS:
        HARMLESS.update(_shapes(_runs(make_run, "harmless", {})))
    hostile, harmless = _shapes(runs), HARMLESS
    for form, shape in harmless.items():
        assert hostile[form] == shape, form
    comparison = compare(runs, resamples=50)
    console = Console(file=io.StringIO(), width=110, color_system=None, legacy_windows=False)
    console.print(render_terminal(comparison, width=110))
    assert isinstance(console.file, io.StringIO)
    for text in (console.file.getvalue(), render_html(comparison), render_markdown(comparison)):
        _assert_printable(text)
    for text in (render_csv(comparison), render_latex(comparison)):
        _assert_printable(text)


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_reaches_the_page_and_is_escaped_there(make_run: MakeRun, field: str) -> None:
    runs = _runs(make_run, "one", {field: "<b>\u202e&{{ 7 * 7 }}"})
    comparison = compare(runs, resamples=50)
    text = _page(comparison, runs)
    if field == "prompt":
        assert {prompt[1] for prompt in _data(comparison, runs)["prompts"]} == {"<b>\\u202e&{{ 7 * 7 }}"}
        assert "\\u003cb\\u003e" in text
    else:
        assert "&lt;b&gt;\\u202e&amp;{{ 7 * 7 }}" in text
    assert "<b>" not in text
    assert "{{ 49 }}" not in text


def test_the_page_carries_its_policy_and_runs_nothing_but_its_own_scripts(make_run: MakeRun) -> None:
    runs = _runs(make_run, "run", {})
    text = _page(compare(runs, resamples=50), runs)
    policy = re.search(r"Content-Security-Policy\" content=\"([^\"]*)\"", text)
    assert policy is not None
    parts = dict(part.strip().split(" ", 1) for part in policy.group(1).split(";"))
    assert parts["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/=]{44}'", parts["style-src"])
    assert re.fullmatch(r"('sha256-[\w+/=]{44}' ?){4}", parts["script-src"])
    elements = _elements(text)
    tags = {element[0] for element in elements}
    assert not tags & {"iframe", "object", "embed", "form", "base", "link", "img"}
    attributes = {attribute for element in elements for attribute in element[1:]}
    assert not {name for name in attributes if name.startswith("on") or name == "style"}
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)
    hashes = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    assert set(re.findall(r"sha256-([\w+/=]{44})", parts["script-src"])) <= hashes
    without = re.sub(r"<script[^>]*>.*?</script>", "", text, flags=re.DOTALL)
    assert "http://" not in without
    assert "https://" not in without
    assert not re.search("innerHTML|insertAdjacentHTML|document.write|eval\\(|fetch\\(", text)


def test_the_page_shows_clips_values_reasons_and_protocols(make_run: MakeRun) -> None:
    folder = make_run(prompts=2, failed=("p001-s1",))
    run = read_run(folder)
    comparison = compare([run])
    text, data = _page(comparison, [run]), _data(comparison, [run])
    assert data["clips"]["url"] == ["clips/p000-s0.mp4", "clips/p000-s1.mp4", "clips/p001-s0.mp4", None]
    assert data["reasons"][data["clips"]["why"][3]] == "failed: out of memory"
    assert data["values"][0]["plain"][0] == float(f"{run.values['p000-s0', comparison.columns[0].metric.id].value:.4g}")
    assert "1 could not be made" in text
    for column in comparison.columns:
        assert f'id="protocol-{column.id}"' in text
        assert f'href="#protocol-{column.id}"' in text
        for field in type(column.protocol).model_fields:
            assert field == "settings" or f"<dt>{field}</dt>" in text


def test_prompts_are_shared_by_text_and_clips_name_prompt_system_and_seed(make_run: MakeRun) -> None:
    folders = [make_run(name, system=name, prompts=2, seeds=seeds) for name, seeds in (("a", (0, 1)), ("b", (7,)))]
    runs = [read_run(folder) for folder in folders]
    data = _data(compare(runs), runs)
    assert list(itertools.accumulate(data["clips"]["prompt"])) == [0, 0, 1, 1, 0, 1]
    assert data["clips"]["system"] == [0, 0, 0, 0, 1, 1]
    assert data["clips"]["seed"] == [0, 1, 0, 1, 7, 7]
    other = read_run(make_run("c", system="c", prompts=2, prompt="Another text."))
    prompts = _data(compare([*runs, other]), [*runs, other])["prompts"]
    assert [prompt[0] for prompt in prompts] == ["p000", "p001", "p000", "p001"]


@pytest.mark.parametrize(
    ("file", "url"),
    [
        ("clips/a.mp4", "../run/clips/a.mp4"),
        ("clips/a b#c?d%e.mp4", "../run/clips/a%20b%23c%3Fd%25e.mp4"),
        ("clips/猫.mp4", "../run/clips/%E7%8C%AB.mp4"),
        ('clips/"><x>.mp4', "../run/clips/%22%3E%3Cx%3E.mp4"),
        ("javascript:alert(1)", "../run/javascript%3Aalert%281%29"),
    ],
)
def test_addresses_of_clips_are_nothing_but_paths(tmp_path: Path, file: str, url: str) -> None:
    assert clip_url(tmp_path / "run", file, tmp_path / "out") == url


def test_a_clip_outside_the_run_folder_is_linked_where_it_lies(tmp_path: Path) -> None:
    url = clip_url(tmp_path / "run", str(tmp_path / "media" / "a.mp4"), tmp_path / "out")
    assert url == "../media/a.mp4"


def test_intervals_are_drawn_on_one_scale_per_row(make_run: MakeRun) -> None:
    metrics = ({"m": {"values": lambda i, s: i}}, {"m": {"values": lambda i, s: i + 4}})
    runs = [read_run(make_run(f"r{place}", metrics=given)) for place, given in enumerate(metrics)]
    low, high = page.plots_of(compare(runs).columns[0])
    assert low is not None
    assert high is not None
    assert 0 <= low.low < low.value < low.high
    assert high.low < high.value < high.high <= page.PLOT_WIDTH
    assert high.value > low.value
    flat = read_run(make_run("flat", metrics={"m": {"values": lambda i, s: 1.0}}))
    assert page.plots_of(compare([flat]).columns[0]) == [None]


def test_colours_have_the_contrast_that_wcag_asks_for() -> None:
    style = (Path(page.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{.*?\}", style, re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in blocks)
    pairs = [(ink, paper) for ink in ("ink", "dim", "accent", "bad", "good") for paper in ("paper", "sheet", "soft")]
    for scheme in (light, dark):
        for ink, paper in (*pairs, ("good", "good-soft"), ("ink", "warn-soft")):
            assert _contrast(scheme[ink], scheme[paper]) >= 4.5, (ink, paper)
        for swatch in range(6):
            assert _contrast(scheme[f"s{swatch}"], scheme["sheet"]) >= 3


def _contrast(first: str, second: str) -> float:
    """WCAG 2.2, relative luminance and contrast ratio."""
    low, high = sorted(_luminance(colour) for colour in (first, second))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


REBUILD = """
import sys
from pathlib import Path
from ltx2_reports.published import chosen_baselines
from ltx2_reports.report import Page, write_report
from ltx2_reports.summary import write_summary
runs = [Path(name) for name in sys.argv[2:]]
write_report(runs, Path(sys.argv[1]), baseline="b", primary=("offset",))
forms = ("json", "model-index", "badge")
chosen = chosen_baselines(["avgen-bench", "t2av-compass"])
made = Page(media="none", published=chosen, is_board=True)
write_report(runs, Path(sys.argv[1]), baseline="b", made=made, exports=forms)
write_summary(runs[0])
"""


def test_the_same_runs_give_the_same_bytes_in_any_locale_and_time_zone(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run(name, system=name, prompts=8, failed=("p003-s0",)) for name in ("a", "b")]
    seen = []
    for zone, language, salt in (("UTC", "C", "1"), ("Pacific/Auckland", "de_DE.UTF-8", "2")):
        out = tmp_path / "out"
        environment = {**os.environ, "TZ": zone, "LANG": language, "LC_ALL": language, "PYTHONHASHSEED": salt}
        subprocess.run([sys.executable, "-c", REBUILD, str(out), *map(str, runs)], env=environment, check=True)
        written = (*(path for path in out.rglob("*") if path.is_file()), runs[0] / "summary.json")
        seen.append({path.name: path.read_bytes() for path in written})
        shutil.rmtree(out)
    assert seen[0] == seen[1]
    pages = {"index.html", "report.html", "references.bib", "summary.json", "published.csv"}
    tables = {
        "table.csv",
        "table.md",
        "table.tex",
        "table.json",
        "model-index.yaml",
        "1-a.yaml",
        "2-b.yaml",
        "badge.svg",
    }
    assert seen[0].keys() == pages | tables


def test_write_report_says_what_it_wrote_and_refuses_what_is_no_run(make_run: MakeRun, tmp_path: Path) -> None:
    files = write_report([make_run()], tmp_path / "a" / "b")
    for path in (files.html, files.markdown, files.csv, files.latex):
        assert path.stat().st_size > 100
        assert path.parent == tmp_path / "a" / "b"
    with pytest.raises(ValueError, match="is not a run folder"):
        write_report([tmp_path], tmp_path / "out")


def test_plots_name_systems_and_show_no_free_text(make_run: MakeRun) -> None:
    runtime = {"spec": {"direction": "down", "unit": "s", "needs": ("runtime",)}}
    labels = ["nano", "n8", "bad </text><script>"]
    runs = [
        read_run(make_run(f"r{k}", system=label, metrics={"m": {}, "runtime.generate_s": runtime}))
        for k, label in enumerate(labels)
    ]
    drawings = {drawing.title: drawing.svg for drawing in board.drawings(compare(runs), runs)}
    assert drawings.keys() == {"Quality against cost", "Where the time goes"}
    for svg in drawings.values():
        texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
        assert {"nano", "n8", "3: bad /textscript"} <= set(texts)
        assert "<script" not in svg


def test_a_run_that_measured_its_energy_shows_it(make_run: MakeRun) -> None:
    run = read_run(make_run(prompts=3, seeds=(0,)))
    assert "Energy" not in {card.title for card in page.run_cards(run)}
    spent = dict(zip(run.clips, (10.0, 30.0, None), strict=True))
    ledgers = {
        sample: Ledger(cold=False, seconds=1.0, joules=joules, joules_source="NVML" if joules else None)
        for sample, joules in spent.items()
    }
    measured = {sample: clip.model_copy(update={"ledger": ledgers[sample]}) for sample, clip in run.clips.items()}
    card = next(c for c in page.run_cards(dataclasses.replace(run, clips=measured)) if c.title == "Energy")
    assert {fact.name: fact.value for fact in card.facts} == {
        "per clip": "20 J (median)",
        "in all": "40 J",
        "measured": "2 of 3 clips",
        "source": "NVML",
    }
