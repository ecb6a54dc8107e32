"""Fréchet distance: ours against SciPy's `sqrtm` and against torch-fidelity's way, and its error against 50 digits.

Paste: OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/speed/frechet.py --dimension 2048 --clips 500
Paste: OMP_NUM_THREADS=1 python benchmarks/speed/frechet.py --errors
One thread each: on a machine that is busy otherwise, the threads of either library mostly wait for each other; the
column `processor s` is disturbed less. The last line is SciPy's wall time over ours, or with --errors our largest
relative error.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import mpmath
import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray

from ltx2_eval.metrics.frechet import FrechetDistance, frechet_distance

Features = NDArray[np.float64]
Distance = Callable[[Features, Features], float]


def by_sqrtm(x: Features, y: Features) -> float:
    """What most tools compute: covariances, then the square root of their product."""
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a singular product, which is the point
        root = scipy.linalg.sqrtm(first @ second)
    offset = x.mean(axis=0) - y.mean(axis=0)
    return float(offset @ offset + np.trace(first) + np.trace(second) - 2 * np.trace(root.real))


def by_eigenvalues(x: Features, y: Features) -> float:
    """torch-fidelity's way: the roots of the complex eigenvalues of the product of the covariances."""
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    roots = np.sqrt(np.linalg.eigvals(first @ second).astype(complex)).real.sum()
    offset = x.mean(axis=0) - y.mean(axis=0)
    return float(offset @ offset + np.trace(first) + np.trace(second) - 2 * roots)


def streamed(x: Features, y: Features) -> float:
    """Ours from merged states, a hundred rows at a time."""
    metric = FrechetDistance(dimension=x.shape[1])
    for rows, real in ((x, False), (y, True)):
        for start in range(0, len(rows), 100):
            metric.update(torch.from_numpy(rows[start : start + 100]), real=real)
    return float(metric.compute())


def fifty_digits(x: Features, y: Features) -> mpmath.mpf:
    """The nuclear norm of A Bᵀ by the eigenvalues of its smaller Gram matrix, all in 50 digits."""
    with mpmath.workdps(50):
        (mean_x, a), (mean_y, b) = (_centred(rows) for rows in (x, y))
        product = a * b.T
        gram = product * product.T if product.rows <= product.cols else product.T * product
        eigenvalues = mpmath.eigsy(gram, eigvals_only=True)
        offset = mpmath.fsum((p - q) ** 2 for p, q in zip(mean_x, mean_y, strict=True))
        traces = [mpmath.fsum(value**2 for value in factor) for factor in (a, b)]
        return offset + sum(traces) - 2 * mpmath.fsum(mpmath.sqrt(max(value, 0)) for value in eigenvalues)


def _centred(rows: Features) -> tuple[list[mpmath.mpf], mpmath.matrix]:
    n, d = rows.shape
    exact = mpmath.matrix(rows.tolist())
    mean = [mpmath.fsum(exact[i, j] for i in range(n)) / n for j in range(d)]
    scale = mpmath.sqrt(n - 1)
    return mean, mpmath.matrix([[(exact[i, j] - mean[j]) / scale for j in range(d)] for i in range(n)])


WAYS: dict[str, Distance] = {
    "ours": frechet_distance,
    "ours, streamed": streamed,
    "scipy sqrtm": by_sqrtm,
    "eigenvalues": by_eigenvalues,
}


def sets(n: int, d: int, spread: float) -> tuple[Features, Features]:
    """Two Gaussian sets whose columns have spreads from 1 to `spread`, in opposite order."""
    random = np.random.default_rng(d)
    scales = np.geomspace(1, spread, d)
    return random.normal(size=(n, d)) * scales, random.normal(0.1, 1.2, size=(n, d)) * scales[::-1]


def errors() -> float:
    """Print the relative error of every way where 50 digits can be had; return the largest of ours."""
    worst = 0.0
    print(f"{'d':>4} {'rows':>5} {'spread':>7}" + "".join(f"{name:>16}" for name in WAYS))
    for d, n, spread in ((8, 64, 1e3), (32, 64, 1.0), (64, 128, 1.0), (64, 128, 1e3), (64, 48, 1.0), (64, 24, 1e3)):
        x, y = sets(n, d, spread)
        exact = fifty_digits(x, y)
        found = [abs(float((way(x, y) - exact) / exact)) for way in WAYS.values()]
        worst = max(worst, *found[:2])
        print(f"{d:4} {n:5} {spread:7.0f}" + "".join(f"{error:16.1e}" for error in found))
    return worst


def timed(function: Distance, x: Features, y: Features) -> tuple[float, float, float]:
    """Value, wall seconds and processor seconds of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    value = function(x, y)
    return value, time.perf_counter() - wall, time.process_time() - processor


def speeds(n: int, d: int, repeats: int) -> float:
    """Time all in turn on the same features, check that they agree, return SciPy's wall time over ours."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(n, d)), random.normal(0.1, 1.2, size=(n, d))
    frechet_distance(x, y)  # the libraries load their kernels before the clock starts
    runs = [{name: timed(way, x, y) for name, way in WAYS.items()} for _ in range(repeats)]
    print(f"{n} rows a side, {d} dimensions, {torch.get_num_threads()} threads")
    print(f"{'':15} {'median s':>10} {'spread s':>10} {'processor s':>12} {'distance':>18}")
    medians = {}
    for name in WAYS:
        values, walls, processors = zip(*(run[name] for run in runs), strict=True)
        medians[name] = statistics.median(walls)
        spread, processor = max(walls) - min(walls), statistics.median(processors)
        print(f"{name:15} {medians[name]:10.4f} {spread:10.4f} {processor:12.4f} {values[0]:18.9f}")
        difference = abs(values[0] - runs[0]["ours"][0]) / abs(runs[0]["ours"][0])
        if difference > 1e-4:
            raise SystemExit(f"{name} does not agree: relative difference {difference:.1e}")
    return medians["scipy sqrtm"] / medians["ours"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--errors", action="store_true", help="Accuracy instead of speed.")
    arguments = parser.parse_args()
    if arguments.errors:
        worst = errors()
        print(f"largest relative error: {worst:.1e}")
        if worst > 1e-9:
            raise SystemExit("above the bar of 1e-9")
    else:
        print(f"ratio: {speeds(arguments.clips, arguments.dimension, arguments.repeats):.1f}")


if __name__ == "__main__":
    main()
