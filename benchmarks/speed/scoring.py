"""Six metrics over a folder of clips: one pass for all of them, against one decode and one extraction per metric.

Paste: OMP_NUM_THREADS=1 python benchmarks/speed/scoring.py --clips 64 --size 384x256 --six distances
The other side is what one tool per metric does: each decodes every clip and runs its own copy of the same extractor.
Both sides read the same files, find the reference's features ready, and must give the same values; where one declines,
so must the other. Networks are loaded before the clock starts; what loading takes is measured apart and then added, to
ours once per network, to the other side once per metric. Beside the wall time stand the processor seconds, which other
work on the machine disturbs less, and the highest resident memory after a quarter of the clips and after all. The last
line is the other side's wall time over ours, without loading.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ltx2_benchmarks.suite import Prompt
from ltx2_benchmarks.synthetic import caption, render, sample_scene
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import Extractor, NotApplicable
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.folder_of_clips import FoundClip, clips_in
from ltx2_eval.media import read_clip, write_clip
from ltx2_eval.metrics.base import Declined, MetricEntry, Subject
from ltx2_eval.metrics.catalogue import catalogue, clip_metric, implementation
from ltx2_eval.reference import Reference, clips_reference
from ltx2_eval.runner import ScoringPlan, score_folder
from ltx2_reports.records import ClipRecord

SIXES = {
    "mixed": ("fvd", "kvd", "fad_soundnet", "kad_soundnet", "av_offset_ms", "av_align"),
    "distances": ("fvd", "kvd", "fvd_inf", "fad_soundnet", "kad_soundnet", "fad_soundnet_inf"),
    "apart": ("fvd", "fd_efficientnet", "fad_soundnet", "nano_tv", "dnsmos_ovrl", "av_offset_ms"),
}
"""The first with two networks and two that need none; the distance, unbiased kernel and extrapolated form of video and
of sound; and six that share nothing but the clip, among them one of text and one of frames."""
Values = dict[str, float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Of one side."""

    wall_s: float
    processor_s: float
    values: Values


def make_clips(folder: Path, count: int, size: tuple[int, int], first: int) -> None:
    """Clips of the procedural world, `first` and on, as H.264 and AAC, with their captions beside them."""
    width, height = size
    lines = []
    for number in range(first, first + count):
        scene = sample_scene(number, family="impacts", frames=121, width=width, height=height)
        made = render(scene)
        clip = Clip(video=made.video, fps=made.fps, audio=made.audio, rate_hz=made.rate_hz)
        write_clip(clip, folder / f"{number:04d}.mp4", container="mp4")
        lines.append(json.dumps({"file": f"{number:04d}.mp4", "text": caption(scene)}))
    (folder / "prompts.jsonl").write_text("\n".join(lines))


def one_pass(
    folder: Path, entries: Sequence[MetricEntry], reference: Reference, pool: ExtractorPool, count: int | None = None
) -> Values:
    """Ours."""
    with tempfile.TemporaryDirectory() as work:
        scoring = ScoringPlan(entries=tuple(entries), reference=reference, pool=pool)
        found = clips_in(folder)[:count]
        run = score_folder(found, Path(work) / "run", system="ours", scoring=scoring, progress=lambda *_: None)
    return {entry.spec.id: _mean([value.value for value in run.of_metric(entry.spec.id)]) for entry in entries}


def pass_per_metric(folder: Path, entries: Sequence[MetricEntry], reference: Reference, pool: ExtractorPool) -> Values:
    """Every metric for itself."""
    return {entry.spec.id: _alone(entry, folder, reference, pool) for entry in entries}


def _alone(entry: MetricEntry, folder: Path, reference: Reference, pool: ExtractorPool) -> float | None:
    clips = ((found, read_clip(found.path)) for found in clips_in(folder))
    extractor = pool.get(entry.extractor) if entry.extractor else None
    if entry.spec.level == "clip":
        return _mean([_of_clip(entry, found, clip, extractor) for found, clip in clips])
    assert entry.extractor is not None
    assert extractor is not None
    metric = implementation(entry)(**entry.settings)
    for _, clip in clips:
        metric.update(torch.from_numpy(extractor.features(clip)), real=False)
    for features in _of_reference(reference, entry.extractor, pool):
        metric.update(torch.from_numpy(features), real=True)
    try:
        return float(metric.compute())
    except Declined:
        return None


def _of_clip(entry: MetricEntry, found: FoundClip, clip: Clip, extractor: Extractor | None) -> float | None:
    record = ClipRecord(sample="c", prompt_id="c", seed=0, file="c", sha256="0" * 64)
    subject = Subject(clip=clip, record=record, prompt=Prompt(id="c", text=found.text) if found.text else None)
    try:
        features = extractor.features(clip) if extractor is not None else None
        return clip_metric(entry)(subject, features, extractor, **entry.settings).value
    except NotApplicable:
        return None


def _of_reference(reference: Reference, extractor: str, pool: ExtractorPool) -> list[np.ndarray]:
    from ltx2_eval.features import FeatureCache
    from ltx2_eval.weights import cache_root

    return reference.features(extractor, pool, FeatureCache(cache_root() / "features"))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def loading(entries: Sequence[MetricEntry]) -> tuple[Cost, Cost]:
    """What it takes to load each network once, and once for every metric."""
    pool = ExtractorPool()
    names = [entry.extractor for entry in entries if entry.extractor]
    costs = {name: timed(lambda name=name: pool.get(name) and {}) for name in dict.fromkeys(names)}
    return _sum([costs[name] for name in costs]), _sum([costs[name] for name in names])


def _sum(costs: Sequence[Cost]) -> Cost:
    wall, processor = (sum(getattr(cost, field) for cost in costs) for field in ("wall_s", "processor_s"))
    return Cost(wall_s=wall, processor_s=processor, values=costs[0].values if costs else {})


def timed(work: Callable[[], Values]) -> Cost:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    values = work()
    return Cost(wall_s=time.perf_counter() - wall, processor_s=time.process_time() - processor, values=values)


def peak_mb() -> float:
    """Highest resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def difference(ours: Values, theirs: Values) -> float:
    """The largest relative difference of a value.

    Raises:
        SystemExit: one side has a value that the other has not.
    """
    missing = [name for name in ours if (ours[name] is None) != (theirs[name] is None)]
    if missing:
        raise SystemExit(f"only one side has {', '.join(missing)}: {ours} and {theirs}")
    pairs = [(value, theirs[name]) for name, value in ours.items()]
    return max(abs(x - y) / max(abs(y), 1e-12) for x, y in pairs if x is not None and y is not None)


def main() -> None:
    """Measure both, check that they agree, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--size", default="768x512")
    parser.add_argument("--six", choices=SIXES, default="mixed")
    parser.add_argument("--metrics", help="others than the six, separated by commas")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    names = arguments.metrics.split(",") if arguments.metrics else SIXES[arguments.six]
    entries, pool = [catalogue()[name] for name in names], ExtractorPool()
    once, each = loading(entries)
    with tempfile.TemporaryDirectory() as work:
        clips, real = Path(work) / "clips", Path(work) / "real"
        for folder, count, first in ((clips, arguments.clips, 0), (real, 8, 10_000)):
            folder.mkdir()
            make_clips(folder, count, (width, height), first)
        reference = clips_reference(str(real), "mp4")
        one_pass(clips, entries, reference, pool, 2)  # loads the networks, and leaves the reference's features
        started = peak_mb()
        one_pass(clips, entries, reference, pool, arguments.clips // 4)
        quarter = peak_mb()
        ours = timed(lambda: one_pass(clips, entries, reference, pool))
        whole = peak_mb()
        theirs = timed(lambda: pass_per_metric(clips, entries, reference, pool))
    print(f"{arguments.clips} clips of {arguments.size}, 121 frames; {len(entries)} metrics: {', '.join(names)}")
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'':32} {'wall s':>9} {'processor s':>12}")
    sides = (("one pass", ours), ("one pass per metric", theirs))
    loaded = (("one pass, loading", _sum([ours, once])), ("one pass per metric, loading", _sum([theirs, each])))
    for name, cost in (*sides, *loaded):
        print(f"{name:32} {cost.wall_s:9.1f} {cost.processor_s:12.1f}")
    print(f"peak MB: {started:.0f} with 2 clips, {quarter:.0f} with {arguments.clips // 4}, {whole:.0f} with all")
    worst = difference(ours.values, theirs.values)
    declined = [name for name, value in ours.values.items() if value is None]
    print(f"largest relative difference of a value {worst:.1e}; both decline: {', '.join(declined) or 'none'}")
    if worst > 1e-6:
        raise SystemExit(f"the two do not agree: {ours.values} and {theirs.values}")
    for what, (mine, others) in (("loading included", loaded), ("without loading", sides)):
        print(f"ratio of processor seconds, {what}: {others[1].processor_s / mine[1].processor_s:.2f}")
    print(f"ratio: {theirs.wall_s / ours.wall_s:.2f}")


if __name__ == "__main__":
    main()
