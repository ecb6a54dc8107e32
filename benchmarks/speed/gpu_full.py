"""The full models with random bfloat16 weights on one GPU: steps, video decoding and peak memory, against Wan 2.2.

Paste: python benchmarks/speed/gpu_full.py --out gpu-full.json
       OMP_NUM_THREADS=1 python benchmarks/speed/gpu_full.py --tiny --device cpu      # the same code on small models

A step is one Euler step without guidance (as Table 1 of arXiv 2601.03233 counts) and one with the four passes of the
default guidance; `peak` is the share of the matrix products' rate that the same run measured on the same device. A
decode is the video autoencoder's, in the slices that the pipeline would choose. Sizes that do not fit are told and left
out. The last line is the ratio of Wan 2.2 A14B's step to ours without guidance at 121 frames of 720p; the paper says
18.28.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ltx2.config import LTX2_19B, NANO, LTX2Config
from ltx2.types import VideoLatentShape
from ltx2.video_memory import decode_budget_bytes, plan_decode
from ltx2.video_vae import VideoVAE
from ltx2_benchmarks.recipe import Point, Recipe, Timing
from ltx2_eval.bench.case import cases_of
from ltx2_eval.bench.devices import Device, open_device
from ltx2_eval.bench.random_weights import materialise
from ltx2_eval.bench.session import Session
from ltx2_reports.bench import BenchRecord

PAPER_RATIO = 18.28
FRAMES_PX = 8


class Size(NamedTuple):
    """Of a clip, in pixels; Wan's patches fit other heights than LTX-2's cells."""

    width: int
    height: int
    frames: int
    wan_height: int | None = None
    """None: Wan is not timed at this size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is measured."""

    ours: str
    guided: str
    wan: str
    config: LTX2Config
    dtype: str
    sizes: tuple[Size, ...]
    compared: Size
    """The size of the ratio."""


_720P = Size(1280, 704, 121, 720)
FULL = Plan(
    ours="ltx2:19b",
    guided="ltx2:19b@guidance=ltx2-default",
    wan="wan22:a14b",
    config=LTX2_19B,
    dtype="bfloat16",
    sizes=(Size(768, 512, 121), _720P, Size(1216, 704, 121), Size(1536, 1024, 121), Size(1920, 1088, 121)),
    compared=_720P,
)
_SMALL = Size(64, 64, 9, 64)
TINY = Plan(
    ours="ltx2:nano",
    guided="ltx2:nano@guidance=text-and-modality",
    wan="wan22:tiny",
    config=NANO,
    dtype="float32",
    sizes=(_SMALL, Size(96, 64, 9)),
    compared=_SMALL,
)


class Decode(NamedTuple):
    """Seconds and peak memory of decoding one latent."""

    size: str
    seconds: list[float]
    slices: str
    """Axis and length of the slices; `whole` without."""
    peak_bytes: int | None


def recipe_of(plan: Plan, repeats: int) -> Recipe:
    """The steps to time: ours without and with guidance, and Wan's where it has the size."""
    grid = []
    for size in plan.sizes:
        sizes = dict.fromkeys((plan.ours, plan.guided), f"{size.width}x{size.height}")
        if size.wan_height is not None:
            sizes[plan.wan] = f"{size.width}x{size.wan_height}"
        grid.append(Point(label=f"{size.width}x{size.height}", sizes=sizes, frames=(size.frames,)))
    return Recipe(
        name="gpu-full",
        title="Full models with random weights",
        about="One Euler step without guidance and with the default one, and Wan 2.2.",
        measure="step",
        models=(plan.ours, plan.guided, plan.wan),
        dtypes=(plan.dtype,),
        timing=Timing(warmup=1, repeats=repeats),
        grid=tuple(grid),
    )


def decoded(plan: Plan, device: Device, repeats: int) -> list[Decode]:
    """Time the video decoder at every size; sizes that do not fit are left out."""
    with torch.device("meta"):
        vae = VideoVAE(plan.config.video_vae)
    dtype = getattr(torch, plan.dtype)
    materialise(vae, device.torch_device, dtype)
    return [found for size in plan.sizes if (found := _decode(vae, plan, size, device, dtype, repeats)) is not None]


@torch.inference_mode()
def _decode(vae: VideoVAE, plan: Plan, size: Size, device: Device, dtype: torch.dtype, repeats: int) -> Decode | None:
    config = plan.config.video_vae
    cell = config.spatial_factor
    frames = (size.frames - 1) // FRAMES_PX + 1
    shape = VideoLatentShape(1, config.latent_channels, frames, size.height // cell, size.width // cell, cell)
    where = device.torch_device
    latent = torch.randn(1, config.latent_channels, frames, shape.height, shape.width, device=where, dtype=dtype)
    streaming = plan_decode(config, shape, dtype, budget_bytes=decode_budget_bytes(where))

    def decode() -> None:
        for part in vae.decode_slices(latent, streaming):
            del part

    seconds = []
    try:
        _, peak = device.peak_during(decode)  # also warms up
        for _ in range(repeats):
            began = device.now()
            decode()
            seconds.append(device.now() - began)
    except Exception as error:
        if not device.is_out_of_memory(error):
            raise
        device.recover()
        print(f"{size.width}x{size.height}: decoding does not fit: {error}")
        return None
    slices = "whole" if streaming is None else f"{streaming.size} along {streaming.axis}"
    return Decode(f"{size.width}x{size.height}, {size.frames} frames", seconds, slices, peak)


def ratio_of(plan: Plan, records: Sequence[BenchRecord]) -> float | None:
    """Wan's median over ours without guidance at the size of the paper; None where one was not timed."""
    label = f"{plan.compared.width}x{plan.compared.height}"
    medians = {r.case.model: r.timing.median_s for r in records if r.label == label and r.timing is not None}
    if plan.ours not in medians or plan.wan not in medians:
        return None
    return medians[plan.wan] / medians[plan.ours]


def print_steps(records: Sequence[BenchRecord]) -> None:
    """One line per case."""
    print(f"{'step':40}{'size':>18}{'median s':>11}{'quartiles':>18}{'of peak':>9}{'peak GB':>9}")
    for record in records:
        case = record.case
        name = f"{case.model:40}{f'{case.width}x{case.height}x{case.frames}':>18}"
        timing = record.timing
        if timing is None:
            print(f"{name}  {record.reason.message if record.reason else 'not timed'}")
            continue
        share = "" if timing.utilisation is None else f"{timing.utilisation:.0%}"
        peak = "" if timing.device_peak_bytes is None else f"{timing.device_peak_bytes / 1e9:.1f}"
        quartiles = f"{timing.quartile_low_s:.4f} {timing.quartile_high_s:.4f}"
        print(f"{name}{timing.median_s:11.4f}{quartiles:>18}{share:>9}{peak:>9}")


def print_decodes(found: Sequence[Decode]) -> None:
    """One line per size."""
    print(f"\n{'decode':40}{'slices':>18}{'median s':>11}{'peak GB':>9}")
    for each in found:
        peak = "" if each.peak_bytes is None else f"{each.peak_bytes / 1e9:.1f}"
        print(f"{each.size:40}{each.slices:>18}{statistics.median(each.seconds):11.4f}{peak:>9}")


def measure(plan: Plan, device: Device, repeats: int) -> dict[str, Any]:
    """Everything, printed as it comes and returned as it is written."""
    recipe = recipe_of(plan, repeats)
    session = Session(device=device, recipe=recipe, announce=lambda text: print(f"... {text}", flush=True))
    records = session.run(cases_of(recipe))
    described = device.describe()
    print(f"\n{described.name}; attention: {described.attention}; {plan.dtype}, random weights, {repeats} repeats")
    print_steps(records)
    decodes = decoded(plan, device, repeats)
    print_decodes(decodes)
    return {
        "device": described.model_dump(mode="json"),
        "steps": [record.model_dump(mode="json") for record in records],
        "decodes": [each._asdict() for each in decodes],
        "ratio": ratio_of(plan, records),
        "paper_ratio": PAPER_RATIO,
    }


def main() -> None:
    """Measure, print and, where asked, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--tiny", action="store_true", help="small models and sizes: only tries the script")
    parser.add_argument("--out", type=Path, help="also write everything as JSON, for reports/published/MACHINE/")
    given = parser.parse_args()
    if given.repeats < 1:
        parser.error(f"--repeats is {given.repeats}; it must be at least 1")
    try:
        device = open_device(given.device)
    except ValueError as error:
        parser.error(f"{error}; --tiny --device cpu tries the script without a GPU")
    plan = TINY if given.tiny else FULL
    if device.kind != "cuda" and not given.tiny:
        parser.error(f"the full models need a GPU, --device is {given.device}; --tiny tries the script")
    result = measure(plan, device, given.repeats)
    if given.out is not None:
        given.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    ratio = result["ratio"]
    told = "not measured" if ratio is None else f"{ratio:.2f}"
    print(f"ratio: {told}" + ("" if given.tiny else f" (paper: {PAPER_RATIO})"))


if __name__ == "__main__":
    main()
