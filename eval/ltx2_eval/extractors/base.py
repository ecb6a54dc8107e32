"""The one protocol of pretrained encoders, and what is known of each before it is loaded."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.clip import Clip


class NotApplicable(ValueError):
    """The clip lacks what is needed (a stream, enough frames, a prompt): a reason, not a failure."""


class Abstained(NotApplicable):
    """The clip was looked at, and what is to be judged is not in it: recorded as abstained."""


class NotAvailable(ValueError):
    """Weights or packages are missing; the message ends with the command that brings them."""


class UnusableWeights(NotAvailable):
    """Weights are here but damaged, or not those of the network; the message ends with the command to mend it."""


class NotLoaded(NotAvailable):
    """Loading met trouble that may pass, as memory that was full: the next command tries again.

    Args:
        message: What was to be loaded, and what it met.
        cause: Name of the exception that it met.
    """

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractorSpec:
    """What an extractor is."""

    id: str
    version: int
    """Raised at each change that can move a feature."""
    title: str
    stream: Literal["video", "audio"]
    dimension: int
    weights: str | None
    """Name of an entry of the weights lock; None: no weights."""
    preprocessing: str
    """Id of resize, crop, resampling, normalisation."""
    sampling: str
    """Which frames or windows."""
    source: str
    implementation: str
    """`module:Class`, imported when the extractor is loaded."""
    beside: tuple[str, ...] = ()
    """Further entries of the weights lock, which the implementation loads itself: a head, a second network."""

    @property
    def all_weights(self) -> tuple[str, ...]:
        """Every entry of the weights lock that is needed."""
        return (*((self.weights,) if self.weights else ()), *self.beside)


@contextmanager
def full_float32() -> Iterator[None]:
    """Full float32 and one choice of kernels on a GPU, whose convolutions otherwise keep ten bits of each factor.

    Only for what runs inside: the model that makes clips keeps its own settings.
    """
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def arithmetic(device: str) -> str | None:
    """How features are computed on a device, for protocols and caches; None: on the CPU, in float32."""
    kind = device.partition(":")[0]
    return None if kind == "cpu" else f"{kind} float32 without tf32"


def present(spec: ExtractorSpec, weights: Path | None) -> Path:
    """The weights that an extractor cannot do without.

    Raises:
        NotAvailable: there are none; ends with the command that brings them.
    """
    if weights is None:
        raise NotAvailable(f"{spec.title} needs its weights: `ltx2-eval weights pull {spec.weights}`")
    return weights


class Extractor(Protocol):
    """A loaded encoder. Features of a clip depend on that clip alone, never on its neighbours."""

    spec: ExtractorSpec

    @classmethod
    def load(cls, spec: ExtractorSpec, weights: Path | None, device: str) -> "Extractor":
        """Build the network and read its weights (a safetensors file or a folder), strictly."""

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(k, d) features of k windows of the clip, all finite.

        Raises:
            NotApplicable: no such stream, or too short.
        """
