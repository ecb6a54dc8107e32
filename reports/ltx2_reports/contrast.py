"""Two runs, A and B: for every metric the difference B - A, how sure it is, and what was left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from ltx2_reports.cells import Key, gather
from ltx2_reports.comparison import RUNTIME_PREFIX, MixedProtocolsError
from ltx2_reports.pairing import Paired, clip_keys, pair, pair_sets, shares_noise
from ltx2_reports.records import MetricSpec, Protocol, Run
from ltx2_reports.statistics import (
    LEAST_PROMPTS,
    LEVEL,
    RESAMPLES,
    SEED,
    Interval,
    WinRate,
    detectable,
    effect_size,
    holm,
    mean_intervals,
    sign_flip_ps,
    wilcoxon_p,
    win_rate,
)
from ltx2_reports.statistics.crossed import LEAST_SEEDS, Error, crossed_error, prompt_error
from ltx2_reports.statistics.draws import Array
from ltx2_reports.statistics.sets import SetDraws, set_difference, set_p
from ltx2_reports.timings import is_timing, typical

LEAST_IN_CATEGORY = 2
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
    ratio: float | None = None
    """Timings only: B's median over A's, after warm-up; they have neither interval nor test."""
    differences: Array = field(default_factory=lambda: np.empty(0), repr=False)
    """(n,) B - A of each prompt; empty for set metrics."""
    prompt_ids: tuple[str, ...] = field(default=(), repr=False)
    """Of the differences."""
    set_draws: SetDraws | None = field(default=None, repr=False)

    @property
    def prompts(self) -> int:
        """Prompts that both have."""
        return self.difference.n

    @property
    def is_equal(self) -> bool:
        """Whether A and B are equal on every prompt, up to the last digits of a double."""
        largest = max(abs(self.first), abs(self.second))
        per_prompt = self.set_draws is None and self.ratio is None
        return per_prompt and not (np.abs(self.differences) > 1e-12 * largest).any()


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


def contrast_runs(
    first: Run,
    second: Run,
    *,
    primary: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
    sets: Mapping[str, SetDraws] | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Contrasts:
    """Compare B (second) with A (first).

    Args:
        first: run A.
        second: run B.
        primary: metrics that were declared to decide before the runs were looked at; first in order, and corrected
            for their own number only.
        metrics: ids to compare; None: all that both have.
        sets: set metrics drawn again on the shared clips; without it the replicates of the records are used where
            both were drawn from the same prompts.
        level: of the intervals.
        resamples: draws of intervals and tests.
        seed: of the draws.

    Raises:
        MixedProtocolsError: a metric was measured in different ways; names the fields.
        ValueError: the runs share no prompt, or a metric asked for is in neither or one run only.

    A metric without a value on both sides is no error: it is left out with the reason.
    """
    shared = {prompt for prompt, _ in clip_keys(first)} & {prompt for prompt, _ in clip_keys(second)}
    if not shared:
        raise ValueError(
            f"{first.folder} and {second.folder} share no prompt id; compare runs of the same suite, or clips with the "
            "same names"
        )
    names, left_out = _common(first, second, metrics)
    names, mixed = _refuse_mixed(first, second, names, metrics or (), sets or {})
    left_out += mixed
    made: list[Contrast] = []
    for name in sorted(names, key=lambda name: _rank(name, primary)):
        try:
            made.append(_contrast(first, second, name, primary, (sets or {}).get(name), level))
        except ValueError as error:
            left_out.append(str(error))
    made = _with_intervals(made, first, level, resamples, seed)
    return Contrasts(
        first=first,
        second=second,
        contrasts=tuple(_with_holm(made)),
        left_out=(*left_out, *_noise_notes(made)),
        level=level,
        resamples=resamples,
    )


def _rank(name: str, primary: Sequence[str]) -> tuple[int, bool, str]:
    return (primary.index(name) if name in primary else len(primary), name.startswith(RUNTIME_PREFIX), name)


def _common(first: Run, second: Run, wanted: Sequence[str] | None) -> tuple[list[str], list[str]]:
    scored = [{line.metric for line in run.values.values()} for run in (first, second)]
    absent = [name for name in wanted or () if name not in scored[0] & scored[1]]
    if absent:
        sides = [label for label, has in zip("AB", scored, strict=True) if absent[0] not in has]
        raise ValueError(
            f"{absent[0]}: not scored in {' and '.join(sides)}; run `ltx2-eval score RUN --metric {absent[0]}` first"
        )
    if wanted is not None:
        return list(dict.fromkeys(wanted)), []
    lonely = (("A", sorted(scored[0] - scored[1])), ("B", sorted(scored[1] - scored[0])))
    return sorted(scored[0] & scored[1]), [f"{', '.join(ids)}: scored in {label} only" for label, ids in lonely if ids]


def _noise_notes(made: Sequence[Contrast]) -> list[str]:
    """Said once for all metrics: what prompts that may share noise mean for the numbers."""
    why = "prompts of one seed may share noise (clips from elsewhere, or of a version that gave them the same)"
    counted = [contrast.metric.id for contrast in made if contrast.noise == "counted"]
    given = [contrast.metric.id for contrast in made if contrast.noise == "given" and contrast.ratio is None]
    notes = [f"{', '.join(counted)}: {why}; intervals and p count the seeds too"] if counted else []
    few = f"fewer than {LEAST_SEEDS} seeds, or a set, do not tell how much"
    return notes + ([f"{', '.join(given)}: {why}; {few}: intervals and p hold for these seeds only"] if given else [])


def _refuse_mixed(
    first: Run, second: Run, names: Sequence[str], wanted: Sequence[str], sets: Mapping[str, SetDraws]
) -> tuple[list[str], list[str]]:
    """Timings of two machines, and sets of different size, are left out; everything else that differs is refused.

    Sets that were drawn again on the shared clips are of one size.
    """
    kept: list[str] = []
    left_out: list[str] = []
    refused: list[str] = []
    for name in names:
        fields = protocol_differences(first, second, name)
        only_size = all(part.startswith("n: ") for part in fields)
        if not fields or (only_size and name in sets):
            kept.append(name)
            continue
        sentence = f"{name}: measured in different ways, which cannot be compared: {'; '.join(fields)}"
        bearable = only_size or (name.startswith(RUNTIME_PREFIX) and name not in wanted)
        (left_out if bearable else refused).append(sentence)
    if refused:
        more = f" (and {len(refused) - 1} more metrics)" if len(refused) > 1 else ""
        raise MixedProtocolsError(f"{refused[0]}{more}; score both runs again with one setting and one suite version")
    return kept, left_out


def protocol_differences(first: Run, second: Run, metric: str) -> list[str]:
    """Fields in which the protocols of a metric differ, where both runs have values of it."""
    used = [{line.protocol for line in run.of_metric(metric) if line.value is not None} for run in (first, second)]
    known = {**first.protocols, **second.protocols}
    if not used[0] or not used[1] or len(used[0] | used[1]) == 1:
        return []
    here = min(used[0])
    other = min((used[0] | used[1]) - {here})
    return known[here].protocol.difference(known[other].protocol)


def _contrast(
    first: Run, second: Run, name: str, primary: Sequence[str], draws: SetDraws | None, level: float
) -> Contrast:
    sets = [run.values.get((None, name)) for run in (first, second)]
    if sets[0] is not None or sets[1] is not None:
        return _of_set(first, second, name, name in primary, draws or _recorded_draws(first, second, name), level)
    paired = pair(first, second, name)
    if is_timing(paired.metric):
        return _of_timing(first, second, paired, name in primary)
    return clip_contrast(
        paired, primary=name in primary, level=level, shared=shares_noise(first) or shares_noise(second)
    )


def clip_contrast(paired: Paired, *, primary: bool = False, level: float = LEVEL, shared: bool = False) -> Contrast:
    """One clip metric; where prompts have noise of their own, interval and p stay open, to be drawn for all at once.

    Args:
        paired: values of both sides.
        primary: see `Contrast`.
        level: of the interval.
        shared: whether prompts of a seed may share noise.
    """
    differences, n, mean = paired.differences, len(paired.prompts), float(paired.differences.mean())
    alone = prompt_error(differences)
    counted = crossed_error(differences, paired.tables) if shared else None
    error = counted or alone
    better = -differences if paired.metric.direction in ("down", "zero") else differences
    interval = Interval(value=mean, low=None, high=None, n=n)
    return Contrast(
        metric=paired.metric,
        protocol=paired.protocol,
        primary=primary,
        first=float(paired.first.mean()),
        second=float(paired.second.mean()),
        difference=counted.interval(mean, n, level) if counted else interval,
        clips=paired.clips,
        by_seed=paired.by_seed,
        p=counted.p(mean) if counted else None,
        p_holm=None,
        p_wilcoxon=wilcoxon_p(differences) if n > 1 and counted is None else None,
        effect_size=effect_size(differences),
        win_rate=win_rate(better, level),
        detectable=_detectable(error, n),
        categories=(),
        excluded=paired.excluded,
        lost=paired.lost,
        error=error,
        noise=("counted" if counted else "given") if shared else "own",
        differences=differences,
        prompt_ids=paired.prompts,
    )


def _detectable(error: Error | None, n: int) -> float | None:
    """None on so few prompts that no sign flip can be told from chance."""
    return None if error is None or n < LEAST_PROMPTS else detectable(error.value, error.freedom + 1)


def _of_timing(first: Run, second: Run, paired: Paired, primary: bool) -> Contrast:
    """Medians of whole runs; their clips share the state of the machine and tell nothing of how much runs vary."""
    values = [typical(run, paired.metric.id) for run in (first, second)]
    if values[0] is None or values[1] is None:
        values = [typical(run, paired.metric.id, warm_up=0) for run in (first, second)]
    a, b = (float(value or 0.0) for value in values)
    return Contrast(
        metric=paired.metric,
        protocol=paired.protocol,
        primary=primary,
        first=a,
        second=b,
        difference=Interval(value=b - a, low=None, high=None, n=len(paired.prompts)),
        clips=paired.clips,
        by_seed=paired.by_seed,
        p=None,
        p_holm=None,
        p_wilcoxon=None,
        effect_size=None,
        win_rate=None,
        detectable=None,
        categories=(),
        excluded=paired.excluded,
        lost=paired.lost,
        error=None,
        ratio=b / a if a else float(a == b),
    )


def _recorded_draws(first: Run, second: Run, name: str) -> SetDraws:
    """From the replicates of the records, if both were drawn from the same prompts.

    Raises:
        ValueError: a side has no value, or the sets are not the same prompts.
    """
    found = []
    for run, side in ((first, "A"), (second, "B")):
        line = run.values[(None, name)]
        if line.value is None:
            why = line.reason.message if line.reason else "no reason is recorded"
            raise ValueError(f"{name}: no value in {side} ({why})")
        described = run.protocols[line.protocol]
        found.append(
            (line, gather(run, side, Key(metric=described.metric, protocol=described.protocol, id=described.id)))
        )
    (a, here), (b, there) = found
    if not here.prompts or here.prompts != there.prompts:
        raise ValueError(f"{name}: the two sets hold different prompts, or other clips than the runs have now")
    same = len(a.replicates) == len(b.replicates)
    draws = tuple(y - x for x, y in zip(a.replicates, b.replicates, strict=True)) if same else ()
    assert a.value is not None
    assert b.value is not None
    return SetDraws(first=a.value, second=b.value, draws=draws, swapped=(), error=None, prompts=len(here.prompts))


def _of_set(first: Run, second: Run, name: str, primary: bool, draws: SetDraws, level: float) -> Contrast:
    line = first.values[(None, name)]
    described = first.protocols[line.protocol]
    n, clips_lost = draws.prompts, pair_sets(first, second, name)
    error = None if draws.standard_error is None or n < 2 else Error(value=draws.standard_error, freedom=n - 1)
    return Contrast(
        metric=described.metric,
        protocol=described.protocol,
        primary=primary,
        first=draws.first,
        second=draws.second,
        difference=set_difference(draws, level),
        clips=clips_lost[0],
        by_seed=True,
        p=set_p(draws) if n > 1 else None,
        p_holm=None,
        p_wilcoxon=None,
        effect_size=None,
        win_rate=None,
        detectable=_detectable(error, n),
        categories=(),
        excluded=clips_lost[2],
        lost=clips_lost[1],
        error=error,
        noise="given" if shares_noise(first) or shares_noise(second) else "own",
        set_draws=draws,
    )


def _with_intervals(made: list[Contrast], run: Run, level: float, resamples: int, seed: int) -> list[Contrast]:
    """All bootstraps and all sign flips in one pass each, those of the categories too."""
    per_clip = [contrast for contrast in made if len(contrast.differences) and contrast.noise != "counted"]
    if not per_clip:
        return made
    category = {prompt.id: prompt.category or "" for prompt in run.header.spec.prompts}
    groups = [_groups(contrast, category) for contrast in per_clip]
    columns = [_column(contrast.differences) for contrast in per_clip]
    columns += [_column(values) for group in groups for values in group.values()]
    intervals = iter(mean_intervals(columns, level, resamples, seed))
    wholes = [next(intervals) for _ in per_clip]
    ps = sign_flip_ps([contrast.differences for contrast in per_clip], flips=resamples, seed=seed)
    done: dict[str, Contrast] = {}
    for contrast, whole, p, group in zip(per_clip, wholes, ps, groups, strict=True):
        parts = tuple(CategoryContrast(category=name, difference=next(intervals)) for name in group)
        done[contrast.metric.id] = replace(
            contrast, difference=whole, p=p if contrast.prompts > 1 else None, categories=parts
        )
    return [done.get(contrast.metric.id, contrast) for contrast in made]


def _groups(contrast: Contrast, category: Mapping[str, str]) -> dict[str, Array]:
    """Differences by category, where there is more than one category and prompts enough in it."""
    names = [category.get(prompt, "") for prompt in contrast.prompt_ids]
    groups = {name: contrast.differences[[n == name for n in names]] for name in sorted(set(names))}
    if len(groups) < 2:
        return {}
    return {name: values for name, values in groups.items() if name and len(values) >= LEAST_IN_CATEGORY}


def _column(values: Array) -> dict[str, list[float]]:
    return {f"{place:06}": [float(value)] for place, value in enumerate(values)}


def _with_holm(made: list[Contrast]) -> list[Contrast]:
    """Primary and exploratory metrics are two families; a metric without a test is in none.

    Nor is one on which all prompts are equal: that depends on the sizes of the differences only, which a sign-flip test
    takes as given, and its p is 1 whatever the others do.
    """
    adjusted = {contrast.metric.id: 1.0 for contrast in made if contrast.is_equal and contrast.p is not None}
    for primary in (True, False):
        family = [c for c in made if c.primary == primary and c.p is not None and not c.is_equal]
        ps = holm([contrast.p for contrast in family if contrast.p is not None])
        adjusted |= {contrast.metric.id: p for contrast, p in zip(family, ps, strict=True)}
    return [replace(contrast, p_holm=adjusted.get(contrast.metric.id)) for contrast in made]
