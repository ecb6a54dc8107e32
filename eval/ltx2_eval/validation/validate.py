"""Clips, metrics -> verdicts: the whole of `validate`, without its command line and without its pages."""

import importlib.metadata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltx2_eval.extractors.base import NotAvailable
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.features import FeatureCache
from ltx2_eval.generate import Progress
from ltx2_eval.metrics.base import MetricEntry
from ltx2_eval.protocol import protocol_of
from ltx2_eval.reference import Reference
from ltx2_eval.validation.catalogue import DEGRADATIONS
from ltx2_eval.validation.expectations import Response, expectation_of
from ltx2_eval.validation.judge import judge_trial, smallest_effect_of, verdict_of
from ltx2_eval.validation.measure import JOURNAL, Meter, Row, measure
from ltx2_eval.validation.plan import CLEAN, Aim, aims_of
from ltx2_eval.validation.samples import clean_values, pairs_of, point_of
from ltx2_eval.validation.set_samples import (
    DUPLICATES,
    GROUP,
    SIZE,
    Features,
    SetBench,
    clean_set_value,
    duplicates_point,
    set_point,
    size_point,
)
from ltx2_eval.validation.slope import Slope, slope_of
from ltx2_eval.validation.sources import Source
from ltx2_eval.weights import cache_root
from ltx2_reports.records import FEATURES_FOLDER
from ltx2_reports.store import make_folder, sweep
from ltx2_reports.validation import DegradationRef, MetricValidation, Point, Trial, Validation

LEAST_CLIPS = 10
_UNBIASED = "kernel:KernelDistance"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked."""

    source: Source
    entries: tuple[MetricEntry, ...]
    reference: Reference | None
    pool: ExtractorPool
    brief: bool = False
    """Only what a verdict needs: few levels, and nothing that is only shown."""


def validate(plan: Plan, folder: Path, progress: Progress) -> Validation:
    """Degrade, measure, judge. What a stopped call had measured in `folder` is kept.

    Raises:
        ValueError: the folder holds a validation of something else.
        NotAvailable: no metric is left that could be judged.
    """
    _refuse_foreign_folder(folder)
    make_folder(folder)
    sweep(folder)
    entries, left_out = _judgeable(plan)
    if not entries:
        raise NotAvailable("; ".join(f"{metric}: {why}" for metric, why in left_out.items()))
    references = _references(plan, entries)  # before the long work: a set that cannot be used ends it
    cache = FeatureCache(folder / FEATURES_FOLDER, plan.pool.device)
    aims = tuple(aim for entry in entries for aim in aims_of(entry, brief=plan.brief))
    meter = Meter(aims=aims, entries=entries, pool=plan.pool, cache=cache)
    rows = measure(plan.source, folder, meter, progress)
    judge = _Judge(plan, rows, cache, references)
    metrics = {}
    for done, entry in enumerate(entries):
        progress("compare", done, len(entries))
        metrics[entry.spec.id] = judge.metric(entry)
    progress("compare", len(entries), len(entries))
    return Validation(
        source=plan.source.name,
        source_sha256=plan.source.sha256,
        clips=len(rows),
        unusable={row.clip: row.trouble for row in rows if row.trouble is not None},
        reference=plan.reference.ref.label if plan.reference else None,
        version=importlib.metadata.version("ltx2-eval"),
        brief=plan.brief,
        degradations={scale.id: _ref(scale) for scale in (*DEGRADATIONS.values(), DUPLICATES, SIZE)},
        metrics=metrics,
        left_out=left_out,
    )


def _references(plan: Plan, entries: Sequence[MetricEntry]) -> dict[str, Features]:
    """Features of the reference set, by extractor of the set metrics."""
    shared = FeatureCache(cache_root() / FEATURES_FOLDER, plan.pool.device)
    needed = {entry.extractor for entry in entries if entry.spec.level == "set" and entry.extractor is not None}
    if plan.reference is None:
        return {}
    return {extractor: plan.reference.features(extractor, plan.pool, shared) for extractor in sorted(needed)}


def _refuse_foreign_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; choose another --out")
    others = [] if (folder / JOURNAL).exists() or not folder.exists() else [item.name for item in folder.iterdir()]
    if others:
        raise ValueError(f"{folder} holds other files ({others[0]}, ...) and is no validation; choose another --out")


def _ref(scale: object) -> DegradationRef:
    fields = {name: getattr(scale, name) for name in ("title", "unit", "what", "levels", "clean", "two_sided")}
    return DegradationRef(**fields)


def _judgeable(plan: Plan) -> tuple[tuple[MetricEntry, ...], dict[str, str]]:
    """Metrics that can be computed here, and why the others cannot."""
    left_out: dict[str, str] = {}
    for entry in plan.entries:
        why = _why_not(entry, plan)
        if why is not None:
            left_out[entry.spec.id] = why
    return tuple(entry for entry in plan.entries if entry.spec.id not in left_out), left_out


def _why_not(entry: MetricEntry, plan: Plan) -> str | None:
    if "runtime" in entry.spec.needs:
        return "a cost, which degraded clips say nothing about"
    if entry.spec.level == "set" and "reference" not in entry.spec.needs:
        return "a figure of the whole set without a reference; what it follows from is validated in its place"
    if entry.spec.level == "set" and "reference" in entry.spec.needs and plan.reference is None:
        return "no reference set: name one with --reference, a folder of clips or world:64"
    if entry.extractor is not None:
        try:
            plan.pool.get(entry.extractor)
        except NotAvailable as error:
            return str(error)
    return None


class _Judge:
    """From rows and features to what is said of each metric."""

    def __init__(
        self, plan: Plan, rows: Sequence[Row], cache: FeatureCache, references: Mapping[str, Features]
    ) -> None:
        self._plan, self._rows, self._cache, self._references = plan, rows, cache, references

    def metric(self, entry: MetricEntry) -> MetricValidation:
        """All trials of one metric and the verdict."""
        bench = self._bench(entry) if entry.spec.level == "set" else None
        clean, n = self._clean(entry, bench)
        least_n = max(LEAST_CLIPS, entry.spec.least_n)
        trials = self._trials(entry, bench, least_n if bench is None else GROUP)
        verdict, why = verdict_of(n, least_n, trials, self._first_reason(entry))
        reference = self._plan.reference.ref if bench is not None and self._plan.reference else None
        protocol = protocol_of(
            entry, self._plan.source.header, self._plan.pool, reference=reference, n=n if bench is not None else None
        )
        return MetricValidation(
            verdict=verdict,
            why=why,
            protocol=protocol.identity,
            protocol_fields=protocol.model_dump(mode="json"),
            title=entry.spec.title,
            unit=entry.spec.unit,
            direction=entry.spec.direction,
            level=entry.spec.level,
            n=n,
            clean=clean,
            derived=expectation_of(entry).derived,
            trials=trials,
        )

    def _bench(self, entry: MetricEntry) -> SetBench:
        assert entry.extractor is not None
        return SetBench(
            entry=entry,
            items=self._plan.source.items,
            reference=self._references[entry.extractor],
            cache=self._cache,
            pool=self._plan.pool,
        )

    def _clean(self, entry: MetricEntry, bench: SetBench | None) -> tuple[float | None, int]:
        if bench is not None:
            return clean_set_value(bench)
        values = clean_values(self._rows, entry.spec.id)
        return (sum(values) / len(values) if values else None), len(values)

    def _first_reason(self, entry: MetricEntry) -> str | None:
        found = [row.trouble or row.values.get(CLEAN, {}).get(entry.spec.id) for row in self._rows]
        reasons = Counter(reason for reason in found if isinstance(reason, str))
        return reasons.most_common(1)[0][0] if reasons else None

    def _trials(self, entry: MetricEntry, bench: SetBench | None, least_n: int) -> tuple[Trial, ...]:
        aims = [*aims_of(entry, brief=self._plan.brief), *(_set_aims(entry) if bench is not None else ())]
        points = {aim.scale.id: [self._point(aim, bench, level) for level in aim.levels] for aim in aims}
        effect = _smallest_effect(entry, aims, points)
        return tuple(judge_trial(aim, points[aim.scale.id], self._slope(aim), effect, least_n) for aim in aims)

    def _point(self, aim: Aim, bench: SetBench | None, level: float) -> Point:
        if bench is None:
            return point_of(aim, pairs_of(self._rows, aim, level))
        make: dict[str, Callable[[SetBench, Aim, float], Point]] = {
            DUPLICATES.id: duplicates_point,
            SIZE.id: size_point,
        }
        return make.get(aim.scale.id, set_point)(bench, aim, level)

    def _slope(self, aim: Aim) -> Slope | None:
        if aim.response is None or aim.response.slope is None or aim.scale.clean is None:
            return None
        pairs = [pairs_of(self._rows, aim, level) for level in aim.levels]
        amounts = [level - aim.scale.clean for level in aim.levels]
        return slope_of(amounts, [pair.differences for pair in pairs], [pair.owners for pair in pairs])


def _set_aims(entry: MetricEntry) -> list[Aim]:
    """Expected of set metrics whatever their features: copies are seen; an unbiased one ignores the size of the set."""
    unbiased = entry.implementation.endswith(_UNBIASED)
    return [
        Aim(entry=entry, scale=DUPLICATES, response=Response(degradation=DUPLICATES.id, course="rises")),
        Aim(entry=entry, scale=SIZE, still=unbiased, shown=True),
    ]


def _smallest_effect(entry: MetricEntry, aims: Sequence[Aim], points: dict[str, list[Point]]) -> float | None:
    responses = expectation_of(entry).responses
    leading = next((aim for aim in aims if responses and aim.scale.id == responses[0].degradation), None)
    return smallest_effect_of(points[leading.scale.id], leading.scale.mildest) if leading is not None else None
