"""The gate on 1,000 unchanged and 1,000 worse systems, at the noise of the bundled nano model.

Paste: OMP_NUM_THREADS=1 python benchmarks/statistics/gate.py
Each study draws a baseline and a run of 60 prompts x 4 seeds, other seeds on each side, with the components of noise
measured on nano. Calibration, comparison, losses and verdicts are the product's own: the same functions that
`gate calibrate` and `gate check` call. The policy has a tolerance of 5 %; odd metrics count change in either direction
as a loss. First with noise of each prompt's own, as the product makes clips; then with noise that all prompts of a seed
share, as clips from elsewhere may. In the second table of each metrics decide even if calibration finds them too noisy.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from nano_noise import NANO, NANO_SHARED
from studies import Array, Shape, paired, prompt_effects, run

from ltx2_reports.contrast import Contrast
from ltx2_reports.contrast_metric import clip_contrast
from ltx2_reports.gate.calibration import noise_of
from ltx2_reports.gate.losses import losses_from
from ltx2_reports.gate.policy import MetricPolicy, Policy
from ltx2_reports.gate.verdict import Outcome, judge, overall

PROMPTS, SEEDS, LOSS = 60, 4, 0.05


class Metric(NamedTuple):
    """A metric of the policy, as calibration left it."""

    shape: Shape
    two_sided: bool
    floor: float


def _compared(random: np.random.Generator, metric: Metric, factor: float, shared: bool) -> tuple[Contrast, Array]:
    """One baseline and one run whose mean is lower by the factor; and all values, seeds side by side."""
    effects = prompt_effects(random, metric.shape, 1, PROMPTS)
    first, second = (run(random, metric.shape, effects, SEEDS)[0] for _ in range(2))
    second = second - factor * metric.shape.mean
    direction = "none" if metric.two_sided else "up"
    return clip_contrast(paired(metric.shape.name, first, second, direction), shared=shared), np.hstack([first, second])


def calibrated(random: np.random.Generator, shape: Shape, two_sided: bool, metrics: int, shared: bool) -> tuple:
    """A metric with its floor, and whether calibration keeps it, from two runs of four seeds."""
    bare = Metric(shape, two_sided, 0.0)
    contrast, table = _compared(random, bare, 0.0, shared)
    noise = noise_of([contrast], table, runs=2, relative=LOSS, policy=Policy(), metrics=metrics)
    assert noise is not None
    return bare._replace(floor=noise.floor), noise.usable


def study(random: np.random.Generator, metrics: Sequence[Metric], factors: Sequence[float], shared: bool) -> Outcome:
    """The overall verdict of one gate."""
    policy = Policy(
        metrics={
            m.shape.name: MetricPolicy(relative=LOSS, floor=m.floor, direction="same" if m.two_sided else None)
            for m in metrics
        }
    )
    found = {m.shape.name: _compared(random, m, factor, shared)[0] for m, factor in zip(metrics, factors, strict=True)}
    losses = losses_from(found, policy)
    return overall(judge(list(losses.values()), false_alarm=policy.false_alarm, confidence=policy.confidence))


def counted(
    studies: int, shapes: Sequence[Shape], factor: float, *, all_metrics: bool, shared: bool
) -> tuple[Counter[Outcome], float]:
    """Verdicts over studies, each with a calibration of its own, and the mean number of metrics that decided.

    Args:
        studies: how many.
        shapes: metrics.
        factor: loss of each, as a share of its mean; with several metrics one drawn by lot loses.
        all_metrics: keep what calibration finds too noisy.
        shared: whether the gate is told that prompts of a seed may share noise.
    """
    random = np.random.default_rng(7)
    found: Counter[Outcome] = Counter()
    deciding = 0
    for _ in range(studies):
        made = [calibrated(random, shape, place % 2 == 1, len(shapes), shared) for place, shape in enumerate(shapes)]
        kept = [metric for metric, usable in made if all_metrics or usable]
        if not kept:
            continue
        loser = int(random.integers(len(kept)))
        factors = [factor if place == loser else 0.0 for place in range(len(kept))]
        found[study(random, kept, factors, shared)] += 1
        deciding += len(kept)
    return found, deciding / studies


def line(what: str, counts: tuple[Counter[Outcome], float]) -> None:
    """One row."""
    found, deciding = counts
    studies = max(1, found.total())
    shares = [100 * found[outcome] / studies for outcome in ("passed", "regressed", "not enough data")]
    print(f"| {what} | {studies} | {deciding:.1f} | {' | '.join(f'{share:.1f}' for share in shares)} |", flush=True)


def tables(title: str, shapes: Sequence[Shape], studies: int, single: int, *, shared: bool) -> None:
    """Both tables of one world."""
    head = "studies | metrics | passed % | regressed % | not enough data % |\n|---|---|---|---|---|---|"
    print(f"\n{title}\n\n| metrics that calibration keeps | {head}")
    line("unchanged (A/A)", counted(studies, shapes, 0.0, all_metrics=False, shared=shared))
    line("one metric 5 % worse", counted(studies, shapes, LOSS, all_metrics=False, shared=shared))
    if not single:
        return
    print(f"\n| one metric, kept or not | {head}")
    for shape in shapes:
        for factor, what in ((0.0, "unchanged"), (LOSS, "5 % worse")):
            line(f"{shape.name}, {what}", counted(single, [shape], factor, all_metrics=True, shared=shared))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    studies = parser.parse_args().studies
    print(f"{PROMPTS} prompts x {SEEDS} seeds, other seeds in baseline and run")
    tables("Noise of each prompt's own:", NANO, studies, studies // 4, shared=False)
    tables("Noise that prompts of a seed share, counted:", NANO_SHARED, studies, 0, shared=True)
    tables("Noise that prompts of a seed share, and the gate is not told:", NANO_SHARED, studies, 0, shared=False)


if __name__ == "__main__":
    main()
