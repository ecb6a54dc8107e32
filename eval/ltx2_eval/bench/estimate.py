"""What a case costs by its sizes alone: FLOPs, bytes, memory, and the time that a GPU's data sheet allows at best."""

from collections.abc import Mapping
from dataclasses import dataclass

from ltx2.flops import Work, total
from ltx2_benchmarks.hardware import Gpu
from ltx2_eval.bench.case import Case
from ltx2_reports.bench import BenchEstimate

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """What an estimate is made from."""

    parameters: int
    tokens: dict[str, int]
    forward: Mapping[str, Work]
    """One pass of one sample, by part."""
    unit_flops: int
    """Of the timed unit, one sample."""
    passes: int
    """Forwards in the timed unit."""
    weight_bytes: int
    memory_bytes: int
    """Weights and activations on the device at the busiest moment."""


def estimate(case: Case, sizes: Sizes, gpu: Gpu | None) -> BenchEstimate:
    """Put together what follows from the sizes.

    Raises:
        ValueError: the GPU's data sheet says nothing of the dtype.
    """
    width = BYTES[case.dtype]
    work = total(sizes.forward)
    traffic = sizes.weight_bytes + work.moved * width * case.batch
    flops = sizes.unit_flops * case.batch
    fields = BenchEstimate(
        parameters=sizes.parameters,
        tokens=sizes.tokens,
        flops_per_forward=work.total,
        linear_flops=work.linear,
        attention_flops=work.attention,
        flops=flops,
        parts={name: part.total for name, part in sizes.forward.items()},
        weight_bytes=sizes.weight_bytes,
        traffic_bytes=traffic,
        memory_bytes=sizes.memory_bytes,
    )
    if gpu is None:
        return fields
    fits = sizes.memory_bytes <= gpu.memory_gib * 2**30
    return fields.model_copy(update={**_roofline(case, flops, traffic * sizes.passes, gpu), "roofline_fits": fits})


def _roofline(case: Case, flops: int, traffic: int, gpu: Gpu) -> dict[str, object]:
    if case.dtype not in gpu.tflops:
        raise ValueError(f"gpu {gpu.name}: its data sheet has no {case.dtype}; known: {', '.join(gpu.tflops)}")
    compute, memory = flops / (gpu.tflops[case.dtype] * 1e12), traffic / (gpu.bandwidth_gb_s * 1e9)
    return {
        "roofline_seconds": max(compute, memory),
        "roofline_gpu": gpu.name,
        "roofline_bound": "compute" if compute >= memory else "memory",
    }
