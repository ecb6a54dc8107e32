"""How often tests cry wolf: type I error of each test, and the family-wise error of 20 correlated metrics under Holm.

Paste: OMP_NUM_THREADS=1 python benchmarks/statistics/error_rates.py
Both systems are the same; prompts and clips are skewed, every metric shares part of its noise with the others.
"""

import argparse
from collections.abc import Sequence

import numpy as np
from nano_noise import NANO, NANO_SHARED
from studies import Array, Shape, paired, prompt_effects, run

from ltx2_reports.contrast_metric import clip_contrast
from ltx2_reports.statistics import equivalent, holm, mean_intervals, non_inferior, sign_flip_ps, wilcoxon_p

SHAPES = (
    Shape(name="normal", mean=1.0, prompts=0.2, seeds=0.2, shared=0.0, skew=0.0),
    Shape(name="skewed", mean=1.0, prompts=0.2, seeds=0.2, shared=0.0, skew=1.5),
    Shape(name="strongly skewed", mean=1.0, prompts=0.4, seeds=0.2, shared=0.0, skew=3.0),
)
METRICS, FLIPS, ALPHA, SEEDS = 20, 2000, 0.05, 4


def differences(random: np.random.Generator, shape: Shape, prompts: int, columns: int) -> Array:
    """(columns, prompts) paired differences of two equal systems."""
    effects = prompt_effects(random, shape, columns, prompts)
    first, second = (run(random, shape, effects, SEEDS).mean(axis=2) for _ in range(2))
    return second - first


def single(shape: Shape, prompts: int, studies: int) -> list[float]:
    """Percentage of studies below 0.05: sign flips, Wilcoxon; with an interval that excludes 0; where that and the sign
    flips disagree; and of margins called kept that are just not."""
    made = differences(np.random.default_rng(5), shape, prompts, studies)
    told = np.array(sign_flip_ps(list(made), flips=FLIPS)) < ALPHA
    excluded = np.array([found.excludes_zero for found in mean_intervals([*map(by_prompt, made)], resamples=FLIPS)])
    ranks = np.mean([wilcoxon_p(d) < ALPHA for d in made])
    margin = 0.05
    below = np.mean([non_inferior(d - margin, margin, ALPHA).holds for d in made])
    beside = np.mean([equivalent(d + margin, margin, ALPHA).holds for d in made])
    shares = (np.mean(told), ranks, np.mean(excluded), np.mean(told != excluded), below, beside)
    return [100 * float(share) for share in shares]


def by_prompt(values: Array) -> dict[str, list[float]]:
    """(prompts,) as the statistics take it."""
    return {f"{place:04}": [float(value)] for place, value in enumerate(values)}


def family(shape: Shape, prompts: int, studies: int) -> list[float]:
    """Percentage of studies of 20 metrics, half of their noise shared, with any p below 0.05: raw, and by Holm."""
    random = np.random.default_rng(6)
    shared = np.repeat(differences(random, shape, prompts, studies), METRICS, axis=0)
    made = (shared + differences(random, shape, prompts, studies * METRICS)) / np.sqrt(2)
    ps = np.array(sign_flip_ps(list(made), flips=FLIPS)).reshape(studies, METRICS)
    raw, corrected = np.mean(ps.min(axis=1) < ALPHA), np.mean([min(holm(row)) < ALPHA for row in ps])
    return [100 * float(raw), 100 * float(corrected)]


def on_nano(shapes: Sequence[Shape], prompts: int, studies: int, *, shared: bool) -> list[float]:
    """Two equal systems with other seeds, at the noise of nano: percentage of studies below 0.05, by the metrics' mean,
    of the worst metric, and of any metric after Holm.

    Args:
        shapes: metrics.
        prompts: of each run.
        studies: how many.
        shared: whether `compare` is told that prompts of a seed may share noise.
    """
    random = np.random.default_rng(9)
    ps = np.empty((studies, len(shapes)))
    for place, shape in enumerate(shapes):
        effects = prompt_effects(random, shape, studies, prompts)
        first, second = (run(random, shape, effects, SEEDS) for _ in range(2))
        made = [paired(shape.name, *side) for side in zip(first, second, strict=True)]
        if shared:
            ps[:, place] = [clip_contrast(one, shared=True).p or 0.0 for one in made]
        else:
            ps[:, place] = sign_flip_ps([one.differences for one in made], flips=FLIPS)
    each = np.mean(ps < ALPHA, axis=0)
    return [100 * float(part) for part in (each.mean(), each.max(), np.mean([min(holm(row)) < ALPHA for row in ps]))]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000)
    studies = parser.parse_args().studies
    print(f"{studies} studies, {FLIPS} flips, {SEEDS} seeds per prompt, alpha {ALPHA}\n")
    tests = ("sign flips", "Wilcoxon", "interval excludes 0", "interval and flips disagree")
    head = ("shape", "prompts", *tests, "non-inferior", "equivalent", "any of 20", "any of 20, Holm")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for shape in SHAPES:
        for prompts in (12, 60):
            shares = [*single(shape, prompts, studies), *family(shape, prompts, studies)]
            print(f"| {shape.name} | {prompts} | {' | '.join(f'{share:.1f}' for share in shares)} |", flush=True)
    print(f"\n{studies} studies of {len(NANO)} metrics at the noise of nano, other seeds on each side\n")
    head = ("noise", "compare counts", "prompts", "mean of the metrics", "worst metric", "any metric, Holm")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    cases = ((NANO_SHARED, "shared", False), (NANO_SHARED, "shared", True), (NANO, "own", False))
    for shapes, noise, counted in cases:
        for prompts in (12, 60):
            shares = on_nano(shapes, prompts, studies, shared=counted)
            counts = "prompts and seeds" if counted else "prompts"
            print(f"| {noise} | {counts} | {prompts} | {' | '.join(f'{s:.1f}' for s in shares)} |", flush=True)


if __name__ == "__main__":
    main()
