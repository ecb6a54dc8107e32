"""Whether generated clips do what their prompts say, by the exact checkers; with guidance, without, and cut apart."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from ltx2_eval.nano.figures import Figure, mean_figure, median_figure, of_interval
from ltx2_eval.nano.world_pool import FPS, FRAMES, SIZE_PX
from ltx2_reports.statistics import paired_difference

BARS: Mapping[str, str] = {
    "colour": "at least 0.90",
    "shape": "at least 0.90",
    "sound": "at least 0.85",
    "count": "at least 0.70",
}
ISOLATED = Guidance(video=StreamGuidance(text=1, modality=0), audio=StreamGuidance(text=1, modality=0))
"""The prediction of the isolated streams alone: as `UNGUIDED`, but neither stream ever sees the other."""
GUIDED, ALONE, FEW = "guided", "unguided", "few steps"


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
        mean_figure(f"{name}: {promise}", values, "", BARS.get(promise, "") if name == GUIDED else "")
        for promise in names
        if (values := kept(samples, promise))
    ]


def difference_figures(first: Sequence[Sampled], second: Sequence[Sampled], what: str) -> list[Figure]:
    """Paired differences of the shares, for the promises that have a bar."""
    figures = []
    for promise in BARS:
        a, b = kept(first, promise), kept(second, promise)
        if a.keys() & b.keys():
            found = paired_difference(a, b)
            figures.append(of_interval(f"{what}: {promise}", found.interval, "", found.prompts, "above 0"))
    return figures


def event_distances_ms(measured: Measured) -> list[float]:
    """For every onset that is heard, how far the nearest flash is."""
    if measured.seen is None or measured.heard is None:
        return []
    flashes = [flash.time_s for flash in measured.seen.flashes]
    onsets = [onset.time_s for onset in measured.heard.onsets]
    return [1000 * min(abs(onset - flash) for flash in flashes) for onset in onsets] if flashes else []


def sync_figures(name: str, samples: Sequence[Sampled]) -> list[Figure]:
    """Median distance of onsets from flashes in clips that should have both, and how many have."""
    due = [one for one in samples if world_claims(one.prompt).get("impacts")]
    distances = [value for one in due for value in event_distances_ms(one.measured)]
    figures = [mean_figure(f"{name}: clips with flashes and onsets", _has_both(due), "")] if due else []
    if distances:
        figures.append(median_figure(f"{name}: distance of onsets from flashes", distances, "ms", "at most 40"))
    return figures


def sync_difference(first: Sequence[Sampled], second: Sequence[Sampled], what: str) -> list[Figure]:
    """Paired difference of the mean distance of onsets from flashes, on prompts where both ways have some."""
    a, b = (
        {one.prompt.id: distances for one in samples if (distances := event_distances_ms(one.measured))}
        for samples in (first, second)
    )
    if not a.keys() & b.keys():
        return []
    found = paired_difference(a, b)
    return [of_interval(what, found.interval, "ms", found.prompts, "below 0")]


def _has_both(samples: Sequence[Sampled]) -> dict[str, list[float]]:
    return {one.prompt.id: [float(bool(event_distances_ms(one.measured)))] for one in samples}
