"""What extractors share that run one network from one safetensors file: building it, loading strictly, placing it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Self, TypeVar

import torch
from torch import Tensor, nn

from ltx2_eval.extractors.base import ExtractorSpec, present
from ltx2_eval.weights.safe import load_strict, read_state

N = TypeVar("N", bound=nn.Module)


def blank(make: Callable[[], N]) -> N:
    """A network without the time that random initial values take; whatever it needs must then be loaded.

    For networks of a billion parameters; `make` must not compute buffers, which would stay unfilled.
    """
    with torch.device("meta"):
        network = make()
    return network.to_empty(device="cpu")


class NetworkExtractor(ABC, Generic[N]):
    """Base of extractors around one network; a subclass says how the network is built and what it does with a clip."""

    def __init__(self, spec: ExtractorSpec, network: N, device: str) -> None:
        self.spec = spec
        self.network = network.eval().requires_grad_(False).to(device)
        self.device = device

    @classmethod
    @abstractmethod
    def build(cls) -> N:
        """The network, its weights not loaded yet."""

    @classmethod
    def load(cls, spec: ExtractorSpec, weights: Path | None, device: str) -> Self:
        """Build the network and load a safetensors file with its names.

        Raises:
            NotAvailable: no file.
            DamagedError: the file does not fit.
        """
        weights = present(spec, weights)
        network = cls.build()
        load_strict(network, cls.renamed(read_state(weights)), str(weights))
        return cls(spec, network, device)

    @classmethod
    def renamed(cls, published: dict[str, Tensor]) -> dict[str, Tensor]:
        """The names in the file -> those of the network, where they differ."""
        return published
