"""Every figure of the model card, measured from the shipped files alone."""

import json
import tempfile
from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from ltx2 import Pipeline
from ltx2.nano import write_untrained
from ltx2_benchmarks.prompt import Prompt
from ltx2_benchmarks.suite import load_suite
from ltx2_eval.nano.assemble import EXTRACTOR_FILES
from ltx2_eval.nano.distances import (
    Embedded,
    alignment_differences,
    distance_figures,
    embed_clips,
    embed_pool,
    embed_samples,
    offset_figures,
    retrieval_figures,
    world_clips,
)
from ltx2_eval.nano.figures import Figure, median_figure
from ltx2_eval.nano.following import (
    ALONE,
    FEW,
    GUIDED,
    Sampled,
    Way,
    difference_figures,
    following_figures,
    sample,
    sync_difference,
    sync_figures,
    ways,
)
from ltx2_eval.nano.precision import PRECISIONS, precision_figures
from ltx2_eval.nano.round_trips import audio_round_trip, video_round_trip
from ltx2_eval.nano.towers import SyncTower, Towers
from ltx2_eval.nano.world_pool import WorldPool
from ltx2_reports.store import atomic_write

SUITE = "nano"
Samples = dict[str, list[Sampled]]
_REFERENCE_SEED = 100_000
"""First seed of held-out clips for the reference set, apart from those of training and of the suite."""
_RETRIEVAL_CLIPS = 400
"""The least number of clips of the reference set, which the extractors are measured on: four hundreds."""
_PRECISION_PROMPTS = 30


def evaluate_model(
    model: Path,
    report: Path,
    *,
    prompts: int = 0,
    distance_prompts: int = 0,
    clips: int = 64,
    steps: int = 40,
    extractors: Path | None = None,
) -> list[Figure]:
    """Measure everything and write it as JSON.

    Args:
        model: Folder of the model.
        report: File to write.
        prompts: How many prompts, taken evenly from suite nano; 0 for all.
        distance_prompts: How many for the distances, at least `prompts`; 0 for all. Only what they need is made for
            those beyond `prompts`.
        clips: Held-out clips of the round trips; the extractors are measured on at least 400.
        steps: Sampling steps of the full samples.
        extractors: Folder of the extractors' weights; the package's own if None.

    Returns:
        All figures, in the order of the report.
    """
    suite = load_suite(SUITE).prompts
    chosen = suite[:: max(1, len(suite) // prompts)][:prompts] if prompts else suite
    others = [prompt for prompt in suite if prompt not in chosen]
    more = tuple(others if not distance_prompts else others[: max(0, distance_prompts - len(chosen))])
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch)
        figures = _figures(model, chosen, more, data, clips, steps, extractors or extractor_folder())
    text = json.dumps([figure.record() for figure in figures], indent=1) + "\n"
    atomic_write(report, text.encode())
    return figures


def extractor_folder() -> Path:
    """Where the package keeps the weights of the nano extractors."""
    return Path(__file__).parents[1] / "extractors" / "nano_weights"


def load_extractors(folder: Path) -> tuple[Towers, SyncTower]:
    """Both networks, in evaluation mode, float32."""
    towers, sync = Towers(), SyncTower()
    for module, stage in ((towers, "towers"), (sync, "sync")):
        _fill(module, folder / EXTRACTOR_FILES[stage])
    return towers, sync


def _fill(module: nn.Module, file: Path) -> None:
    module.load_state_dict({key: value.float() for key, value in load_file(file).items()})
    module.eval().requires_grad_(False)


def _figures(
    model: Path,
    prompts: tuple[Prompt, ...],
    more: tuple[Prompt, ...],
    data: Path,
    clips: int,
    steps: int,
    extractors: Path,
) -> list[Figure]:
    pipeline = Pipeline.load(model)
    held_out = WorldPool(folder=data, clips=clips, split="test").prepare(1)
    figures = [*video_round_trip(pipeline.modules, held_out), *audio_round_trip(pipeline.modules, held_out)]
    samples = {way.name: sample(pipeline, prompts, way) for way in ways(steps)}
    figures += _following(samples)
    figures += _precisions(model, prompts, ways(steps)[0], samples[GUIDED])
    towers, sync = load_extractors(extractors)
    reference = WorldPool(
        folder=data, clips=max(_RETRIEVAL_CLIPS, 2 * len((*prompts, *more))), split="test", first_seed=_REFERENCE_SEED
    ).prepare(1)
    known = embed_pool(towers, reference)
    figures += [*retrieval_figures(known), *offset_figures(sync, reference)]
    guided, alone = (embed_samples(towers, samples[name]) for name in (GUIDED, ALONE))
    figures += alignment_differences(guided, alone, "guided minus unguided")
    return figures + distance_figures(_sets(pipeline, towers, samples, more, steps), known)


def _sets(
    pipeline: Pipeline, towers: Towers, samples: Samples, more: tuple[Prompt, ...], steps: int
) -> dict[str, Embedded]:
    """Embeddings of clips for the same prompts: the world's own, and the model's from best to worst."""
    prompts = (*(one.prompt for one in samples[GUIDED]), *more)
    sets = {"the world": embed_clips(towers, prompts, world_clips(prompts))}
    for way in ways(steps):
        if way.name in (GUIDED, FEW):
            further = sample(pipeline, more, way, seed=len(samples[GUIDED]))
            sets[way.name] = embed_samples(towers, [*samples[way.name], *further])
    return {**sets, "untrained": embed_samples(towers, _untrained(prompts, ways(steps)[2]))}


def _precisions(model: Path, prompts: tuple[Prompt, ...], way: Way, full: list[Sampled]) -> list[Figure]:
    """On the first prompts alone: each costs as much as the guided clips."""
    few = prompts[:_PRECISION_PROMPTS]
    figures = []
    for name, how in PRECISIONS.items():
        figures += precision_figures(name, sample(Pipeline.load(model, **how), few, way), full)
    return figures


def _untrained(prompts: tuple[Prompt, ...], few: Way) -> list[Sampled]:
    """Clips of a model with random weights; few steps, since more would not make them better."""
    with tempfile.TemporaryDirectory() as folder:
        return sample(Pipeline.load(write_untrained(folder)), prompts, few)


def _following(samples: Samples) -> list[Figure]:
    guided, alone, isolated = samples[GUIDED], samples[ALONE], samples["isolated"]
    figures = []
    for name in (GUIDED, ALONE):
        figures += following_figures(name, samples[name])
        figures += sync_figures(name, samples[name])
    figures += difference_figures(guided, alone, "guided minus unguided")
    figures += sync_figures("unguided, streams isolated", isolated)
    distance = "distance of onsets from flashes, joined minus isolated"
    figures += sync_difference(alone, isolated, distance, ("joined", "isolated"))
    figures.append(median_figure("seconds per guided clip", [one.seconds for one in guided], "s", "at most 5"))
    return figures
