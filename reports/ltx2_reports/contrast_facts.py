"""A contrast for programs: every number in full."""

from ltx2_reports.contrast import Contrast, Contrasts
from ltx2_reports.contrast_words import is_significant, sentence
from ltx2_reports.margins import MARGIN_ALPHA, MarginVerdict
from ltx2_reports.statistics import Interval


def facts(contrasts: Contrasts) -> dict[str, object]:
    """Everything for programs, numbers in full."""
    sides = {"A": contrasts.first, "B": contrasts.second}
    return {
        **{
            name: {"system": run.header.spec.system, "folder": str(run.folder), "suite": run.header.spec.suite.label}
            for name, run in sides.items()
        },
        "level": contrasts.level,
        "resamples": contrasts.resamples,
        "primary_declared": contrasts.declared,
        "left_out": list(contrasts.left_out),
        "metrics": [_facts(contrast) for contrast in contrasts.contrasts],
    }


def _facts(contrast: Contrast) -> dict[str, object]:
    rate = contrast.win_rate
    return {
        "metric": contrast.metric.id,
        "title": contrast.metric.title,
        "unit": contrast.metric.unit,
        "direction": contrast.metric.direction,
        "protocol": contrast.protocol.identity,
        "primary": contrast.primary,
        "a": contrast.first,
        "b": contrast.second,
        **{key: value for key, value in _interval_facts(contrast.difference).items() if key != "n"},
        "interval_by": contrast.difference.made,
        "p": contrast.p,
        "p_holm": contrast.p_holm,
        "p_wilcoxon": contrast.p_wilcoxon,
        "significant": is_significant(contrast),
        "effect_size": contrast.effect_size,
        "detectable": contrast.detectable,
        "error": None if contrast.error is None else contrast.error.value,
        "freedom": None if contrast.error is None else contrast.error.freedom,
        "noise": contrast.noise,
        "ratio_of_medians": contrast.ratio,
        "win_rate": None if rate is None else {slot: getattr(rate, slot) for slot in rate.__slots__},
        "n_prompts": contrast.prompts,
        "n_clips": contrast.clips,
        "paired_by_seed": contrast.by_seed,
        "margin": _margin_facts(contrast.margin),
        "excluded": list(contrast.excluded),
        "categories": {part.category: _interval_facts(part.difference) for part in contrast.categories},
        "sentence": sentence(contrast),
    }


def _margin_facts(found: MarginVerdict | None) -> dict[str, object] | None:
    if found is None:
        return None
    return {
        "value": found.margin.value,
        "both_sides": found.margin.both_sides,
        "outcome": found.outcome,
        "p": found.p,
        "limit": found.limit,
        "level": 1 - MARGIN_ALPHA,
    }


def _interval_facts(interval: Interval) -> dict[str, object]:
    return {"difference": interval.value, "low": interval.low, "high": interval.high, "n": interval.n}
