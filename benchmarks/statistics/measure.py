"""The components of noise of every metric of a model, from runs of the same prompts with other seeds.

Paste: ltx2-eval run --model nano=ltx2:nano --suite ci --profile dsp --seed 0 --seed 1 ... --seed 7 --out runs/noise
       python benchmarks/statistics/measure.py runs/noise/nano
Prints shapes as `gate.py` has them: prompts, clips, and what all prompts of a seed share (analysis of variance).
"""

import sys
from pathlib import Path

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from ltx2_reports.pairing import clip_values
from ltx2_reports.records import Run, read_run


def table(runs: list[Run], metric: str) -> NDArray[np.float64] | None:
    """(prompts, seeds of all runs), of prompts that have every value."""
    described = next(found.metric for found in runs[0].protocols.values() if found.metric.id == metric)
    sides = [clip_values(run, metric, described) for run in runs]
    columns = [(side, seed) for side, run in zip(sides, runs, strict=True) for seed in run.header.spec.seeds]
    prompts = [p.id for p in runs[0].header.spec.prompts if all((p.id, seed) in side for side, seed in columns)]
    values = [[side[prompt, seed] for side, seed in columns] for prompt in prompts]
    return np.array(values) if len(prompts) > 5 else None


def main() -> None:
    """Print one line per metric that varies."""
    runs = [read_run(Path(folder)) for folder in sys.argv[1:]]
    for metric in sorted({line.metric for line in runs[0].values.values() if line.sample is not None}):
        x = table(runs, metric)
        if x is None or np.ptp(x) == 0 or metric.startswith("runtime."):
            continue
        rows, columns = x.mean(axis=1), x.mean(axis=0)
        rest = x - rows[:, None] - columns + x.mean()
        clips = (rest**2).sum() / ((len(rows) - 1) * (len(columns) - 1))
        prompts, shared = (
            max(0.0, part.var(ddof=1) - clips / other.size) for part, other in ((rows, columns), (columns, rows))
        )
        spread = [float(np.sqrt(part)) for part in (prompts, clips, shared)]
        skew = float(scipy.stats.skew(rows))
        print(
            f'    Shape(name="{metric}", mean={abs(x.mean()):.5g}, prompts={spread[0]:.3g}, seeds={spread[1]:.3g}, '
            f"shared={spread[2]:.3g}, skew={skew:.2g}),"
        )


if __name__ == "__main__":
    main()
