"""What the nano extractors say: retrieval, alignment, offsets, and how far generated clips are from the world."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from ltx2_benchmarks.synthetic import caption
from ltx2_eval.clip import Clip
from ltx2_eval.metrics.frechet import FrechetOverClips
from ltx2_eval.nano.figures import Figure, by_index, mean_figure, median_figure, of_interval
from ltx2_eval.nano.following import Sampled
from ltx2_eval.nano.sync_stage import shifted
from ltx2_eval.nano.towers import AUDIO_STEPS_HZ, MAX_LAG, RATE_HZ, SyncTower, Towers
from ltx2_eval.nano.world_pool import WorldPool
from ltx2_reports.statistics import centred_interval, paired_difference

_RETRIEVAL = 100
_DRAWS = 200

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
    return Embedded(
        torch.cat([towers.embed_video(video_of(one.clip)) for one in samples]),
        torch.cat([towers.embed_audio(audio_of(one.clip)) for one in samples]),
        towers.embed_text([one.prompt.text for one in samples]),
    )


def video_of(clip: Clip) -> Tensor:
    """Frames (1, 3, f, h, w) in -1..1 of a clip that has them."""
    assert clip.video is not None
    return rearrange(torch.from_numpy(clip.video), "f h w c -> 1 c f h w").float() / 127.5 - 1


def audio_of(clip: Clip) -> Tensor:
    """Waveform (1, c, n) of a clip that has one."""
    assert clip.audio is not None
    return torch.from_numpy(clip.audio)[None]


def retrieval_figures(world: Embedded) -> list[Figure]:
    """Top-1 retrieval among 100 by text, over all disjoint hundreds; and alignment against that of shuffled texts."""
    figures = []
    for name, targets in (("video", world.video), ("audio", world.audio)):
        hits = []
        for rows in torch.arange(len(targets)).split(_RETRIEVAL):
            if len(rows) == _RETRIEVAL or len(targets) < _RETRIEVAL:
                nearest = (world.text[rows] @ targets[rows].T).argmax(dim=1)
                hits += (nearest == torch.arange(len(rows))).float().tolist()
        figures.append(mean_figure(f"retrieval text to {name}, top 1 of 100", by_index(hits), "", "at least 0.80"))
        own = (world.text * targets).sum(dim=1).tolist()
        other = (world.text.roll(1, dims=0) * targets).sum(dim=1).tolist()
        figures.append(mean_figure(f"alignment of {name} with its text", by_index(own), ""))
        figures.append(mean_figure(f"alignment of {name} with another text", by_index(other), ""))
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
        found = paired_difference(by_index(first), by_index(second))
        figures.append(of_interval(f"{what}: alignment of {name}", found.interval, "", found.prompts, "above 0"))
    return figures


def distance_figures(sets: Mapping[str, Embedded], reference: Embedded) -> list[Figure]:
    """Nano FVD and FAD (Fréchet distances of unit-length embeddings, times 1000) of several sets of one size."""
    sizes = {len(embedded.text) for embedded in sets.values()}
    if len(sizes) != 1:
        raise ValueError(f"sets of {sorted(sizes)} clips; Fréchet distances are compared at equal size only")
    figures = []
    for name, stream in (("FVD", "video"), ("FAD", "audio")):
        target = _rows(getattr(reference, stream))
        for what, embedded in sets.items():
            figures.append(_distance(f"nano {name} of {what}", _rows(getattr(embedded, stream)), target))
    return figures


def _distance(name: str, generated: list[Rows], reference: list[Rows]) -> Figure:
    distance = FrechetOverClips()
    n = len(generated)
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=_DRAWS)
    interval = centred_interval(distance(generated, reference), distance.on_draws(generated, reference, counts))
    scaled = (None if x is None else 1000 * x for x in (interval.low, interval.high))
    low, high = scaled
    return Figure(name=name, value=1000 * interval.value, low=low, high=high, unit="", n=n)


def _rows(embeddings: Tensor) -> list[Rows]:
    """One (1, d) array per clip."""
    return [row[None] for row in embeddings.numpy()]
