"""Suite files as untrusted data: bytes to text to JSON values, with limits, and errors that name file and line."""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from ltx2_benchmarks.nearest import shown

MAX_FILE_BYTES = 64 * 2**20
MAX_LINE_CHARS = 2**20
MAX_DEPTH = 32

# A string ends at its quote or, unterminated, at the end: the scan stays linear on any input.
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]')
# Tab, newline and carriage return may stand in a prompt; other control characters and half surrogate pairs may not.
_UNWANTED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def decoded(data: bytes, name: str) -> str:
    """The text of a suite file: UTF-8, with or without a byte order mark, with `\\n` at line ends.

    Raises:
        ValueError: too large, empty, not UTF-8, or with NUL or another control character; names file and line.
    """
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"{name}: found more than {MAX_FILE_BYTES} bytes, expected at most that; split the suite")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{name}: line {line}: found byte 0x{data[error.start]:02x}, expected UTF-8 text; save it as UTF-8"
        ) from None
    text = text.replace("\r\n", "\n")
    if not text.strip():
        raise ValueError(f"{name}: found no prompt in it, expected at least one")
    if unwanted := _UNWANTED.search(text):
        line = text.count("\n", 0, unwanted.start()) + 1
        raise ValueError(f"{name}: line {line}: found control character {unwanted[0]!r}, expected plain text")
    return text


def lines(text: str, name: str) -> Iterator[tuple[int, str]]:
    """Line numbers, from 1, and lines that are not blank; a line over the limit is a ValueError."""
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE_CHARS:
            raise ValueError(
                f"{name}: line {number}: found {len(line)} characters, expected at most {MAX_LINE_CHARS}; "
                "suites hold one prompt per line"
            )
        if line.strip():
            yield number, line


def json_object(line: str, where: str) -> dict[str, Any]:
    """The JSON object in `line`.

    Raises:
        ValueError: not JSON, not an object, nested deeper than `MAX_DEPTH`, a key twice in one object, a number that
            is not finite, or a string that is not text; the message begins with `where`.
    """
    if (depth := _depth(line)) > MAX_DEPTH:
        raise ValueError(f"{where}: found {depth} levels of nesting, expected at most {MAX_DEPTH}")
    try:
        value = json.loads(line, object_pairs_hook=_no_twins, parse_constant=_not_finite, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: found no JSON ({error.msg} at character {error.pos + 1})") from None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{where}: found {shown(value)}, expected a JSON object {{...}}")
    for text in _strings(value):
        if unwanted := _UNWANTED.search(text):
            raise ValueError(f"{where}: found {unwanted[0]!r} in {shown(text)}, expected plain text")
    return value


def _depth(line: str) -> int:
    depth = deepest = 0
    for token in _TOKENS.finditer(line):
        if token[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in "]}":
            depth -= 1
    return deepest


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"field {shown(key)}: found it twice, expected it once")
        found[key] = value
    return found


def _not_finite(constant: str) -> NoReturn:
    raise ValueError(f"found {constant}, expected a finite number")


def _finite(number: str) -> float:
    value = float(number)
    if value in (float("inf"), float("-inf")):
        _not_finite(shown(number))
    return value


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
