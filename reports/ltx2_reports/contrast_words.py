"""A contrast in words: one plain sentence per metric, and what every number means."""

from ltx2_reports.contrast import Contrast
from ltx2_reports.margins import MarginVerdict
from ltx2_reports.numbers import decimals_of, format_limits, format_number, readable_unit, scaled
from ltx2_reports.statistics import LEAST_PROMPTS, Interval

ALPHA = 0.05
_WORDS = {
    ("up", True): "better",
    ("up", False): "worse",
    ("down", True): "worse",
    ("down", False): "better",
    ("zero", True): "farther from 0",
    ("zero", False): "nearer to 0",
    ("none", True): "higher",
    ("none", False): "lower",
}


def is_significant(contrast: Contrast) -> bool:
    """Whether the difference is told from zero, corrected for the metrics of its family."""
    return contrast.p_holm is not None and contrast.p_holm < ALPHA


def side_of(contrast: Contrast) -> str:
    """`better`, `worse`, `higher`, ... of B, by the sign of the difference."""
    return _WORDS[contrast.metric.direction, contrast.difference.value > 0]


def sentence(contrast: Contrast) -> str:
    """What the numbers of one metric say, in plain English; where a margin was stated, what they say of it too.

    Six cases: a timing, equal, too little for a test, too few prompts to pass one, told from chance, not told.
    """
    said = _difference_sentence(contrast)
    return f"{said} {_margin_sentence(contrast, contrast.margin)}" if contrast.margin else said


def _margin_sentence(contrast: Contrast, found: MarginVerdict) -> str:
    """Four cases: not judged, kept, exceeded, open."""
    size, both = shown_amount(contrast, found.margin.value), found.margin.both_sides
    if found.limit is None:
        why = f"fewer than {LEAST_PROMPTS} prompts" if contrast.prompts < LEAST_PROMPTS else "nothing tells the error"
        return f"The margin of {size} stated in advance cannot be judged: {why}."
    claim = f"B differs from A by less than {size}" if both else f"B is not worse than A by {size} or more"
    what, limit = "difference" if both else "loss", shown_amount(contrast, found.limit)
    p = "" if found.p is None else f" (p {p_text(found.p)})"
    if found.outcome == "kept":
        least = f": a {what} above {limit} is ruled out" if found.limit > 0 else ""
        return f"{claim}, the margin stated in advance{p}{least}."
    if found.outcome == "exceeded":
        return f"The {what} is larger than the margin of {size} stated in advance, with 95 % confidence."
    return f"It is not shown that {claim}, the margin stated in advance{p}: a {what} of {limit} is not ruled out."


def _difference_sentence(contrast: Contrast) -> str:
    if contrast.ratio is not None:
        a, b = shown_amount(contrast, contrast.first), shown_amount(contrast, contrast.second)
        return (
            f"B's median is {contrast.ratio:.3g} times A's ({b}, {a}); one run each does not tell how much runs vary."
        )
    prompts = _prompts(contrast.prompts)
    if contrast.is_equal:
        return f"A and B are equal on {'the one prompt' if contrast.prompts == 1 else 'every one of the ' + prompts}."
    amount = shown_amount(contrast, abs(contrast.difference.value))
    if contrast.prompts < 2 or contrast.p is None:
        return f"B is {side_of(contrast)} by {amount} on {prompts}; that is too little for an interval or a test."
    if contrast.prompts < LEAST_PROMPTS:
        return (
            f"B is {side_of(contrast)} by {amount} on {prompts}; no test on fewer than {LEAST_PROMPTS} prompts can "
            "tell a difference from chance."
        )
    if is_significant(contrast):
        sure = f"({_interval(contrast)}, {_p(contrast)})"
        return f"B is {side_of(contrast)} by {amount} {sure} on {prompts}{_wins(contrast)}{_at_odds(contrast)}."
    least = contrast.detectable
    blind = f"; a difference of {shown_amount(contrast, least)} would have been found with 80 % chance" if least else ""
    found = "Not told from chance among this many metrics" if (contrast.p or 1) < ALPHA else "No difference was found"
    return f"{found}, on {prompts} ({_interval(contrast)}, {_p(contrast)}){blind}{_at_odds(contrast)}."


def _at_odds(contrast: Contrast) -> str:
    """What to think where interval and uncorrected test do not agree, as they may on few or skewed values.

    Sign flips ask whether either sign of a difference is as likely; the interval allows for longer tails than seen.
    """
    if contrast.p is None or contrast.difference.low is None:
        return ""
    told, excludes = contrast.p < ALPHA, contrast.difference.excludes_zero
    if told and not excludes:
        return (
            "; the test tells it from 0 (before correction), the interval does not; to settle it, compare on new "
            "prompts, their number decided beforehand"
        )
    if excludes and not told:
        return "; the interval excludes 0, the test does not (p " + p_text(contrast.p) + "), and the test decides"
    return ""


def _prompts(count: int) -> str:
    return f"{count} prompt{'s' * (count != 1)}"


def _wins(contrast: Contrast) -> str:
    rate = contrast.win_rate
    if rate is None:
        return ""
    ties = f", {rate.ties} ties" if rate.ties else ""
    word = "higher" if contrast.metric.direction == "none" else "ahead"
    return f"; it is {word} on {rate.wins} of {rate.wins + rate.losses + rate.ties}{ties}"


def shown_amount(contrast: Contrast, value: float) -> str:
    """A value in a readable unit, to the digits of the difference."""
    factor, unit = readable_unit(contrast.metric.unit, _largest(contrast))
    shown = scaled(contrast.difference, factor)
    return f"{format_number(value * factor, decimals_of(shown))}{' ' + unit if unit else ''}"


def _interval(contrast: Contrast) -> str:
    factor, unit = readable_unit(contrast.metric.unit, _largest(contrast))
    return (
        f"95 % interval {format_limits(scaled(contrast.difference, factor), signed=True)}{' ' + unit if unit else ''}"
    )


def _largest(contrast: Contrast) -> float:
    return max(abs(contrast.first), abs(contrast.second))


def _p(contrast: Contrast) -> str:
    assert contrast.p_holm is not None
    return f"Holm p {p_text(contrast.p_holm)}"


def p_text(p: float | None) -> str:
    """A p-value with as many digits as it deserves; never zero.

    >>> p_text(0.00001), p_text(0.0321), p_text(None)
    ('<0.001', '0.032', '—')
    """
    if p is None:
        return "—"
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def shown_values(contrast: Contrast) -> tuple[str, str, str, str, str]:
    """A, B, difference, interval and detectable difference as text, in a readable unit, and to matching digits."""
    factor, _ = readable_unit(contrast.metric.unit, _largest(contrast))
    shown = scaled(contrast.difference, factor)
    decimals = decimals_of(shown)
    sides = [format_number(value * factor, decimals) for value in (contrast.first, contrast.second)]
    least = "—" if contrast.detectable is None else format_number(contrast.detectable * factor, decimals)
    return sides[0], sides[1], format_number(shown.value, decimals, signed=True), _limits(shown), least


def _limits(interval: Interval) -> str:
    return format_limits(interval, signed=True) or "—"
