"""The cache of converted weights: a folder per published file, complete or absent, checked before use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from pydantic import BaseModel, ConfigDict, ValidationError

from ltx2_eval.weights.lockfile import Entry, Relative, Sha256
from ltx2_reports.store import DamagedError, atomic_write, file_hash, make_folder, strict_json

CACHE_VARIABLE = "LTX2_EVAL_CACHE"
RECEIPT_FILE = "receipt.json"


class Receipt(BaseModel):
    """What a pull brought; written last, so that its presence says that the folder is complete."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: Sha256
    """Of the weight file as published."""
    revision: str | None
    files: dict[Relative, Sha256]
    """Each file of the folder."""


def cache_root() -> Path:
    """Folder of the cache: `LTX2_EVAL_CACHE`, else `ltx2-eval` in the user's cache folder."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ltx2-eval"


def stored_folder(entry: Entry) -> Path | None:
    """Folder of the entry's converted weights, or None where they were not pulled.

    With a hash in the lock it is the folder of that hash; without one, the folder of the first pull.
    """
    parent = cache_root() / "weights" / entry.name
    if entry.sha256 is not None:
        folder = parent / entry.sha256
        return folder if _is_complete(folder, entry) else None
    pulled = sorted(path.parent for path in parent.glob(f"[0-9a-f]*/{RECEIPT_FILE}"))
    complete = [folder for folder in pulled if _is_complete(folder, entry)]
    if len(complete) > 1:
        raise DamagedError(f"{parent}: {len(complete)} different files were pulled as {entry.name}; remove all but one")
    return complete[0] if complete else None


def _is_complete(folder: Path, entry: Entry) -> bool:
    """Whether a pull ended there, and brought all that the lock names today: an earlier one may have known less."""
    if not (folder / RECEIPT_FILE).is_file():
        return False
    try:
        brought = read_receipt(folder).files
    except DamagedError:
        return True  # told as damage by whoever reads it
    return all(part.name in brought for part in entry.companions)


def read_receipt(folder: Path) -> Receipt:
    """Read the receipt of a pull.

    Raises:
        DamagedError: damaged.
    """
    path = folder / RECEIPT_FILE
    try:
        return Receipt.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise DamagedError(f"{path}: damaged; remove the folder and pull again") from error


def check_files(folder: Path) -> Receipt:
    """Hash every file of a folder and compare with its receipt.

    Raises:
        DamagedError: a file is absent or changed; names it.
    """
    receipt = read_receipt(folder)
    for name, expected in receipt.files.items():
        path = folder / name
        found = file_hash(path) if path.is_file() else "no file"
        if found != expected:
            raise DamagedError(
                f"{path}: found SHA-256 {found}, expected {expected}; the file was changed after it was pulled: "
                f"`ltx2-eval weights pull {receipt.name}` fetches it again"
            )
    return receipt


def check_once(folder: Path) -> Receipt:
    """`check_files`, once per process and state of the files (sizes and times of change)."""
    states = sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir())
    return _checked(folder, tuple(states))


@cache
def _checked(folder: Path, states: tuple[tuple[str, int, int], ...]) -> Receipt:
    return check_files(folder)


@contextmanager
def new_folder(entry: Entry) -> Iterator[Path]:
    """Yield an empty folder beside the entry's final one; whatever is left of it afterwards is removed."""
    parent = make_folder(cache_root() / "weights" / entry.name)
    folder = Path(mkdtemp(prefix=".pull-", dir=parent))
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)


def keep(folder: Path, entry: Entry, sha256: str, revision: str | None) -> Path:
    """Write the receipt and move a filled folder to its place; a whole folder that is there already stays."""
    files = {path.name: file_hash(path) for path in sorted(folder.iterdir())}
    receipt = Receipt(name=entry.name, sha256=sha256, revision=revision, files=files)
    atomic_write(folder / RECEIPT_FILE, strict_json(receipt.model_dump(mode="json"), indent=1) + "\n")
    target = folder.parent / sha256
    try:
        folder.replace(target)
    except OSError:
        if not target.is_dir():
            raise
        if not (_is_complete(target, entry) and _is_whole(target)):
            _discard(target)
            folder.replace(target)
    return target


def _is_whole(folder: Path) -> bool:
    try:
        check_files(folder)
    except (DamagedError, FileNotFoundError):
        return False
    return True


def _discard(folder: Path) -> None:
    """Remove a folder so that nobody sees half of it."""
    aside = Path(mkdtemp(prefix=".damaged-", dir=folder.parent))
    folder.replace(aside / folder.name)
    rmtree(aside, ignore_errors=True)
