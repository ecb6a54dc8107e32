"""From a metric's loss and its spread to a verdict: passed, regressed, or not enough data.

The loss is how much worse the run is than the baseline. Two questions, each with its own error:

- Is there a loss at all? A one-sided test, corrected by Holm over all metrics of the policy, so that an unchanged
  system is called regressed with at most the policy's chance of a false alarm.
- Is a loss above the tolerance ruled out? A one-sided confidence limit; it needs no correction, since all metrics have
  to pass.

passed: ruled out. regressed: there is a loss, and one above the tolerance is not ruled out. Else the data do not
decide: the run is too small or the metric too noisy for the tolerance, which is no pass.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from scipy.special import ndtri, stdtr, stdtrit

from ltx2_reports.statistics import LEAST_PROMPTS, detectable, holm, prompts_needed
from ltx2_reports.statistics.unseen import unseen_share

Outcome = Literal["passed", "regressed", "not enough data"]
EXIT_CODES: dict[Outcome, int] = {"passed": 0, "regressed": 1, "not enough data": 3}
_LEAST_P = sys.float_info.min
_LEAST_SHOWN = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """What was measured of one metric."""

    metric: str
    title: str
    unit: str
    baseline: float | None
    value: float | None
    loss: float | None
    """How much worse the run is; negative: better. None: `trouble` says why there is none."""
    error: float | None
    """Standard error of the loss; None: not known."""
    n: int
    """Prompts, or earlier records of a timing."""
    unit_of_n: str
    p: float | None
    """One-sided, of "there is no loss"; None: no test."""
    tolerance: float
    freedom: float | None = None
    """Degrees of freedom by which the error is known; None: n - 1."""
    floor: float = 0.0
    """The part of the error that more prompts do not cure."""
    two_sided: bool = False
    """Whether change in either direction is a loss."""
    is_margin: bool = False
    """Whether the tolerance is a margin that was stated in advance."""
    is_equal: bool = False
    same_clips: bool = False
    """Whether the clips of both, or what the metric sees of them, are the same, bit for bit."""
    largest_unseen: float = 0.0
    """The largest loss that a prompt not among these can have, where so few of these moved, or all by as much, that
    their spread says nothing of it; 0: it does, or nobody knows."""
    trouble: str = ""
    notes: tuple[str, ...] = ()

    @property
    def degrees(self) -> float:
        """Of freedom."""
        return self.n - 1 if self.freedom is None else self.freedom

    def with_p(self, p: float) -> "Loss":
        """The same by another test."""
        return replace(self, p=p)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One metric, or one check, judged."""

    metric: str
    title: str
    outcome: Outcome
    why: str
    """One sentence for people."""
    loss: Loss | None = None
    limit: float | None = None
    """Losses above this are ruled out."""
    p_holm: float | None = None
    detectable: float | None = None
    """Least loss that raises the alarm with the policy's confidence."""


def overall(verdicts: Sequence[Verdict]) -> Outcome:
    """The worst: regressed, else not enough data, else passed."""
    outcomes = {verdict.outcome for verdict in verdicts}
    if "regressed" in outcomes:
        return "regressed"
    return "not enough data" if "not enough data" in outcomes or not outcomes else "passed"


def judge(losses: Sequence[Loss], *, false_alarm: float, confidence: float) -> list[Verdict]:
    """Verdicts on all metrics of a policy together.

    Args:
        losses: one per metric.
        false_alarm: chance of any false alarm.
        confidence: with which a loss above the tolerance is ruled out.
    """
    tested = [loss for loss in losses if loss.p is not None and not loss.is_equal]
    adjusted = dict(zip((loss.metric for loss in tested), holm([loss.p or 0.0 for loss in tested]), strict=True))
    each = false_alarm / max(1, len(tested))
    return [_verdict(loss, adjusted.get(loss.metric), false_alarm, each, confidence) for loss in losses]


def _verdict(loss: Loss, p_holm: float | None, false_alarm: float, each: float, confidence: float) -> Verdict:
    if loss.loss is None:
        return _of(loss, "not enough data", loss.trouble)
    if loss.is_equal:
        return _equal(loss, confidence)
    if loss.error is None or loss.trouble or p_holm is None:
        return _of(loss, "not enough data", loss.trouble or f"{loss.n} {loss.unit_of_n} give no measure of chance")
    limit = _limit(loss, loss.error, confidence)
    least = detectable(loss.error, loss.degrees + 1, each, confidence, 2 if loss.two_sided else 1)
    facts = {"limit": limit, "p_holm": p_holm, "detectable": least}
    if limit <= loss.tolerance:
        return _of(loss, "passed", f"{_ruled_out(limit)}; {_tolerated(loss)}", **facts)
    if p_holm < false_alarm:
        return _of(
            loss, "regressed", f"worse by {_number(loss.loss)} (Holm p {_p(p_holm)}); {_tolerated(loss)}", **facts
        )
    return _of(loss, "not enough data", f"{_undecided(loss, limit, least)}{_cure(loss, each, confidence)}", **facts)


def _equal(loss: Loss, confidence: float) -> Verdict:
    """Of values without a difference: certain of the same clips, else as far as so many prompts without one reach."""
    on = f"{loss.n} {loss.unit_of_n}"
    if loss.same_clips:
        return _of(loss, "passed", f"equal on {on}: what it measures is the same, bit for bit", limit=0.0, p_holm=1.0)
    limit = unseen_share(loss.n, 1 - confidence) * loss.largest_unseen
    if limit <= loss.tolerance:
        ruled = f"; {_ruled_out(limit)}; {_tolerated(loss)}" if limit else ""
        return _of(loss, "passed", f"equal on all {on}{ruled}", limit=limit, p_holm=1.0)
    why = f"equal on all {on}, which leaves a loss of up to {_number(limit)} open on others; {_tolerated(loss)}"
    return _of(loss, "not enough data", f"{why}{_cure_of_equal(loss, confidence)}", limit=limit, p_holm=1.0)


def _cure_of_equal(loss: Loss, confidence: float) -> str:
    """How many prompts without a difference would do."""
    if loss.tolerance <= 0:
        return "; the tolerance is 0: give the metric an absolute or relative one"
    needed = math.ceil(math.log(1 - confidence) / math.log1p(-loss.tolerance / loss.largest_unseen))
    return f"; {needed} prompts without a difference would settle it"


def _ruled_out(limit: float) -> str:
    if limit == 0:
        return "no loss"
    return f"a loss above {_number(limit)} is ruled out" if limit > 0 else f"better by at least {_number(-limit)}"


def _p(value: float) -> str:
    return "< 1e-12" if value < _LEAST_SHOWN else f"{value:.2g}"


def _limit(loss: Loss, error: float, confidence: float) -> float:
    """The loss, and above it what the spread leaves open, or what prompts that were not seen do where that is more."""
    assert loss.loss is not None
    by_spread = float(stdtrit(loss.degrees, confidence)) * error
    unseen = unseen_share(loss.n, 1 - confidence) * loss.largest_unseen if loss.largest_unseen else 0.0
    return (abs(loss.loss) if loss.two_sided else loss.loss) + max(by_spread, unseen)


def _tolerated(loss: Loss) -> str:
    word = "margin stated in advance" if loss.is_margin else "tolerated"
    return f"{word}: {_number(loss.tolerance)}{' ' + loss.unit if loss.unit else ''}"


def _undecided(loss: Loss, limit: float, least: float) -> str:
    return (
        f"a loss of up to {_number(limit)} cannot be ruled out, {_tolerated(loss)}; {loss.n} {loss.unit_of_n} find "
        f"losses from {_number(least)}"
    )


def _cure(loss: Loss, each: float, confidence: float) -> str:
    """How many prompts would settle it, for a system that has lost nothing; the floor is there however many."""
    if loss.tolerance <= 0:
        return "; the tolerance is 0: give the metric an absolute or relative one"
    if loss.unit_of_n != "prompts" or loss.error is None:
        return ""
    sides = 2 if loss.two_sided else 1
    times = float(ndtri(1 - each / sides) + ndtri(confidence))
    left = (loss.tolerance / times) ** 2 - loss.floor**2
    if left <= 0:
        return "; more seeds per run (and a new calibration) would settle it, more prompts would not"
    spread = (max(0.0, loss.error**2 - loss.floor**2) * loss.n) ** 0.5
    needed = prompts_needed(spread, left**0.5 * times, each, confidence, sides)
    needed = max(needed, LEAST_PROMPTS)
    if needed <= loss.n:
        return "; a loss near the tolerance: more prompts or seeds would tell on which side of it"
    return f"; about {needed} prompts, or more seeds, would settle it"


def _of(loss: Loss, outcome: Outcome, why: str, **facts: float) -> Verdict:
    text = "; ".join((why, *loss.notes))
    return Verdict(metric=loss.metric, title=loss.title, outcome=outcome, why=text, loss=loss, **facts)


def _number(value: float) -> str:
    return f"{value:.3g}"


def t_test(loss: float, error: float, n: float, two_sided: bool = False) -> float:
    """One-sided p of "there is no loss" by Student's t; two-sided where change in either direction is a loss.

    n - 1 are the degrees of freedom by which the error is known. Where all losses are equal, Student's t says nothing,
    and the p is that of so many equal signs, 2^-n. It is never 0.
    """
    if error == 0:
        p = 2.0**-n if loss > 0 or (two_sided and loss) else 1.0
    else:
        p = float(stdtr(n - 1, -(abs(loss) if two_sided else loss) / error))
    return min(1.0, max(_LEAST_P, 2 * p if two_sided else p))
