"""The cache of features: computed once per file and way of computing; sealed, so that a changed byte is noticed."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ltx2_eval.extractors.base import ExtractorSpec, arithmetic
from ltx2_eval.libraries import libraries_of
from ltx2_eval.media import decoder_id
from ltx2_reports.store import DamagedError, atomic_write, canonical_hash

_TENSOR = "features"
_SEAL = "seal"


class FeatureCache:
    """Arrays of (k, d) float32 features in a folder, one safetensors file each.

    Args:
        root: The folder.
        device: Where the features are computed, as torch names it; of the device only the kind matters.
    """

    def __init__(self, root: Path, device: str = "cpu") -> None:
        self.root = root
        self._computed_with = [decoder_id(), arithmetic(device) or "cpu"]

    def path(self, file_sha256: str, spec: ExtractorSpec, weights_sha256: str | None) -> Path:
        """Where the features of a file lie; the name changes with anything that can change a feature."""
        what = [
            file_sha256,
            spec.id,
            spec.version,
            spec.preprocessing,
            spec.sampling,
            weights_sha256,
            libraries_of(spec.implementation),
            *self._computed_with,
        ]
        return self.root / f"{spec.id}-v{spec.version}" / f"{file_sha256[:16]}-{canonical_hash(what)[:24]}.safetensors"

    def get(self, file_sha256: str, spec: ExtractorSpec, weights_sha256: str | None) -> NDArray[np.float32] | None:
        """The (k, d) features, or None where there are none yet.

        Raises:
            DamagedError: the entry is damaged; names the file.
        """
        path = self.path(file_sha256, spec, weights_sha256)
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                features, seal = file.get_tensor(_TENSOR), (file.metadata() or {}).get(_SEAL)
        except (SafetensorError, OSError) as error:
            raise DamagedError(f"{path}: damaged ({error}); remove it, it will be computed again") from error
        if seal != _seal(path, features) or features.shape[1:] != (spec.dimension,):
            raise DamagedError(f"{path}: changed after it was written; remove it, it will be computed again")
        return features

    def put(
        self, file_sha256: str, spec: ExtractorSpec, weights_sha256: str | None, features: NDArray[np.float32]
    ) -> None:
        """Store features, atomically.

        Raises:
            ValueError: they are not (k, d) float32 with k > 0, or not all finite.
        """
        if (
            features.dtype != np.float32
            or features.ndim != 2
            or features.shape[1] != spec.dimension
            or not len(features)
        ):
            raise ValueError(
                f"{spec.id} gave {features.dtype} {features.shape}, expected float32 (k, {spec.dimension}) with k > 0"
            )
        if not np.isfinite(features).all():
            row = int(np.argmin(np.isfinite(features).all(axis=1)))
            raise ValueError(f"{spec.id} gave features that are not finite, first in row {row} of {len(features)}")
        path = self.path(file_sha256, spec, weights_sha256)
        features = np.ascontiguousarray(features)
        # As bytes: safetensors' own writing to a path leaves a temporary file of its own when it is killed.
        atomic_write(path, save({_TENSOR: features}, metadata={_SEAL: _seal(path, features)}))


def _seal(path: Path, features: NDArray[np.float32]) -> str:
    """Hash of the place and the content: an entry under another's name is no entry."""
    head = f"{path.name}|{features.dtype}|{features.shape}|"
    return hashlib.sha256(head.encode() + features.tobytes()).hexdigest()
