"""Two runs, A and B, compared by every metric that both have."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ltx2_reports.comparable import comparable_metrics
from ltx2_reports.comparison import RUNTIME_PREFIX
from ltx2_reports.contrast import CategoryContrast, Contrast, Contrasts
from ltx2_reports.contrast_metric import contrast_metric
from ltx2_reports.margins import Margin, judge_margin
from ltx2_reports.records import Run
from ltx2_reports.same_prompts import require_shared_prompts, suites_note
from ltx2_reports.shared_noise import noise_notes
from ltx2_reports.statistics import LEVEL, RESAMPLES, Interval, holm, mean_intervals, sign_flip_ps
from ltx2_reports.statistics.crossed import LEAST_SEEDS
from ltx2_reports.statistics.draws import Array
from ltx2_reports.statistics.sets import SetDraws
from ltx2_reports.statistics.studentised import Range, range_of_differences
from ltx2_reports.statistics.unseen import reaching_unseen

LEAST_IN_CATEGORY = 2


def contrast_runs(
    first: Run,
    second: Run,
    *,
    primary: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
    sets: Mapping[str, SetDraws] | None = None,
    margins: Mapping[str, Margin] | None = None,
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
        margins: stated before the runs were looked at, by metric.

    Raises:
        MixedProtocolsError: a metric was measured in different ways; names the fields.
        ValueError: the runs share no prompt, or a metric asked for is in neither or one run only.

    A metric without a value on both sides is no error: it is left out with the reason.
    """
    require_shared_prompts(first, second)
    names, left_out = comparable_metrics(first, second, metrics, sets or {})
    ordered = sorted(names, key=lambda name: _rank(name, primary))
    bare, without = _each(first, second, ordered, primary, sets or {})
    made = _with_holm(_with_intervals(bare, first))
    runs = (first, second)
    return Contrasts(
        first=first,
        second=second,
        contrasts=tuple(_with_margin(contrast, (margins or {}).get(contrast.metric.id)) for contrast in made),
        left_out=(*suites_note(first, second), *left_out, *without, *_seed_notes(made), *noise_notes(runs, "AB")),
        level=LEVEL,
        resamples=RESAMPLES,
    )


def _each(
    first: Run, second: Run, names: Sequence[str], primary: Sequence[str], sets: Mapping[str, SetDraws]
) -> tuple[list[Contrast], list[str]]:
    """One contrast per metric, without what is drawn for all at once; and why the others have none."""
    made: list[Contrast] = []
    without: list[str] = []
    for name in names:
        try:
            made.append(contrast_metric(first, second, name, primary=name in primary, draws=sets.get(name)))
        except ValueError as error:
            without.append(str(error))
    return made, without


def _rank(name: str, primary: Sequence[str]) -> tuple[int, bool, str]:
    return (primary.index(name) if name in primary else len(primary), name.startswith(RUNTIME_PREFIX), name)


def _seed_notes(made: Sequence[Contrast]) -> list[str]:
    """Said once for all metrics: what prompts that may share noise mean for the numbers."""
    why = "prompts of one seed may share noise (clips from elsewhere, or of a version that gave them the same)"
    counted = [contrast.metric.id for contrast in made if contrast.noise == "counted"]
    given = [contrast.metric.id for contrast in made if contrast.noise == "given" and contrast.ratio is None]
    notes = [f"{', '.join(counted)}: {why}; intervals and p count the seeds too"] if counted else []
    few = f"fewer than {LEAST_SEEDS} seeds, or a set, do not tell how much"
    return notes + ([f"{', '.join(given)}: {why}; {few}: intervals and p hold for these seeds only"] if given else [])


def _with_margin(contrast: Contrast, margin: Margin | None) -> Contrast:
    if margin is None:
        return contrast
    found = judge_margin(
        margin,
        contrast.difference.value,
        contrast.error,
        contrast.prompts,
        contrast.metric.direction,
        unseen=contrast.largest_unseen,
        certain=contrast.surely_equal,
    )
    return replace(contrast, margin=found)


def _with_intervals(made: list[Contrast], run: Run) -> list[Contrast]:
    """All bootstraps and all sign flips in one pass each, those of the categories too."""
    per_clip = [contrast for contrast in made if len(contrast.differences) and contrast.noise != "counted"]
    if not per_clip:
        return made
    category = {prompt.id: prompt.category or "" for prompt in run.header.spec.prompts}
    groups = [_groups(contrast, category) for contrast in per_clip]
    columns = [_column(contrast.differences) for contrast in per_clip]
    columns += [_column(values) for group in groups for values in group.values()]
    ranges = [_range(contrast) for contrast in per_clip]
    ranges += [bound for bound, group in zip(ranges, groups, strict=True) for _ in group]
    intervals = iter(mean_intervals(columns, ranges=ranges))
    wholes = [_reaching(contrast, next(intervals), contrast.differences) for contrast in per_clip]
    ps = sign_flip_ps([contrast.differences for contrast in per_clip])
    done: dict[str, Contrast] = {}
    for contrast, whole, p, group in zip(per_clip, wholes, ps, groups, strict=True):
        parts = tuple(
            CategoryContrast(category=name, difference=_reaching(contrast, next(intervals), values))
            for name, values in group.items()
        )
        done[contrast.metric.id] = replace(
            contrast, difference=whole, p=p if contrast.prompts > 1 else None, categories=parts
        )
    return [done.get(contrast.metric.id, contrast) for contrast in made]


def _reaching(contrast: Contrast, interval: Interval, differences: Array) -> Interval:
    """Only what is the same, bit for bit, is equal for certain."""
    if contrast.same_clips:
        return interval
    return reaching_unseen(interval, differences, _range(contrast), max(abs(contrast.first), abs(contrast.second)))


def _range(contrast: Contrast) -> Range:
    return range_of_differences(contrast.metric.range, distances=contrast.metric.direction == "zero")


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
