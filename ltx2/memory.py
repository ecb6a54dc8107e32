"""What a generation needs in memory, and what would fit where it did not.

The figures of activations are measured: tensors alive at once on the meta device, with an attention that keeps no
matrix of scores. Workspace of kernels and what an allocator loses between tensors are not in them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import nn

from ltx2.checkpoint import Modules
from ltx2.config import TransformerConfig
from ltx2.denoise import is_batched
from ltx2.fp8 import Fp8Linear
from ltx2.free_memory import usable_bytes
from ltx2.plan import StagePlan
from ltx2.settings import Tiles
from ltx2.types import VideoLatentShape, VideoPixelShape

_AT_WORK, _WAITING, _AT_LEAST = 12, 2, 6
"""Tensors of a stream's size per guidance pass: that is at work; that waits; on average where few are at work."""
_TABLE_BYTES = 4
_BLOCKS_ON_DEVICE = 2
_GB = 1e9
_SMALL = 1e8
_CPU_ALLOCATOR = "DefaultCPUAllocator"
_SHRINK_BY = 0.95


class DoesNotFitError(MemoryError):
    """The memory of the device is not enough; the message says what would fit."""


class Size(NamedTuple):
    """What is sampled, in tokens of the transformer."""

    video_tokens: int
    audio_tokens: int
    rows: int
    """Guidance passes of a step."""
    rows_at_once: int
    text_rows: int
    """Prompts that are read: 2 where one of the passes reads the negative prompt."""
    text_tokens: int
    tile_tokens: int | None = None
    """Video tokens of one tile; None where all are refined at once."""

    @classmethod
    def of(cls, plan: StagePlan, text_tokens: int, *, batch_passes: bool | None = None) -> "Size":
        """Of one stage; guides of conditioning images are left out."""
        rows = len(plan.guidance.passes)
        tile = None if plan.tiles is None else _tile_tokens(plan, plan.tiles)
        video, audio = plan.video.token_count, plan.audio.frames
        batched = is_batched(batch_passes, (tile or video) + audio)
        text_rows = 2 if "text" in plan.guidance.passes else 1
        return cls(video, audio, rows, rows if batched else 1, text_rows, text_tokens, tile)


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """Values and bytes of what is loaded."""

    block_values: int
    """Of the linear layers of the transformer's blocks: all that 8 bits and offloading change."""
    num_blocks: int
    item_bytes: int
    """Of the other weights, and of all activations."""
    other_bytes: int
    """Of everything but those layers; upsamplers, and a text encoder that stays on the device, with it."""
    is_fp8: bool = False
    is_offloaded: bool = False

    @property
    def device_bytes(self) -> int:
        """What lies on the device while the transformer runs."""
        block_bytes = self.block_values * (1 if self.is_fp8 else self.item_bytes)
        resident = block_bytes * _BLOCKS_ON_DEVICE // self.num_blocks if self.is_offloaded else block_bytes
        return self.other_bytes + resident

    def smaller(self) -> dict[str, "Weights"]:
        """The ways to need less, by their names, the least change first."""
        ways = {
            "fp8=True": replace(self, is_fp8=True),
            "offload=True": replace(self, is_offloaded=True),
            "fp8=True with offload=True": replace(self, is_fp8=True, is_offloaded=True),
        }
        return {name: way for name, way in ways.items() if way.device_bytes < self.device_bytes}


def weights_of(modules: Modules, *, other_bytes: int = 0, is_offloaded: bool, item_bytes: int | None = None) -> Weights:
    """What is loaded, counted.

    Args:
        modules: The model; on the meta device if it is not loaded yet.
        other_bytes: Of the text encoder and the upsamplers, as far as they lie on the device.
        is_offloaded: Whether the blocks' layers wait in CPU memory.
        item_bytes: Of a weight, if not as the modules have them.
    """
    layers = [layer for name, layer in modules.linears().items() if ".transformer_blocks." in name]
    inside = {id(layer.weight) for layer in layers}
    parts = [tensor for module in modules.named().values() for tensor in (*module.parameters(), *module.buffers())]
    item = item_bytes or modules.transformer.patchify_proj.weight.element_size()
    sizes = (part.numel() * item if item_bytes else part.nbytes for part in parts if id(part) not in inside)
    return Weights(
        block_values=sum(layer.weight.numel() for layer in layers),
        num_blocks=modules.config.transformer.num_layers,
        item_bytes=item,
        other_bytes=other_bytes + sum(sizes),
        is_fp8=any(isinstance(layer, Fp8Linear) for layer in layers),
        is_offloaded=is_offloaded,
    )


def bytes_on(module: nn.Module | None) -> int:
    """Of a module's weights."""
    return 0 if module is None else sum(x.nbytes for x in (*module.parameters(), *module.buffers()))


def text_bytes(config: TransformerConfig, size: Size, item_bytes: int) -> int:
    """Of the keys and values of the text in all blocks, which are kept while a stage samples."""
    return 2 * config.num_layers * size.text_rows * size.text_tokens * (config.width + config.audio_width) * item_bytes


def activation_bytes(config: TransformerConfig, size: Size, item_bytes: int) -> int:
    """Of a step's activations and the rotary tables; those of a tile and of the whole clip where it has tiles."""
    video, audio = size.tile_tokens or size.video_tokens, size.audio_tokens
    stream = (video * config.width + audio * config.audio_width) * item_bytes
    waiting = size.rows - size.rows_at_once
    streams = max(_AT_WORK * size.rows_at_once + _WAITING * waiting, _AT_LEAST * size.rows)
    in_tables = size.video_tokens + (size.tile_tokens or 0)
    tables = _TABLE_BYTES * (in_tables * (config.width + config.audio_width) + 2 * audio * config.audio_width)
    return stream * streams + tables


def sampling_bytes(config: TransformerConfig, size: Size, item_bytes: int) -> int:
    """What the transformer needs besides its weights."""
    return text_bytes(config, size, item_bytes) + activation_bytes(config, size, item_bytes)


@dataclass(frozen=True, slots=True)
class SamplingAdvice:
    """What would fit where a stage's sampling does not; called with the bytes that the device has for this process."""

    weights: Weights
    config: TransformerConfig
    plan: StagePlan
    text_tokens: int
    batch_passes: bool | None = None

    def __call__(self, capacity: int) -> str:
        """One sentence: what is needed, and the least change with which it fits."""
        needed, kept = self._bytes(self.plan), self.weights.device_bytes
        text = text_bytes(self.config, self._size(self.plan), self.weights.item_bytes)
        told = (
            f"about {_gb(kept + needed)} are needed ({_gb(kept)} of weights, {_gb(text)} for the text, "
            f"{_gb(needed - text)} for {self.plan.video.token_count} video tokens), "
            f"{_gb(capacity)} can be had"
        )
        return f"{told}; {self._change(capacity) or self._smaller_clip(capacity)}"

    def _change(self, capacity: int) -> str | None:
        ways: dict[str, tuple[Weights, StagePlan, bool | None]] = {}
        if self._size(self.plan).rows_at_once > 1:
            ways["batch_passes=False"] = (self.weights, self.plan, False)
        tiled = self.plan._replace(tiles=Tiles())
        can_tile = self.plan.name == "refine" and self.plan.tiles is None
        if can_tile and _tile_tokens(tiled, Tiles()) < self.plan.video.token_count:
            ways["refining in tiles (tiles=Tiles())"] = (self.weights, tiled, self.batch_passes)
        for name, weights in self.weights.smaller().items():
            ways[name] = (weights, self.plan, self.batch_passes)
            if can_tile:
                ways[f"{name} and tiles=Tiles()"] = (weights, tiled, self.batch_passes)
        for name, (weights, plan, batch) in ways.items():
            needed = weights.device_bytes + self._bytes(plan, batch)
            if needed <= capacity:
                return f"{name} needs about {_gb(needed)}, which fits"
        return None

    def _smaller_clip(self, capacity: int) -> str:
        smallest = list(self.weights.smaller().items())[-1:] or [("", self.weights)]
        name, weights = smallest[0]
        left = capacity - weights.device_bytes
        pixels, cell = self.plan.pixels, self.plan.video.cell_px * (2 if self.plan.name == "refine" else 1)
        sizes, scale = [], 1.0
        while scale * min(pixels.height, pixels.width) >= 2 * cell:
            scale *= _SHRINK_BY
            height, width = (round(scale * side / cell) * cell for side in (pixels.height, pixels.width))
            sizes.append(pixels._replace(height=max(height, 2 * cell), width=max(width, 2 * cell)))
        lengths = [pixels._replace(frames=frames) for frames in range(pixels.frames - 8, 8, -8)]
        fitting = [
            next((p for p in tried if self._bytes(self._resized(p), False) <= left), None) for tried in (sizes, lengths)
        ]
        told = [f"{p.width}x{p.height} with {p.frames} frames" for p in fitting if p is not None]
        if not told:
            return "no setting fits, use a larger device"
        return f"{name + ' and ' if name else ''}{' or '.join(told)} would fit"

    def _resized(self, pixels: VideoPixelShape) -> StagePlan:
        plan = self.plan
        video = VideoLatentShape.from_pixel_shape(pixels, channels=plan.video.channels, cell_px=plan.video.cell_px)
        frames = max(1, round(plan.audio.frames * pixels.frames / plan.pixels.frames))
        return plan._replace(video=video, audio=plan.audio._replace(frames=frames))

    def _size(self, plan: StagePlan, batch_passes: bool | None = None) -> Size:
        batch = self.batch_passes if batch_passes is None else batch_passes
        return Size.of(plan, self.text_tokens, batch_passes=batch)

    def _bytes(self, plan: StagePlan, batch_passes: bool | None = None) -> int:
        return sampling_bytes(self.config, self._size(plan, batch_passes), self.weights.item_bytes)


def loading_advice(weights: Weights) -> Callable[[int], str]:
    """What would fit where the weights do not."""

    def advise(capacity: int) -> str:
        told = f"the weights need about {_gb(weights.device_bytes)}, {_gb(capacity)} can be had"
        for name, way in weights.smaller().items():
            if way.device_bytes < capacity:
                return f"{told}; {name} needs about {_gb(way.device_bytes)} and what is sampled"
        return f"{told}; no setting fits, use a larger device, or a smaller dtype if this is float32"

    return advise


def work_advice(weights: Weights, needed: int | None = None) -> Callable[[int], str]:
    """What would help where something besides the transformer runs out of memory.

    Args:
        weights: What lies on the device meanwhile.
        needed: Bytes of the least that this work can do with; None if that is not known.
    """

    def advise(capacity: int) -> str:
        least = "" if needed is None else f", this needs at least {_gb(needed)} more"
        told = f"{_gb(weights.device_bytes)} of {_gb(capacity)} that can be had are weights{least}"
        room = 0 if needed is None else needed
        for name, way in weights.smaller().items():
            if way.device_bytes + room < capacity:
                return f"{told}; {name} leaves {_gb(capacity - way.device_bytes)} free"
        return f"{told}; ask for a smaller size or fewer frames, or use a larger device"

    return advise


@contextmanager
def explained(doing: str, device: torch.device, advise: Callable[[int], str]) -> Iterator[None]:
    """Say what would fit when the block runs out of the device's memory.

    Args:
        doing: What the block does, as in `sampling`.
        device: Where.
        advise: From the bytes that the device has for this process to what would fit.

    Raises:
        DoesNotFitError: The block ran out of memory.
    """
    try:
        yield
    except DoesNotFitError:
        raise
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise DoesNotFitError(f"out of memory on {device} while {doing}: {advise(usable_bytes(device))}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the memory of a device was too small."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or _CPU_ALLOCATOR in str(error)


def check_room(weights: Weights, device: torch.device) -> None:
    """Refuse, before anything is read, weights that a GPU has no room for.

    Raises:
        DoesNotFitError: As above.
    """
    if device.type != "cuda":
        return  # weights there are mapped, and may be larger than the memory
    capacity = usable_bytes(device)
    if weights.device_bytes > capacity:
        raise DoesNotFitError(f"{device} has no room for the model: {loading_advice(weights)(capacity)}")


def _tile_tokens(plan: StagePlan, tiles: Tiles) -> int:
    sizes = zip((tiles.frames, tiles.height, tiles.width), plan.video[2:5], strict=True)
    frames, height, width = (min(pair) for pair in sizes)
    return frames * height * width


def _gb(count: int) -> str:
    return f"{count / _GB:.1f} GB" if count >= _SMALL else f"{count / 1e6:.1f} MB"
