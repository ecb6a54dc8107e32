"""Six metrics over a folder of clips: one pass for all of them, against one decode and one extraction per metric.

Paste: OMP_NUM_THREADS=1 python benchmarks/speed/scoring.py --clips 64
The other side is what one tool per metric does: each decodes every clip and runs its own copy of the same extractor.
Both sides read the same files, find the reference's features ready, and must give the same values. Beside the wall time
stand the processor seconds, which other work on the machine disturbs less, and the highest resident memory after a
quarter of the clips and after all. The last line is the other side's wall time over ours.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ltx2_benchmarks.synthetic import render, sample_scene
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.folder_of_clips import clips_in
from ltx2_eval.media import read_clip, write_clip
from ltx2_eval.metrics.base import MetricEntry, Subject
from ltx2_eval.metrics.catalogue import catalogue, clip_metric, implementation
from ltx2_eval.reference import Reference, clips_reference
from ltx2_eval.runner import ScoringPlan, score_folder
from ltx2_reports.records import ClipRecord

SIX = ("fvd", "kvd", "fad_soundnet", "kad_soundnet", "av_offset_ms", "av_align")
Values = dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Of one side."""

    wall_s: float
    processor_s: float
    values: Values


def make_clips(folder: Path, count: int, size: tuple[int, int], first: int) -> None:
    """Clips of the procedural world, `first` and on, as H.264 and AAC."""
    width, height = size
    for number in range(first, first + count):
        made = render(sample_scene(number, family="impacts", frames=121, width=width, height=height))
        clip = Clip(video=made.video, fps=made.fps, audio=made.audio, rate_hz=made.rate_hz)
        write_clip(clip, folder / f"{number:04d}.mp4", container="mp4")


def one_pass(folder: Path, entries: Sequence[MetricEntry], reference: Reference, count: int | None = None) -> Values:
    """Ours."""
    with tempfile.TemporaryDirectory() as work:
        scoring = ScoringPlan(entries=tuple(entries), reference=reference, pool=ExtractorPool())
        found = clips_in(folder)[:count]
        run = score_folder(found, Path(work) / "run", system="ours", scoring=scoring, progress=lambda *_: None)
    return {entry.spec.id: _mean([value.value for value in run.of_metric(entry.spec.id)]) for entry in entries}


def pass_per_metric(folder: Path, entries: Sequence[MetricEntry], reference: Reference) -> Values:
    """Every metric for itself."""
    pool = ExtractorPool()
    return {entry.spec.id: _alone(entry, folder, reference, pool) for entry in entries}


def _alone(entry: MetricEntry, folder: Path, reference: Reference, pool: ExtractorPool) -> float:
    clips = (read_clip(found.path) for found in clips_in(folder))
    if entry.spec.level == "clip":
        record = ClipRecord(sample="c", prompt_id="c", seed=0, file="c", sha256="0" * 64)
        judge = clip_metric(entry)
        outcomes = (
            judge(Subject(clip=clip, record=record, prompt=None), None, None, **entry.settings) for clip in clips
        )
        return _mean([outcome.value for outcome in outcomes])
    assert entry.extractor is not None
    extractor, metric = pool.get(entry.extractor), implementation(entry)(**entry.settings)
    for clip in clips:
        metric.update(torch.from_numpy(extractor.features(clip)), real=False)
    for features in _of_reference(reference, entry.extractor, pool):
        metric.update(torch.from_numpy(features), real=True)
    return float(metric.compute())


def _of_reference(reference: Reference, extractor: str, pool: ExtractorPool) -> list[np.ndarray]:
    from ltx2_eval.features import FeatureCache
    from ltx2_eval.weights import cache_root

    return reference.features(extractor, pool, FeatureCache(cache_root() / "features"))


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None]))


def timed(work: Callable[[], Values]) -> Cost:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    values = work()
    return Cost(wall_s=time.perf_counter() - wall, processor_s=time.process_time() - processor, values=values)


def peak_mb() -> float:
    """Highest resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure both, check that they agree, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--size", default="768x512")
    parser.add_argument("--metrics", default=",".join(SIX))
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    entries = [catalogue()[name] for name in arguments.metrics.split(",")]
    with tempfile.TemporaryDirectory() as work:
        clips, real = Path(work) / "clips", Path(work) / "real"
        for folder, count, first in ((clips, arguments.clips, 0), (real, 8, 10_000)):
            folder.mkdir()
            make_clips(folder, count, (width, height), first)
        reference = clips_reference(str(real), "mp4")
        one_pass(
            clips, entries, reference, 2
        )  # networks and the reference's features are loaded before the clock starts
        started = peak_mb()
        one_pass(clips, entries, reference, arguments.clips // 4)
        quarter = peak_mb()
        ours = timed(lambda: one_pass(clips, entries, reference))
        whole = peak_mb()
        theirs = timed(lambda: pass_per_metric(clips, entries, reference))
    print(f"{arguments.clips} clips of {arguments.size}, 121 frames; {len(entries)} metrics: {arguments.metrics}")
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'':22} {'wall s':>9} {'processor s':>12}")
    for name, cost in (("one pass", ours), ("one pass per metric", theirs)):
        print(f"{name:22} {cost.wall_s:9.1f} {cost.processor_s:12.1f}")
    print(f"peak MB: {started:.0f} with 2 clips, {quarter:.0f} with {arguments.clips // 4}, {whole:.0f} with all")
    worst = max(abs(ours.values[name] - theirs.values[name]) / abs(theirs.values[name]) for name in ours.values)
    print(f"largest relative difference of a value {worst:.1e}")
    if worst > 1e-6:
        raise SystemExit(f"the two do not agree: {ours.values} and {theirs.values}")
    print(f"ratio of processor seconds: {theirs.processor_s / ours.processor_s:.2f}")
    print(f"ratio: {theirs.wall_s / ours.wall_s:.2f}")


if __name__ == "__main__":
    main()
