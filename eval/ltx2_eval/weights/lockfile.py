"""The lock: which weight files there are, where they come from, and by which hash they are known."""

import importlib.resources
import re
import tomllib
from functools import cache
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ltx2_benchmarks.nearest import unknown

LOCK_FILE = "weights.lock.toml"

_COMMIT = re.compile(r"[0-9a-f]{40}")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _below(path: str) -> str:
    if not path.isprintable() or "\\" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError("a relative path with '/' between its parts, no part '.' or '..'")
    return path


Relative = Annotated[str, AfterValidator(_below)]
"""A path below some folder: no `..`, not absolute."""


class _Read(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Archive(_Read):
    """A package's archive in the package index."""

    package: str
    version: str
    archive: Annotated[str, Field(pattern=r"^[\w.+-]+\.(tar\.gz|whl)$")]
    archive_sha256: Sha256


class Companion(_Read):
    """A small file that belongs to the weights: configuration, vocabulary."""

    file: Relative
    """Path in the repository, or in the archive of a package; kept under its last part."""
    repository: str | None = None
    """Where it differs from the weights'."""
    revision: str | None = None
    package: Archive | None = None
    """Where it comes from a package that is not the weights'."""
    sha256: Sha256 | None = None

    @property
    def name(self) -> str:
        """Under which it is kept beside the weights."""
        return self.file.rpartition("/")[2]


class Part(Archive):
    """A further piece of a weight file that is spread over several packages; its bytes follow those before it."""

    file: Relative
    size: Annotated[int, Field(gt=0)]
    """Bytes of this piece."""


class Entry(_Read):
    """One set of weights."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    kind: Literal["hub", "release", "source", "record", "package", "bundled"]
    """`hub`: a model repository; `release`: a file beside a release of a code repository, whose tag is the revision;
    `source`: a file among the sources of a code repository at a commit;
    `record`: a file of a numbered deposit of the research archive Zenodo; `package`: a file in an archive of the
    package index; `bundled`: in this package."""
    file: Relative
    """The weight file: in the repository, release or record, in the package's archive, or in our own package."""
    sha256: Sha256 | None = None
    """Of the weight file as published; absent: unknown until the first pull, which records it."""
    size: Annotated[int, Field(gt=0)] | None = None
    """Bytes of the weight file."""
    converter: Literal[
        "i3d-flax",
        "soundnet-npy",
        "laion-clap",
        "torch",
        "panns",
        "imagebind",
        "lpips-flax",
        "fad-statistics",
        "onnx",
        "whisper-ctranslate2",
        "safetensors",
    ] = "safetensors"
    """How the published format becomes safetensors; `safetensors`: it already is."""
    licence: str
    """Licence of the weights."""
    code_licence: str
    """Licence of the code that defines the network."""
    licence_note: str = ""
    """What the licence's name does not say: an attribution to give, what it was made from, what is not certain."""
    source: str
    """Paper or repository."""
    repository: str | None = None
    revision: str | None = None
    package: str | None = None
    version: str | None = None
    archive: Annotated[str, Field(pattern=r"^[\w.+-]+\.(tar\.gz|whl)$")] | None = None
    """File name of the package's archive."""
    archive_sha256: Sha256 | None = None
    parts: tuple[Part, ...] = ()
    """Pieces that follow the first one, of packages; `sha256` and `size` are of the joined file."""
    companions: tuple[Companion, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> "Entry":
        needed = {
            "hub": ("repository", "revision"),
            "release": ("repository", "revision"),
            "source": ("repository", "revision"),
            "record": ("repository",),
            "package": ("package", "version", "archive", "archive_sha256", "sha256", "size"),
            "bundled": ("sha256", "size"),
        }[self.kind]
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ValueError(f"{self.name}: kind {self.kind} needs {', '.join(missing)}")
        if self.parts and (self.kind != "package" or self.first_size <= 0):
            raise ValueError(f"{self.name}: parts are of packages, and smaller than the file that they make")
        return self

    @property
    def is_pinned(self) -> bool:
        """Whether the lock alone decides which bytes a pull brings: by a hash, or by a commit that holds them."""
        return self.sha256 is not None or bool(_COMMIT.fullmatch(self.revision or ""))

    @property
    def first_size(self) -> int:
        """Bytes of the piece in the first package."""
        return (self.size or 0) - sum(part.size for part in self.parts)

    @property
    def folder(self) -> bool:
        """The weights are used as a folder of several files, not as one file."""
        return bool(self.companions)


class Lock(_Read):
    """All entries."""

    weights: tuple[Entry, ...]

    @model_validator(mode="after")
    def _consistent(self) -> "Lock":
        names = [entry.name for entry in self.weights]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ValueError(f"names given twice: {sorted(repeated)}")
        return self


def parse_lock(text: str) -> Lock:
    """Read a lock from TOML text (an array of tables `weights`)."""
    return Lock.model_validate(tomllib.loads(text), strict=False)


@cache
def lock() -> Lock:
    """The lock that comes with the package."""
    return parse_lock((importlib.resources.files(__package__) / LOCK_FILE).read_text(encoding="utf-8"))


def entry(name: str) -> Entry:
    """The entry of that name.

    Raises:
        ValueError: there is none; the nearest names are told.
    """
    entries = {item.name: item for item in lock().weights}
    if name not in entries:
        raise ValueError(unknown("weights", name, sorted(entries)))
    return entries[name]
