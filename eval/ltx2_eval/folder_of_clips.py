"""A folder of clips that this tool did not make: which files, and which prompt belongs to which."""

import csv
import functools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltx2_benchmarks.nearest import shown
from ltx2_eval.media_probe import MediaError, check_file
from ltx2_reports.records import Reason
from ltx2_reports.store import file_hash

SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".gif", ".wav", ".flac", ".mp3", ".ogg", ".m4a")
PROMPT_FILES = ("prompts.jsonl", "prompts.csv")
_MAX_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class FoundClip:
    """One entry with a media file's name; whether it is a file that can be read is found out on first need."""

    path: Path
    prompt_id: str
    """From the prompt file, else the file's stem."""
    text: str | None
    """The prompt; None where nothing says."""

    @property
    def sha256(self) -> str | None:
        """Hash of the file's bytes, read once; None where `reason` says why there is none."""
        return self._examined[0]

    @property
    def reason(self) -> Reason | None:
        """Why the entry is no clip (a folder, a pipe, a dangling link, empty, unreadable); None for a file."""
        return self._examined[1]

    @functools.cached_property
    def _examined(self) -> tuple[str, None] | tuple[None, Reason]:
        try:
            if self.path.is_symlink() and not self.path.exists():
                raise MediaError(f"{self.path.name}: found a link that leads nowhere, expected a regular media file")
            check_file(self.path)  # before it is opened: a pipe would block
            return file_hash(self.path), None
        except MediaError as error:
            return None, _unusable(str(error), error.error)
        except OSError as error:
            why = error.strerror or type(error).__name__
            return None, _unusable(f"{self.path.name}: cannot be read ({why}); mend or remove it", type(error).__name__)


def _unusable(message: str, error: str) -> Reason:
    return Reason(kind="failed", message=message, stage="decode", error=error)


def contents(clips: Iterable[FoundClip]) -> list[list[str | None]]:
    """Name and hash of each clip, `[name, sha256 or None]`, sorted by name: what a hash over a folder is made of."""
    return [[clip.path.name, clip.sha256] for clip in sorted(clips, key=lambda clip: clip.path.name)]


def clips_in(folder: Path) -> list[FoundClip]:
    """Media files directly in `folder`, in the order of their names, with the prompts beside them; none is opened.

    `prompts.jsonl` has a line per clip: `{"file": "a.mp4", "text": "...", "id": "..."}`; `prompts.csv` has the same
    columns. `id` may be left out (the stem is taken). Files that are not listed have no prompt.

    Raises:
        ValueError: no such folder, no media file, a name that is not UTF-8, a prompt file that names a missing file or
            breaks the format.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    files = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
    if not files:
        raise ValueError(f"{folder} holds no clips; expected files ending in {', '.join(SUFFIXES)}")
    _check_names(files)
    prompts = _prompts(folder, {path.name for path in files})
    return [
        FoundClip(
            path=path,
            prompt_id=prompts.get(path.name, {}).get("id") or path.stem,
            text=prompts.get(path.name, {}).get("text"),
        )
        for path in files
    ]


def _check_names(files: list[Path]) -> None:
    """Names become ids in records, which are UTF-8."""
    for path in files:
        try:
            path.name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{path.parent}: the name {path.name!r} is not UTF-8; rename the file") from None


def _prompts(folder: Path, names: set[str]) -> dict[str, dict[str, str]]:
    found = [folder / name for name in PROMPT_FILES if (folder / name).is_file()]
    if len(found) > 1:
        raise ValueError(f"{folder} holds both {found[0].name} and {found[1].name}; keep one")
    rows: dict[str, dict[str, str]] = {}
    for where, row in _rows(found[0]) if found else ():
        clip = _checked(row, where)
        if clip["file"] not in names:
            raise ValueError(f"{where}: names {shown(clip['file'])}, which is not among the clips of {folder}")
        if clip["file"] in rows:
            raise ValueError(f"{where}: {shown(clip['file'])} stands twice")
        rows[clip["file"]] = clip
    return rows


def _checked(row: Any, where: str) -> dict[str, str]:
    if not isinstance(row, dict) or not isinstance(row.get("file"), str):
        raise ValueError(f"{where}: found {shown(row)}, expected an object with 'file' and 'text'")
    if "text" not in row:
        raise ValueError(f"{where}: found the fields {', '.join(map(shown, row))}; expected 'file' and 'text'")
    clip = {key: row[key] for key in ("file", "text", "id") if row.get(key) is not None}
    for key, value in clip.items():
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{where}: field {key}: found {shown(value)}, expected text")
    return clip


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"{path}: larger than {_MAX_BYTES} bytes; is it a prompt file?")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 ({error})") from None
    yield from _csv_rows(path, text) if path.suffix == ".csv" else _json_rows(path, text)


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            where = f"{path} line {number}"
            try:
                yield where, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{where}: not JSON ({error})") from None


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    reader = csv.DictReader(text.splitlines())
    try:
        for row in reader:
            yield f"{path} line {reader.line_num}", dict(row)
    except csv.Error as error:
        raise ValueError(f"{path} line {reader.line_num}: broken CSV ({error})") from None
