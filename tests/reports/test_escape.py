"""Each hostile string is inert in each format, judged by an independent reader of the format."""

import csv
import html.parser
import io
import json
import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from types import ModuleType

import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ltx2_reports import escape

BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class _Reader(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = unknown_decl = handle_pi = handle_comment


def test_there_are_enough_payloads(hostile: ModuleType) -> None:
    assert len(hostile.PAYLOADS) >= 20


def test_html(payload: str) -> None:
    reader = _Reader()
    reader.feed(f'<p title="{escape.for_html(payload)}">{escape.for_html(payload)}</p>')
    reader.close()
    assert reader.elements == [("p", [("title", escape.visible(payload))])]
    assert reader.text == escape.visible(payload)


def test_svg(payload: str) -> None:
    root = ElementTree.fromstring(f'<svg a="{escape.for_svg(payload)}"><title>{escape.for_svg(payload)}</title></svg>')
    assert [element.tag for element in root.iter()] == ["svg", "title"]
    assert root[0].text == root.get("a") == escape.visible(payload, newline=" ")


def test_csv(payload: str) -> None:
    cells = [escape.for_csv(payload), escape.for_csv(-1.5), escape.for_csv(None), escape.for_csv(-2)]
    stream = io.StringIO()
    csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC).writerow(cells)
    ((text, *numbers),) = csv.reader(io.StringIO(stream.getvalue()))
    assert text == cells[0]
    assert text.lstrip()[:1] not in tuple("=+-@")
    assert text.removeprefix("'") == escape.visible(payload, newline=" ") or payload[:1] == "'"
    assert numbers == ["-1.5", "", "-2"]


def test_formulas_get_a_mark_and_other_text_does_not() -> None:
    for text in ("=1", "+1", "-1", "@a", "\t=1", "\r1", "\n=1", " =1", "＝1"):
        assert str(escape.for_csv(text)).startswith("'")
    for text in ("a=1", "1-1", "", "'=1", "猫"):
        assert escape.for_csv(text) == text


def test_terminal(payload: str) -> None:
    shown = escape.for_terminal(payload)
    assert all(letter == "\n" or unicodedata.category(letter) != "Cc" for letter in shown)
    assert not BIDI & set(shown)


def test_terminal_tables_keep_their_width(payload: str) -> None:
    table = Table(title=Text(escape.for_terminal(payload)))
    table.add_column(Text(escape.for_terminal(payload)))
    table.add_column("n")
    table.add_row(Text(escape.for_terminal(payload)), "1")
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None, legacy_windows=False)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    sequences = re.findall(r"\x1b\[[0-9;]*m", shown)
    assert set(sequences) <= {"\x1b[1m", "\x1b[3m", "\x1b[0m"}
    rows = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines() if line[:1] in "┃│┏┡└"]
    assert {Text(row).cell_len for row in rows} == {Text(rows[0]).cell_len}


def test_json(payload: str) -> None:
    text = escape.for_json({"a": payload, payload: [1.5, None]})
    assert json.loads(text) == {"a": payload, payload: [1.5, None]}
    assert all(" " <= letter <= "~" for letter in text)
    assert not set("<>&") & set(text)


def _kinds(markdown: str) -> tuple[list[str], str]:
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(markdown)
    flat = [child for token in tokens for child in (token, *(token.children or ()))]
    text = "".join(token.content for token in flat if token.type in ("text", "code_inline"))
    return [token.type for token in flat], text


def test_markdown_cells(payload: str) -> None:
    row = f"| a | b |\n|---|---|\n| {escape.for_markdown(payload)} | 1 |\n"
    kinds, text = _kinds(row)
    harmless, _ = _kinds("| a | b |\n|---|---|\n| x | 1 |\n")
    assert [kind for kind in kinds if kind not in ("text", "text_special")] == [k for k in harmless if k != "text"]
    assert text.replace("\u2060", "") == "ab" + " ".join(escape.visible(payload, newline=" ").split(" ")).strip() + "1"


def test_markdown_paragraphs(payload: str) -> None:
    kinds, _ = _kinds(escape.for_markdown(payload) + "\n")
    assert set(kinds) <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}


@pytest.mark.parametrize(
    "text", ["# a", "- a", "+ a", "1. a", "12) a", "> a", "    a", "---", "===", "```", "~~~", "* a", "a:b"]
)
def test_markdown_blocks_are_paragraphs(text: str) -> None:
    kinds, _ = _kinds("x\n\n" + escape.for_markdown(text).lstrip() + "\n")
    assert set(kinds) <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}


@pytest.mark.parametrize(
    "text", ["www.a.org", "http://a.org", "ftp://a.org", "a@b.org", "mailto:a@b.org", "@you", "x#12", "GH-7"]
)
def test_markdown_addresses_are_broken(text: str) -> None:
    shown = escape.for_markdown(text).replace("\\", "")
    assert not re.search(r"www\.|://|\w@|@\w|#\d|GH-\d", shown)
    assert shown.replace("\u2060", "") == text


@pytest.mark.parametrize("text", ["0.43", "-0.10", "+0.03", "12.5 [1.0, 2.0]", "3.x"])
def test_markdown_numbers_stay_as_they_are(text: str) -> None:
    assert escape.for_markdown(text).replace("\\[", "[").replace("\\]", "]") == text


def test_markdown_code(payload: str) -> None:
    kinds, text = _kinds(f"| a |\n|---|\n| {escape.for_markdown_code(payload)} |\n")
    assert kinds.count("code_inline") == 1
    assert set(kinds) == set(_kinds("| a |\n|---|\n| `x` |\n")[0])
    assert text.removeprefix("a").strip() == escape.visible(payload, newline=" ").strip()


def test_latex(payload: str) -> None:
    shown = escape.for_latex(payload)
    commands = {"textbackslash", "textasciicircum", "textasciitilde", "textless", "textgreater", "textbar", "char"}
    assert set(re.findall(r"\\([A-Za-z]+)", shown)) <= commands
    bare = re.sub(r"\\([A-Za-z]+)(\d+|\{\})?|\\[{}$&#_%]", "", shown)
    assert not set("\\$&#^_~%\n") & set(bare)
    assert bare.count("{") == bare.count("}")
    assert not re.search(r"^\s*[\[*]|--|``|''|[?!]`|<<|>>|,,", bare)


def test_all_ten_special_characters_of_latex() -> None:
    assert escape.for_latex("\\{}$&#^_~%") == (r"\textbackslash{}\{\}\$\&\#\textasciicircum{}\_\textasciitilde{}\%")


def test_letters_of_all_scripts_and_emoji_stay() -> None:
    text = "猫が鳴く é naïve Ωμέγα عربي हिन्दी 👩‍👩‍👧 ﷽ 10 µs → ∞"
    assert escape.visible(text) == text


def test_what_cannot_be_seen_is_shown() -> None:
    assert escape.visible("a\x1b\x9b\u202e\u200b\ud800\U000e0041\uffff\0") == (
        r"a\x1b\x9b\u202e\u200b\ud800\U000e0041\uffff\x00"
    )
    assert escape.visible("a\r\nb\rc\td") == "a\nb\nc d"
