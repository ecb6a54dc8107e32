"""Points -> verdicts: did a metric see what it must, in order, and nothing that it must not?"""

from collections.abc import Sequence

import numpy as np

from ltx2_eval.validation.expectations import Response
from ltx2_eval.validation.plan import Aim
from ltx2_eval.validation.slope import Slope
from ltx2_reports.validation import Expected, Point, Trial, Verdict

LEAST_RANK_CORRELATION = 0.9
LEAST_ACCURACY = 0.8
SLOPE_TOLERANCE = 0.05
SMALL_SHARE = 0.2
"""A degradation that must not be seen may move a metric by this share of the smallest effect that matters."""
_EXACT = 1e-6
_LEAST_RANKS = 3
LEAST_PAIRS = 5
"""With fewer, all right is hardly told from chance; a level where a metric mostly declines to answer is not judged."""


def judge_trial(
    aim: Aim, points: Sequence[Point], slope: Slope | None, smallest_effect: float | None, least_n: int
) -> Trial:
    """The record of one trial.

    Args:
        aim: what is expected.
        points: one per level.
        slope: of the value on the level, where one is expected.
        smallest_effect: |difference| at the mildest level of the leading response; None where there is none.
        least_n: clips below which nothing is decided.
    """
    present = [point for point in points if point.difference is not None]
    expected = _expected(aim)
    tolerance = _tolerance(aim, present, smallest_effect)
    if expected == "shown":
        held, why = None, "shown only"
    elif not present or max(point.n for point in present) < least_n:
        most = max((point.n for point in points), default=0)
        held, why = None, f"{most} clips with a value both clean and degraded, at least {least_n} are needed"
    elif aim.response is not None:
        held, why = _response(aim, aim.response, present, slope)
    else:
        held, why = _still(aim, present, smallest_effect)
    return Trial(
        degradation=aim.scale.id,
        expected=expected,
        points=tuple(points),
        rank_correlation=_rank_correlation(aim, present),
        slope=slope.value if slope else None,
        slope_low=slope.low if slope else None,
        slope_high=slope.high if slope else None,
        slope_expected=aim.response.slope if aim.response else None,
        tolerance=tolerance,
        held=held,
        why=why,
    )


def _expected(aim: Aim) -> Expected:
    if aim.response is not None:
        return aim.response.course
    return "exactly still" if aim.untouched else "still" if aim.still else "shown"


def _response(aim: Aim, response: Response, points: Sequence[Point], slope: Slope | None) -> tuple[bool, str]:
    troubles = []
    correlation = _rank_correlation(aim, points)
    if correlation is not None and correlation < LEAST_RANK_CORRELATION:
        troubles.append(f"rank correlation {correlation:.2f}, at least {LEAST_RANK_CORRELATION} is needed")
    for point in _decisive(aim, response, points):
        troubles += _misjudged(aim, point)
    if response.slope is not None:
        troubles += _bent(response.slope, slope)
    return not troubles, "; ".join(troubles) or _praise(aim, points, correlation, slope if response.slope else None)


def _decisive(aim: Aim, response: Response, points: Sequence[Point]) -> list[Point]:
    """The strongest level of each side at which enough pairs are left, and all at which the metric is saturated."""
    enough = [point for point in points if point.pairs >= LEAST_PAIRS]
    found = []
    for side in (True, False):
        mine = [point for point in enough if (aim.scale.position(point.level) < 0) is side]
        strongest = max((aim.scale.severity(point.level) for point in mine), default=0.0)
        for point in mine:
            severity = aim.scale.severity(point.level)
            if severity == strongest or (response.saturates is not None and severity >= response.saturates):
                found.append(point)
    return found or list(points[-1:])


def _misjudged(aim: Aim, point: Point) -> list[str]:
    where = f"at {_level(aim, point)}"
    if point.accuracy is not None and point.accuracy < LEAST_ACCURACY:
        return [
            f"{where} {point.accuracy:.0%} of {point.pairs} pairs told right, at least {LEAST_ACCURACY:.0%} are needed"
        ]
    if point.accuracy_low is not None and point.accuracy_low <= 0.5:
        return [f"{where} {point.pairs} pairs are too few to tell {point.accuracy:.0%} from chance"]
    return []


def _bent(expected: float, slope: Slope | None) -> list[str]:
    if slope is None:
        return ["no slope could be computed"]
    if abs(slope.value - expected) <= SLOPE_TOLERANCE * abs(expected):
        return []
    return [f"slope {slope.value:.3f} [{slope.low:.3f}, {slope.high:.3f}], expected {expected:g} within 5 %"]


def _praise(aim: Aim, points: Sequence[Point], correlation: float | None, slope: Slope | None) -> str:
    parts = [] if correlation is None else [f"rank correlation {correlation:.2f}"]
    judged = [point for point in points if point.pairs >= LEAST_PAIRS]
    if judged and judged[-1].accuracy is not None:
        last = judged[-1]
        parts.append(f"{last.accuracy:.0%} of {last.pairs} pairs told right at {_level(aim, last)}")
    if slope is not None:
        parts.append(f"slope {slope.value:.3f} [{slope.low:.3f}, {slope.high:.3f}]")
    silent = [point for point in points if point.missing > point.n]
    if silent:
        worst = max(silent, key=lambda point: point.missing)
        parts.append(
            f"declines to answer on {worst.missing} of {worst.missing + worst.n} clips at {_level(aim, worst)}"
        )
    return "; ".join(parts)


def _level(aim: Aim, point: Point) -> str:
    """In words; a degradation of one level has no name for it."""
    return f"{point.level:g} {aim.scale.unit}".strip() if len(aim.scale.levels) > 1 else "its only level"


def _still(aim: Aim, points: Sequence[Point], smallest_effect: float | None) -> tuple[bool | None, str]:
    """Held only where the whole interval lies within the tolerance: what noise hides is not told, and no pass."""
    hidden = ""
    for point in points:
        moved, limit = abs(point.difference or 0.0), _limit(aim, point, smallest_effect)
        if moved > limit:
            what = "not at all" if aim.untouched else f"at most {limit:.3g}"
            return False, f"moved by {point.difference:.3g} at {_level(aim, point)}, expected {what}"
        allowed, sure = SMALL_SHARE * (smallest_effect or 0.0), moved + 2 * (point.error or 0.0)
        if not aim.untouched and sure > allowed and not hidden:
            where = _level(aim, point)
            hidden = f"too few clips to say: at {where} it may have moved by {sure:.3g}, allowed {allowed:.3g}"
    return (None, hidden) if hidden else (True, "did not move" if aim.untouched else "within its tolerance")


def _tolerance(aim: Aim, points: Sequence[Point], smallest_effect: float | None) -> float | None:
    if aim.response is not None or not (aim.still or aim.untouched) or not points:
        return None
    return min(_limit(aim, point, smallest_effect) for point in points)


def _limit(aim: Aim, point: Point, smallest_effect: float | None) -> float:
    """Two standard errors, or a fifth of the smallest effect that matters; nothing where no input changed."""
    if aim.untouched:
        # A clip metric sees the same arrays; a set metric may sum the same numbers in another order.
        return 0.0 if aim.entry.spec.level == "clip" else _EXACT * max(1.0, abs(point.value or 0.0))
    return max(2 * (point.error or 0.0), SMALL_SHARE * (smallest_effect or 0.0))


def _rank_correlation(aim: Aim, points: Sequence[Point]) -> float | None:
    """Spearman's, signed so that 1 is as expected; None with fewer than three ranks."""
    from scipy.stats import spearmanr

    if aim.response is None:
        return None
    most = aim.response.saturates
    kept = [p for p in points if most is None or aim.scale.severity(p.level) <= most]
    signed = aim.response.course == "follows"
    ranks = [0.0, *(aim.scale.position(p.level) if signed else aim.scale.severity(p.level) for p in kept)]
    values = [0.0, *(_gain(aim.response, p) for p in kept)]
    if len(set(ranks)) < _LEAST_RANKS:
        return None
    return float(spearmanr(ranks, values).statistic) if len(set(values)) > 1 else 0.0


def _gain(response: Response, point: Point) -> float:
    difference = point.difference or 0.0
    if response.course == "away":
        return abs(point.value or 0.0) - abs((point.value or 0.0) - difference)
    return -difference if response.course == "falls" else difference


def verdict_of(n: int, least_n: int, trials: Sequence[Trial], first_reason: str | None) -> tuple[Verdict, str]:
    """The verdict on one metric, and why.

    Args:
        n: clips with a value when clean.
        least_n: clips below which nothing is decided.
        trials: of all degradations.
        first_reason: why the first clip without a value has none.
    """
    if n < least_n:
        found = "no clip has a value" if not n else f"{n} clips have a value"
        return "report only", f"{found}, at least {least_n} are needed" + (f" ({first_reason})" if first_reason else "")
    responses = [trial for trial in trials if trial.expected not in ("still", "exactly still", "shown")]
    if not responses:
        return "report only", "no degradation is stated that it must see"
    failed = [trial for trial in trials if trial.held is False]
    open_ = [trial for trial in responses if trial.held is None]
    if failed or open_:
        return "report only", ". ".join(f"{trial.degradation}: {trial.why}" for trial in (*failed, *open_))
    calm = [trial for trial in trials if trial.expected in ("still", "exactly still")]
    if calm and all(trial.held is None for trial in calm):
        return "report only", "too few clips to tell whether anything that it must not see moves it"
    seen = "; ".join(f"{trial.degradation} ({trial.why})" for trial in responses)
    still = sum(trial.held is True for trial in trials) - len(responses)
    hidden = [trial.degradation for trial in trials if trial.held is None and trial.expected == "still"]
    unsure = f"; too few clips to tell whether {', '.join(hidden)} move it" if hidden else ""
    return "may gate", f"sees {seen}; unmoved by {still} others{unsure}"


def smallest_effect_of(points: Sequence[Point], mildest: float) -> float | None:
    """|difference| at the mildest level of the leading response."""
    found = [abs(point.difference) for point in points if point.level == mildest and point.difference is not None]
    return float(np.mean(found)) if found else None
