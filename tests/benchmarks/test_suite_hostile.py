"""Reliability W8: a suite file is data; whatever stands in it ends in prompts or in one named error."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltx2_benchmarks.reading import MAX_DEPTH, MAX_FILE_BYTES, MAX_LINE_CHARS
from ltx2_benchmarks.suite import load_suite

GOOD = b'{"id": "a", "text": "A door slams."}\n'


def nested(depth: int) -> bytes:
    return b'{"id": "b", "text": "B", "scene": {"x": ' + b"[" * depth + b"]" * depth + b"}}"


HOSTILE_LINES = {
    "not json": (b"{id: a}", "no JSON"),
    "not an object": (b'["a"]', "expected a JSON object"),
    "bare word": (b"hello", "no JSON"),
    "two values": (b"{} {}", "no JSON"),
    "unterminated string": (b'{"id": "' + b'\\"' * 200_000, "no JSON"),
    "depth 33": (nested(MAX_DEPTH), "levels of nesting"),
    "depth 10,000": (nested(10_000), "levels of nesting"),
    "depth, never closed": (b"[" * 100_000, "levels of nesting"),
    "long line": (b'{"id": "b", "text": "' + b"x" * MAX_LINE_CHARS + b'"}', "characters, expected at most"),
    "duplicate key": (b'{"id": "b", "id": "c", "text": "B"}', "field 'id': found it twice"),
    "duplicate key inside": (b'{"text": "B", "scene": {"x": 1, "x": 2}}', "field 'x': found it twice"),
    "NaN": (b'{"text": "B", "duration_s": NaN}', "finite"),
    "Infinity inside": (b'{"text": "B", "scene": {"x": -Infinity}}', "finite"),
    "1e999 inside": (b'{"text": "B", "scene": {"x": 1e999}}', "finite"),
    "huge integer": (b'{"text": "B", "scene": {"x": ' + b"9" * 10_000 + b"}}", "limit"),
    "lone surrogate": (b'{"id": "b", "text": "B \\ud800"}', r"found '\\ud800' in 'B"),
    "lone surrogate in a key": (b'{"text": "B", "scene": {"\\udfff": 1}}', r"found '\\udfff'"),
    "escaped NUL": (b'{"id": "b", "text": "B\\u0000"}', r"found '\\x00'"),
    "raw NUL": (b'{"id": "b", "text": "B\x00"}', r"control character '\\x00'"),
    "raw escape": (b'{"id": "b", "text": "\x1b[31m"}', r"control character '\\x1b'"),
    "not UTF-8": (b'{"id": "b", "text": "caf\xe9"}', "byte 0xe9, expected UTF-8"),
    "UTF-8 surrogate": (b'{"id": "b", "text": "\xed\xa0\x80"}', "byte 0xed, expected UTF-8"),
    "unknown field": (b'{"txt": "B"}', r"unknown field 'txt'. Did you mean 'text'\?"),
    "unknown field inside": (
        b'{"text": "B", "expectations": {"sound_events": [{"lable": "x"}]}}',
        r"unknown field in sound_events 'lable'. Did you mean 'label'\?",
    ),
    "no text": (b'{"id": "b"}', "field text: found nothing"),
    "blank text": (b'{"id": "b", "text": " "}', "field text: found ' '"),
    "text too long": (b'{"text": "' + b"x" * 10_001 + b'"}', "field text"),
    "text is a number": (b'{"text": 5}', "field text: found 5"),
    "text is null": (b'{"text": null}', "field text: found None"),
    "id is a path": (b'{"id": "../b", "text": "B"}', "field id: found '../b'"),
    "id is a number": (b'{"id": 7, "text": "B"}', "field id: found 7"),
    "duration is text": (b'{"text": "B", "duration_s": "5"}', "field duration_s: found '5'"),
    "duration is true": (b'{"text": "B", "duration_s": true}', "field duration_s: found True"),
    "duration is negative": (b'{"text": "B", "duration_s": -1}', "field duration_s: found -1"),
    "duration is a year": (b'{"text": "B", "duration_s": 31536000}', "field duration_s"),
    "language is a name": (b'{"text": "B", "language": "English"}', "field language: found 'English'.*BCP-47"),
    "axes is a list": (b'{"text": "B", "axes": ["x"]}', "field axes"),
    "tags is a word": (b'{"text": "B", "tags": "x"}', "field tags: found 'x'"),
    "count is zero": (
        b'{"text": "B", "expectations": {"sound_events": [{"label": "x", "count": 0}]}}',
        "events.0.count",
    ),
    "event after the end": (b'{"text": "B", "expectations": {"sound_events": [{"label": "x", "at_s": 5}]}}', "at_s 5"),
    "duplicate id": (b'{"id": "a", "text": "B"}', r"field id: found 'a', which .*line 1 has too"),
    "duplicate text": (b'{"id": "b", "text": " a  DOOR slams."}', r"field text: .* which .*line 1 has too"),
    "second header": (b'{"suite": "b"}', "unknown field 'suite'"),
}


@pytest.mark.parametrize(("line", "message"), HOSTILE_LINES.values(), ids=HOSTILE_LINES)
def test_hostile_lines_are_refused_with_file_and_line(tmp_path, line, message):
    path = tmp_path / "hostile.jsonl"
    path.write_bytes(GOOD + b"\n" + line + b"\n")
    with pytest.raises(ValueError, match=message) as caught:
        load_suite(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: line 3: ")
    assert len(said) < 600
    assert "\x00" not in said
    assert "\x1b" not in said


HOSTILE_FILES = {
    "empty.jsonl": (b"", "no prompt"),
    "blank.txt": (b" \n\n\t\n", "no prompt"),
    "mark.jsonl": (b"\xef\xbb\xbf", "no prompt"),
    "header.jsonl": (b'{"suite": "x"}\n', "a header and no prompt"),
    "bad-header.jsonl": (
        b'{"suite": "x", "licens": "y"}\n' + GOOD,
        "line 1: unknown field 'licens'. Did you mean 'licence'",
    ),
    "bad-version.jsonl": (b'{"suite": "x", "version": "latest"}\n' + GOOD, "field version: found 'latest'"),
    "utf16.jsonl": (GOOD.decode().encode("utf-16"), "byte 0xff, expected UTF-8"),
    "columns.csv": (b"id,txt\na,b\n", "line 1: unknown column 'txt'. Did you mean 'text'"),
    "twice.csv": (b"text,text\na,b\n", "each at most once"),
    "textless.csv": (b"id\na\n", "text among them"),
    "ragged.csv": (b"id,text\na\n", "line 2: found 1 cells, expected 2"),
    "quote.csv": (b'id,text\na,"x\n', "broken CSV"),
    "number.csv": (b"text,duration_s\na,long\n", "line 2: field duration_s: found 'long', expected a number"),
    "nan.csv": (b"text,duration_s\na,nan\n", "line 2: field duration_s"),
    "twins.csv": (b"id,text\na,x\na,y\n", "line 3: field id"),
    "twins.txt": (b"Rain.\nSun.\nrain.\n", "line 3: field text"),
}


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_hostile_files_are_refused(tmp_path, name):
    data, message = HOSTILE_FILES[name]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        load_suite(path)
    assert str(caught.value).startswith(str(path))


def test_a_100_mb_line_is_refused_unread(tmp_path):
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    with pytest.raises(ValueError, match=f"more than {MAX_FILE_BYTES} bytes"):
        load_suite(path)


def test_folders_and_impossible_paths_are_refused(tmp_path):
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        load_suite(tmp_path / "folder.jsonl")
    with pytest.raises(ValueError, match="cannot be read"):
        load_suite("a\0b.jsonl")


def test_the_deepest_allowed_nesting_and_a_mark_are_read(tmp_path):
    path = tmp_path / "deep.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD + nested(MAX_DEPTH - 2))
    assert [prompt.id for prompt in load_suite(path).prompts] == ["a", "b"]


def test_brackets_in_a_text_are_no_nesting(tmp_path):
    path = tmp_path / "text.jsonl"
    path.write_text(json.dumps({"text": '[{"' * 500}), encoding="utf-8")
    assert load_suite(path).prompts[0].text == '[{"' * 500


def outcome(data: bytes, suffix: str) -> int:
    """Number of prompts read, 0 for a named error; any other exception goes through."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"fuzz{suffix}")
        path.write_bytes(data)
        try:
            return len(load_suite(path).prompts)
        except ValueError as error:
            message = str(error)
        assert message.startswith(str(path))
        return 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["id", "text", "language", "duration_s", "axes", "tags", "group", "expectations", "scene", "x"]
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([".jsonl", ".csv", ".txt"]))
def test_any_bytes_end_in_prompts_or_a_named_error(data, suffix):
    outcome(data, suffix)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.lists(st.dictionaries(FIELDS, VALUES, max_size=4), min_size=1, max_size=3))
def test_any_json_ends_in_prompts_or_a_named_error(rows):
    data = "\n".join(json.dumps({"text": f"Prompt {n}."} | row) for n, row in enumerate(rows))
    outcome(data.encode(), ".jsonl")


@pytest.mark.long
@settings(max_examples=1000, derandomize=True, deadline=None)
@given(st.text(max_size=300), st.sampled_from([".jsonl", ".csv", ".txt"]), st.integers(0, 36))
def test_any_splice_ends_in_prompts_or_a_named_error(text, suffix, position):
    outcome(GOOD[:position] + text.encode("utf-8", "surrogatepass") + GOOD[position:], suffix)
