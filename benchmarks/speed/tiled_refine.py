"""Tiled refinement against the untiled one: how far apart, how visible the seams, how much memory each takes.

Paste: OMP_NUM_THREADS=1 python benchmarks/speed/tiled_refine.py --frames 7 --side 24
The small model with random weights refines one random latent from the same noise: whole; in overlapping tiles blended
at every step (ours); in tiles without overlap; in overlapping tiles that are each refined to the end alone and blended
once. `MB` are the tensors alive at once during sampling, counted by their storages. `error` is the root mean square
distance from the untiled result in deviations of that result. `seams` is the mean square jump of that distance across
lines where a tile begins or ends, over that across the other lines: 1 where no seam can be told. The last line is
untiled memory over tiled.
"""

import argparse
import statistics
import time
import weakref
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ltx2.config import NANO
from ltx2.denoise import GuidedDenoiser
from ltx2.guidance import UNGUIDED
from ltx2.nano import untrained_modules
from ltx2.rope import audio_positions, video_positions
from ltx2.sample import Latents, NoiseSource, sample_euler
from ltx2.schedule import REFINE_SIGMAS
from ltx2.settings import Tiles
from ltx2.text import TextEmbeddings
from ltx2.tiled import Span, TiledDenoiser, cut_tiles, rope_at, split_axis
from ltx2.types import AudioLatentShape, VideoLatentShape, VideoPixelShape

FPS = Fraction(24)
WAYS = ("untiled", "tiled", "no overlap", "blended at the end")


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all storages that operations inside make and that still live; views count once."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {x.untyped_storage()._cdata for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        for x in tree_leaves(out):
            if isinstance(x, Tensor) and x.untyped_storage()._cdata not in self._known | given:
                self._add(x.untyped_storage())
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._known.add(key)
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size


class Refinement:
    """One latent, and the ways to refine it."""

    def __init__(self, shape: VideoLatentShape, tiles: Tiles) -> None:
        pixels = VideoPixelShape(1, 8 * shape.frames - 7, 32 * shape.height, 32 * shape.width, FPS)
        audio = AudioLatentShape.from_pixel_shape(pixels, channels=2, mel_bins=16)
        transformer = untrained_modules().transformer.requires_grad_(False)
        source = NoiseSource(0)
        text = TextEmbeddings(*(source.tensor((1, NANO.text.max_tokens, NANO.text.hidden_size)) for _ in range(2)))
        clean, noise = (source.latents(shape.token_shape, audio.token_shape) for _ in range(2))
        sigma = REFINE_SIGMAS[0]
        self.start = Latents(*((1 - sigma) * c + sigma * n for c, n in zip(clean, noise, strict=True)))
        places, sound = video_positions(shape, FPS), audio_positions(audio, NANO.audio_vae)
        self.tiles = cut_tiles(shape, tiles, places, sound)
        self.ropes = {"video_rope": transformer.video_rope(places), "audio_rope": transformer.audio_rope(sound)}
        self.denoiser = GuidedDenoiser(transformer, text, **self.ropes, guidance=UNGUIDED)

    def run(self, way: str) -> Tensor:
        """Refined video tokens."""
        if way == "blended at the end":
            return self._one_by_one()
        tiled = TiledDenoiser(self.denoiser, **self.ropes, tiles=self.tiles)
        return sample_euler(self.denoiser if way == "untiled" else tiled, self.start, REFINE_SIGMAS).video

    def _one_by_one(self) -> Tensor:
        out = torch.zeros_like(self.start.video)
        for tile in self.tiles:
            rope = rope_at(self.ropes["video_rope"], tile.tokens)
            model = self.denoiser.at(video_rope=rope, audio_rope=self.ropes["audio_rope"])
            start = Latents(self.start.video[:, tile.tokens], self.start.audio)
            out.index_add_(1, tile.tokens, sample_euler(model, start, REFINE_SIGMAS).video * tile.video_weights)
        return out


def spans_of(shape: VideoLatentShape, tiles: Tiles) -> list[tuple[Span, ...]]:
    """The tiles along time, height and width."""
    sizes = ((tiles.frames, tiles.overlap_frames), (tiles.height, tiles.overlap), (tiles.width, tiles.overlap))
    return [split_axis(length, *size) for length, size in zip(shape.grid_shape[2:], sizes, strict=True)]


def seam_energy(error: Tensor, spans: Sequence[tuple[Span, ...]]) -> float:
    """Mean square jump of an error `(f, h, w, c)` across lines where tiles begin or end, over that elsewhere."""
    at_seams, elsewhere = [], []
    for axis, pieces in enumerate(spans):
        seams = {edge for piece in pieces for edge in piece}
        jumps = error.diff(dim=axis).square().transpose(0, axis).flatten(1).mean(1)
        for line, jump in enumerate(jumps.tolist(), start=1):
            (at_seams if line in seams else elsewhere).append(jump)
    return statistics.mean(at_seams) / statistics.mean(elsewhere)


@torch.no_grad()
def main() -> None:
    """Run every way on the same latent and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=7, help="latent frames")
    parser.add_argument("--side", type=int, default=24, help="latent height and width")
    parser.add_argument("--tile", type=int, default=12, help="height and width of a tile")
    parser.add_argument("--overlap", type=int, default=4)
    given = parser.parse_args()
    shape = VideoLatentShape(1, NANO.video_vae.latent_channels, given.frames, given.side, given.side)
    soft = Tiles(frames=given.frames, height=given.tile, width=given.tile, overlap_frames=0, overlap=given.overlap)
    counts = "x".join(str(len(axis)) for axis in spans_of(shape, soft))
    print(f"{shape.token_count} tokens; {counts} tiles of {given.tile} overlapping by {given.overlap}")
    print(f"{'':20}{'seconds':>10}{'MB':>10}{'error':>10}{'seams':>10}")
    whole, peaks = torch.zeros(0), {}
    for way in WAYS:
        tiles = replace(soft, overlap=0) if way == "no overlap" else soft
        refinement = Refinement(shape, tiles)
        began = time.perf_counter()
        with LiveBytes() as live:
            out = refinement.run(way).reshape(*shape.grid_shape[2:], -1)
        line = f"{way:20}{time.perf_counter() - began:10.2f}{live.peak / 1e6:10.1f}"
        peaks[way] = live.peak
        if way == "untiled":
            whole = out
        else:
            error = out - whole
            line += f"{error.square().mean().sqrt() / whole.std():10.4f}"
            line += f"{seam_energy(error, spans_of(shape, tiles)):10.2f}"
        print(line, flush=True)
    print(f"ratio: {peaks['untiled'] / peaks['tiled']:.2f}")


if __name__ == "__main__":
    main()
