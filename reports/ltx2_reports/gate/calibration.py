"""What a gate can see: noise and floors of each metric from repeated runs of one unchanged system (A/A runs).

Two kinds of noise. What differs from prompt to prompt averages out over prompts, and the gate measures it anew in
every comparison. What all prompts of a run have in common does not: a machine rounds every clip its own way, and clips
from elsewhere may have started from one noise per seed. No single comparison can see that; repeated runs can, and it
becomes the floor.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.special import fdtrc, stdtrit

from ltx2_reports.comparison import RUNTIME_PREFIX
from ltx2_reports.contrast import Contrast, Contrasts
from ltx2_reports.contrast_runs import contrast_runs
from ltx2_reports.gate.policy import NORMAL_FLOOR, Policy
from ltx2_reports.pairing import clip_values
from ltx2_reports.records import MetricSpec, Run
from ltx2_reports.shared_noise import repeat_notes
from ltx2_reports.statistics import LEAST_PROMPTS, detectable
from ltx2_reports.statistics.draws import Array
from ltx2_reports.statistics.unseen import unseen_share

_FLOOR_ALPHA = 0.01
"""A difference between runs beyond that of their prompts becomes a floor where an F-test finds it at this level."""
_LEVELS = {"LUFS", "dBTP", "dBFS", "dB"}
"""Units whose zero is a convention: a share of such a value means nothing, a share of the amplitude does."""
_OF_RANGE = 0.01
"""Absolute tolerance, as a share of a bounded range, for metrics whose baseline is 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """What A/A runs say of one metric."""

    metric: MetricSpec
    mean: float
    error: float
    """Standard error of the difference of two runs, from the spread of their prompts' differences."""
    floor: float
    """Difference of two runs that their prompts do not explain, bounded with 99 % confidence; 0: none was found."""
    n: int
    tolerance: float
    absolute: float
    """Set where a share of the baseline would tolerate nothing (it is 0) or mean nothing (a level in dB), and to what
    its prompts can rule out where a bounded metric was constant."""
    detectable: float
    """Least loss that raises the alarm with the policy's confidence, floor counted; the tolerance has to be above."""

    @property
    def constant(self) -> bool:
        """Whether no prompt differed between the runs: nothing tells that the metric reacts to anything."""
        return self.error == 0 and self.floor == 0

    @property
    def needed(self) -> int | None:
        """Prompts on which a loss of the tolerance would be found, roughly; None where no number of them cures it."""
        if self.tolerance <= 0 or self.floor or not math.isfinite(self.detectable):
            return None
        return max(LEAST_PROMPTS, math.ceil(self.n * (self.detectable / self.tolerance) ** 2))

    @property
    def usable(self) -> bool:
        """Whether a loss of the tolerance would be found on this many prompts."""
        return self.n >= LEAST_PROMPTS and self.tolerance > 0 and self.detectable <= self.tolerance


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """All metrics that the runs share."""

    runs: tuple[Run, ...]
    pairs: tuple[Contrasts, ...]
    noises: tuple[Noise, ...]
    left_out: tuple[str, ...]
    same_noise: tuple[str, ...] = ()
    """Pairs of runs that started from the same noise: their differences tell nothing of other seeds."""


def calibrate(runs: Sequence[Run], *, relative: float, policy: Policy) -> Calibration:
    """Measure the noise of every metric between repeated runs of one system.

    Args:
        runs: at least two of the same system and suite, of other seeds or from other machines.
        relative: tolerated loss, as a share of the baseline's value.
        policy: for its chance of a false alarm and its confidence.

    Raises:
        ValueError: fewer than two runs, runs of different systems, or runs that are copies of each other.
    """
    _check(runs)
    pairs = tuple(contrast_runs(first, second) for first, second in combinations(runs, 2))
    names = [c.metric.id for c in pairs[0].contrasts if all(other.of(c.metric.id) is not None for other in pairs)]
    names = [name for name in names if not name.startswith(RUNTIME_PREFIX)]
    noises = [
        _noise_in([found for pair in pairs if (found := pair.of(name))], runs, relative, policy, len(names))
        for name in names
    ]
    measured = tuple(noise for noise in noises if noise is not None)
    left_out = tuple(dict.fromkeys(text for pair in pairs for text in pair.left_out))
    same = tuple(repeat_notes(runs, [str(run.folder) for run in runs]))
    return Calibration(runs=tuple(runs), pairs=pairs, noises=measured, left_out=left_out, same_noise=same)


def _check(runs: Sequence[Run]) -> None:
    if len(runs) < 2:
        raise ValueError(
            f"found {len(runs)} run, at least two of the same system are needed: run it again with other seeds"
        )
    for run in runs[1:]:
        here, there = runs[0].header.spec, run.header.spec
        if (here.model, here.suite.sha256) != (there.model, there.suite.sha256):
            raise ValueError(
                f"{run.folder} is {there.model} on {there.suite.label}, {runs[0].folder} is {here.model} on "
                f"{here.suite.label}; expected runs of one system on one suite"
            )
    hashes = [sorted(clip.sha256 or "" for clip in run.clips.values()) for run in runs]
    for (first, ours), (second, theirs) in combinations(zip(runs, hashes, strict=True), 2):
        if ours == theirs:
            raise ValueError(
                f"{first.folder} and {second.folder} hold the same clips, bit for bit, and say nothing of noise; run "
                "the system again with other seeds, or on another machine"
            )


def _noise_in(
    found: Sequence[Contrast], runs: Sequence[Run], relative: float, policy: Policy, metrics: int
) -> Noise | None:
    table = None if found[0].by_seed else _by_seed(found[0], runs)
    return noise_of(found, table, runs=len(runs), relative=relative, policy=policy, metrics=metrics)


def noise_of(
    found: Sequence[Contrast], table: Array | None, *, runs: int, relative: float, policy: Policy, metrics: int
) -> Noise | None:
    """Of one metric; None where some pair of runs has no error.

    Args:
        found: contrasts of every pair of the runs.
        table: (prompts, seeds of all runs) values, where the runs have no seed in common.
        runs: how many.
        relative: tolerated loss.
        policy: see `calibrate`.
        metrics: that share the chance of a false alarm.
    """
    errors = [contrast.error for contrast in found if contrast.error is not None]
    if len(errors) < len(found):
        return None
    n, freedom = min(contrast.prompts for contrast in found), min(error.freedom for error in errors)
    error = float(np.sqrt(np.mean([error.value**2 for error in errors])))
    mean = float(np.mean([contrast.first for contrast in found]))
    floor = _floor(found, table, runs, error, n)
    is_level = found[0].metric.unit in _LEVELS
    absolute = _of_amplitude(relative) if is_level else _of_zero(found[0].metric, mean)
    tolerance = absolute if is_level else max(relative * abs(mean), absolute)
    total, each = float(np.hypot(error, floor / NORMAL_FLOOR)), policy.false_alarm / metrics
    sides: Literal[1, 2] = 2 if found[0].metric.direction == "none" else 1
    unseen = unseen_share(n, 1 - policy.confidence) * max(contrast.largest_unseen for contrast in found)
    if error == 0 and floor == 0 and unseen:
        absolute = max(absolute, _rounded_up(unseen))
        tolerance = max(tolerance, absolute)
    return Noise(
        metric=found[0].metric,
        mean=mean,
        error=error,
        floor=floor,
        n=n,
        tolerance=tolerance,
        absolute=absolute,
        detectable=max(detectable(total, freedom + 1, each, policy.confidence, sides), unseen),
    )


def _floor(found: Sequence[Contrast], table: Array | None, runs: int, error: float, n: int) -> float:
    """Bound, with 99 % confidence, on the difference of two runs by what all their prompts have in common."""
    if found[0].noise == "counted":
        return 0.0  # every comparison counts what seeds have in common
    if found[0].by_seed or found[0].set_draws is not None:
        square = float(np.mean([contrast.difference.value**2 for contrast in found]))
        return _bound(square, error**2, runs - 1, n)
    return 0.0 if table is None else floor_of_seeds(table, runs)


def floor_of_seeds(table: Array, runs: int) -> float:
    """Bound, with 99 % confidence, on the difference of two runs by what all prompts of a seed have in common.

    Args:
        table: (prompts, seeds of all runs) values of one unchanged system.
        runs: how many runs the seeds belong to.
    """
    prompts, seeds = table.shape
    rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    within = float((rest**2).sum() / ((prompts - 1) * (seeds - 1) * prompts))
    between, per_run = float(table.mean(axis=0).var(ddof=1)), seeds / runs
    return _bound(2 * between / per_run, 2 * within / per_run, seeds - 1, prompts)


def _bound(found: float, expected: float, freedom: int, n: int) -> float:
    """From the variance of run means as found and as their prompts explain it; 0 where an F-test sees no more."""
    if found <= expected or (expected > 0 and fdtrc(freedom, (n - 1) * freedom, found / expected) > _FLOOR_ALPHA):
        return 0.0
    return float(stdtrit(freedom, 1 - _FLOOR_ALPHA / 2) * np.sqrt(found - expected))


def _by_seed(contrast: Contrast, runs: Sequence[Run]) -> Array | None:
    """(prompts, runs x seeds) values of the prompts that have all of them; None where that is too little."""
    values = [clip_values(run, contrast.metric.id, contrast.metric) for run in runs]
    columns = [(side, seed) for side, run in zip(values, runs, strict=True) for seed in run.header.spec.seeds]
    prompts = [p for p in contrast.prompt_ids if all((p, seed) in side for side, seed in columns)]
    if len(prompts) < LEAST_PROMPTS:
        return None
    return np.array([[side[prompt, seed] for side, seed in columns] for prompt in prompts])


def _of_amplitude(relative: float) -> float:
    """A share of the amplitude in dB: 5 % are 0.45 dB at every level."""
    return -20 * math.log10(1 - relative) if relative < 1 else math.inf


def _rounded_up(value: float) -> float:
    """To two digits; the rest is room for a prompt that moves by next to nothing."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit) * unit:.3g}")


def _of_zero(metric: MetricSpec, mean: float) -> float:
    low, high = metric.range
    return _OF_RANGE * (high - low) if mean == 0 and low is not None and high is not None else 0.0


def policy_text(made: Calibration, *, relative: float, policy: Policy, unfit: Mapping[str, str] | None = None) -> str:
    """A policy of the metrics that can decide, and as comments those that cannot and why; edit it freely.

    Args:
        made: the calibration.
        relative: tolerated loss.
        policy: for its chance of a false alarm and its confidence.
        unfit: metrics that validation found fit for reports only, and why.
    """
    systems = sorted({run.header.spec.system for run in made.runs})
    suite = made.runs[0].header.spec.suite
    lines = [
        f"# Made by `ltx2-eval gate calibrate` from {len(made.runs)} runs of {_comment(', '.join(systems))} on "
        f"{_comment(suite.label)}.",
        "# A metric passes when a loss above the larger of relative and absolute is ruled out; floor: noise that all",
        "# prompts of a run share.",
        "schema = 1",
        f"false_alarm = {policy.false_alarm!r}",
        f"confidence = {policy.confidence!r}",
    ]
    if made.same_noise:
        lines += ["# Runs with the same noise: this policy holds for runs with the seeds of their baseline only."]
    too_noisy = [n.metric.id for n in made.noises if not n.usable and n.metric.id not in (unfit or {})]
    lines += ["left_out = [" + ", ".join(f'"{name}"' for name in too_noisy) + "]"] if too_noisy else []
    for noise in made.noises:
        why = (unfit or {}).get(noise.metric.id)
        if why is not None:
            lines += ["", f'# [metrics."{noise.metric.id}"]: may only be reported: {_comment(why)}']
            continue
        lines += ["", *(_usable(noise, relative) if noise.usable else _unusable(noise))]
    return "\n".join(lines) + "\n"


def _usable(noise: Noise, relative: float) -> list[str]:
    lines = [
        f'[metrics."{noise.metric.id}"]  # {noise.n} prompts find a loss of {noise.detectable:.3g} ({_unit(noise)})'
    ]
    lines += ['direction = "same"'] if noise.metric.direction == "none" else []
    lines += [f"relative = {relative!r}"] if noise.mean and noise.metric.unit not in _LEVELS else []
    lines += [f"absolute = {noise.absolute!r}"] if noise.absolute else []
    lines += ["constant = true  # the same in all runs: nothing tells that it reacts"] if noise.constant else []
    return lines + ([f"floor = {noise.floor!r}"] if noise.floor else [])


def _unusable(noise: Noise) -> list[str]:
    name = f'# [metrics."{noise.metric.id}"]'
    if noise.tolerance == 0:
        return [f"{name}: 0 in every run; give it an absolute tolerance to gate by it"]
    wanted = f" (about {noise.needed})" if noise.needed else ""
    cure = "seeds" if noise.floor / NORMAL_FLOOR > noise.error else "prompts"
    return [
        f"{name}: too noisy: finds losses from {noise.detectable:.3g} ({_unit(noise)}), tolerated "
        f"{noise.tolerance:.3g}; mostly for want of {cure}{wanted}"
    ]


def _unit(noise: Noise) -> str:
    share = f"{noise.detectable / abs(noise.mean):.1%} of {noise.mean:.4g}" if noise.mean else "of 0"
    return share + (f" {noise.metric.unit}" if noise.metric.unit else "")


def _comment(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
