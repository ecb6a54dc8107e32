"""Denoising a large latent in overlapping tiles of space and time, one after the other, blended at every step.

Section 4.2 of arXiv 2601.03233 says that tiles are refined by the same model and blended in latent space; no public
code does it. This is our own design. Every tile sees its tokens at their places in the whole clip (so that tiles agree
on where and when they are), the whole text and the whole sound. The denoised tiles are blended with weights that sum to
one in each token, and one step is taken on the whole: noise is drawn once for all, and tiles cannot drift apart between
steps.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from ltx2.denoise import BOTH, GuidedDenoiser
from ltx2.rope import RotaryTable, StreamRope, middle
from ltx2.sample import Latents
from ltx2.settings import Tiles
from ltx2.types import VideoLatentShape


class Span(NamedTuple):
    """A piece of one axis, `[start, end)`."""

    start: int
    end: int


class Tile(NamedTuple):
    """One piece of a clip's tokens."""

    tokens: Tensor
    """Indices of its video tokens, rising, `(n,)`; those of guides that overlap it come last."""
    video_weights: Tensor
    """Share of its estimate in each of its tokens, float32 `(1, n, 1)`."""
    audio_weights: Tensor
    """Share of its estimate in each token of the whole sound, float32 `(1, ta, 1)`."""


def split_axis(length: int, size: int, overlap: int) -> tuple[Span, ...]:
    """Cover an axis with as few spans of one size as share at least `overlap` cells with their neighbours.

    They are spread evenly, so that no tile is a narrow rest.

    >>> split_axis(22, 9, 2)
    (Span(start=0, end=9), Span(start=6, end=15), Span(start=13, end=22))
    """
    if length <= size:
        return (Span(0, length),)
    last = -(-(length - size) // (size - overlap))
    starts = (i * (length - size) // last for i in range(last + 1))
    return tuple(Span(start, start + size) for start in starts)


def axis_weights(spans: Sequence[Span], length: int) -> Tensor:
    """Weights of spans in cells, float64 `(spans, length)`: ramps where neighbours overlap; each column sums to 1."""
    weights = torch.zeros(len(spans), length, dtype=torch.float64)
    for i, (start, end) in enumerate(spans):
        weights[i, start:end] = 1
        if i > 0:
            shared = spans[i - 1].end - start
            weights[i, start : start + shared] *= torch.arange(1, shared + 1) / (shared + 1)
        if i + 1 < len(spans):
            shared = end - spans[i + 1].start
            weights[i, end - shared : end] *= torch.arange(shared, 0, -1) / (shared + 1)
    return weights / weights.sum(0)


def cut_tiles(
    shape: VideoLatentShape, sizes: Tiles, video_positions: Tensor, audio_positions: Tensor
) -> tuple[Tile, ...]:
    """The tiles of a clip.

    Args:
        shape: Of the whole video latent.
        sizes: Of tiles and their overlaps.
        video_positions: Bounds `(1, 3, t, 2)` of the latent's tokens, then of those of guides.
        audio_positions: Bounds `(1, 1, ta, 2)` of the sound's tokens.
    """
    lengths = (shape.frames, shape.height, shape.width)
    asked = (
        (sizes.frames, sizes.overlap_frames),
        (sizes.height, sizes.overlap),
        (sizes.width, sizes.overlap),
    )
    spans = [split_axis(length, *size) for length, size in zip(lengths, asked, strict=True)]
    time, rows, columns = (axis_weights(*axis) for axis in zip(spans, lengths, strict=True))
    places = video_positions[0].cpu()
    frame_of_sound = _frame_at(
        middle(audio_positions[0, 0].cpu()), places[0, :: shape.height * shape.width][: lengths[0]]
    )
    chosen, video, audio = [], [], []
    for f, h, w in itertools.product(*(range(len(axis)) for axis in spans)):
        grid = torch.einsum("f,h,w->fhw", time[f], rows[h], columns[w]).flatten()
        weights = torch.cat((grid, _guide_weights(grid, places)))
        chosen.append(weights.nonzero().flatten())
        video.append(weights)
        audio.append(time[f][frame_of_sound] / (len(rows) * len(columns)))
    shares = torch.stack(video) / torch.stack(video).sum(0)
    device = video_positions.device
    return tuple(
        Tile(tokens.to(device), _weights(share[tokens], device), _weights(sound, device))
        for tokens, share, sound in zip(chosen, shares, audio, strict=True)
    )


class TiledDenoiser:
    """Denoises a clip tile by tile; called like the denoiser it is made from.

    Args:
        denoiser: Made for any of the tiles; gives model, text and guidance.
        video_rope: Of all video tokens, guides included.
        audio_rope: Of the whole sound.
        tiles: From `cut_tiles`.
        masks: Of video and audio, as for `GuidedDenoiser`.
    """

    def __init__(
        self,
        denoiser: GuidedDenoiser,
        *,
        video_rope: StreamRope,
        audio_rope: StreamRope,
        tiles: Sequence[Tile],
        masks: tuple[Tensor | None, Tensor | None] = (None, None),
    ) -> None:
        self._denoiser = denoiser
        self._ropes = (video_rope, audio_rope)
        self._tiles = tiles
        self._masks = masks
        self.nfe = 0
        """Transformer passes so far, each on the tokens of one tile."""

    def __call__(self, x: Latents, sigma: float, runs: Sequence[bool] = BOTH) -> Latents:
        """Guided estimate of the clean latents of the whole clip, float32; `runs` as for `GuidedDenoiser`."""
        video, audio = torch.zeros_like(x.video), torch.zeros_like(x.audio)
        for tile in self._tiles:
            denoised = self._denoise(tile, x, sigma, runs)
            video.index_add_(1, tile.tokens, denoised.video * tile.video_weights)
            audio += denoised.audio * tile.audio_weights
        return Latents(video, audio)

    def _denoise(self, tile: Tile, x: Latents, sigma: float, runs: Sequence[bool]) -> Latents:
        video_mask, audio_mask = self._masks
        denoiser = self._denoiser.at(
            video_rope=rope_at(self._ropes[0], tile.tokens),
            audio_rope=self._ropes[1],
            masks=(None if video_mask is None else video_mask[:, tile.tokens], audio_mask),
        )
        denoised = denoiser(Latents(x.video[:, tile.tokens], x.audio), sigma, runs)
        self.nfe += denoiser.nfe
        return denoised


def rope_at(rope: StreamRope, tokens: Tensor) -> StreamRope:
    """The tables of some of the tokens."""
    own, cross = (RotaryTable(*(x.index_select(2, tokens) for x in table)) for table in rope)
    return StreamRope(own, cross)


def _guide_weights(grid: Tensor, places: Tensor) -> Tensor:
    """1 for guides that overlap the box of a tile's tokens in time, height and width; 0 for others."""
    inside = places[:, : len(grid)][:, grid > 0]
    low, high = inside[..., 0].amin(1), inside[..., 1].amax(1)
    guides = places[:, len(grid) :]
    overlaps = (guides[..., 0] < high[:, None]) & (guides[..., 1] > low[:, None])
    return overlaps.all(0).to(grid.dtype)


def _frame_at(seconds: Tensor, frames: Tensor) -> Tensor:
    """The latent frame, of bounds `(f, 2)`, that shows each time; the last one for times after it."""
    return torch.bucketize(seconds, frames[:, 1].contiguous(), right=True).clamp(max=len(frames) - 1)


def _weights(values: Tensor, device: torch.device) -> Tensor:
    return rearrange(values.float(), "t -> 1 t 1").to(device)
