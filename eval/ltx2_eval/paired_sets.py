"""Set metrics of two runs on the clips that both have, drawn again together from the features in the run folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.attempt import attempt
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.features import FeatureCache
from ltx2_eval.media import Container
from ltx2_eval.metrics.base import MetricEntry, SetMetric
from ltx2_eval.metrics.catalogue import catalogue, implementation
from ltx2_eval.metrics.frechet import Gaussian
from ltx2_eval.metrics.resampling import Clips, by_prompt, draw_counts, on_draws
from ltx2_eval.reference import AnyReference, load_reference
from ltx2_eval.reference_statistics import Statistics
from ltx2_eval.weights import cache_root
from ltx2_reports.pairing import clip_keys
from ltx2_reports.records import FEATURES_FOLDER, Protocol, Run
from ltx2_reports.same_prompts import is_one_suite, unlike_prompts
from ltx2_reports.statistics import SEED
from ltx2_reports.statistics.sets import SetDraws, swap_counts, u_statistic_error

DRAWS = 1000
SWAPS = 1000
Features = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shared:
    """Features of the clips that both runs have, in the same order."""

    first: Clips
    second: Clips
    prompts: list[str]


class _Missing(ValueError):
    """The metric cannot be drawn again; the message says why."""


def paired_sets(
    first: Run, second: Run, metrics: Sequence[str], *, reference: str, device: str
) -> tuple[dict[str, SetDraws], list[str]]:
    """Draw the set metrics among `metrics` again where the features and the reference set are at hand.

    Args:
        first: run A.
        second: run B.
        metrics: ids; those that are no set metrics are passed over.
        reference: name of the reference set; empty: the one the records name.
        device: where features of the reference are computed if need be.

    Returns:
        Draws by metric, and why the others have none. Two runs of one set with different reference or weights are
        left to the caller, who refuses them.
    """
    pool = ExtractorPool(device)
    references: dict[str, AnyReference] = {}
    made: dict[str, SetDraws] = {}
    notes: list[str] = []
    one_suite = is_one_suite(first, second)
    for name in metrics:
        protocols = [_protocol(run, name) for run in (first, second)]
        if protocols[0] is None or protocols[1] is None or _differ(protocols[0], protocols[1], one_suite):
            continue
        if protocols[0].reference is None:  # its draws are in the records, and need nothing else
            continue
        try:
            entry = _entry(name, protocols[0], pool)
            shared = _shared(first, second, entry, pool)
            real = _real(protocols[0], reference, entry, pool, references, device, first)
            made[name] = _draws(entry, shared, real)
        except _Missing as why:
            taken = "taken from the records, not drawn again," if one_suite else "not drawn again on the shared clips,"
            notes.append(f"{name}: {taken} because {why}")
    return made, notes


def _protocol(run: Run, name: str) -> Protocol | None:
    line = run.values.get((None, name))
    return run.protocols[line.protocol].protocol if line is not None and line.value is not None else None


def _differ(first: Protocol, second: Protocol, one_suite: bool) -> bool:
    """In how they were measured; which clips were is no matter, since the shared ones are drawn again."""
    of_clips = ("n: ",) if one_suite else ("n: ", "suite: ")
    return any(not field.startswith(of_clips) for field in first.difference(second))


def _entry(name: str, protocol: Protocol, pool: ExtractorPool) -> MetricEntry:
    entry = catalogue().get(name)
    if entry is None or entry.extractor is None:
        raise _Missing("this ltx2-eval does not have the metric")
    if getattr(implementation(entry), "paired", False):
        raise _Missing("each clip has a reference of its own")
    if hasattr(implementation(entry)(**entry.settings).distance, "standard_error"):
        raise _Missing("each of its values is a line through many; the records hold its standard error")
    spec = pool.spec(entry.extractor)
    now = (entry.spec.version, spec.version, pool.weights_sha256(entry.extractor))
    if now != (protocol.metric_version, protocol.extractor_version, protocol.weights_sha256):
        raise _Missing("its version or its weights have changed since")
    return entry


def _shared(first: Run, second: Run, entry: MetricEntry, pool: ExtractorPool) -> _Shared:
    sides = [_features(run, entry, pool) for run in (first, second)]
    unlike = unlike_prompts(first, second)
    keys = sorted(key for key in sides[0].keys() & sides[1].keys() if key[0] not in unlike)
    if len({prompt for prompt, _ in keys}) < 2:
        raise _Missing("fewer than two prompts have features of the same seeds in both run folders")
    return _Shared(
        first=[sides[0][key] for key in keys],
        second=[sides[1][key] for key in keys],
        prompts=[prompt for prompt, _ in keys],
    )


def _features(run: Run, entry: MetricEntry, pool: ExtractorPool) -> dict[tuple[str, int], Features]:
    """By prompt and seed, of the clips that took part, as far as they are in the run folder."""
    assert entry.extractor is not None
    cache = FeatureCache(run.folder / FEATURES_FOLDER, run.header.environment.device)
    spec, weights = pool.spec(entry.extractor), pool.weights_sha256(entry.extractor)
    left_out = run.values[(None, entry.spec.id)].left_out
    found = {}
    for key, sample in clip_keys(run).items():
        sha256 = run.clips[sample].sha256
        if sha256 is not None and sample not in left_out:
            features = cache.get(sha256, spec, weights)
            if features is None:
                raise _Missing(f"{run.folder / FEATURES_FOLDER} lacks features of {sample}")
            found[key] = features
    return found


def _real(
    protocol: Protocol,
    named: str,
    entry: MetricEntry,
    pool: ExtractorPool,
    known: dict[str, AnyReference],
    device: str,
    run: Run,
) -> list[Features] | Gaussian:
    """Features of the reference set, checked to be the one that the records name."""
    assert protocol.reference is not None
    assert entry.extractor is not None
    name = named or protocol.reference.rpartition("#")[0]
    if name not in known:
        container: Container = "mkv" if run.header.spec.container == "mkv" else "mp4"
        loaded, reason = attempt("features", lambda: load_reference(name, container))
        if loaded is None:
            raise _Missing(f"its reference set is not at hand (name it with --reference): {reason and reason.message}")
        known[name] = loaded
    if known[name].ref.sha256[:12] != protocol.reference.rpartition("#")[2]:
        raise _Missing(f"reference set {name} is not the one of the records, {protocol.reference}")
    cache = FeatureCache(cache_root() / FEATURES_FOLDER, device)
    extractor = entry.extractor
    features, reason = attempt("features", lambda: known[name].features(extractor, pool, cache))
    if features is None:
        raise _Missing(f"features of the reference set cannot be had: {reason and reason.message}")
    return features.gaussian() if isinstance(features, Statistics) else features


def _draws(entry: MetricEntry, shared: _Shared, real: Any) -> SetDraws:
    metric: SetMetric = implementation(entry)(**entry.settings)
    distance: Any = metric.distance
    if hasattr(distance, "terms"):  # as the values of the runs themselves are made
        shared = _of_prompts(shared)
    counts = draw_counts(shared.prompts, DRAWS, 0)
    first, second = (np.array(on_draws(distance, side, real, counts)) for side in (shared.first, shared.second))
    swaps = swap_counts(shared.prompts, SWAPS, SEED)
    both = [*shared.first, *shared.second]
    ours, theirs = (np.array(on_draws(distance, both, real, taken)) for taken in (swaps, 1 - swaps))
    return SetDraws(
        first=float(distance(shared.first, real)),
        second=float(distance(shared.second, real)),
        draws=tuple((second - first).tolist()),
        swapped=tuple((theirs - ours).tolist()),
        error=_error(distance, shared, real),
        prompts=len(set(shared.prompts)),
    )


def _of_prompts(shared: _Shared) -> _Shared:
    (first, prompts), (second, _) = (by_prompt(side, shared.prompts) for side in (shared.first, shared.second))
    return _Shared(first=first, second=second, prompts=prompts)


def _error(distance: Any, shared: _Shared, real: Any) -> float | None:
    """Of the difference, where the metric is a U-statistic: its terms subtract, the reference set cancels."""
    if not hasattr(distance, "terms"):
        return None
    first, second = (distance.terms(side, real, shared.prompts) for side in (shared.first, shared.second))
    return u_statistic_error(second - first)
