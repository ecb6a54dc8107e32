"""The gate on 1,000 unchanged and 1,000 worse systems, at the noise of the bundled nano model.

Paste: OMP_NUM_THREADS=1 python benchmarks/statistics/gate.py
Each study draws a baseline and a run of 60 prompts x 4 seeds, other seeds on each side, with the components of noise
measured on nano: prompts, clips, and what all prompts of a seed share. The policy has a tolerance of 5 % and a floor
learnt from two further runs, as `gate calibrate` does. In the second table metrics decide even if calibration finds
them too noisy, to see that they end as "not enough data" and not as a pass.
"""

import argparse
from collections import Counter
from collections.abc import Sequence

import numpy as np
from studies import Array, Shape, prompt_effects, run

from ltx2_reports.gate.calibration import floor_of_seeds
from ltx2_reports.gate.policy import NORMAL_FLOOR, MetricPolicy, Policy
from ltx2_reports.gate.verdict import Loss, Outcome, judge, overall, t_test
from ltx2_reports.statistics import detectable, sign_flip_ps, standard_error

PROMPTS, SEEDS, CALIBRATION_SEEDS, LOSS = 60, 4, 8, 0.05
FLIPS = 10_000
NANO = (
    Shape(name="audio.dc_offset", mean=0.015391, prompts=0.00145, seeds=0.000283, shared=0.000307, skew=0.52),
    Shape(name="audio.hum_ratio", mean=0.0037191, prompts=0.00151, seeds=0.000547, shared=0.000309, skew=0.76),
    Shape(name="audio.loudness_lufs", mean=30.785, prompts=0.767, seeds=0.155, shared=0.167, skew=0.37),
    Shape(name="audio.spectral_flatness", mean=0.486, prompts=0.00693, seeds=0.00285, shared=0.00191, skew=-0.12),
    Shape(name="audio.stereo_correlation", mean=0.30713, prompts=0.0129, seeds=0.00421, shared=0.00302, skew=-0.74),
    Shape(name="audio.true_peak_dbtp", mean=19.89, prompts=0.746, seeds=0.634, shared=0.24, skew=-0.017),
    Shape(name="av_align", mean=0.0014035, prompts=0.00206, seeds=0.00933, shared=0.00123, skew=-3),
    Shape(name="video.blockiness", mean=1.0102, prompts=0.00406, seeds=0.00207, shared=0.00205, skew=0.22),
    Shape(name="video.flicker", mean=0.0045109, prompts=0.000917, seeds=0.000349, shared=0.000312, skew=0.25),
    Shape(name="video.motion", mean=5.0782, prompts=0.0289, seeds=0.00815, shared=0.0102, skew=-0.42),
    Shape(name="video.noise", mean=49.404, prompts=0.289, seeds=0.166, shared=0.0669, skew=-0.087),
    Shape(name="video.sharpness", mean=49600, prompts=600, seeds=236, shared=194, skew=-0.053),
)
"""Means and standard deviations over 60 prompts x 8 seeds of `ci`, by `measure.py` in this folder."""


def study(
    random: np.random.Generator, shapes: Sequence[Shape], floors: Sequence[float], factors: Sequence[float]
) -> Outcome:
    """One baseline and one run whose mean is lower by the factors; the overall verdict."""
    policy = Policy()
    pairs = [_pair(random, shape, factor) for shape, factor in zip(shapes, factors, strict=True)]
    flips = sign_flip_ps([first - second for first, second in pairs], "greater", FLIPS)
    losses = [
        _loss(shape, first, second, floor, p)
        for shape, (first, second), floor, p in zip(shapes, pairs, floors, flips, strict=True)
    ]
    return overall(judge(losses, false_alarm=policy.false_alarm, confidence=policy.confidence))


def _pair(random: np.random.Generator, shape: Shape, factor: float) -> tuple[Array, Array]:
    effects = prompt_effects(random, shape, 1, PROMPTS)
    first, second = (run(random, shape, effects, SEEDS)[0].mean(axis=1) for _ in range(2))
    return first, second - factor * shape.mean


def _loss(shape: Shape, first: Array, second: Array, floor: float, p: float) -> Loss:
    error = float(np.hypot(standard_error(second - first) or 0.0, floor / NORMAL_FLOOR))
    loss, n = float((first - second).mean()), len(first)
    return Loss(
        metric=shape.name,
        title=shape.name,
        unit="",
        baseline=float(first.mean()),
        value=float(second.mean()),
        loss=loss,
        error=error,
        n=n,
        unit_of_n="prompts",
        p=max(p, t_test(loss, error, n)) if floor else p,
        tolerance=MetricPolicy(relative=LOSS, floor=floor).tolerance(float(first.mean())),
    )


def calibrated(random: np.random.Generator, shape: Shape) -> tuple[float, float]:
    """Floor, and least loss found as a share of the mean, from two runs of four seeds."""
    effects = prompt_effects(random, shape, 1, PROMPTS)
    table = run(random, shape, effects, CALIBRATION_SEEDS)[0]
    floor = floor_of_seeds(table, runs=2)
    halves = table[:, :SEEDS].mean(axis=1) - table[:, SEEDS:].mean(axis=1)
    total = float(np.hypot(standard_error(halves) or 0.0, floor / NORMAL_FLOOR))
    policy = Policy()
    return floor, detectable(total, PROMPTS, policy.false_alarm / len(NANO), policy.confidence, 1) / shape.mean


def counted(
    studies: int, shapes: Sequence[Shape], factor: float, *, all_metrics: bool
) -> tuple[Counter[Outcome], float]:
    """Verdicts over studies, each with a calibration of its own, and the mean number of metrics that decided.

    Args:
        studies: how many.
        shapes: metrics.
        factor: loss of each, as a share of its mean; with several metrics one drawn by lot loses.
        all_metrics: keep what calibration finds too noisy.
    """
    random = np.random.default_rng(7)
    found: Counter[Outcome] = Counter()
    deciding = 0
    for _ in range(studies):
        made = [calibrated(random, shape) for shape in shapes]
        kept = [(s, floor) for s, (floor, least) in zip(shapes, made, strict=True) if all_metrics or least <= LOSS]
        loser = int(random.integers(max(1, len(kept))))
        factors = [factor if place == loser else 0.0 for place in range(len(kept))]
        found[study(random, [shape for shape, _ in kept], [floor for _, floor in kept], factors)] += 1
        deciding += len(kept)
    return found, deciding / studies


def line(what: str, studies: int, counts: tuple[Counter[Outcome], float]) -> None:
    """One row."""
    found, deciding = counts
    shares = [100 * found[outcome] / studies for outcome in ("passed", "regressed", "not enough data")]
    print(f"| {what} | {deciding:.1f} | {' | '.join(f'{share:.1f}' for share in shares)} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    studies = parser.parse_args().studies
    head = "metrics | passed % | regressed % | not enough data % |\n|---|---|---|---|---|"
    print(f"{studies} studies each, {PROMPTS} prompts x {SEEDS} seeds, other seeds in baseline and run\n")
    print(f"| metrics that calibration keeps | {head}")
    line("unchanged (A/A)", studies, counted(studies, NANO, 0.0, all_metrics=False))
    line("one metric 5 % worse", studies, counted(studies, NANO, LOSS, all_metrics=False))
    print(f"\n| one metric, kept or not | {head}")
    for shape in NANO:
        for factor, what in ((0.0, "unchanged"), (LOSS, "5 % worse")):
            line(f"{shape.name}, {what}", studies, counted(studies, [shape], factor, all_metrics=True))


if __name__ == "__main__":
    main()
