"""From contrasts to losses: the sign that makes every loss positive, the tolerance, the test."""

import math
import re
from collections.abc import Mapping

import numpy as np

from ltx2_reports import timings
from ltx2_reports.contrast import Contrast, Contrasts
from ltx2_reports.gate.policy import NORMAL_FLOOR, MetricPolicy, Policy, PolicyDirection
from ltx2_reports.gate.verdict import Loss, Outcome, Verdict, t_test
from ltx2_reports.records import MetricSpec, Run
from ltx2_reports.statistics import LEAST_PROMPTS, SEED, sign_flip_ps

_LEAST_FLIPS, _MOST_FLIPS = 10_000, 1_000_000
_CLEARLY_NONE = 0.1
"""Where the t-test finds no more than this, sign flips are not drawn: they would not find a loss either."""
_FINE = 8
"""Sign flips decide where the least p that they can reach is so many times below the one that is asked for."""


def losses_of(contrasts: Contrasts, policy: Policy) -> list[Loss]:
    """One loss per metric of the policy that is judged prompt by prompt; timings are left to `speed`.

    Raises:
        ValueError: the policy must say which direction is a loss and does not, or contradicts the metric.
    """
    names = [name for name in policy.metrics if not is_timing(contrasts.second, name)]
    found = {name: contrast for name in names if (contrast := contrasts.of(name)) is not None}
    losses = losses_from(found, policy)
    return [losses[name] if name in losses else _absent(contrasts, name, policy.metrics[name]) for name in names]


def losses_from(found: Mapping[str, Contrast], policy: Policy) -> dict[str, Loss]:
    """Losses of the metrics that were compared, by metric.

    Raises:
        ValueError: see `losses_of`.
    """
    asked = policy.false_alarm / max(1, len(policy.metrics))
    losses = {name: _by_t(contrast, policy.metrics[name], policy) for name, contrast in found.items()}
    flipped = [
        name
        for name, loss in losses.items()
        if loss.p is not None and loss.p < _CLEARLY_NONE and _can_flip(found[name], loss, policy.metrics[name], asked)
    ]
    for two_sided in (True, False):
        names = [name for name in flipped if losses[name].two_sided == two_sided]
        signed = [_sign(found[name], policy.metrics[name]) * found[name].differences for name in names]
        ps = sign_flip_ps(signed, "two-sided" if two_sided else "greater", _flips(policy), SEED) if names else []
        for name, p in zip(names, ps, strict=True):
            # Flips see the spread over prompts only; where there is a floor, the t-test with it must agree.
            losses[name] = losses[name].with_p(max(p, losses[name].p or 0.0) if losses[name].floor else p)
    return losses


def _flips(policy: Policy) -> int:
    """So many that the least possible p, corrected for all metrics, is far below the chance of a false alarm."""
    return min(_MOST_FLIPS, max(_LEAST_FLIPS, math.ceil(20 * len(policy.metrics) / policy.false_alarm)))


def _can_flip(contrast: Contrast, loss: Loss, wanted: MetricPolicy, asked: float) -> bool:
    """Whether sign flips are the test: prompts with noise of their own, and enough of them to reach the p asked for."""
    moved = int(np.count_nonzero(contrast.differences))
    least = (2 if loss.two_sided else 1) * 2.0**-moved
    return wanted.test == "sign-flip" and moved > 0 and contrast.noise != "counted" and least * _FINE <= asked


def _sign(contrast: Contrast, wanted: MetricPolicy) -> float:
    """By which a difference becomes a loss."""
    return -1.0 if direction_of(contrast.metric, wanted) == "up" else 1.0


def is_timing(run: Run, metric: str) -> bool:
    """Whether a metric depends on the machine and is judged against earlier runs of the same one."""
    return any(found.metric.id == metric and timings.is_timing(found.metric) for found in run.protocols.values())


def _by_t(contrast: Contrast, wanted: MetricPolicy, policy: Policy) -> Loss:
    """A loss, its p by the t-test with the floor counted."""
    two_sided = direction_of(contrast.metric, wanted) == "same"
    loss, n, floor = _sign(contrast, wanted) * contrast.difference.value, contrast.prompts, wanted.floor / NORMAL_FLOOR
    plural = "1 prompt gives" if n == 1 else f"{n} prompts give"
    few = f"{plural} no measure of chance, at least {LEAST_PROMPTS} are needed"
    trouble = few if n < LEAST_PROMPTS and not contrast.surely_equal else ""
    if contrast.lost > policy.max_lost:
        trouble = f"{contrast.lost:.0%} of the baseline's values have no partner, allowed: {policy.max_lost:.0%}"
    error = None if contrast.error is None else math.hypot(contrast.error.value, floor)
    freedom = None if contrast.error is None else contrast.error.freedom
    shared = "the prompts of each seed may share noise, which these few seeds do not tell: holds for these seeds only"
    return Loss(
        metric=contrast.metric.id,
        title=contrast.metric.title,
        unit=contrast.metric.unit,
        baseline=contrast.first,
        value=contrast.second,
        loss=abs(loss) if two_sided else loss,
        error=error,
        freedom=freedom,
        floor=floor,
        n=n,
        unit_of_n="prompts",
        p=None if error is None or freedom is None or trouble else t_test(loss, error, freedom + 1, two_sided),
        tolerance=wanted.tolerance(contrast.first),
        two_sided=two_sided,
        is_margin=wanted.margin is not None,
        is_equal=contrast.is_equal and not trouble,
        largest_unseen=contrast.largest_unseen,
        same_clips=contrast.same_clips,
        trouble=trouble,
        notes=(shared,) if contrast.noise == "given" and not contrast.is_equal else (),
    )


def direction_of(metric: MetricSpec, wanted: MetricPolicy) -> PolicyDirection:
    """What counts as a loss.

    Raises:
        ValueError: neither the metric nor the policy says, or they contradict each other.
    """
    if metric.direction == "none":
        if wanted.direction in (None, "zero"):
            raise ValueError(
                f'{metric.id}: more is neither better nor worse; write direction = "up", "down" or "same" under it'
            )
        return wanted.direction or "same"
    if wanted.direction not in (None, "same", metric.direction):
        raise ValueError(
            f"{metric.id}: the policy says {wanted.direction!r}, but the metric's direction is {metric.direction!r}"
        )
    return wanted.direction or metric.direction


def in_words(text: str) -> str:
    """What a comparison says of A and B, in the words of a gate."""
    for letter, name in (("A", "the baseline"), ("B", "the run")):
        text = re.sub(rf"(?<=\bin ){letter}\b|(?<=\band ){letter}\b|\b{letter}(?= and )|^{letter}(?=: )", name, text)
    return text


def _absent(contrasts: Contrasts, name: str, wanted: MetricPolicy) -> Loss:
    """A metric that could not be compared, with the reason that the comparison gave."""
    said = [text.removeprefix(f"{name}: ") for text in contrasts.left_out if name in text.split(":")[0].split(", ")]
    sides = (("the baseline", contrasts.first), ("the run", contrasts.second))
    lacking = [side for side, run in sides if all(line.metric != name for line in run.values.values())]
    unscored = f"not scored in {' and '.join(lacking)}: ltx2-eval score FOLDER --metric {name}" if lacking else ""
    why = in_words("; ".join(said)) or unscored
    return Loss(
        metric=name,
        title=name,
        unit="",
        baseline=None,
        value=None,
        loss=None,
        error=None,
        n=0,
        unit_of_n="prompts",
        p=None,
        tolerance=wanted.tolerance(0.0),
        trouble=why,
    )


def clips_verdict(first: Run, second: Run, policy: Policy) -> Verdict:
    """Whether the run made its clips: the share that failed, beyond the baseline's share."""
    shares = [_failed(run) for run in (first, second)]
    beyond = shares[1] - shares[0]
    why = (
        f"{shares[1]:.1%} of the clips failed, {shares[0]:.1%} in the baseline; tolerated more: {policy.max_failed:.1%}"
    )
    outcome: Outcome = "regressed" if beyond > policy.max_failed + 1e-9 else "passed"
    return Verdict(metric="clips", title="Clips that were made", outcome=outcome, why=why)


def _failed(run: Run) -> float:
    return sum(clip.reason is not None for clip in run.clips.values()) / max(1, len(run.clips))
