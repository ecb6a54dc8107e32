"""The error of a mean over prompts and seeds where all prompts of a seed have something in common.

Prompts and seeds are then crossed random effects: the mean varies with the prompts that were drawn, with the seeds that
were drawn, and with the clips. Resampling or sign-flipping prompts alone takes the seeds as given, and calls two equal
systems different as soon as their seeds differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from ltx2_reports.statistics.draws import Array
from ltx2_reports.statistics.intervals import LEVEL, Interval

LEAST_SEEDS = 4
"""With fewer, what seeds have in common is known too badly: type I error rises to 7 % on three."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Error:
    """Standard error of a mean difference, and the degrees of freedom by which it is known."""

    value: float
    freedom: float

    def interval(self, mean: float, n: int, level: float = LEVEL) -> Interval:
        """Student's t around the mean of n prompts."""
        half = float(stdtrit(self.freedom, (1 + level) / 2)) * self.value
        return Interval(value=mean, low=mean - half, high=mean + half, n=n, made="student_t")

    def p(self, mean: float) -> float:
        """Two-sided, of "there is no difference"."""
        if self.value == 0:
            return float(mean == 0)
        return min(1.0, 2 * float(stdtr(self.freedom, -abs(mean) / self.value)))


def prompt_error(differences: Array) -> Error | None:
    """Of independent prompts; None for one prompt."""
    n = len(differences)
    return Error(value=float(np.std(differences, ddof=1) / np.sqrt(n)), freedom=n - 1) if n > 1 else None


def crossed_error(differences: Array, tables: Sequence[Array]) -> Error | None:
    """Of prompts that share the noise of their seeds: two-way analysis of variance, random effects.

    The variance of the mean is that between prompts over their number plus, for each table, that between seeds over
    theirs (where it is found positive; else the prompts' alone, so that the result is never smaller). Degrees of
    freedom by Satterthwaite's rule.

    Args:
        differences: (n,) second minus first of each prompt, seeds averaged.
        tables: arrays (prompts, seeds) whose columns are seeds: of the differences where both sides have the same
            seeds, else one of each side.

    Returns:
        None where a table has fewer than `LEAST_SEEDS` seeds or two prompts: nobody can tell.

    Source: Searle, Casella and McCulloch, Variance Components (1992), sections 4.3 and 2.4.
    """
    alone = prompt_error(differences)
    if alone is None or not tables or any(table.shape[0] < 2 or table.shape[1] < LEAST_SEEDS for table in tables):
        return None
    parts = [(alone.value**2, alone.freedom)]
    for table in tables:
        between, rest = mean_squares(table)
        prompts, seeds = table.shape
        if between > rest:
            parts.append((between / table.size, seeds - 1))
            parts.append((-rest / table.size, (prompts - 1) * (seeds - 1)))
    variance = sum(part for part, _ in parts)
    uncertain = sum(part**2 / freedom for part, freedom in parts)
    freedom = variance**2 / uncertain if uncertain > 0 else alone.freedom
    return Error(value=float(np.sqrt(variance)), freedom=float(max(1.0, freedom)))


def mean_squares(table: Array) -> tuple[float, float]:
    """Of the seeds and of the rest, of a (prompts, seeds) table without gaps."""
    prompts, seeds = table.shape
    rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    between = prompts * float(table.mean(axis=0).var(ddof=1))
    return between, float((rest**2).sum()) / ((prompts - 1) * (seeds - 1))
