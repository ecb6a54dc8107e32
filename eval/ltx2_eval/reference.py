"""The set of clips that set metrics compare with."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable, full_float32
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.features import FeatureCache
from ltx2_eval.folder_of_clips import FoundClip, clips_in
from ltx2_eval.media import Container, read_clip
from ltx2_eval.on_demand import OnDemand
from ltx2_eval.reference_statistics import PUBLISHED, StatisticsReference
from ltx2_eval.world import rendered_reference
from ltx2_reports.records import ClipRecord, ReferenceRef
from ltx2_reports.store import canonical_hash, file_hash

_WORLD = "world"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A named set of clip files."""

    name: str
    files: tuple[Path, ...]

    @functools.cached_property
    def hashes(self) -> tuple[str, ...]:
        """SHA-256 of each file, read once.

        Raises:
            ValueError: an entry is no file that can be read; a reference set has to be whole.
        """
        return tuple(self._hash(path) for path in self.files)

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

    def of_clips(
        self, clips: Sequence[ClipRecord], extractor: str, pool: ExtractorPool, cache: FeatureCache
    ) -> OnDemand:
        """Features, read when asked for, of the file that is named after each clip: its sample or its prompt.

        Raises:
            NotApplicable: a clip has none.
        """
        files = [(self.files[index], self.hashes[index]) for index in self._partners(clips)]
        return OnDemand([functools.partial(self._of, path, sha, extractor, pool, cache) for path, sha in files])

    @functools.cached_property
    def named_ref(self) -> ReferenceRef:
        """The set as records of metrics that compare pairs name it: which file has which name counts too.

        Which clips took part does not: the rule by which a clip finds its partner is the same for all (`partner`), and
        a system that lost a clip is compared with the same set.
        """
        names = sorted([path.stem, sha256] for path, sha256 in zip(self.files, self.hashes, strict=True))
        return self.ref.model_copy(update={"sha256": canonical_hash(names)})

    def partner(self, clip: ClipRecord) -> Clip:
        """What is in the file that is named after a clip: its sample or its prompt.

        Raises:
            NotApplicable: there is none.
            ValueError: it was changed since the set was read, or cannot be decoded.
        """
        index = self._partners([clip])[0]
        return self._read(self.files[index], self.hashes[index])

    def _partners(self, clips: Sequence[ClipRecord]) -> list[int]:
        """Which file each clip is compared with."""
        named = {path.stem: index for index, path in enumerate(self.files)}
        alone = [clip.sample for clip in clips if clip.sample not in named and clip.prompt_id not in named]
        if alone:
            raise NotApplicable(
                f"reference set {self.name} has no clip for {len(alone)} of {len(clips)} samples, first {alone[0]}; "
                "this metric compares each clip with the one that has the name of its sample or its prompt"
            )
        return [named[clip.sample if clip.sample in named else clip.prompt_id] for clip in clips]

    def _read(self, path: Path, sha256: str) -> Clip:
        """Decoded, if it still is what the set's name says: values and features are kept under its hash."""
        if not path.exists() or file_hash(path) != sha256:
            raise ValueError(f"reference set {self.name}, clip {path.name} was changed or removed; score again with it")
        return read_clip(path)

    def _hash(self, path: Path) -> str:
        found = FoundClip(path=path, prompt_id=path.stem, text=None)
        if found.sha256 is None:
            message = found.reason.message if found.reason else path.name
            raise ValueError(f"reference set {self.name}, clip {message}; remove or replace it")
        return found.sha256

    def _of(
        self, path: Path, sha256: str, extractor: str, pool: ExtractorPool, cache: FeatureCache
    ) -> NDArray[np.float32]:
        spec, weights = pool.spec(extractor), pool.weights_sha256(extractor)
        cached = cache.get(sha256, spec, weights)
        if cached is not None:
            return cached
        network = pool.get(extractor)
        try:
            with full_float32():
                features = network.features(self._read(path, sha256))
        except ValueError as error:
            raise ValueError(f"reference set {self.name}, clip {path.name}: {error}; remove or replace it") from error
        cache.put(sha256, spec, weights, features)
        return features


AnyReference = Reference | StatisticsReference


def check_reference(text: str) -> None:
    """Check a reference's name without rendering or reading it.

    Raises:
        ValueError: neither `world:COUNT`, nor the name of published statistics, nor a folder.
    """
    kind, _, rest = text.partition(":")
    if kind == _WORLD:
        _count(rest, text)
    elif text not in PUBLISHED and not _folder(text).is_dir():
        raise ValueError(f"reference {text!r} is not a folder; expected one, world:COUNT, or {', '.join(PUBLISHED)}")


def load_reference(text: str, container: Container) -> AnyReference:
    """`world:COUNT` (rendered on first use), a folder of clips, or published statistics; `folder:NAME` is a folder.

    Raises:
        ValueError: none of these, a folder without clips, or one with an entry that is no readable file.
    """
    check_reference(text)
    if text in PUBLISHED:
        return StatisticsReference(name=text)
    return clips_reference(text, container)


def clips_reference(text: str, container: Container) -> Reference:
    """`world:COUNT` or a folder of clips.

    Raises:
        ValueError: neither, or published statistics, which hold no clips.
    """
    check_reference(text)
    if text in PUBLISHED:
        raise ValueError(f"reference {text!r} holds statistics only; clips are needed here: a folder, or world:COUNT")
    kind, _, rest = text.partition(":")
    if kind == _WORLD:
        name, folder = text, rendered_reference(_count(rest, text), container)
    else:
        name, folder = _folder(text).resolve().name, _folder(text)
    reference = Reference(name=name, files=tuple(clip.path for clip in clips_in(folder)))
    assert len(reference.hashes) == len(reference.files)  # read now: a set that is not whole is refused before work
    return reference


def _folder(text: str) -> Path:
    return Path(text.removeprefix("folder:")).expanduser()


def _count(text: str, given: str) -> int:
    if not text.isdecimal() or not 2 <= int(text) <= 100_000:
        raise ValueError(f"reference {given!r}: expected world:COUNT with a count from 2 to 100000, as in world:24")
    return int(text)
