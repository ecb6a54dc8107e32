"""Intervals and tests of 20 metrics on 600 prompts, 10,000 draws each: seconds and peak memory.

Paste: OMP_NUM_THREADS=2 python benchmarks/statistics/resampling_speed.py
The last line is the bar, 2 s, over the median of five repeats.
"""

import resource
import statistics
import sys
import time

import numpy as np

from ltx2_reports.statistics import RESAMPLES, mean_intervals, sign_flip_ps

PROMPTS, METRICS, REPEATS, BAR_S = 600, 20, 5, 2.0


def main() -> None:
    """Measure the bootstrap and the sign flips, together and apart."""
    random = np.random.default_rng(0)
    values = random.gamma(2, 1, (METRICS, PROMPTS))
    columns = [{f"{place:04}": [float(v)] for place, v in enumerate(row)} for row in values]
    before = _peak_bytes()
    seconds = []
    started = time.process_time()
    for _ in range(REPEATS):
        began = time.perf_counter()
        mean_intervals(columns)
        middle = time.perf_counter()
        sign_flip_ps(list(values - 2))
        seconds.append((middle - began, time.perf_counter() - middle))
    processor_s = (time.process_time() - started) / REPEATS
    bootstrap, flips = (statistics.median(part) for part in zip(*seconds, strict=True))
    print(f"{RESAMPLES} draws x {PROMPTS} prompts x {METRICS} metrics, median of {REPEATS}:")
    print(f"bootstrap {bootstrap:.2f} s, sign flips {flips:.2f} s; {processor_s:.2f} s of processor time for both")
    print(f"peak memory {_peak_bytes() / 1e6:.0f} MB, of which before {before / 1e6:.0f} MB")
    print(f"ratio: {BAR_S / (bootstrap + flips):.2f}")


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
