"""How set metrics depend on the number of clips when nothing is wrong: world against world, 64 to 2,048 clips.

Paste: python benchmarks/validation/sample_size.py --out benchmarks/validation
Sound: SoundNet on 2,048 clips and on 2,048 others as reference; sets of n clips are drawn from the first without
replacement. Picture: I3D takes over a second a clip on a CPU, so few clips are computed, and both sides are drawn from
them with replacement: draws from one distribution all the same. An unbiased distance has the same mean at every n.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltx2_benchmarks.synthetic import render, sample_scene
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.catalogue import load_extractor
from ltx2_eval.metrics.catalogue import catalogue, implementation
from ltx2_eval.metrics.kernel import KernelOverClips

SIZES = (64, 128, 256, 512, 1024, 2048)
MOST = SIZES[-1]
SETS = 32
FIRST_SEED = 30_000_000
Features = list[NDArray[np.float32]]
Counts = dict[int, NDArray[np.int64]]
"""Per size (sets, clips): how many times each clip of the pool is in each set."""


def world_features(extractor: str, first: int, count: int) -> Features:
    """Features of clips of the test split; their scenes are used nowhere else."""
    network = load_extractor(extractor)
    found = []
    for seed in range(first, first + count):
        made = render(sample_scene(seed, split="test"))
        found.append(network.features(Clip(video=made.video, fps=made.fps, audio=made.audio, rate_hz=made.rate_hz)))
    return found


def without_replacement(pool: int, generator: np.random.Generator) -> Counts:
    """Random subsets; of the whole pool there is one."""
    counts = {}
    for size in SIZES:
        sets = [generator.permutation(pool)[:size] for _ in range(SETS if size < pool else 1)]
        counts[size] = np.stack([np.bincount(chosen, minlength=pool) for chosen in sets])
    return counts


def with_replacement(pool: int, generator: np.random.Generator) -> Counts:
    """Independent draws from the pool."""
    return {size: generator.multinomial(size, np.full(pool, 1 / pool), SETS) for size in SIZES}


def rows_of(
    name: str, extractor: str, distance: Any, pool: Features, reference: Features, counts: Counts
) -> list[dict[str, Any]]:
    """Per size the mean over sets, and the spread of one set: standard deviation and the middle 95 %."""
    rows = []
    values = np.array(distance.on_draws(pool, reference, np.concatenate(list(counts.values()))))
    for size, found in zip(
        counts, np.split(values, np.cumsum([len(rows) for rows in counts.values()])[:-1]), strict=True
    ):
        low, high = np.quantile(found, (0.025, 0.975)) if len(found) > 1 else (None, None)
        spread = float(found.std(ddof=1)) if len(found) > 1 else None
        facts = {"metric": name, "extractor": extractor, "n": size, "reference_n": len(reference), "sets": len(found)}
        rows.append({**facts, "mean": float(found.mean()), "spread": spread, "low": low, "high": high})
        print(f"{name:20s} n={size:5d} sets={len(found):3d} mean={found.mean():9.5g} [{low}, {high}]", flush=True)
    return rows


def distance_of(metric: str) -> Any:
    """As the catalogue computes it."""
    entry = catalogue()[metric]
    return implementation(entry)(**entry.settings).distance


def clip_means(features: Features) -> Features:
    """One vector a clip: the mean of its windows."""
    return [clip.mean(axis=0, keepdims=True) for clip in features]


def sound_rows() -> list[dict[str, Any]]:
    """FAD and KAD over all windows, and KAD of one vector a clip, whose rows are independent."""
    pool = world_features("soundnet-pool5", FIRST_SEED, MOST)
    reference = world_features("soundnet-pool5", FIRST_SEED + MOST, MOST)
    counts = without_replacement(MOST, np.random.default_rng(0))
    rows = []
    for metric in ("fad_soundnet", "kad_soundnet"):
        rows += rows_of(metric, "soundnet-pool5", distance_of(metric), pool, reference, counts)
    kernel = KernelOverClips("gaussian", 100.0)
    return rows + rows_of(
        "kad of clip means", "soundnet-pool5", kernel, clip_means(pool), clip_means(reference), counts
    )


def picture_rows(count: int) -> list[dict[str, Any]]:
    """FVD and KVD on features drawn with replacement from `count` clips."""
    pool = world_features("i3d-k400", FIRST_SEED, count)
    generator = np.random.default_rng(0)
    reference = [pool[i] for i in generator.integers(0, len(pool), MOST)]
    counts = with_replacement(len(pool), generator)
    extractor = f"i3d-k400, resampled from {count}"
    return [
        row
        for metric in ("fvd", "kvd")
        for row in rows_of(metric, extractor, distance_of(metric), pool, reference, counts)
    ]


def main() -> None:
    """Measure and write `sample_size.csv`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/validation"))
    parser.add_argument("--pictures", type=int, default=96)
    arguments = parser.parse_args()
    rows = [*sound_rows(), *picture_rows(arguments.pictures)]
    with (arguments.out / "sample_size.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
