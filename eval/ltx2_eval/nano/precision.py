"""What fewer bits change: the same prompts and seeds with bfloat16 and with 8-bit weights, against float32."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional as F

from ltx2_eval.nano.figures import COSINE, SHARE, Figure, difference_figure, mean_figure
from ltx2_eval.nano.following import Sampled

PRECISIONS: Mapping[str, Mapping[str, Any]] = {
    "bfloat16": {"dtype": torch.bfloat16},
    "8-bit weights": {"fp8": True},
}
"""How `Pipeline.load` is called for each."""


def precision_figures(name: str, reduced: Sequence[Sampled], full: Sequence[Sampled]) -> list[Figure]:
    """How near the latents stay, and what the checkers say of both.

    Args:
        name: Of the reduced precision.
        reduced: Clips made with it.
        full: Clips of the same prompts and seeds in float32; others are left out.
    """
    wanted = {one.prompt.id for one in reduced}
    cosines = latent_cosines(reduced, full)
    a, b = promises_kept(reduced), promises_kept([one for one in full if one.prompt.id in wanted])
    return [
        mean_figure(f"{name}: cosine of the latents with those in float32", cosines, "", allowed=COSINE),
        mean_figure(f"{name}: promises kept", a, "", allowed=SHARE),
        difference_figure(f"{name} minus float32: promises kept", a, b, "", allowed=SHARE),
    ]


def latent_cosines(first: Sequence[Sampled], second: Sequence[Sampled]) -> dict[str, list[float]]:
    """Per prompt the cosine of the last latents, picture and sound in one row."""
    others = {one.prompt.id: one.latents for one in second}
    return {
        one.prompt.id: [F.cosine_similarity(one.latents, others[one.prompt.id], dim=0).item()]
        for one in first
        if one.prompt.id in others
    }


def promises_kept(samples: Sequence[Sampled]) -> dict[str, list[float]]:
    """Per prompt the share of its promises that the checkers found kept."""
    shares = {}
    for one in samples:
        verdicts = [bool(verdict.ok) for verdict in one.verdicts.values() if verdict.ok is not None]
        if verdicts:
            shares[one.prompt.id] = [sum(verdicts) / len(verdicts)]
    return shares
