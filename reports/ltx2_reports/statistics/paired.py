"""Two systems on the same prompts: the difference, whether it is more than chance, how large, how often, how sure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from ltx2_reports.statistics.draws import LEAST_PROMPTS, RESAMPLES, SEED, Array, every_flipped_sum, flipped_sums
from ltx2_reports.statistics.intervals import DEFAULT, LEVEL, ByPrompt, Interval, Method, mean_intervals, prompt_means
from ltx2_reports.statistics.studentised import Range
from ltx2_reports.statistics.unseen import reaching_unseen

Alternative = Literal["two-sided", "greater", "less"]
_EXACT_UP_TO = 16
"""With at most this many differences that are not zero all sign flips are tried."""
_TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """First system minus second, on the prompts that both have."""

    interval: Interval
    prompts: int
    """Shared prompts."""
    excluded: int
    """Prompts that only one of the two has."""
    detectable: float | None = None
    """Least true difference that this many prompts of this spread show with chance 0.8 at level 0.05, two-sided."""

    @property
    def separated(self) -> bool:
        """Whether the difference is told from zero: its interval excludes zero, on enough prompts to say so.

        With n prompts no exact sign-flip test can reach a p below 2 ** (1 - n), whatever the values; resampling that
        few prompts makes intervals that look certain.
        """
        return self.interval.excludes_zero and self.prompts >= LEAST_PROMPTS


@dataclass(frozen=True, kw_only=True, slots=True)
class WinRate:
    """On how many prompts the first system is ahead; ties count half on each side."""

    wins: int
    losses: int
    ties: int
    rate: float
    low: float
    high: float


def paired_values(first: ByPrompt, second: ByPrompt) -> tuple[dict[str, list[float]], int]:
    """Per shared prompt the difference of the two means, and how many prompts only one of the two has."""
    a, b = prompt_means(first), prompt_means(second)
    shared = sorted(a.keys() & b.keys())
    return {prompt: [a[prompt] - b[prompt]] for prompt in shared}, len(a.keys() ^ b.keys())


def paired_differences(
    pairs: Sequence[tuple[ByPrompt, ByPrompt]],
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    method: Method = DEFAULT,
    ranges: Sequence[Range] | None = None,
) -> list[Difference | None]:
    """`paired_difference` of many pairs in one pass, `ranges` those of differences; None where no prompt is shared.

    Within a range, a difference without spread reaches as far as prompts that were not seen may move it.
    """
    made = [paired_values(first, second) for first, second in pairs]
    bounds = ranges or [(None, None)] * len(made)
    columns = [differences for differences, _ in made if differences]
    kept = [bound for bound, (differences, _) in zip(bounds, made, strict=True) if differences]
    intervals = iter(mean_intervals(columns, level, resamples, seed, method, kept) if columns else [])
    return [
        Difference(
            interval=_reaching(next(intervals), differences, pair, bound, level),
            prompts=len(differences),
            excluded=excluded,
            detectable=_detectable_of(differences),
        )
        if differences
        else None
        for (differences, excluded), pair, bound in zip(made, pairs, bounds, strict=True)
    ]


def _reaching(
    interval: Interval, differences: ByPrompt, pair: tuple[ByPrompt, ByPrompt], allowed: Range, level: float
) -> Interval:
    scale = max(abs(float(np.mean([*prompt_means(side).values()]))) for side in pair)
    values = np.array([value for (value,) in differences.values()])
    return reaching_unseen(interval, values, allowed, scale, level)


def _detectable_of(differences: ByPrompt) -> float | None:
    values = np.array([value for (value,) in differences.values()])
    error = standard_error(values)
    return None if error is None else detectable(error, len(values))


def paired_difference(
    first: ByPrompt, second: ByPrompt, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> Difference:
    """Mean difference first - second over the prompts that both have, with its interval.

    Both sides of a pair are drawn together, so what makes a prompt easy or hard for both cancels.

    Raises:
        ValueError: no prompt is shared, or a value is not finite.
    """
    (difference,) = paired_differences([(first, second)], level, resamples, seed)
    if difference is None:
        raise ValueError("found no prompt with a value on both sides; compare systems on the same suite")
    return difference


def sign_flip_ps(
    columns: Sequence[Array], alternative: Alternative = "two-sided", flips: int = RESAMPLES, seed: int = SEED
) -> list[float]:
    """Sign-flip permutation test of each column of paired differences against "no difference".

    If the two systems are alike, each prompt's difference is as likely with the other sign. p is the share of flips
    whose sum is at least as extreme as the one found, counting the one found among them; exact for up to 16 prompts
    that differ, else from `flips` draws, so that it is never zero.

    Args:
        columns: arrays (n,) of differences, n >= 1, finite.
        alternative: "greater" asks whether differences lie above zero.
        flips: draws where not all flips are tried.
        seed: of the draws.

    Returns:
        p of each column, in 0..1; 1 where all differences are zero.
    """
    _require_values(columns)
    moved = [column[column != 0] for column in columns]  # zeros stay zero under any flip
    ps = [1.0] * len(columns)
    for length in {len(column) for column in moved} - {0}:
        places = [place for place, column in enumerate(moved) if len(column) == length]
        found = _ps_of_length([moved[place] for place in places], length, alternative, flips, seed)
        for place, p in zip(places, found, strict=True):
            ps[place] = p
    return ps


def _ps_of_length(columns: list[Array], length: int, alternative: Alternative, flips: int, seed: int) -> list[float]:
    exact = length <= _EXACT_UP_TO
    sums = np.array([column.sum() for column in columns])[:, None]
    slack = _TOLERANCE * np.array([np.abs(column).sum() for column in columns])[:, None]
    extreme = _at_least(sums, slack, alternative)
    pieces = every_flipped_sum(columns) if exact else flipped_sums(columns, flips, seed)
    counts = np.sum([extreme(piece).sum(axis=1) for piece in pieces], axis=0)
    shares = counts / 2**length if exact else (counts + 1) / (flips + 1)
    return [float(share) for share in shares]


def _at_least(found: Array, slack: Array, alternative: Alternative) -> Callable[[Array], NDArray[np.bool_]]:
    if alternative == "two-sided":
        return lambda drawn: np.abs(drawn) >= np.abs(found) - slack
    return (
        (lambda drawn: drawn >= found - slack) if alternative == "greater" else (lambda drawn: drawn <= found + slack)
    )


def sign_flip_p(
    differences: Array, alternative: Alternative = "two-sided", flips: int = RESAMPLES, seed: int = SEED
) -> float:
    """`sign_flip_ps` of one column."""
    return sign_flip_ps([np.asarray(differences, np.float64)], alternative, flips, seed)[0]


def wilcoxon_p(differences: Array, alternative: Alternative = "two-sided") -> float:
    """Wilcoxon's signed-rank test (scipy), a line that few wild prompts cannot move; 1 where nothing differs."""
    from scipy.stats import wilcoxon

    _require_values([differences])
    if not np.any(differences):
        return 1.0
    return float(wilcoxon(differences, alternative=alternative).pvalue)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: rejecting those below alpha keeps the chance of any false alarm below alpha.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(ps, kind="stable")
    stepped = np.asarray(ps, np.float64)[order] * np.arange(len(ps), 0, -1)
    adjusted = np.empty(len(ps))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return [float(p) for p in adjusted]


def effect_size(differences: Array) -> float | None:
    """Mean over standard deviation of the differences (d_z); None for one prompt or differences that are all equal."""
    if len(differences) < 2:
        return None
    spread = float(np.std(differences, ddof=1))
    return float(np.mean(differences)) / spread if spread > _TOLERANCE * float(np.abs(differences).max()) else None


def win_rate(differences: Array, level: float = LEVEL) -> WinRate:
    """Share of prompts with a difference above zero, ties counted half, with Wilson's score interval.

    Raises:
        ValueError: no difference.
    """
    _require_values([differences])
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    ties, n = len(differences) - wins - losses, len(differences)
    rate = (wins + ties / 2) / n
    low, high = wilson(rate, n, level)
    return WinRate(wins=wins, losses=losses, ties=ties, rate=rate, low=low, high=high)


def wilson(rate: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a share (1927)."""
    from scipy.special import ndtri

    z = float(ndtri((1 + level) / 2))
    middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _require_values(columns: Sequence[Array]) -> None:
    for column in columns:
        if not len(column) or not np.isfinite(column).all():
            raise ValueError(f"found {len(column)} differences, expected at least one and all of them finite")


def standard_error(differences: Array) -> float | None:
    """Of the mean; None for one prompt."""
    return float(np.std(differences, ddof=1) / np.sqrt(len(differences))) if len(differences) > 1 else None


def detectable(error: float, n: float, alpha: float = 0.05, power: float = 0.8, sides: Literal[1, 2] = 2) -> float:
    """Least difference of means that a test on n prompts finds with chance `power`: (t + t) standard errors.

    Args:
        error: standard error of the mean difference.
        n: prompts, at least 2; or the error's degrees of freedom plus one.
        alpha: chance of a false alarm.
        power: chance of finding it.
        sides: of the test.
    """
    return float(stdtrit(n - 1, 1 - alpha / sides) + stdtrit(n - 1, power)) * error


def prompts_needed(spread: float, effect: float, alpha: float = 0.05, power: float = 0.8, sides: int = 2) -> int:
    """Prompts at which a difference of `effect` is found with chance `power`, for differences that spread so (sd)."""
    from scipy.special import ndtri

    z = float(ndtri(1 - alpha / sides) + ndtri(power))
    return max(2, int(np.ceil((z * spread / effect) ** 2)) + 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Margin:
    """The answer about a margin that was stated in advance."""

    p: float
    """Of "the margin is exceeded"; small: it is not."""
    limit: float
    """One-sided confidence limit of the difference, or for equivalence the limit farther from zero."""
    holds: bool


def non_inferior(differences: Array, margin: float, alpha: float = 0.05) -> Margin:
    """Whether new - old lies above -margin, for a metric whose larger values are better (one-sided t-test).

    Raises:
        ValueError: fewer than two prompts, or a margin that is not positive.
    """
    return _above(np.asarray(differences, np.float64), margin, alpha)


def equivalent(differences: Array, margin: float, alpha: float = 0.05) -> Margin:
    """Whether the mean difference lies within ±margin: two one-sided t-tests (Schuirmann 1987).

    Raises:
        ValueError: fewer than two prompts, or a margin that is not positive.
    """
    below, above = _above(differences, margin, alpha), _above(-np.asarray(differences), margin, alpha)
    worse = max(below, above, key=lambda side: side.p)
    limit = max(-below.limit, -above.limit)
    return Margin(p=worse.p, limit=limit, holds=below.holds and above.holds)


def _above(differences: Array, margin: float, alpha: float) -> Margin:
    _require_values([differences])
    if not margin > 0:
        raise ValueError(f"margin: found {margin}, expected a positive number, stated before the runs were compared")
    error = standard_error(differences)
    if error is None:
        raise ValueError("found one prompt, a margin needs at least two")
    mean, n = float(np.mean(differences)), len(differences)
    if error == 0:
        return Margin(p=float(mean <= -margin), limit=mean, holds=mean > -margin)
    p = float(stdtr(n - 1, -(mean + margin) / error))
    limit = mean - float(stdtrit(n - 1, 1 - alpha)) * error
    return Margin(p=p, limit=limit, holds=p < alpha)
