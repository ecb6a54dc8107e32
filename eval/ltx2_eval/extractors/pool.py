"""Extractors of a run, each loaded once and only when a feature is really missing."""

from ltx2_eval import weights
from ltx2_eval.extractors.base import Extractor, ExtractorSpec
from ltx2_eval.extractors.catalogue import EXTRACTORS, load_extractor
from ltx2_reports.store import canonical_hash


class ExtractorPool:
    """Loads extractors on first use; one that cannot be loaded is not tried again."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self._loaded: dict[str, Extractor | Exception] = {}

    def spec(self, extractor: str) -> ExtractorSpec:
        """What is known of an extractor without loading it."""
        return EXTRACTORS[extractor]

    def weights_sha256(self, extractor: str) -> str | None:
        """Hash of the weights as published, of all hashes where there are several files; None: none, or not known."""
        hashes = [weights.weights_sha256(name) for name in EXTRACTORS[extractor].all_weights]
        if len(hashes) > 1:
            return None if None in hashes else canonical_hash(hashes)
        return hashes[0] if hashes else None

    def get(self, extractor: str) -> Extractor:
        """The loaded extractor.

        Raises:
            NotAvailable: its weights are missing.
            DamagedError: its weights were changed.
            Exception: whatever else its first loading met; told again at every later call, not tried again.
        """
        if extractor not in self._loaded:
            try:
                self._loaded[extractor] = load_extractor(extractor, device=self.device)
            except Exception as error:
                self._loaded[extractor] = error
        found = self._loaded[extractor]
        if isinstance(found, Exception):
            raise found
        return found
