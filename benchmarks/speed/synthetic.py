"""Clips per second of the procedural world (96x96, 49 frames, stereo 24 kHz), in one process and in two.

Paste: python benchmarks/speed/synthetic.py --clips 300 --repeats 5
The last line is the rate of two processes over the bar of 50 clips per second.
"""

import argparse
import hashlib
import statistics
import time
from collections.abc import Iterable
from multiprocessing import get_context

from ltx2_benchmarks.synthetic import render, sample_scene

BAR_CLIPS_PER_S = 50.0


def fingerprint(seed: int) -> str:
    clip = render(sample_scene(seed))
    return hashlib.sha256(clip.video.tobytes() + clip.audio.tobytes()).hexdigest()


def one_process(seeds: Iterable[int]) -> list[str]:
    return [fingerprint(seed) for seed in seeds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    seeds = range(arguments.clips)
    rates: dict[int, list[float]] = {1: [], 2: []}
    outputs: list[list[str]] = []
    with get_context("spawn").Pool(2) as pool:
        one_process(range(8))
        pool.map(fingerprint, range(32))
        for _ in range(arguments.repeats):
            for processes in (1, 2):
                start = time.perf_counter()
                outputs.append(one_process(seeds) if processes == 1 else pool.map(fingerprint, seeds, chunksize=8))
                rates[processes].append(arguments.clips / (time.perf_counter() - start))
    if any(output != outputs[0] for output in outputs):
        raise SystemExit("clips of one process and of two differ")
    print(f"{arguments.clips} clips with their hashes, {arguments.repeats} rounds in turn, outputs equal")
    print("processes  clips/s median     min     max")
    for processes, values in rates.items():
        print(f"{processes:9d}  {statistics.median(values):14.1f} {min(values):7.1f} {max(values):7.1f}")
    print("ratio = clips/s of two processes over the bar of 50 clips/s")
    print(f"ratio: {statistics.median(rates[2]) / BAR_CLIPS_PER_S:.2f}")


if __name__ == "__main__":
    main()
