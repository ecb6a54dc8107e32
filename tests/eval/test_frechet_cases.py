"""Sets that break the usual formula for the Fréchet distance, a share of those of `benchmarks/numerics`."""

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import scipy.linalg

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "numerics" / "frechet_cases.py"


def _script():
    spec = importlib.util.spec_from_file_location("frechet_cases", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_degenerate_sets_give_finite_values_and_are_at_distance_zero_from_themselves():
    found, lowest, self_distance = _script().broken(150, seed=1)
    assert found == []
    assert lowest >= -1e-9
    assert self_distance < 1e-9


def test_the_cases_can_break_something():
    """The usual formula fails on them: complex, not finite, negative, or not zero for a set and itself."""
    script, bad = _script(), 0
    random = np.random.default_rng(1)
    for _ in range(60):
        _, x, _ = script.pair(random)
        cov = np.cov(x, rowvar=False).reshape(x.shape[1], x.shape[1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            root = scipy.linalg.sqrtm(cov @ cov)
        value = 2 * np.trace(cov) - 2 * np.trace(root)
        bad += not (abs(value) < 1e-9 * np.trace(cov))
    assert bad > 5
