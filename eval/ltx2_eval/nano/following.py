"""Whether generated clips do what their prompts say, by the exact checkers; with guidance, without, and cut apart."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import Tensor

from ltx2 import Pipeline, SamplingSettings
from ltx2.guidance import TEXT_AND_MODALITY, UNGUIDED, Guidance, StreamGuidance
from ltx2.sample import Progress
from ltx2_benchmarks.prompt import Prompt
from ltx2_benchmarks.synthetic import Verdict, check, measure
from ltx2_benchmarks.synthetic.checkers import Measured
from ltx2_eval.clip import Clip
from ltx2_eval.nano.figures import SHARE, Figure, difference_figure, mean_figure, median_figure
from ltx2_eval.nano.world_pool import FPS, FRAMES, SIZE_PX

BARS: Mapping[str, str] = {
    "colour": "at least 0.90",
    "shape": "at least 0.90",
    "sound": "at least 0.85",
    "count": "at least 0.70",
}
ISOLATED = Guidance(video=StreamGuidance(text=1, modality=0), audio=StreamGuidance(text=1, modality=0))
"""The prediction of the isolated streams alone: as `UNGUIDED`, but neither stream ever sees the other."""
GUIDED, ALONE, FEW = "guided", "unguided", "few steps"
_NEAREST = "Distances of onsets are to the nearest flash: median of each clip, then over clips that have both."
_BOTH_NEEDED = (
    "The difference of distances is of prompts with flashes and onsets on both sides; the prompts that each side lost "
    "stand below it."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One way to sample."""

    name: str
    guidance: Guidance
    steps: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampled:
    """A generated clip and what the checkers found in it."""

    prompt: Prompt
    clip: Clip
    seconds: float
    measured: Measured
    verdicts: Mapping[str, Verdict]
    latents: Tensor
    """The last denoised tokens of picture and sound in one row, float32."""


def ways(steps: int) -> tuple[Way, ...]:
    """Guided and unguided sampling, few steps, and streams that do not see each other."""
    return (
        Way(name=GUIDED, guidance=TEXT_AND_MODALITY, steps=steps),
        Way(name=ALONE, guidance=UNGUIDED, steps=steps),
        Way(name=FEW, guidance=TEXT_AND_MODALITY, steps=max(2, steps // 10)),
        Way(name="isolated", guidance=ISOLATED, steps=steps),
    )


def sample(pipeline: Pipeline, prompts: Sequence[Prompt], way: Way, *, seed: int = 0) -> list[Sampled]:
    """One clip per prompt, measured; the same seeds in every way, so that ways are compared in pairs."""
    settings = SamplingSettings(steps=way.steps, guidance=way.guidance)
    sampled = []
    last: list[Progress] = []
    for index, prompt in enumerate(prompts):
        began = time.perf_counter()
        made = pipeline(
            prompt.text,
            seed=seed + index,
            num_frames=FRAMES,
            height=SIZE_PX,
            width=SIZE_PX,
            fps=FPS,
            settings=settings,
            callback=lambda progress: last.__setitem__(slice(None), [progress]),
        )
        seconds = time.perf_counter() - began
        clip = Clip(video=made.video.numpy(), fps=made.fps, audio=made.waveform.numpy(), rate_hz=made.rate_hz)
        measured = measure(clip)
        sampled.append(
            Sampled(
                prompt=prompt,
                clip=clip,
                seconds=seconds,
                measured=measured,
                verdicts=check(measured, world_claims(prompt)),
                latents=torch.cat([tokens.flatten().float().cpu() for tokens in last[0].denoised]),
            )
        )
    return sampled


def world_claims(prompt: Prompt) -> Mapping[str, Any]:
    """What a prompt of the world's suites promises.

    Raises:
        ValueError: The prompt has no exact expectations.
    """
    claims = None if prompt.expectations is None else prompt.expectations.world
    if not claims:
        raise ValueError(f"prompt {prompt.id} has no exact expectations; use suite nano or world")
    return claims


def kept(samples: Sequence[Sampled], name: str) -> dict[str, list[float]]:
    """Per prompt whether the promise of that name was kept; prompts that do not make it are left out."""
    return {
        one.prompt.id: [float(bool(verdict.ok))]
        for one in samples
        if (verdict := one.verdicts.get(name)) is not None and verdict.ok is not None
    }


def following_figures(name: str, samples: Sequence[Sampled]) -> list[Figure]:
    """The share of promises kept, one figure per kind of promise."""
    names = list(dict.fromkeys(promise for one in samples for promise in one.verdicts))
    return [
        mean_figure(f"{name}: {promise}", values, "", BARS.get(promise, "") if name == GUIDED else "", SHARE)
        for promise in names
        if (values := kept(samples, promise))
    ]


def difference_figures(first: Sequence[Sampled], second: Sequence[Sampled], what: str) -> list[Figure]:
    """Paired differences of the shares, for the promises that have a bar."""
    figures = []
    for promise in BARS:
        a, b = kept(first, promise), kept(second, promise)
        if a.keys() & b.keys():
            figures.append(difference_figure(f"{what}: {promise}", a, b, "", "above 0", SHARE))
    return figures


def clip_distance_ms(measured: Measured) -> float | None:
    """Median over the onsets that are heard of how far the nearest flash is; None where either is missing.

    Onsets of one clip share its delay, so a clip counts once. Onsets are not matched one to one: a clip of many flashes
    is near to any onset, and what has too many or too few is told by the promises `count` and `count_seen`.
    """
    if measured.seen is None or measured.heard is None:
        return None
    flashes = [flash.time_s for flash in measured.seen.flashes]
    onsets = [onset.time_s for onset in measured.heard.onsets]
    if not flashes or not onsets:
        return None
    return 1000 * median(min(abs(onset - flash) for flash in flashes) for onset in onsets)


def sync_figures(name: str, samples: Sequence[Sampled]) -> list[Figure]:
    """Median over clips of their distance of onsets from flashes, for prompts of impacts, and how many have both."""
    due, distances = _due(samples), clip_distances_ms(samples)
    if not due:
        return []
    has_both = {one.prompt.id: [float(one.prompt.id in distances)] for one in due}
    figures = [mean_figure(f"{name}: clips with flashes and onsets", has_both, "", allowed=SHARE)]
    if distances:
        values = [value for (value,) in distances.values()]
        found = median_figure(f"{name}: distance of onsets from flashes", values, "ms", "at most 40")
        figures.append(replace(found, note=_NEAREST))
    return figures


def sync_difference(
    first: Sequence[Sampled], second: Sequence[Sampled], what: str, names: tuple[str, str]
) -> list[Figure]:
    """Paired difference of the clips' distances of onsets from flashes, and how many prompts each side lost.

    A clip without flashes or without onsets has no distance, so that the difference alone flatters a way that often
    makes none: the two counts say on how many of the prompts that promise impacts that was so.

    Args:
        first: Clips of one way.
        second: Clips of the same prompts of another.
        what: Name of the figure.
        names: Of the two ways.
    """
    a, b = clip_distances_ms(first), clip_distances_ms(second)
    if not a.keys() & b.keys():
        return []
    figures = [replace(difference_figure(what, a, b, "ms", "below 0"), note=_BOTH_NEEDED)]
    for name, samples, found in ((names[0], first, a), (names[1], second, b)):
        due = _due(samples)
        lost = len(due) - len(found)
        figures.append(
            Figure(name=f"{what}: prompts lost, {name}", value=lost, low=None, high=None, unit="", n=len(due))
        )
    return figures


def clip_distances_ms(samples: Sequence[Sampled]) -> dict[str, list[float]]:
    """By prompt `clip_distance_ms` of the clips that should have impacts and have flashes and onsets."""
    return {
        one.prompt.id: [distance] for one in _due(samples) if (distance := clip_distance_ms(one.measured)) is not None
    }


def _due(samples: Sequence[Sampled]) -> list[Sampled]:
    """The clips whose prompts promise impacts."""
    return [one for one in samples if world_claims(one.prompt).get("impacts")]
