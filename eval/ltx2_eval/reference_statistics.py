"""Reference sets of which only mean and covariance were published: named, pinned, for Fréchet distances alone."""

import functools
from collections.abc import Collection
from dataclasses import dataclass

from ltx2_eval import weights
from ltx2_eval.extractors.base import NotApplicable, UnusableWeights
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.features import FeatureCache
from ltx2_eval.metrics.frechet import Gaussian, gaussian
from ltx2_reports.records import ReferenceRef
from ltx2_reports.store import DamagedError

PUBLISHED: dict[str, dict[str, str]] = {
    "fma-pop": {"vggish-fadtk": "vggish", "clap-630k-fadtk": "clap-laion-audio"},
}
"""By name, which is also that of an entry of the weights lock: the published features of an extractor, by its id.

Only of extractors that embed sounds as the publisher did: a distance between two front ends would be one of these."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """Mean and covariance of the features of one extractor."""

    name: str
    """Of the reference set."""
    key: str
    """Of the features in its file."""

    def gaussian(self) -> Gaussian:
        """Read from the verified file.

        Raises:
            NotAvailable: not pulled; ends with the command that brings it.
            UnusableWeights: the file was changed since.
        """
        from safetensors.torch import load_file

        try:
            arrays = load_file(weights.weights_path(self.name))
        except DamagedError as error:
            raise UnusableWeights(f"{error}; `ltx2-eval weights pull {self.name}`") from error
        return gaussian(arrays[f"{self.key}.mean"], arrays[f"{self.key}.covariance"], f"reference {self.name}")


@dataclass(frozen=True, kw_only=True)
class StatisticsReference:
    """A named reference set without clips."""

    name: str

    @functools.cached_property
    def ref(self) -> ReferenceRef:
        """The set as records name it; its hash is that of the published file, its number of clips is not known (0)."""
        sha256 = weights.weights_sha256(self.name)
        assert sha256 is not None  # pinned in the lock
        return ReferenceRef(name=self.name, sha256=sha256, n=0)

    @staticmethod
    def _metrics(known: Collection[str]) -> list[str]:
        """Ids of the metrics that the statistics are for."""
        from ltx2_eval.metrics.catalogue import BUILT_IN

        return [
            name for name, entry in BUILT_IN.items() if entry.extractor in known and "reference" in entry.spec.needs
        ]

    def features(self, extractor: str, pool: ExtractorPool, cache: FeatureCache) -> Statistics:
        """What is known of the features of an extractor.

        Raises:
            NotApplicable: nothing.
        """
        known = PUBLISHED[self.name]
        if extractor not in known:
            raise NotApplicable(
                f"reference {self.name} has statistics of sounds as {' and '.join(known)} embed them, not {extractor}: "
                f"name one of {', '.join(self._metrics(known))}"
            )
        return Statistics(name=self.name, key=known[extractor])
