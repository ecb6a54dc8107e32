"""One metric of two runs, A and B: a clip metric, a timing, or a set metric."""

from ltx2_reports.cells import Key, gather
from ltx2_reports.contrast import Contrast
from ltx2_reports.pairing import Paired, pair, pair_sets
from ltx2_reports.records import Run
from ltx2_reports.shared_noise import shares_noise
from ltx2_reports.statistics import (
    LEAST_PROMPTS,
    LEVEL,
    Interval,
    detectable,
    effect_size,
    wilcoxon_p,
    win_rate,
)
from ltx2_reports.statistics.crossed import Error, crossed_error, prompt_error
from ltx2_reports.statistics.sets import SetDraws, set_difference, set_p
from ltx2_reports.timings import is_timing, typical


def contrast_metric(
    first: Run, second: Run, name: str, *, primary: bool = False, draws: SetDraws | None = None
) -> Contrast:
    """B against A by one metric that both have; of clip metrics interval and p may stay open, see `clip_contrast`.

    Args:
        first: run A.
        second: run B.
        name: of the metric.
        primary: see `Contrast`.
        draws: of a set metric, on the clips that both have; without it those of the records are taken.

    Raises:
        ValueError: no prompt has a value on both sides, or two sets are not of the same prompts; says why.
    """
    if (None, name) in first.values or (None, name) in second.values:
        return _of_set(first, second, name, primary, draws or _recorded_draws(first, second, name))
    paired = pair(first, second, name)
    if is_timing(paired.metric):
        return _of_timing(first, second, paired, primary)
    return clip_contrast(paired, primary=primary, shared=shares_noise(first) or shares_noise(second))


def clip_contrast(paired: Paired, *, primary: bool = False, level: float = LEVEL, shared: bool = False) -> Contrast:
    """One clip metric; where prompts have noise of their own, interval and p stay open, to be drawn for all at once.

    Args:
        paired: values of both sides.
        primary: see `Contrast`.
        level: of the interval.
        shared: whether prompts of a seed may share noise.
    """
    differences, n, mean = paired.differences, len(paired.prompts), float(paired.differences.mean())
    counted = crossed_error(differences, paired.tables) if shared else None
    error = counted or prompt_error(differences)
    better = -differences if paired.metric.direction in ("down", "zero") else differences
    return Contrast(
        metric=paired.metric,
        protocol=paired.protocol,
        primary=primary,
        first=float(paired.first.mean()),
        second=float(paired.second.mean()),
        difference=counted.interval(mean, n, level) if counted else Interval(value=mean, low=None, high=None, n=n),
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
        same_clips=paired.same_clips,
    )


def _detectable(error: Error | None, n: int) -> float | None:
    """None on so few prompts that no sign flip can be told from chance."""
    return None if error is None or n < LEAST_PROMPTS else detectable(error.value, error.freedom + 1)


def _of_timing(first: Run, second: Run, paired: Paired, primary: bool) -> Contrast:
    """Medians of the shared prompts; clips share the state of the machine and tell nothing of how much runs vary."""
    sides = [(run, paired.metric.id, paired.prompts) for run in (first, second)]
    values = [typical(run, name, among=prompts) for run, name, prompts in sides]
    if values[0] is None or values[1] is None:
        values = [typical(run, name, warm_up=0, among=prompts) for run, name, prompts in sides]
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


def _of_set(first: Run, second: Run, name: str, primary: bool, draws: SetDraws) -> Contrast:
    described = first.protocols[first.values[(None, name)].protocol]
    n, sets = draws.prompts, pair_sets(first, second, name)
    error = None if draws.standard_error is None or n < 2 else Error(value=draws.standard_error, freedom=n - 1)
    return Contrast(
        metric=described.metric,
        protocol=described.protocol,
        primary=primary,
        first=draws.first,
        second=draws.second,
        difference=set_difference(draws),
        clips=sets.clips,
        by_seed=True,
        p=set_p(draws) if n > 1 else None,
        p_holm=None,
        p_wilcoxon=None,
        effect_size=None,
        win_rate=None,
        detectable=_detectable(error, n),
        categories=(),
        excluded=sets.excluded,
        lost=sets.lost,
        error=error,
        noise="given" if shares_noise(first) or shares_noise(second) else "own",
        set_draws=draws,
        same_clips=sets.same_clips,
    )
