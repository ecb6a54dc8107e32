"""The set of clips that set metrics compare with."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.features import FeatureCache
from ltx2_eval.folder_of_clips import clips_in
from ltx2_eval.media import Container, read_clip
from ltx2_eval.world import rendered_reference
from ltx2_reports.records import ReferenceRef
from ltx2_reports.store import canonical_hash, file_hash

_WORLD = "world"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A named set of clip files."""

    name: str
    files: tuple[Path, ...]

    @functools.cached_property
    def hashes(self) -> tuple[str, ...]:
        """SHA-256 of each file."""
        return tuple(file_hash(path) for path in self.files)

    @functools.cached_property
    def ref(self) -> ReferenceRef:
        """The set as records name it; file names do not matter, contents do."""
        return ReferenceRef(name=self.name, sha256=canonical_hash(sorted(self.hashes)), n=len(self.files))

    def features(self, extractor: str, pool: ExtractorPool, cache: FeatureCache) -> list[NDArray[np.float32]]:
        """(k, d) features of each clip, from the cache where they are there.

        Raises:
            NotAvailable: the extractor's weights are missing.
            ValueError: a reference clip cannot be used; a reference set has to be whole.
        """
        return [self._of(path, sha, extractor, pool, cache) for path, sha in zip(self.files, self.hashes, strict=True)]

    def _of(
        self, path: Path, sha256: str, extractor: str, pool: ExtractorPool, cache: FeatureCache
    ) -> NDArray[np.float32]:
        spec, weights = pool.spec(extractor), pool.weights_sha256(extractor)
        cached = cache.get(sha256, spec, weights)
        if cached is not None:
            return cached
        network = pool.get(extractor)
        try:
            features = network.features(read_clip(path))
        except ValueError as error:
            raise ValueError(f"reference set {self.name}, clip {path.name}: {error}; remove or replace it") from error
        cache.put(sha256, spec, weights, features)
        return features


def check_reference(text: str) -> None:
    """Check a reference's name without rendering or reading it.

    Raises:
        ValueError: neither `world:COUNT` nor a folder.
    """
    kind, _, rest = text.partition(":")
    if kind == _WORLD:
        _count(rest, text)
    elif not _folder(text).is_dir():
        raise ValueError(f"reference {text!r} is not a folder; expected one, or world:COUNT")


def load_reference(text: str, container: Container) -> Reference:
    """`world:COUNT` (the procedural world, rendered on first use) or a folder of clips.

    Raises:
        ValueError: neither, or a folder without clips.
    """
    check_reference(text)
    kind, _, rest = text.partition(":")
    if kind == _WORLD:
        return Reference(name=text, files=_files(rendered_reference(_count(rest, text), container)))
    return Reference(name=_folder(text).resolve().name, files=_files(_folder(text)))


def _folder(text: str) -> Path:
    return Path(text.removeprefix("folder:")).expanduser()


def _files(folder: Path) -> tuple[Path, ...]:
    return tuple(clip.path for clip in clips_in(folder))


def _count(text: str, given: str) -> int:
    if not text.isdecimal() or not 2 <= int(text) <= 100_000:
        raise ValueError(f"reference {given!r}: expected world:COUNT with a count from 2 to 100000, as in world:24")
    return int(text)
