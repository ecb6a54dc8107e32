"""The gate on a set metric: 1,000 unchanged and 1,000 worse systems, judged by the kernel audio distance on SoundNet.

Paste: OMP_NUM_THREADS=1 python benchmarks/statistics/gate_sets.py
The system is the procedural world with a little white noise over its sound: 60 prompts, each a family of scenes, and
12 scenes of it as the clips of 12 seeds. A study draws three runs of four seeds by lot. The first two calibrate; the
first is the baseline and the third is judged, with the values and the draws of prompts that its records would hold, by
the functions that `gate calibrate` and `gate check` call. The worse systems have more noise.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from studies import paired

from ltx2_benchmarks.synthetic import FAMILIES, render, sample_scene
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.catalogue import load_extractor
from ltx2_eval.metrics.catalogue import catalogue, implementation
from ltx2_eval.metrics.resampling import REPLICATES, draw_counts
from ltx2_eval.validation.base import generator_of
from ltx2_eval.validation.degrade_audio import noisy
from ltx2_reports.contrast import Contrast
from ltx2_reports.contrast_metric import clip_contrast
from ltx2_reports.gate.calibration import Noise, noise_of
from ltx2_reports.gate.losses import losses_from
from ltx2_reports.gate.policy import MetricPolicy, Policy
from ltx2_reports.gate.verdict import Outcome, judge, overall
from ltx2_reports.statistics.crossed import Error
from ltx2_reports.statistics.sets import SetDraws, set_difference

METRIC = "kad_soundnet"
PROMPTS, SEEDS, RUNS = 60, 4, 3
FIRST_SEED = 40_000_000
REFERENCE = 256
AT_ONCE = 125
OWN_NOISE_DB = -30.0
WORSE_DB = {"noise at 25 dB": -25.0, "noise at 20 dB": -20.0}
"""Of white noise over the power of the sound."""
Features = list[NDArray[np.float32]]
Array = NDArray[np.float64]


class World(NamedTuple):
    """Features by prompt and then seed, of the system and of each worse one."""

    names: list[str]
    systems: dict[str, Features]
    reference: Features


def world() -> World:
    """Render, degrade, and extract."""
    network = load_extractor(catalogue()[METRIC].extractor or "")
    systems: dict[str, Features] = {name: [] for name in ("unchanged", *WORSE_DB)}
    names = []
    for place in range(PROMPTS * SEEDS * RUNS):
        prompt = place // (SEEDS * RUNS)
        made = render(sample_scene(FIRST_SEED + place, split="test", family=FAMILIES[prompt % len(FAMILIES)]))
        clip = Clip(video=None, fps=None, audio=made.audio, rate_hz=made.rate_hz)
        for name, level in {"unchanged": OWN_NOISE_DB, **WORSE_DB}.items():
            version = _noisy(clip, level, place)
            systems[name].append(network.features(version))
        names.append(f"{prompt:02}")
    scenes = (sample_scene(FIRST_SEED + 1_000_000 + place, split="test") for place in range(REFERENCE))
    rendered = (render(scene) for scene in scenes)
    clips = (Clip(video=None, fps=None, audio=r.audio, rate_hz=r.rate_hz) for r in rendered)
    return World(names, systems, [network.features(clip) for clip in clips])


def _noisy(clip: Clip, level: float, place: int) -> Clip:
    """The same noise at every level: what differs between systems is how much of it there is. Silence stays silent."""
    if clip.audio is None or not clip.audio.any():
        return clip
    return noisy(clip, level, generator_of(0, "gate_sets", str(place)))


def runs_by_lot(random: np.random.Generator, studies: int) -> NDArray[np.int64]:
    """(studies, runs, clips) of zeros and ones: which seeds of each prompt belong to which run."""
    lots = random.random((studies, PROMPTS, SEEDS * RUNS)).argsort(axis=2) // SEEDS
    return np.stack([lots.reshape(studies, -1) == run for run in range(RUNS)], axis=1).astype(np.int64)


def values(made: World, system: str, chosen: NDArray[np.int64]) -> Array:
    """(sets, 1 + draws): the distance of each set of clips, and on prompts drawn again, as records hold them."""
    entry = catalogue()[METRIC]
    distance = implementation(entry)(**entry.settings).distance
    prompts = np.vstack([np.ones((1, len(made.names)), np.int64), draw_counts(made.names, REPLICATES, 0)])
    counts = (chosen[:, None, :] * prompts).reshape(-1, chosen.shape[-1])
    found = distance.on_draws(made.systems[system], made.reference, counts)
    return np.array(found).reshape(len(chosen), -1)


def compared(first: Array, second: Array) -> Contrast:
    """Two runs as `compare` takes them from records with the same draws of prompts."""
    draws = SetDraws(
        first=float(first[0]),
        second=float(second[0]),
        draws=tuple((second - first)[1:].tolist()),
        swapped=(),
        error=None,
        prompts=PROMPTS,
    )
    error = Error(value=draws.standard_error or 0.0, freedom=PROMPTS - 1)
    none = np.zeros((PROMPTS, SEEDS))
    bare = clip_contrast(paired(METRIC, none, none, "down"))
    return replace(
        bare, first=draws.first, second=draws.second, difference=set_difference(draws), set_draws=draws, error=error
    )


class Studies(NamedTuple):
    """What was measured in all studies."""

    calibrations: list[Contrast]
    """Two runs of the unchanged system."""
    gates: dict[str, list[Contrast]]
    """The first of them against a run of each system."""


def simulated(made: World, studies: int) -> Studies:
    """Every study: two runs that calibrate, and one of each system."""
    random = np.random.default_rng(7)
    found = Studies([], {system: [] for system in made.systems})
    for start in range(0, studies, AT_ONCE):
        lots = runs_by_lot(random, min(AT_ONCE, studies - start))
        baselines, again = (values(made, "unchanged", lots[:, run]) for run in range(2))
        found.calibrations.extend(map(compared, baselines, again))
        for system, gates in found.gates.items():
            gates.extend(map(compared, baselines, values(made, system, lots[:, 2])))
    return found


def row(found: Studies, system: str, relative: float) -> list[str]:
    """Cells of one system under one tolerance; studies whose calibration leaves the metric out have no verdict."""
    counts = Counter[Outcome]()
    for calibration, gate in zip(found.calibrations, found.gates[system], strict=True):
        noise = noise_of([calibration], None, runs=2, relative=relative, policy=Policy(), metrics=1)
        assert noise is not None
        if noise.usable:
            counts[verdict(gate, noise, relative)] += 1
    gates = found.gates[system]
    change = np.mean([gate.difference.value for gate in gates]) / np.mean([gate.first for gate in gates])
    shares = [100 * counts[o] / max(1, counts.total()) for o in ("passed", "regressed", "not enough data")]
    return [f"{relative:.0%}", system, f"{change:+.0%}", str(counts.total()), *(f"{share:.1f}" for share in shares)]


def verdict(contrast: Contrast, noise: Noise, relative: float) -> Outcome:
    """Of one gate on this metric alone."""
    policy = Policy(metrics={METRIC: MetricPolicy(relative=relative, floor=noise.floor)})
    losses = list(losses_from({METRIC: contrast}, policy).values())
    return overall(judge(losses, false_alarm=policy.false_alarm, confidence=policy.confidence))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--relative", type=float, nargs="+", default=[1.5, 2.0])
    asked = parser.parse_args(arguments)
    made = world()
    print(f"{METRIC}, {PROMPTS} prompts x {SEEDS} seeds, other seeds in baseline and run, {asked.studies} studies\n")
    head = ("tolerance", "system", "mean change", "kept by calibration", "passed %", "regressed %", "not enough data %")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    found = simulated(made, asked.studies)
    for relative in asked.relative:
        for system in made.systems:
            print(f"| {' | '.join(row(found, system, relative))} |", flush=True)


if __name__ == "__main__":
    main()
