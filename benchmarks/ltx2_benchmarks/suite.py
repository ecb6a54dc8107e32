"""Prompt suites: versioned, hashed files of prompts, embedded by name or read from a user's file.

A suite is a JSON Lines file. Its first line may be a header, an object with the key `suite`; every other line is one
prompt, an object with the fields of `Prompt` (unknown fields are refused, absent ones have the default written there):

    {"suite": "smoke", "version": "1.0", "licence": "CC0-1.0", "title": "Twelve prompts", "origin": "written"}
    {"id": "door-slam", "text": "A door slams.", "category": "foley", "language": "en", "duration_s": 5,
     "axes": {"sound": "foley-impact"}, "tags": [], "visual_text": "A door.", "audio_text": "A door slams.",
     "expectations": {"sound_events": [{"label": "door slam", "count": 1, "at_s": 2.0}], "world": {}}, "scene": {}}

(one line each in a file). `origin` is `written` (texts by people: the lint compares wording, durations and axes) or
`generated` (made by a program such as the procedural world, which may use axes of its own and repeat phrases). Users
may also give a `.csv` (a header line with names of fields, of which only `text` must be there) or a `.txt` (a prompt
per line); prompts without an id are numbered `p0001`, `p0002`, ...
"""

import csv
import hashlib
import importlib.resources
import io
import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ltx2_benchmarks.ids import check_id
from ltx2_benchmarks.nearest import shown, unknown
from ltx2_benchmarks.prompt import Expectations, Group, Prompt, SoundEvent, SpeechLine
from ltx2_benchmarks.reading import MAX_FILE_BYTES, decoded, json_object, lines

__all__ = ["Expectations", "Group", "Prompt", "SoundEvent", "SpeechLine", "Suite", "list_suites", "load_suite"]

Origin = Literal["written", "generated"]
_Model = TypeVar("_Model", bound=BaseModel)

_SUFFIXES = (".jsonl", ".csv", ".txt")
_COLUMNS = ("id", "text", "category", "language", "duration_s", "visual_text", "audio_text")
_NESTED: dict[str, type[BaseModel]] = {
    "expectations": Expectations,
    "speech": SpeechLine,
    "sound_events": SoundEvent,
    "group": Group,
}


class Header(BaseModel):
    """First line of a suite file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    suite: Annotated[str, AfterValidator(check_id)]
    """Name of the suite."""
    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+){0,2}$")] = "0"
    """Raised whenever a prompt changes; `0` for files that are not versioned."""
    licence: Annotated[str, Field(min_length=1, max_length=200)] = "not stated"
    """SPDX identifier of the licence of the texts."""
    title: Annotated[str, Field(max_length=200)] = ""
    """What the suite is for, in one line."""
    origin: Origin = "written"
    """`written` by people or `generated` by a program."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """A named, versioned list of prompts.

    `sha256` is the hash of what the prompts say: it does not depend on key order, white space, defaults written out or
    left out, or the header; it does depend on the order of the prompts, since a limited run takes the first ones.
    """

    name: str
    version: str
    licence: str
    title: str
    origin: Origin
    prompts: tuple[Prompt, ...]
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", _content_hash(self.prompts))


def list_suites() -> list[str]:
    """Names of the embedded suites, in alphabetical order."""
    folder = importlib.resources.files("ltx2_benchmarks") / "suites"
    return sorted(item.name.removesuffix(".jsonl") for item in folder.iterdir() if item.name.endswith(".jsonl"))


def load_suite(name_or_path: str | Path) -> Suite:
    """Read an embedded suite by name, or a user's `.jsonl`, `.csv` or `.txt` file.

    A name with one of these endings or with a path separator is a path; `./smoke.jsonl` never means the embedded one.

    Raises:
        ValueError: no such suite or file, or a file that breaks the format; names file, line and field, what was found
            and what was expected.
    """
    given = str(name_or_path)
    if isinstance(name_or_path, Path) or given.endswith(_SUFFIXES) or "/" in given or "\\" in given:
        return _user_suite(Path(name_or_path))
    if given not in (names := list_suites()):
        raise ValueError(f"{unknown('suite', given, names)}; a file of your own ends in {', '.join(_SUFFIXES)}")
    file = importlib.resources.files("ltx2_benchmarks") / "suites" / f"{given}.jsonl"
    suite = _parsed(file.read_bytes(), f"{given}.jsonl", fallback=given)
    assert suite.name == given, f"embedded suite {given} calls itself {suite.name}"
    return suite


def _user_suite(path: Path) -> Suite:
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"{shown(str(path))}: found ending {shown(path.suffix)}, expected {', '.join(_SUFFIXES)}")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"suite file {shown(str(path))} cannot be read: {reason}") from None
    return _parsed(data, str(path), fallback=_safe_name(path.stem))


def _parsed(data: bytes, name: str, *, fallback: str) -> Suite:
    text = decoded(data, name)
    readers = {".jsonl": _json_rows, ".csv": _csv_rows, ".txt": _text_rows}
    rows = list(readers[Path(name).suffix](text, name))
    header = Header(suite=fallback)
    if rows and "suite" in rows[0][1]:
        where, found = rows.pop(0)
        header = _validated(Header, found, where)
    if not rows:
        raise ValueError(f"{name}: found a header and no prompt, expected at least one prompt")
    prompts = tuple(
        _validated(Prompt, {"id": f"p{number:04d}"} | found, where) for number, (where, found) in enumerate(rows, 1)
    )
    _refuse_twins(prompts, [where for where, _ in rows])
    return Suite(
        name=header.suite,
        version=header.version,
        licence=header.licence,
        title=header.title,
        origin=header.origin,
        prompts=prompts,
    )


def _json_rows(text: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in lines(text, name):
        where = f"{name}: line {number}"
        yield where, json_object(line, where)


def _text_rows(text: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in lines(text, name):
        yield f"{name}: line {number}", {"text": line.strip()}


def _csv_rows(text: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = next(reader)
        _check_columns(columns, f"{name}: line 1")
        for cells in reader:
            where = f"{name}: line {reader.line_num}"
            if cells and len(cells) != len(columns):
                raise ValueError(f"{where}: found {len(cells)} cells, expected {len(columns)} as in line 1")
            if cells:
                yield where, _csv_row(dict(zip(columns, cells, strict=True)), where)
    except csv.Error as error:
        raise ValueError(f"{name}: line {reader.line_num}: found broken CSV ({error})") from None


def _check_columns(columns: list[str], where: str) -> None:
    for column in columns:
        if column not in _COLUMNS:
            raise ValueError(f"{where}: {unknown('column', column, _COLUMNS)}")
    if len(set(columns)) < len(columns) or "text" not in columns:
        raise ValueError(f"{where}: found columns {columns}, expected each at most once, and text among them")


def _csv_row(cells: dict[str, str], where: str) -> dict[str, Any]:
    row: dict[str, Any] = {column: cell for column, cell in cells.items() if cell.strip() or column == "text"}
    if "duration_s" in row:
        try:
            row["duration_s"] = float(row["duration_s"])
        except ValueError:
            raise ValueError(
                f"{where}: field duration_s: found {shown(row['duration_s'])}, expected a number of seconds"
            ) from None
    return row


def _validated(model: type[_Model], found: dict[str, Any], where: str) -> _Model:
    try:
        # As JSON, since strict checking of Python values would refuse a list where the schema has a tuple.
        return model.model_validate_json(json.dumps(found))
    except ValidationError as error:
        raise ValueError(f"{where}: {_explained(model, error)}") from None


def _explained(model: type[BaseModel], error: ValidationError) -> str:
    # An unknown field first: a misspelled name is also a missing one, and the spelling is the cause.
    first = min(error.errors(include_url=False), key=lambda item: item["type"] != "extra_forbidden")
    path = ".".join(str(part) for part in first["loc"]) or "the prompt"
    if first["type"] == "extra_forbidden":
        *parents, last = first["loc"]
        named = [part for part in parents if isinstance(part, str)]
        holder = _NESTED[named[-1]] if named else model
        return unknown(f"field in {named[-1]}" if named else "field", str(last), holder.model_fields)
    if first["type"] == "missing":
        return f"field {path}: found nothing, expected it to be there"
    expected = first["msg"].removeprefix("Value error, ")
    return f"field {path}: found {shown(first['input'])}, expected otherwise: {expected}"


def _refuse_twins(prompts: tuple[Prompt, ...], places: list[str]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for prompt, where in zip(prompts, places, strict=True):
        for kind, value in (("id", prompt.id), ("text", _folded(prompt.text))):
            if (kind, value) in seen:
                raise ValueError(
                    f"{where}: field {kind}: found {shown(getattr(prompt, kind))}, which {seen[kind, value]} has too; "
                    f"expected every {kind} once in a suite"
                )
            seen[kind, value] = where


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _safe_name(stem: str) -> str:
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in stem.lower())
    return check_id(f"user-{kept.strip('-') or 'suite'}"[:64].rstrip("-"))


def _content_hash(prompts: tuple[Prompt, ...]) -> str:
    # Without defaults, so that an optional field that a later schema adds leaves the hashes of older suites alone.
    content = [prompt.model_dump(mode="json", exclude_defaults=True) for prompt in prompts]
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
