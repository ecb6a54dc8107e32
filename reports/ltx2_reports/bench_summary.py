"""What bench records say together: one row per case, ratios between models, what a published time implies, cost."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ltx2_benchmarks.hardware import load_gpu
from ltx2_benchmarks.recipe import Recipe
from ltx2_reports.bench import BenchEstimate, BenchRecord
from ltx2_reports.speed import LEAST_PAIRS, compare_records, pair_doubts

_RESAMPLES = 4000
_TERA = 1e12
_TIMED = (
    *("seconds", "quartiles", "spread", "n", "warmup", "cold_seconds", "seconds_per_step", "stages"),
    *("real_time_factor", "clips_per_hour", "cost_per_clip", "cost_per_step"),
    *("tflop_per_s", "peak_tflop_per_s", "utilisation", "device_peak_bytes", "host_peak_bytes"),
    *("joules", "joules_source", "error", "verdict"),
)
"""Keys of a row that a case without timings has too, as nulls."""


def summarise_bench(
    records: Sequence[BenchRecord], recipe: Recipe, *, price_per_gpu_hour: float | None = None
) -> dict[str, Any]:
    """One JSON object with stable names.

    Args:
        records: Of one session.
        recipe: What they were made by: which ratio to take, what was published.
        price_per_gpu_hour: Of the device, in any currency.
    """
    return {
        "recipe": recipe.name,
        "title": recipe.title,
        "device": records[0].device.model_dump(mode="json") if records else None,
        "session": records[0].session if records else None,
        "price_per_gpu_hour": price_per_gpu_hour,
        "cases": [case_row(record, price_per_gpu_hour) for record in records],
        "ratios": _ratios(records, recipe),
        "published": _published(records, recipe),
        "budgets": _budgets(records, recipe),
        "difference": _difference(records),
    }


def case_row(record: BenchRecord, price_per_gpu_hour: float | None = None) -> dict[str, Any]:
    """One record as a row."""
    return {
        **_named(record),
        **_sizes(record.estimate),
        **_timed(record, price_per_gpu_hour),
        **_circumstances(record),
    }


def _circumstances(record: BenchRecord) -> dict[str, Any]:
    """Where, when and how, so that a row by itself can be read years later."""
    device = record.device
    return {
        "created_at": record.created_at,
        "session": record.session,
        "device": device.name,
        "driver": device.driver,
        "threads": device.threads,
        "attention_backend": device.attention,
        "clock_mhz": device.clock_mhz,
        "clock_low_mhz": device.clock_low_mhz,
        "throttling": device.throttling,
        "packages": device.packages,
    }


def _named(record: BenchRecord) -> dict[str, Any]:
    case = record.case
    return {
        "name": case.name,
        "role": record.role,
        "label": record.label,
        "model": case.model,
        "measure": case.measure,
        "width": case.width,
        "height": case.height,
        "frames": case.frames,
        "steps": case.steps,
        "dtype": case.dtype,
        "batch": case.batch,
        "weights": case.weights,
        "reason": record.reason.message if record.reason else None,
    }


def _sizes(found: BenchEstimate | None) -> dict[str, Any]:
    return {
        "parameters": found.parameters if found else None,
        "tokens": found.tokens if found else None,
        "tflop_per_forward": found.flops_per_forward / _TERA if found else None,
        "tflop_linear": found.linear_flops / _TERA if found else None,
        "tflop_attention": found.attention_flops / _TERA if found else None,
        "tflop": found.flops / _TERA if found else None,
        "weight_bytes": found.weight_bytes if found else None,
        "traffic_bytes": found.traffic_bytes if found else None,
        "memory_bytes": found.memory_bytes if found else None,
        "roofline_gpu": found.roofline_gpu if found else None,
        "roofline_seconds": found.roofline_seconds if found else None,
        "roofline_bound": found.roofline_bound if found else None,
        "roofline_fits": found.roofline_fits if found else None,
    }


def _timed(record: BenchRecord, price: float | None) -> dict[str, Any]:
    timing, case = record.timing, record.case
    if timing is None:
        return dict.fromkeys(_TIMED)
    is_clip = case.measure == "clip"
    clip_s = case.frames / case.fps
    return {
        "seconds": timing.median_s,
        "quartiles": [timing.quartile_low_s, timing.quartile_high_s],
        "spread": (timing.quartile_high_s - timing.quartile_low_s) / timing.median_s if timing.median_s > 0 else None,
        "n": len(timing.seconds),
        "warmup": timing.warmup,
        "cold_seconds": timing.cold_s,
        "seconds_per_step": timing.stages_s.get("denoise", 0) / case.steps or None if is_clip else timing.median_s,
        "stages": timing.stages_s,
        "real_time_factor": clip_s * case.batch / timing.median_s if is_clip and timing.median_s > 0 else None,
        "clips_per_hour": 3600 * case.batch / timing.median_s if is_clip and timing.median_s > 0 else None,
        "cost_per_clip": price * timing.median_s / 3600 / case.batch if is_clip and price is not None else None,
        "cost_per_step": price * timing.median_s / 3600 / case.batch if not is_clip and price is not None else None,
        "tflop_per_s": timing.flops_per_s / _TERA if timing.flops_per_s is not None else None,
        "peak_tflop_per_s": timing.peak_flops_per_s / _TERA if timing.peak_flops_per_s is not None else None,
        "utilisation": timing.utilisation,
        "device_peak_bytes": timing.device_peak_bytes,
        "host_peak_bytes": timing.host_peak_bytes,
        "joules": timing.energy.joules if timing.energy else None,
        "joules_source": (timing.energy.source or timing.energy.reason) if timing.energy else None,
        "error": timing.error,
        "verdict": record.verdict.model_dump(mode="json") if record.verdict else None,
    }


def _ratios(records: Sequence[BenchRecord], recipe: Recipe) -> list[dict[str, Any]]:
    """`against` over `ours`, for every point that both have."""
    if recipe.compare is None:
        return []
    ours = {_point(record): record for record in records if record.case.model == recipe.compare.ours}
    found = []
    for record in records:
        peer = ours.get(_point(record))
        if record.case.model != recipe.compare.against or peer is None or not (record.estimate and peer.estimate):
            continue
        found.append(
            {
                "label": record.label,
                "frames": record.case.frames,
                "ours": peer.case.name,
                "ours_model": peer.case.model,
                "against": record.case.name,
                "against_model": record.case.model,
                **_size_ratios(record.estimate, peer.estimate),
                "seconds": seconds_ratio(record, peer),
                "seconds_doubts": _doubts(record, peer),
            }
        )
    return found


def _size_ratios(over: BenchEstimate, under: BenchEstimate) -> dict[str, float]:
    return {
        "tflop_per_forward": over.flops_per_forward / under.flops_per_forward,
        "tflop_linear": over.linear_flops / under.linear_flops,
        "tflop_attention": over.attention_flops / under.attention_flops,
        "tokens": over.tokens["video"] / under.tokens["video"],
        "parameters": over.parameters / under.parameters,
    }


def _doubts(*records: BenchRecord) -> list[str]:
    """Why timings are not to be believed, with whose they are."""
    return [f"{r.case.model}: {reason}" for r in records if r.verdict for reason in r.verdict.reasons]


def _point(record: BenchRecord) -> tuple[Any, ...]:
    case = record.case
    return record.label, case.measure, case.frames, case.steps, case.dtype, case.batch


def seconds_ratio(over: BenchRecord, under: BenchRecord) -> dict[str, float] | None:
    """Ratio of median times with its 95 % bootstrap interval; None where one was not timed."""
    if over.timing is None or under.timing is None:
        return None
    generator = np.random.default_rng(0)
    medians = []
    for timing in (over.timing, under.timing):
        seconds = np.array(timing.seconds)
        medians.append(np.median(generator.choice(seconds, (_RESAMPLES, len(seconds))), axis=1))
    low, high = np.quantile(medians[0] / medians[1], (0.025, 0.975))
    return {"ratio": over.timing.median_s / under.timing.median_s, "low": float(low), "high": float(high)}


def _published(records: Sequence[BenchRecord], recipe: Recipe) -> dict[str, Any] | None:
    """What somebody's seconds imply: throughput, and share of that GPU's peak by its data sheet."""
    said = recipe.published
    if said is None:
        return None
    rows = []
    for record in records:
        seconds = said.seconds.get(record.case.model)
        if (
            seconds is None
            or record.estimate is None
            or (record.label, record.case.frames) != (said.label, said.frames)
        ):
            continue
        tflops = record.estimate.flops_per_forward / seconds / _TERA
        peak = load_gpu(said.gpu).tflops.get(record.case.dtype)
        rows.append(
            {
                "model": record.case.model,
                "seconds": seconds,
                "implied_tflop_per_s": tflops,
                "implied_utilisation": tflops / peak if peak else None,
            }
        )
    ratio = None
    if recipe.compare is not None and {recipe.compare.ours, recipe.compare.against} <= said.seconds.keys():
        ratio = said.seconds[recipe.compare.against] / said.seconds[recipe.compare.ours]
    return {"source": said.source, "gpu": said.gpu, "seconds_ratio": ratio, "rows": rows}


def _budgets(records: Sequence[BenchRecord], recipe: Recipe) -> list[dict[str, Any]]:
    """For each model and budget of memory, the case with the most tokens that fits, by estimate."""
    found = []
    for model in dict.fromkeys(record.case.model for record in records):
        own = [record for record in records if record.case.model == model and record.estimate is not None]
        for budget in recipe.budgets_gib:
            fitting = [r for r in own if r.estimate is not None and r.estimate.memory_bytes <= budget * 2**30]
            best = max(fitting, key=lambda r: r.estimate.tokens["video"] if r.estimate else 0, default=None)
            found.append(
                {
                    "model": model,
                    "budget_gib": budget,
                    "largest": best.case.name if best else None,
                    "memory_gib": best.estimate.memory_bytes / 2**30 if best and best.estimate else None,
                    "was_run": best.timing is not None if best else None,
                    "peak_gib": _peak_gib(best),
                }
            )
    return found


def _peak_gib(record: BenchRecord | None) -> float | None:
    """As measured."""
    peak = record.timing.device_peak_bytes if record and record.timing else None
    return None if peak is None else peak / 2**30


def _difference(records: Sequence[BenchRecord]) -> dict[str, Any] | None:
    """B against A of an interleaved session; None for others."""
    sides = {record.role: record for record in records if record.role != "alone"}
    if set(sides) != {"a", "b"} or any(record.timing is None for record in sides.values()):
        return None
    found, doubts = compare_records(sides["a"], sides["b"]), pair_doubts(sides["a"], sides["b"])
    if found.pairs < LEAST_PAIRS:
        doubts = (*doubts, f"{found.pairs} pairs are too few for a verdict, which takes {LEAST_PAIRS}; raise --repeats")
    return {
        "a": sides["a"].case.name,
        "b": sides["b"].case.name,
        "ratio": found.ratio,
        "low": found.low,
        "high": found.high,
        "pairs": found.pairs,
        "verdict": "undecided" if doubts else found.verdict,
        "doubts": list(doubts),
    }
