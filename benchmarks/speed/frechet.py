"""Fréchet distance with fewer clips than dimensions: ours against the usual formula with SciPy's `sqrtm`.

Paste: OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/speed/frechet.py --dimension 2048 --clips 500
One thread each: on a machine that is busy otherwise, the threads of either library mostly wait for each other.
The last line is SciPy's time over ours.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray

from ltx2_eval.metrics.frechet import frechet_distance

Features = NDArray[np.float64]


def by_sqrtm(x: Features, y: Features) -> float:
    """What most tools compute: covariances, then the square root of their product."""
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a singular product, which is the point
        root = scipy.linalg.sqrtm(first @ second)
    offset = x.mean(axis=0) - y.mean(axis=0)
    return float(offset @ offset + np.trace(first) + np.trace(second) - 2 * np.trace(root.real))


def timed(function: Callable[[Features, Features], float], x: Features, y: Features) -> tuple[float, float]:
    """Value and seconds of one call."""
    started = time.perf_counter()
    value = function(x, y)
    return value, time.perf_counter() - started


def row(name: str, seconds: list[float], value: float) -> str:
    """One line of the table."""
    spread = max(seconds) - min(seconds)
    return f"{name:12} {statistics.median(seconds):10.4f} {spread:10.4f} {len(seconds):5} {value:18.9f}"


def main() -> None:
    """Measure both in turn on the same features, check that they agree, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    shape = (arguments.clips, arguments.dimension)
    x, y = random.normal(size=shape), random.normal(0.1, 1.2, size=shape)
    frechet_distance(x, y)  # the libraries load their kernels before the clock starts
    pairs = [(timed(frechet_distance, x, y), timed(by_sqrtm, x, y)) for _ in range(arguments.repeats)]
    ours, theirs = ([pair[side][1] for pair in pairs] for side in (0, 1))
    value, peer = pairs[0][0][0], pairs[0][1][0]
    print(f"{arguments.clips} clips a side, {arguments.dimension} dimensions, {torch.get_num_threads()} threads")
    print(f"{'':12} {'median s':>10} {'spread s':>10} {'runs':>5} {'distance':>18}")
    print(row("ours", ours, value))
    print(row("scipy sqrtm", theirs, peer))
    difference = abs(value - peer) / abs(peer)
    print(f"relative difference {difference:.1e}")
    if difference > 1e-4:
        raise SystemExit("the two do not agree")
    print(f"ratio: {statistics.median(theirs) / statistics.median(ours):.1f}")


if __name__ == "__main__":
    main()
