"""Metrics: what each gets and answers, and all of them by name.

The set metrics are `torchmetrics.Metric` classes for any PyTorch program:

    from ltx2_eval.metrics import FrechetDistance

    metric = FrechetDistance(dimension=400)
    metric.update(generated_features, real=False)
    metric.update(reference_features, real=True)
    metric.compute()

They are imported on first use, so that reading the catalogue stays quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ltx2_eval.metrics.class_distributions import InceptionScore as InceptionScore
    from ltx2_eval.metrics.class_distributions import PairedDivergence as PairedDivergence
    from ltx2_eval.metrics.cmmd import Cmmd as Cmmd
    from ltx2_eval.metrics.extrapolated import FrechetAtInfinity as FrechetAtInfinity
    from ltx2_eval.metrics.frechet import FrechetDistance as FrechetDistance
    from ltx2_eval.metrics.kernel import KernelDistance as KernelDistance
    from ltx2_eval.metrics.paired_distance import PairedDistance as PairedDistance

_CLASSES = {
    "Cmmd": "cmmd",
    "FrechetDistance": "frechet",
    "FrechetAtInfinity": "extrapolated",
    "InceptionScore": "class_distributions",
    "KernelDistance": "kernel",
    "PairedDistance": "paired_distance",
    "PairedDivergence": "class_distributions",
}

__all__ = [*_CLASSES]  # noqa: PLE0604  (names of the table above)


def __getattr__(name: str) -> Any:
    if name not in _CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_CLASSES[name]}"), name)
