"""Timings of a run: which metrics they are, and what the run typically took."""

from collections.abc import Collection

import numpy as np

from ltx2_reports.records import MetricSpec, Run

WARM_UP = 1
"""Clips at the beginning of a run whose timings do not count, where nobody says otherwise."""


def is_timing(metric: MetricSpec) -> bool:
    """Whether values depend on the machine: no noise from clip to clip says how much another run would differ."""
    return "runtime" in metric.needs


def typical(run: Run, metric: str, warm_up: int = WARM_UP, among: Collection[str] | None = None) -> float | None:
    """Median over the run's clips in the order they were made, without the first `warm_up`; None: nothing is left.

    `among`: of the clips of these prompts only; None: of all.
    """
    lines = [(clip, run.values.get((sample, metric))) for sample, clip in run.clips.items()]
    made = [(clip, line.value) for clip, line in lines if line is not None and line.value is not None][warm_up:]
    values = [value for clip, value in made if among is None or clip.prompt_id in among]
    return float(np.median(values)) if values else None
