"""What a generation needs in memory, and what would fit where it did not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from ltx2.checkpoint import Modules
from ltx2.config import TransformerConfig
from ltx2.fp8 import Fp8Linear

_STREAMS_PER_ROW = 2
_STREAMS_AT_WORK = 10
"""Tensors of a stream's size that are alive at once at the worst moment of a block: these many for the rows at work
(measured for one and four rows of up to 13,376 tokens, tables included), two for every row."""
_BLOCKS_ON_DEVICE = 2
_GB = 1e9
_CPU_ALLOCATOR = "DefaultCPUAllocator"


class DoesNotFitError(MemoryError):
    """The memory of the device is not enough; the message says what would fit."""


class Size(NamedTuple):
    """What is generated, in tokens of the transformer."""

    video_tokens: int
    audio_tokens: int
    rows: int
    """Guidance passes that are alive at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """Values and bytes of what is loaded."""

    block_values: int
    """Of the linear layers of the transformer's blocks: all that 8 bits and offloading change."""
    num_blocks: int
    item_bytes: int
    """Of the other weights, and of all activations."""
    other_bytes: int
    """Of everything but those layers; the text encoder with it where it stays on the device."""
    is_fp8: bool = False
    is_offloaded: bool = False

    @property
    def device_bytes(self) -> int:
        """What lies on the device while the transformer runs."""
        block_bytes = self.block_values * (1 if self.is_fp8 else self.item_bytes)
        resident = block_bytes * _BLOCKS_ON_DEVICE // self.num_blocks if self.is_offloaded else block_bytes
        return self.other_bytes + resident


def weights_of(modules: Modules, *, text_encoder_bytes: int, is_offloaded: bool) -> Weights:
    """What is loaded, counted."""
    layers = [layer for name, layer in modules.linears().items() if ".transformer_blocks." in name]
    inside = {id(layer.weight) for layer in layers}
    parts = [tensor for module in modules.named().values() for tensor in (*module.parameters(), *module.buffers())]
    return Weights(
        block_values=sum(layer.weight.numel() for layer in layers),
        num_blocks=modules.config.transformer.num_layers,
        item_bytes=modules.transformer.patchify_proj.weight.element_size(),
        other_bytes=text_encoder_bytes + sum(part.nbytes for part in parts if id(part) not in inside),
        is_fp8=isinstance(layers[0], Fp8Linear),
        is_offloaded=is_offloaded,
    )


def activation_bytes(config: TransformerConfig, size: Size, item_bytes: int) -> int:
    """Estimate of what the transformer needs besides its weights; attention is taken to keep no matrix of scores."""
    stream = size.video_tokens * config.width + size.audio_tokens * config.audio_width
    return stream * item_bytes * (_STREAMS_AT_WORK + _STREAMS_PER_ROW * size.rows)


def what_fits(weights: Weights, config: TransformerConfig, size: Size, capacity_bytes: int) -> str:
    """One sentence: what is needed, and which of 8-bit weights, offloading and a smaller clip would fit.

    Args:
        weights: What is loaded.
        config: Of the transformer.
        size: What was asked for.
        capacity_bytes: Of the device.
    """
    activations = activation_bytes(config, size, weights.item_bytes)
    told = (
        f"about {_gb(weights.device_bytes + activations)} are needed while sampling ({_gb(weights.device_bytes)} of "
        f"weights, {_gb(activations)} for {size.video_tokens} video tokens), the device has {_gb(capacity_bytes)}"
    )
    ways = {
        "fp8=True": replace(weights, is_fp8=True),
        "offload=True": replace(weights, is_offloaded=True),
        "fp8=True with offload=True": replace(weights, is_fp8=True, is_offloaded=True),
    }
    for name, changed in ways.items():
        if changed != weights and changed.device_bytes + activations <= capacity_bytes:
            return f"{told}; {name} needs about {_gb(changed.device_bytes + activations)}, which fits"
    smallest = ways["fp8=True with offload=True"]
    tokens = size.video_tokens * (capacity_bytes - smallest.device_bytes) // activations
    if tokens < 1:
        return f"{told}; no setting fits, use a larger device"
    how = "" if smallest == weights else "with fp8=True and offload=True "
    return f"{told}; {how}about {tokens} video tokens fit: ask for a smaller size or fewer frames"


@contextmanager
def explained(
    modules: Modules, size: Size, device: torch.device, *, text_encoder_bytes: int, is_offloaded: bool
) -> Iterator[None]:
    """Say what would fit when sampling, which is the block, runs out of the device's memory.

    Raises:
        DoesNotFitError: The block ran out of memory.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and _CPU_ALLOCATOR not in str(error):
            raise
        weights = weights_of(modules, text_encoder_bytes=text_encoder_bytes, is_offloaded=is_offloaded)
        sentence = what_fits(weights, modules.config.transformer, size, _capacity_bytes(device))
        raise DoesNotFitError(f"out of memory on {device}: {sentence}") from error


def _capacity_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _gb(count: int) -> str:
    return f"{count / _GB:.1f} GB"
