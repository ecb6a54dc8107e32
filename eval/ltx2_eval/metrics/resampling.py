"""How sure a set metric is: its values when prompts are drawn again, and the interval that follows.

A bootstrap of a Fréchet distance adds a second copy of the small-set bias, so its quantiles are never used as they
are: the interval is centred on the value itself, and differences of two systems are taken draw by draw.
"""

import hashlib
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.metrics.base import Compare

Clips = Sequence[NDArray[np.float32]]
REPLICATES = 200


@runtime_checkable
class _Prepared(Protocol):
    """A distance that does once what all draws have in common."""

    def on_draws(self, generated: Clips, reference: Clips, counts: NDArray[np.int64]) -> list[float]: ...


def by_prompt(clips: Clips, prompts: Sequence[str]) -> tuple[Clips, list[str]]:
    """The rows of each prompt's clips as one, and the prompts.

    Seeds of a prompt are alike: an estimate that takes the pairs among its clips for independent is biased by them.
    """
    rows: dict[str, list[NDArray[np.float32]]] = {}
    for clip, prompt in zip(clips, prompts, strict=True):
        rows.setdefault(prompt, []).append(clip)
    return [np.concatenate(parts) for parts in rows.values()], list(rows)


def replicates(
    distance: Compare,
    generated: Clips,
    reference: Clips,
    prompt_ids: Sequence[str],
    *,
    n: int = REPLICATES,
    seed: int = 0,
) -> tuple[float, ...]:
    """The distance on `n` sets in which prompts were drawn with replacement, all clips of a prompt together.

    Draw k takes the same prompts for every system that has clips of the same prompts, so that the difference of two
    systems can be taken draw by draw; the reference set stays as it is.

    Args:
        distance: of two lists of per-clip features.
        generated: (k, d) features of each generated clip.
        reference: (k, d) features of each reference clip.
        prompt_ids: of each generated clip.
        n: number of draws.
        seed: of the draws.

    Returns:
        `n` values; none where there are fewer than two prompts, since then every draw is the same set.

    Raises:
        ValueError: as many prompt ids as clips are needed; or the distance refuses the features.
    """
    counts = draw_counts(prompt_ids, n, seed)
    if len(generated) != len(prompt_ids):
        raise ValueError(f"{len(generated)} clips and {len(prompt_ids)} prompt ids, expected one of each per clip")
    if len(set(prompt_ids)) < 2:
        return ()
    return tuple(on_draws(distance, generated, reference, counts))


def on_draws(distance: Compare, generated: Clips, reference: Clips, counts: NDArray[np.int64]) -> list[float]:
    """The distance for each row of `counts` (draws, clips): how many times each generated clip is in the set."""
    if isinstance(distance, _Prepared):
        return list(distance.on_draws(generated, reference, counts))
    indices = (np.repeat(np.arange(len(generated)), row).tolist() for row in counts)
    return [distance([generated[i] for i in index], reference) for index in indices]


def draw_counts(prompt_ids: Sequence[str], n: int, seed: int) -> NDArray[np.int64]:
    """(n, clips): how many times each clip is in each draw.

    The generator's seed is a hash of the sorted prompt ids and `seed`: nothing else decides which prompts are drawn.
    """
    prompts = sorted(set(prompt_ids))
    digest = hashlib.sha256("\n".join([str(seed), *prompts]).encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:16], "big"))
    drawn = generator.integers(0, max(1, len(prompts)), size=(n, len(prompts)))
    by_prompt = np.stack([np.bincount(row, minlength=len(prompts)) for row in drawn])
    position = {prompt: index for index, prompt in enumerate(prompts)}
    return by_prompt[:, [position[prompt] for prompt in prompt_ids]]
