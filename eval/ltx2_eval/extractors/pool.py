"""Extractors of a run, each loaded once and only when it is really run."""

from typing import Any, cast

from ltx2_eval import weights
from ltx2_eval.extractors.base import Extractor, ExtractorSpec, NotAvailable, NotLoaded, UnusableWeights
from ltx2_eval.extractors.catalogue import EXTRACTORS, load_extractor
from ltx2_reports.store import DamagedError, canonical_hash

_TOLD = 300
"""Characters of an error that are kept, so that the command after it is too."""


class ExtractorPool:
    """Loads extractors on first use; one that cannot be loaded is not tried again by this pool."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self._loaded: dict[str, Extractor | NotAvailable] = {}

    def spec(self, extractor: str) -> ExtractorSpec:
        """What is known of an extractor without loading it."""
        return EXTRACTORS[extractor]

    def weights_sha256(self, extractor: str) -> str | None:
        """Hash of the weights as published and of what lies beside them; None: none, not known, or damaged."""
        try:
            hashes = [weights.identity_sha256(name) for name in EXTRACTORS[extractor].all_weights]
        except DamagedError:
            return None  # loading says what is wrong
        if len(hashes) > 1:
            return None if None in hashes else canonical_hash(hashes)
        return hashes[0] if hashes else None

    def get(self, extractor: str) -> Extractor:
        """The loaded extractor.

        Raises:
            NotAvailable: its weights are missing.
            UnusableWeights: they were changed, or are not those of the network; other metrics go on without it.
            NotLoaded: its first loading met other trouble, which may have passed when the next command tries.
        """
        if extractor not in self._loaded:
            try:
                self._loaded[extractor] = load_extractor(extractor, device=self.device)
            except DamagedError as error:
                self._loaded[extractor] = _unusable(extractor, error)
            except NotAvailable as error:
                self._loaded[extractor] = error
            except Exception as error:
                self._loaded[extractor] = _not_loaded(extractor, error)
        found = self._loaded[extractor]
        if isinstance(found, NotAvailable):
            raise found
        return found

    def when_used(self, extractor: str) -> Extractor:
        """A stand-in that loads the extractor when something of it is asked for, and is it from then on.

        Metrics that only look at cached features so never load the network. What `get` raises, its first use raises.
        """
        return cast(Extractor, _WhenUsed(self, extractor))


class _WhenUsed:
    """Stands in for one extractor of a pool."""

    def __init__(self, pool: ExtractorPool, extractor: str) -> None:
        self._pool, self._extractor = pool, extractor

    @property
    def spec(self) -> ExtractorSpec:
        """Known without loading."""
        return self._pool.spec(self._extractor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool.get(self._extractor), name)


def _unusable(extractor: str, error: DamagedError) -> UnusableWeights:
    names = " ".join(EXTRACTORS[extractor].all_weights)
    told = _told(error)
    return UnusableWeights(f"{EXTRACTORS[extractor].title} cannot be used: {told}; `ltx2-eval weights pull {names}`")


def _not_loaded(extractor: str, error: Exception) -> NotLoaded:
    name, told = type(error).__name__, _told(error)
    met = f"{name}: {told}" if told else name
    return NotLoaded(f"{EXTRACTORS[extractor].title} could not be loaded ({met}); score again to try again", name)


def _told(error: Exception) -> str:
    told = " ".join(str(error).split())
    return told if len(told) <= _TOLD else told[: _TOLD - 1] + "…"
