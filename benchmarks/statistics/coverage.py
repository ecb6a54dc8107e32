"""How often 95 % intervals hold the truth: means, paired differences and kernel audio distances, in 2,000 studies each.

Paste: OMP_NUM_THREADS=1 python benchmarks/statistics/coverage.py
Every study goes through the functions that the tables use. A share of 95 % has a simulation error of 0.5 points.
"""

import argparse
import math
from collections.abc import Callable

import numpy as np
from studies import Array, Shape, paired, prompt_effects, run

from ltx2_eval.metrics.kernel import KernelOverClips
from ltx2_reports.contrast_metric import clip_contrast
from ltx2_reports.statistics import Interval, Method, error_interval, mean_intervals, paired_differences
from ltx2_reports.statistics.sets import SetDraws, kernel_error, set_difference, u_statistic_error

SHAPES = (
    Shape(name="normal", mean=1.0, prompts=0.2, seeds=0.2, shared=0.0, skew=0.0),
    Shape(name="skewed", mean=1.0, prompts=0.2, seeds=0.2, shared=0.0, skew=1.5),
    Shape(name="strongly skewed", mean=1.0, prompts=0.4, seeds=0.2, shared=0.0, skew=3.0),
)
METHODS: tuple[Method, ...] = ("studentised", "expanded", "percentile", "bca")
RESAMPLES = 5000
SHIFT = 0.2
"""Of generated features, near the reference: the hard case, where the kernel distance is small and skewed."""
BOUNDED = ((4.0, 1.0), (0.8, 0.2))
"""Beta distributions of a prompt's chance to pass a check of yes or no: spread out, and nearly always or never."""


def by_prompt(values: Array) -> dict[str, list[float]]:
    """(prompts, seeds) as the statistics take it."""
    return {f"{place:04}": row.tolist() for place, row in enumerate(values)}


def share(intervals: list[Interval], truth: float) -> float:
    """Percentage of intervals that hold the truth."""
    held = [i.low is not None and i.high is not None and i.low <= truth <= i.high for i in intervals]
    return 100 * float(np.mean(held))


def means(shape: Shape, prompts: int, seeds: int, studies: int, method: Method) -> float:
    """Of the mean over prompts."""
    random = np.random.default_rng(1)
    values = run(random, shape, prompt_effects(random, shape, studies, prompts), seeds)
    return share(mean_intervals([*map(by_prompt, values)], resamples=RESAMPLES, method=method), shape.mean)


def checks(chances: tuple[float, float], prompts: int, seeds: int, studies: int, method: Method) -> float:
    """Of the mean of a check of yes or no, whose range is 0 to 1."""
    random = np.random.default_rng(7)
    passed = random.binomial(seeds, random.beta(*chances, (studies, prompts))) / seeds
    columns = [by_prompt(row[:, None]) for row in passed]
    made = mean_intervals(columns, resamples=RESAMPLES, method=method, ranges=[(0.0, 1.0)] * studies)
    return share(made, chances[0] / sum(chances))


def differences(shape: Shape, prompts: int, seeds: int, studies: int, method: Method) -> float:
    """Of the difference of two systems on the same prompts; the second is better by 0.05 and varies with the prompt."""
    random = np.random.default_rng(2)
    effects = prompt_effects(random, shape, studies, prompts)
    first = run(random, shape, effects, seeds)
    second = run(random, shape, effects * 1.05, seeds)
    pairs = [(by_prompt(b), by_prompt(a)) for a, b in zip(first, second, strict=True)]
    made = paired_differences(pairs, resamples=RESAMPLES, method=method)
    return share([found.interval for found in made if found is not None], 0.05 * shape.mean)


SHARED = 0.1
"""Standard deviation of what all prompts of a seed share, half of that between clips, as on nano (`nano_noise.py`)."""


def shared_noise(prompts: int, seeds: int, studies: int) -> list[float]:
    """Of the difference of two systems, whose seeds share noise: by prompts alone, and as `compare` counts it.

    Seeds are first the same in both systems, which answer them differently, then others.
    """
    shape = Shape(name="shared", mean=1.0, prompts=0.2, seeds=0.2, shared=SHARED, skew=1.5)
    found = []
    for by_seed in (True, False):
        random = np.random.default_rng(8)
        effects = prompt_effects(random, shape, studies, prompts)
        first, second = run(random, shape, effects, seeds), run(random, shape, effects * 1.05, seeds)
        pairs = [paired("m", a, b, by_seed=by_seed) for a, b in zip(first, second, strict=True)]
        columns = [by_prompt(pair.differences[:, None]) for pair in pairs]
        alone = mean_intervals(columns, resamples=RESAMPLES)
        counted = [clip_contrast(pair, shared=True).difference for pair in pairs]
        found += [share(alone, 0.05 * shape.mean), share(counted, 0.05 * shape.mean)]
    return found


OTHERS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Array]] = {
    "log-normal, sigma 1": lambda random, shape: random.lognormal(0.0, 1.0, shape) / math.exp(0.5),
    "t with 3 degrees": lambda random, shape: 1 + random.standard_t(3, shape),
    "four fifths zero": lambda random, shape: 5 * random.exponential(1.0, shape) * (random.random(shape) < 0.2),
}
"""Values of mean 1 on which nothing was tuned: heavy tails on one side, on both, and mostly nothing at all."""


def others(name: str, prompts: int, studies: int) -> float:
    """Of the mean of values on which the interval was not tuned."""
    values = OTHERS[name](np.random.default_rng(9), (studies, prompts))
    low = None if name.startswith("t ") else 0.0
    columns = [by_prompt(row[:, None]) for row in values]
    return share(mean_intervals(columns, resamples=RESAMPLES, ranges=[(low, None)] * studies), 1.0)


def clips(random: np.random.Generator, prompts: int, seeds: int, shift: float) -> Array:
    """(prompts x seeds, 16) features: skewed prompt effects shared by the seeds of a prompt."""
    effects = random.gamma(1.0, 0.7, (prompts, 1, 16)) - 0.7
    return (effects + random.normal(0, 0.7, (prompts, seeds, 16)) + shift).reshape(-1, 16)


def kernel(prompts: int, seeds: int, shift: float, studies: int) -> tuple[float, float, float]:
    """Of KAD against a fixed reference, of the difference of two systems, and of KAD by the U-statistic's variance."""
    random = np.random.default_rng(3)
    distance = KernelOverClips("gaussian", 100.0)
    reference = [row[None] for row in clips(random, 100, 1, 0.0).astype(np.float32)]
    truth, other = (_truth(distance, reference, s) for s in (shift, shift + 0.1))
    names = [f"{place:04}" for place in range(prompts)]
    alone, paired, unbiased = [], [], []
    for _ in range(studies):
        # the clips of a prompt together, as a run's are: no pairs among the seeds of a prompt
        made = (clips(random, prompts, seeds, s).astype(np.float32) for s in (shift, shift + 0.1))
        sides = [list(rows.reshape(prompts, seeds, 16)) for rows in made]
        terms = [distance.terms(side, reference, names) for side in sides]
        values = [distance(side, reference) for side in sides]
        alone.append(error_interval(values[0], kernel_error(terms[0]) or 0.0, prompts))
        paired.append(_by_terms(values[0], values[1], terms[1] - terms[0], prompts))
        unbiased.append(error_interval(values[0], u_statistic_error(terms[0]) or 0.0, prompts))
    return share(alone, truth), share(paired, other - truth), share(unbiased, truth)


def _by_terms(first: float, second: float, terms: Array, prompts: int) -> Interval:
    error = u_statistic_error(terms)
    return set_difference(SetDraws(first=first, second=second, draws=(), swapped=(), error=error, prompts=prompts))


def _truth(distance: KernelOverClips, reference: list[Array], shift: float) -> float:
    random = np.random.default_rng(4)
    return float(np.mean([distance(list(clips(random, 2000, 1, shift)[:, None]), reference) for _ in range(8)]))


def line(what: str, prompts: int, seeds: int, *shares: float) -> None:
    """One row of the table."""
    print(f"| {what} | {prompts} x {seeds} | {' | '.join(f'{value:.1f}' for value in shares)} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=None)
    given = parser.parse_args()
    studies, wanted = given.studies, given.tables or list(TABLES)
    print(f"{studies} studies, {RESAMPLES} draws")
    for name in wanted:
        TABLES[name](studies)


def print_means(studies: int) -> None:
    """Table of means."""
    print(f"\n| mean | prompts x seeds | {' | '.join(METHODS)} |\n|---|---|{'---|' * len(METHODS)}")
    for shape in SHAPES:
        for prompts in (12, 60):
            line(shape.name, prompts, 4, *(means(shape, prompts, 4, studies, method) for method in METHODS))


def print_checks(studies: int) -> None:
    """Table of checks of yes or no."""
    methods: tuple[Method, ...] = ("studentised", "expanded")
    print(f"\n| share passed | prompts x seeds | {' | '.join(methods)} |\n|---|---|{'---|' * len(methods)}")
    for chances in BOUNDED:
        for prompts in (12, 60):
            what = f"chance of a prompt beta({chances[0]:g}, {chances[1]:g})"
            line(what, prompts, 4, *(checks(chances, prompts, 4, studies, method) for method in methods))


def print_differences(studies: int) -> None:
    """Table of differences, prompts with noise of their own."""
    methods: tuple[Method, ...] = ("studentised", "expanded")
    print(f"\n| paired difference | prompts x seeds | {' | '.join(methods)} |\n|---|---|{'---|' * len(methods)}")
    for shape in SHAPES:
        for prompts in (12, 60):
            line(shape.name, prompts, 4, *(differences(shape, prompts, 4, studies, method) for method in methods))


def print_others(studies: int) -> None:
    """Table of means on which nothing was tuned."""
    sizes = (3, 5, 8, 12, 20, 60)
    print(f"\n| mean of other values | {' | '.join(f'{n} prompts' for n in sizes)} |\n|---|{'---|' * len(sizes)}")
    for name in OTHERS:
        print(f"| {name} | {' | '.join(f'{others(name, n, studies):.1f}' for n in sizes)} |", flush=True)


def print_shared(studies: int) -> None:
    """Table of differences where prompts of a seed share noise."""
    head = "same seeds, prompts alone | same seeds, counted | other seeds, prompts alone | other seeds, counted"
    print(f"\n| paired difference, noise shared | prompts x seeds | {head} |\n|---|---|---|---|---|---|")
    for prompts in (12, 60):
        line("skewed", prompts, 4, *shared_noise(prompts, 4, studies))


def print_kad(studies: int) -> None:
    """Table of kernel audio distances."""
    print("\n| KAD | prompts x seeds | value | difference | value, unbiased error |\n|---|---|---|---|---|")
    for seeds in (1, 2):
        line(f"shifted by {SHIFT}", 60, seeds, *kernel(60, seeds, SHIFT, studies))


TABLES = {
    "means": print_means,
    "others": print_others,
    "checks": print_checks,
    "differences": print_differences,
    "shared": print_shared,
    "kad": print_kad,
}

if __name__ == "__main__":
    main()
