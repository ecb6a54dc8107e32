"""From contrasts to losses: the sign that makes every loss positive, the tolerance, the test."""

import math
import re

from ltx2_reports.contrast import Contrast, Contrasts
from ltx2_reports.gate.policy import NORMAL_FLOOR, MetricPolicy, Policy, PolicyDirection
from ltx2_reports.gate.verdict import Loss, Outcome, Verdict, t_test
from ltx2_reports.records import MetricSpec, Run
from ltx2_reports.statistics import SEED, sign_flip_p, standard_error

_LEAST_FLIPS, _MOST_FLIPS = 10_000, 1_000_000


def losses_of(contrasts: Contrasts, policy: Policy) -> list[Loss]:
    """One loss per metric of the policy that is judged prompt by prompt; timings are left to `speed`.

    Raises:
        ValueError: the policy must say which direction is a loss and does not, or contradicts the metric.
    """
    # So many flips that the least possible p, corrected for all metrics, is far below the chance of a false alarm.
    flips = min(_MOST_FLIPS, max(_LEAST_FLIPS, math.ceil(20 * len(policy.metrics) / policy.false_alarm)))
    return [
        _loss(contrasts, name, wanted, policy, flips)
        for name, wanted in policy.metrics.items()
        if not is_timing(contrasts.second, name)
    ]


def is_timing(run: Run, metric: str) -> bool:
    """Whether a metric depends on the machine and is judged against earlier runs of the same one."""
    return any(found.metric.id == metric and "runtime" in found.metric.needs for found in run.protocols.values())


def _loss(contrasts: Contrasts, name: str, wanted: MetricPolicy, policy: Policy, flips: int) -> Loss:
    contrast = contrasts.of(name)
    if contrast is None:
        return _absent(contrasts, name, wanted)
    direction = direction_of(contrast.metric, wanted)
    two_sided = direction == "same"
    sign = -1.0 if direction == "up" else 1.0
    loss, n = sign * contrast.difference.value, contrast.prompts
    error = standard_error_of(contrast)
    total = None if error is None else math.hypot(error, wanted.floor / NORMAL_FLOOR)
    trouble = "1 prompt gives no measure of chance" if n < 2 else ""
    if contrast.lost > policy.max_lost:
        trouble = f"{contrast.lost:.0%} of the baseline's values have no partner, allowed: {policy.max_lost:.0%}"
    p = None
    if n > 1 and total is not None:
        p = _p(contrast, loss, total, sign, two_sided, wanted, flips)
    return Loss(
        metric=name,
        title=contrast.metric.title,
        unit=contrast.metric.unit,
        baseline=contrast.first,
        value=contrast.second,
        loss=abs(loss) if two_sided else loss,
        error=total,
        n=n,
        unit_of_n="prompts",
        p=p,
        tolerance=wanted.tolerance(contrast.first),
        two_sided=two_sided,
        is_equal=contrast.is_equal and not trouble,
        trouble=trouble,
    )


def standard_error_of(contrast: Contrast) -> float | None:
    """Of the difference, from the spread over prompts; None where there is no such."""
    if contrast.set_draws is not None:
        return contrast.set_draws.standard_error
    return standard_error(contrast.differences)


def _p(
    contrast: Contrast, loss: float, error: float, sign: float, two_sided: bool, wanted: MetricPolicy, flips: int
) -> float:
    """Sign flips see the spread over prompts only; where there is a floor, the t-test with it must agree."""
    by_t = t_test(loss, error, contrast.prompts, two_sided)
    if contrast.set_draws is not None or wanted.test == "t":
        return by_t
    by_flips = sign_flip_p(sign * contrast.differences, "two-sided" if two_sided else "greater", flips, SEED)
    return max(by_t, by_flips) if wanted.floor else by_flips


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
    return re.sub(r"\bin A\b", "in the baseline", re.sub(r"\bin B\b", "in the run", text))


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
        tolerance=max(wanted.absolute, wanted.floor),
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
