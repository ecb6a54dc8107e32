"""The only place that writes into run folders: whole files atomically, journal lines durably.

A reader never sees half a file: data goes to a temporary file beside the target, is fsynced, replaces the target, and
the folder is fsynced. A killed process leaves at most a temporary file (`sweep` removes it) or an unfinished last
journal line (the reader drops it). Every byte of what is read back is accounted for by a checksum and by the one
spelling that the writer uses.
"""

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TEMPORARY_SUFFIX = ".part"
CHECKSUM_KEY = "sum"
LINE_END = b"\n"
_TEMPORARY = re.compile(r"\..*\.\d+-[0-9a-f]{8}" + re.escape(TEMPORARY_SUFFIX) + r"(\.[^.]*)?", re.DOTALL)


class DamagedError(ValueError):
    """A file was changed after it was written, is of a newer schema, or is being written by another process.

    No finding about one clip: whoever meets it ends its work, since nothing that rests on the file can be trusted.
    """


def strict_json(value: Any, *, indent: int | None = None) -> str:
    """Serialise to JSON that any reader accepts: sorted keys, no NaN, no Infinity.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, indent=indent)


def canonical_hash(value: Any) -> str:
    """SHA-256 of the canonical JSON form of `value` (64 hex digits): equal content, equal hash."""
    text = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes (64 hex digits), read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(record: dict[str, Any]) -> dict[str, Any]:
    """Add the checksum by which `unseal` notices a changed byte."""
    return {**record, CHECKSUM_KEY: canonical_hash(record)[:8]}


def unseal(record: Any, where: str) -> dict[str, Any]:
    """Check and remove the checksum.

    Raises:
        DamagedError: no checksum, or one that does not fit; the message starts with `where`.
    """
    if not isinstance(record, dict) or CHECKSUM_KEY not in record:
        raise DamagedError(f"{where}: not a sealed record (no '{CHECKSUM_KEY}'); the file is damaged or not ours")
    bare = {key: value for key, value in record.items() if key != CHECKSUM_KEY}
    if canonical_hash(bare)[:8] != record[CHECKSUM_KEY]:
        raise DamagedError(f"{where}: the checksum does not fit; the file was changed after it was written")
    return bare


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a JSON file that `write_sealed` wrote.

    Raises:
        DamagedError: a byte was changed; the message names the file.
    """
    text = _decoded(path.read_bytes(), str(path))
    content = _parsed(text, str(path))
    if text != strict_json(content, indent=1) + "\n":
        raise DamagedError(f"{path}: not as it was written; the file was changed afterwards")
    return unseal(content, str(path))


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file with a checksum, atomically."""
    atomic_write(path, strict_json(seal(content), indent=1) + "\n")


def make_folder(path: Path) -> Path:
    """Create a folder and its parents, durably; return it."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)
    return path


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path with the target's suffix; on success it durably replaces the target, else it is removed.

    For writers that need a file name (media containers). The caller closes its file before leaving the block.
    """
    make_folder(target.parent)
    unique = f"{os.getpid()}-{secrets.token_hex(4)}"
    temporary = target.with_name(f".{target.stem[:40]}.{unique}{TEMPORARY_SUFFIX}{target.suffix}")
    try:
        yield temporary
        _sync_file(temporary)
        temporary.replace(target)
        _sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write(target: Path, data: bytes | str) -> None:
    """Write a whole file: readers see the old content or the new, never a mixture."""
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)


def sweep(folder: Path) -> int:
    """Remove temporary files that killed processes left below `folder`; return how many.

    Only for the process that holds the run's journal: another writer's temporary files look the same.
    """
    stale = [path for path in folder.rglob(".*") if _TEMPORARY.fullmatch(path.name) and path.is_file()]
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)


class Journal:
    """An append-only file of sealed JSON lines, each flushed and fsynced before `append` returns.

    One process at a time: opening takes a lock that dies with its owner. An unfinished last line (the write in flight
    when a process was killed) is cut off on opening.

    Raises:
        DamagedError: on opening, when another process writes the file or its end was changed.
    """

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            _lock(self._descriptor, path)
            self._drop_unfinished_line()
            _sync_folder(path.parent)
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, record: dict[str, Any]) -> None:
        """Write one record as one line; when this returns the line is on disk, when it raises there is no trace of it.

        Raises:
            ValueError: a number is not finite.
            OSError: the disk is full or gone.
        """
        view = memoryview((strict_json(seal(record)) + "\n").encode())
        length = os.fstat(self._descriptor).st_size
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fsync(self._descriptor)
        except BaseException:
            os.ftruncate(self._descriptor, length)
            raise

    def close(self) -> None:
        """Release the lock and the file."""
        os.close(self._descriptor)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _drop_unfinished_line(self) -> None:
        data = self.path.read_bytes()
        finished = _finished(data, self.path)
        if len(finished) != len(data):
            os.ftruncate(self._descriptor, len(finished))


def read_journal(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, record) of each finished line; an unfinished last line is left out.

    Raises:
        DamagedError: a finished line is damaged; the message names file and line.
    """
    if not path.exists():
        return
    for number, line in enumerate(_finished(path.read_bytes(), path).split(LINE_END)[:-1], start=1):
        yield number, _record_of(line, f"{path} line {number}")


def _finished(data: bytes, path: Path) -> bytes:
    """`data` without the unfinished last line.

    A write that was cut short leaves the beginning of a line. A whole record with one more byte that is no line end
    cannot come from that: the line end was overwritten.
    """
    end = data.rfind(LINE_END) + 1
    where = f"{path} line {data.count(LINE_END) + 1}"
    try:
        _record_of(data[end:-1], where)
    except DamagedError:
        return data[:end]
    raise DamagedError(f"{where}: ends with byte {data[-1]:#04x} instead of a line end; the file was changed")


def _record_of(line: bytes, where: str) -> dict[str, Any]:
    text = _decoded(line, where)
    content = _parsed(text, where)
    if text != strict_json(content):
        raise DamagedError(f"{where}: not as it was written; the file was changed afterwards")
    return unseal(content, where)


def _decoded(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DamagedError(f"{where}: not UTF-8 ({error.reason}); the file was changed after it was written") from error


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{where}: not JSON ({error}); the file was changed after it was written") from error


def _lock(descriptor: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows has no advisory locks; there two writers are the user's care.
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise DamagedError(f"{path.parent}: another process is writing this run; wait for it or stop it") from error


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    if os.name == "posix":
        _sync_file(path)
