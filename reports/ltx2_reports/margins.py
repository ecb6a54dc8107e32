"""Margins that were stated before two runs were compared: is B worse than A by no more than that?

A missing difference is no proof of equality; this is the question that can be answered. Not worse (non-inferiority) is
one one-sided t-test, not different either way (equivalence) is two of them (Schuirmann 1987), each at 5 %.
"""

import math
from dataclasses import dataclass
from typing import Literal

from scipy.special import stdtr, stdtrit

from ltx2_reports.records import Direction
from ltx2_reports.statistics import LEAST_PROMPTS
from ltx2_reports.statistics.crossed import Error
from ltx2_reports.statistics.unseen import unseen_share

MARGIN_ALPHA = 0.05
Outcome = Literal["kept", "exceeded", "open", "not judged"]
_BOTH = ("+-", "±")


@dataclass(frozen=True, kw_only=True, slots=True)
class Margin:
    """What was stated."""

    value: float
    """In the metric's unit, positive."""
    both_sides: bool
    """Whether a change for the better counts too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MarginVerdict:
    """What the runs say of it."""

    margin: Margin
    outcome: Outcome
    """kept: a loss as large as the margin is ruled out. exceeded: so is a smaller one. open: neither. not judged: too
    few prompts, or nothing tells the error."""
    p: float | None
    """Of "the loss is as large as the margin"; small: it is not. None also where all prompts differ alike."""
    limit: float | None
    """Losses above this are ruled out, in the metric's unit."""


def parse_margin(text: str) -> tuple[str, Margin]:
    """`METRIC=VALUE`, or `METRIC=+-VALUE` for change either way.

    >>> parse_margin("av_align=0.05"), parse_margin("fvd=+-20")[1].both_sides
    (('av_align', Margin(value=0.05, both_sides=False)), True)

    Raises:
        ValueError: another form, or no positive number.
    """
    name, sign, number = text.rpartition("=")
    both = number.startswith(_BOTH)
    try:
        value = float(number.removeprefix(_BOTH[0]).removeprefix(_BOTH[1]))
    except ValueError:
        value = math.nan
    if not (name and sign and 0 < value < math.inf):
        raise ValueError(
            f"margin {text!r}: expected METRIC=VALUE (B may be worse by no more) or METRIC=+-VALUE (B may differ by no "
            "more) with a positive number in the metric's unit, such as av_align=0.05"
        )
    return name, Margin(value=value, both_sides=both)


def judge_margin(
    margin: Margin,
    difference: float,
    error: Error | None,
    prompts: int,
    direction: Direction,
    *,
    unseen: float = 0.0,
    certain: bool = False,
) -> MarginVerdict:
    """Hold a difference against its margin.

    Args:
        margin: as stated; of metrics without a better side it holds for both.
        difference: B - A in the metric's unit; of metrics whose best value is zero, of the distances from it.
        error: of the difference; None: not known.
        prompts: on which it was measured.
        direction: of the metric.
        unseen: see `Contrast.largest_unseen`; the limit is then at least that of prompts that were not seen.
        certain: whether the clips of both are the same and so is their value, which needs no test.
    """
    margin = Margin(value=margin.value, both_sides=margin.both_sides or direction == "none")
    if certain:
        return MarginVerdict(margin=margin, outcome="kept", p=None, limit=0.0)
    if error is None or prompts < LEAST_PROMPTS:
        return MarginVerdict(margin=margin, outcome="not judged", p=None, limit=None)
    loss = -difference if direction == "up" else difference
    loss = abs(loss) if margin.both_sides else loss
    by_spread = float(stdtrit(error.freedom, 1 - MARGIN_ALPHA)) * error.value
    reach = max(by_spread, unseen_share(prompts, MARGIN_ALPHA) * unseen)
    outcome: Outcome = "open"
    if loss + reach < margin.value:
        outcome = "kept"
    elif loss - reach > margin.value:
        outcome = "exceeded"
    # Of the two sides of an equivalence the farther one's p, which is the larger.
    p = float(stdtr(error.freedom, (loss - margin.value) / error.value)) if error.value > 0 and not unseen else None
    return MarginVerdict(margin=margin, outcome=outcome, p=p, limit=loss + reach)
