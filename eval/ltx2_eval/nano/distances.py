"""What the nano extractors say: retrieval, alignment, offsets, and how far generated clips are from the world."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from ltx2_benchmarks.prompt import Prompt
from ltx2_benchmarks.synthetic import Scene, caption, render
from ltx2_eval.clip import Clip
from ltx2_eval.metrics.frechet import FrechetOverClips
from ltx2_eval.nano.figures import COSINE, SHARE, Figure, by_index, difference_figure, mean_figure, median_figure
from ltx2_eval.nano.following import Sampled
from ltx2_eval.nano.sync_stage import shifted
from ltx2_eval.nano.towers import AUDIO_STEPS_HZ, MAX_LAG, RATE_HZ, SyncTower, Towers
from ltx2_eval.nano.world_pool import WorldPool
from ltx2_reports.statistics import centred_interval

_RETRIEVAL = 100
_DRAWS = 2000

Rows = NDArray[np.float32]


class Embedded(NamedTuple):
    """Unit-length embeddings (n, d) of clips and of their texts."""

    video: Tensor
    audio: Tensor
    text: Tensor


@torch.no_grad()
def embed_pool(towers: Towers, pool: WorldPool) -> Embedded:
    """All clips of a pool with their canonical captions."""
    parts = [
        Embedded(
            towers.embed_video(pool.video(rows)),
            towers.embed_audio(pool.audio(rows)),
            towers.embed_text([caption(pool.scene(i)) for i in rows.tolist()]),
        )
        for rows in torch.arange(pool.clips).split(16)
    ]
    return Embedded(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


@torch.no_grad()
def embed_samples(towers: Towers, samples: Sequence[Sampled]) -> Embedded:
    """Generated clips with their prompts."""
    return embed_clips(towers, [one.prompt for one in samples], [one.clip for one in samples])


@torch.no_grad()
def embed_clips(towers: Towers, prompts: Sequence[Prompt], clips: Sequence[Clip]) -> Embedded:
    """Clips with the prompts they were made for."""
    return Embedded(
        torch.cat([towers.embed_video(video_of(clip)) for clip in clips]),
        torch.cat([towers.embed_audio(audio_of(clip)) for clip in clips]),
        towers.embed_text([prompt.text for prompt in prompts]),
    )


def world_clips(prompts: Sequence[Prompt]) -> list[Clip]:
    """What the world itself shows for prompts that keep their scene.

    Raises:
        ValueError: A prompt has no scene.
    """
    clips = []
    for prompt in prompts:
        if prompt.scene is None:
            raise ValueError(f"prompt {prompt.id} has no scene; use suite nano or world")
        made = render(Scene.from_json(json.dumps(prompt.scene)))
        clips.append(Clip(video=made.video, fps=made.fps, audio=made.audio, rate_hz=made.rate_hz))
    return clips


def video_of(clip: Clip) -> Tensor:
    """Frames (1, 3, f, h, w) in -1..1 of a clip that has them."""
    assert clip.video is not None
    return rearrange(torch.from_numpy(clip.video), "f h w c -> 1 c f h w").float() / 127.5 - 1


def audio_of(clip: Clip) -> Tensor:
    """Waveform (1, c, n) of a clip that has one."""
    assert clip.audio is not None
    return torch.from_numpy(clip.audio)[None]


def retrieval_figures(world: Embedded) -> list[Figure]:
    """Top-1 retrieval by text and alignment against that of shuffled texts.

    Retrieval is among 100, over all disjoint hundreds; among all clips where there are fewer than 100.
    """
    figures = []
    among = min(_RETRIEVAL, len(world.text))
    for name, targets in (("video", world.video), ("audio", world.audio)):
        hits = []
        for rows in torch.arange(len(targets)).split(_RETRIEVAL):
            if len(rows) == _RETRIEVAL or len(targets) < _RETRIEVAL:
                nearest = (world.text[rows] @ targets[rows].T).argmax(dim=1)
                hits += (nearest == torch.arange(len(rows))).float().tolist()
        bar = "at least 0.80" if among == _RETRIEVAL else ""  # fewer are easier
        figures.append(mean_figure(f"retrieval text to {name}, top 1 of {among}", by_index(hits), "", bar, SHARE))
        own = (world.text * targets).sum(dim=1).tolist()
        other = (world.text.roll(1, dims=0) * targets).sum(dim=1).tolist()
        figures.append(mean_figure(f"alignment of {name} with its text", by_index(own), "", allowed=COSINE))
        figures.append(mean_figure(f"alignment of {name} with another text", by_index(other), "", allowed=COSINE))
    return figures


@torch.no_grad()
def offset_figures(tower: SyncTower, pool: WorldPool, *, seed: int = 0) -> list[Figure]:
    """Absolute error of the offset classifier on held-out clips whose sound was moved."""
    generator = torch.Generator().manual_seed(seed)
    limit = (MAX_LAG - 2) * RATE_HZ // AUDIO_STEPS_HZ
    errors = []
    for index in range(pool.clips):
        if not any(event.kind != "start" for event in pool.scene(index).events):
            continue
        row = torch.tensor([index])
        samples = int(torch.randint(-limit, limit + 1, (), generator=generator))
        moved = shifted(pool.audio(row)[0], samples)[None]
        found = int(tower(pool.video(row), moved).argmax()) - MAX_LAG
        errors.append(abs(1000 * found / AUDIO_STEPS_HZ - 1000 * samples / RATE_HZ))
    return [median_figure("offset classifier error", errors, "ms", "at most 20")]


def alignment_differences(a: Embedded, b: Embedded, what: str) -> list[Figure]:
    """Paired differences of alignment with the prompt, for sets that were made for the same prompts."""
    figures = []
    for name in ("video", "audio"):
        first, second = ((getattr(x, name) * x.text).sum(dim=1).tolist() for x in (a, b))
        pair = by_index(first), by_index(second)
        figures.append(difference_figure(f"{what}: alignment of {name}", *pair, "", "above 0", COSINE))
    return figures


def distance_figures(sets: Mapping[str, Embedded], reference: Embedded) -> list[Figure]:
    """Nano FVD and FAD (Fréchet distances of unit-length embeddings, times 1000) of several sets of one size.

    The sets hold clips of the same prompts in the same order, best first: beside each distance stands how much further
    the next set is away, with an interval over prompts that are drawn for both alike, which is narrower than the two
    intervals beside each other. The reference set is held fixed: how it was drawn is in no interval.

    Raises:
        ValueError: The sets differ in size.
    """
    sizes = {len(embedded.text) for embedded in sets.values()}
    if len(sizes) != 1:
        raise ValueError(f"sets of {sorted(sizes)} clips; Fréchet distances are compared at equal size only")
    n = sizes.pop()
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=_DRAWS)
    figures = []
    for name, stream in (("FVD", "video"), ("FAD", "audio")):
        target = _rows(getattr(reference, stream))
        found = {what: _distance(_rows(getattr(embedded, stream)), target, counts) for what, embedded in sets.items()}
        figures += [_figure(f"nano {name} of {what}", distance, n) for what, distance in found.items()]
        for (near, a), (far, b) in pairwise(found.items()):
            gap = _Distance(b.value - a.value, [y - x for x, y in zip(a.draws, b.draws, strict=True)])
            figures.append(_figure(f"nano {name} of {far} minus {near}", gap, n, "above 0"))
    note = (
        f"Nano FVD and FAD are distances to one fixed reference set of {len(reference.text)} held-out clips; their "
        f"intervals are over prompts ({_DRAWS:,} draws) and leave out how that set was drawn."
    )
    return [replace(figure, note=note) for figure in figures]


class _Distance(NamedTuple):
    value: float
    draws: list[float]


def _distance(generated: list[Rows], reference: list[Rows], counts: NDArray[np.int64]) -> _Distance:
    distance = FrechetOverClips()
    return _Distance(distance(generated, reference), distance.on_draws(generated, reference, counts))


def _figure(name: str, distance: _Distance, n: int, bar: str = "") -> Figure:
    interval = centred_interval(distance.value, distance.draws)
    low, high = (None if x is None else 1000 * x for x in (interval.low, interval.high))
    return Figure(name=name, value=1000 * interval.value, low=low, high=high, unit="", n=n, bar=bar)


def _rows(embeddings: Tensor) -> list[Rows]:
    """One (1, d) array per clip."""
    return [row[None] for row in embeddings.numpy()]
