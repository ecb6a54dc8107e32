"""What is known of two runs, A and B: for every metric the difference B - A, how sure it is, and what was left out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from ltx2_reports.margins import MarginVerdict
from ltx2_reports.records import MetricSpec, Protocol, Run
from ltx2_reports.statistics import Interval, WinRate
from ltx2_reports.statistics.crossed import Error
from ltx2_reports.statistics.draws import Array
from ltx2_reports.statistics.sets import SetDraws
from ltx2_reports.statistics.studentised import range_of_differences
from ltx2_reports.statistics.unseen import largest_unseen

Noise = Literal["own", "counted", "given"]
"""own: every prompt has noise of its own. counted: prompts of a seed may share it, and the error counts that. given:
they may share it, and there are too few seeds to count it: intervals and p hold for these seeds only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoryContrast:
    """The difference on the prompts of one category; exploratory, so without a test."""

    category: str
    difference: Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """One metric of B against A, in the metric's unit; of metrics whose best value is zero, distances from zero."""

    metric: MetricSpec
    protocol: Protocol
    primary: bool
    first: float
    """A, on what both have."""
    second: float
    """B, likewise."""
    difference: Interval
    """B - A; limits are None on one prompt."""
    clips: int
    by_seed: bool
    p: float | None
    """Two-sided; None where no test is possible."""
    p_holm: float | None
    """p corrected for the number of metrics of its kind, primary or exploratory."""
    p_wilcoxon: float | None
    effect_size: float | None
    """Mean over standard deviation of the prompts' differences."""
    win_rate: WinRate | None
    """Share of prompts on which B is better (or higher, where the metric has no better)."""
    detectable: float | None
    """Least difference found with chance 0.8 at level 0.05 (two-sided) on this many prompts of this spread; None where
    no difference whatever can be found."""
    categories: tuple[CategoryContrast, ...]
    excluded: tuple[str, ...]
    lost: float
    """Share of A's values that have no partner in B."""
    error: Error | None
    """Standard error of the difference; None where nothing tells."""
    noise: Noise = "own"
    margin: MarginVerdict | None = None
    """Where a margin was stated in advance."""
    ratio: float | None = None
    """Timings only: B's median over A's, after warm-up; they have neither interval nor test."""
    differences: Array = field(default_factory=lambda: np.empty(0), repr=False)
    """(n,) B - A of each prompt; empty for set metrics."""
    prompt_ids: tuple[str, ...] = field(default=(), repr=False)
    """Of the differences."""
    set_draws: SetDraws | None = field(default=None, repr=False)
    same_clips: bool = False
    """Whether the clips of A and B, or what the metric sees of them, are the same, bit for bit."""

    @property
    def prompts(self) -> int:
        """Prompts that both have."""
        return self.difference.n

    @property
    def is_equal(self) -> bool:
        """Whether A and B are equal on every prompt, or on all draws of their sets, to the last digits of a double."""
        if self.ratio is not None:
            return False
        drawn = self.differences if self.set_draws is None else np.asarray(self.set_draws.draws)
        told = self.set_draws is None or self.same_clips or len(drawn) > 0
        return told and not (np.abs([self.difference.value, *drawn]) > 1e-12 * self._scale).any()

    @property
    def surely_equal(self) -> bool:
        """Whether more prompts could not find a difference: the clips themselves are the same."""
        return self.is_equal and self.same_clips

    @property
    def largest_unseen(self) -> float:
        """The largest difference that a prompt not among these can have, where these say nothing of it; else 0."""
        if self.same_clips or self.set_draws is not None or self.ratio is not None:
            return 0.0
        allowed = range_of_differences(self.metric.range, distances=self.metric.direction == "zero")
        return largest_unseen(self.differences, allowed, self._scale)

    @property
    def _scale(self) -> float:
        return max(abs(self.first), abs(self.second))


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrasts:
    """Everything two runs can be compared by."""

    first: Run
    second: Run
    contrasts: tuple[Contrast, ...]
    left_out: tuple[str, ...]
    """Metrics that were not compared, one sentence each, and what else must be known."""
    level: float
    resamples: int
    declared: bool = True
    """Whether somebody named the primary metrics; else they are the usual ones."""

    def of(self, metric: str) -> Contrast | None:
        """The contrast of one metric."""
        return next((contrast for contrast in self.contrasts if contrast.metric.id == metric), None)

    def with_notes(self, notes: Sequence[str]) -> "Contrasts":
        """The same, with more to say about what was left out."""
        return replace(self, left_out=(*self.left_out, *notes))
