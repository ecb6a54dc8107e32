"""Clips of the procedural world for training: rendered once by worker processes, kept in memory-mapped shards."""

import multiprocessing
from collections.abc import Collection
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from ltx2_benchmarks.synthetic import Scene, render, sample_scene
from ltx2_benchmarks.synthetic.vocabulary import Split

SHARD_CLIPS = 256
SIZE_PX = 64
FRAMES = 49
FPS = 24
RATE_HZ = 24_000
BRIGHT_LEVEL = 150
"""Objects and flashes have a channel above this (of 255), backgrounds none."""


@dataclass(frozen=True, kw_only=True)
class WorldPool:
    """The clips of seeds `0..clips` of a split.

    Splits share no combination of colour, shape and motion, so `test` clips show what training never did; training
    seeds from `clips` on are held out clips of the training distribution itself.
    """

    folder: Path
    clips: int
    split: Split = "train"
    first_seed: int = 0
    size_px: int = SIZE_PX
    frames: int = FRAMES

    def scene(self, index: int) -> Scene:
        """The scene of a clip."""
        return scene_of(self.first_seed + index, self.split, self.size_px, self.frames)

    def prepare(self, workers: int) -> "WorldPool":
        """Render the shards that are missing; returns itself."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [shard for shard in range(self._shards) if not self._path(shard, "audio").exists()]
        if workers <= 1:
            for shard in missing:
                self._render(shard)
        elif missing:
            with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as executor:
                list(executor.map(self._render, missing))
        return self

    def video(self, indices: Tensor, *, start: int = 0, frames: int | None = None) -> Tensor:
        """Frames (b, 3, f, h, w) in -1..1, float32, of the chosen clips; f = `frames` from frame `start` on."""
        stop = start + (frames or self.frames)
        chosen = np.stack([shard[k, start:stop] for shard, k in self._locate(self._videos, indices)])
        return _signed(torch.from_numpy(chosen))

    def crops(self, indices: Tensor, side_px: int, generator: torch.Generator, *, start: int, frames: int) -> Tensor:
        """Squares (b, 3, f, side_px, side_px) of `video`'s frames, each around a random bright pixel of its clip.

        The same square in all frames; where no pixel is bright, around any.
        """
        cuts = []
        for shard, k in self._locate(self._videos, indices):
            clip = torch.from_numpy(shard[k, start : start + frames].copy())
            top, left = self._corner(clip, side_px, generator)
            cuts.append(clip[:, top : top + side_px, left : left + side_px])
        return _signed(torch.stack(cuts))

    def _corner(self, clip: Tensor, side_px: int, generator: torch.Generator) -> list[int]:
        """Top and left of a square in which a bright pixel of some frame (f, h, w, 3) lies near the middle."""
        shown = clip[int(torch.randint(len(clip), (), generator=generator))]
        bright = (shown.amax(dim=-1) > BRIGHT_LEVEL).nonzero()
        places = bright if len(bright) else torch.randint(self.size_px, (1, 2), generator=generator)
        centre = places[int(torch.randint(len(places), (), generator=generator))]
        corner = centre - torch.randint(side_px // 4, 3 * side_px // 4, (2,), generator=generator)
        found: list[int] = corner.clamp(0, self.size_px - side_px).tolist()
        return found

    def holding(self, shapes: Collection[str]) -> Tensor:
        """Indices (n,) of the clips in which an object has one of the shapes; kept beside the clips."""
        first = f"{self._name(self.first_seed)}-{self.clips}"
        kept = self.folder / f"{first}-{'-'.join(sorted(shapes))}.npy"
        if not kept.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            found = [k for k in range(self.clips) if any(body.shape in shapes for body in self.scene(k).objects)]
            _write(kept, np.array(found, dtype=np.int64))
        return torch.from_numpy(np.load(kept))

    def audio(self, indices: Tensor) -> Tensor:
        """Waveforms (b, 2, n) in -1..1, float32, at 24 kHz."""
        chosen = np.stack([shard[k] for shard, k in self._locate(self._audios, indices)])
        return torch.from_numpy(chosen.astype(np.float32))

    @property
    def _shards(self) -> int:
        return -(-self.clips // SHARD_CLIPS)

    @cached_property
    def _videos(self) -> list[NDArray[np.uint8]]:
        return [np.load(self._path(shard, "video"), mmap_mode="r") for shard in range(self._shards)]

    @cached_property
    def _audios(self) -> list[NDArray[np.float16]]:
        return [np.load(self._path(shard, "audio"), mmap_mode="r") for shard in range(self._shards)]

    def _path(self, shard: int, stream: str) -> Path:
        first = self.first_seed + shard * SHARD_CLIPS
        return self.folder / f"{self._name(first)}-{stream}.npy"

    def _name(self, first: int) -> str:
        return f"{self.split}-{self.size_px}px-{self.frames}f-{first:08d}"

    def _render(self, shard: int) -> None:
        """Render one shard; the audio is moved into place last and marks it as complete."""
        torch.set_num_threads(1)
        indices = range(shard * SHARD_CLIPS, min((shard + 1) * SHARD_CLIPS, self.clips))
        rendered = [render(self.scene(index)) for index in indices]
        _write(self._path(shard, "video"), np.stack([clip.video for clip in rendered]))
        _write(self._path(shard, "audio"), np.stack([clip.audio for clip in rendered]).astype(np.float16))

    @staticmethod
    def _locate(shards: list[NDArray], indices: Tensor) -> list[tuple[NDArray, int]]:
        return [(shards[index // SHARD_CLIPS], index % SHARD_CLIPS) for index in indices.tolist()]


def scene_of(seed: int, split: Split, size_px: int = SIZE_PX, frames: int = FRAMES) -> Scene:
    """The scene that the recipe draws for a seed."""
    return sample_scene(seed, split=split, width=size_px, height=size_px, frames=frames, fps=FPS, rate_hz=RATE_HZ)


def _signed(frames: Tensor) -> Tensor:
    """Frames (b, f, h, w, 3) of 8 bits as (b, 3, f, h, w) in -1..1."""
    return rearrange(frames, "b f h w c -> b c f h w").float() / 127.5 - 1


def _write(path: Path, array: NDArray) -> None:
    temporary = path.with_suffix(".part.npy")
    np.save(temporary, array)
    temporary.replace(path)
