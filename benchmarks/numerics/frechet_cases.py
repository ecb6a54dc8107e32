"""The Fréchet distance on sets that break the usual formula: rank-deficient, constant, nearly identical, far off.

Paste: OMP_NUM_THREADS=1 python benchmarks/numerics/frechet_cases.py --cases 10000
Every case is computed from the rows, from states merged in pieces, and from means and covariances. No value may be
anything but a finite real number; before rounding noise is cut off, none may be below -1e-9 of the trace; and a set may
not be farther than 1e-9 of the trace from itself. The last line is the number of cases that break this.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from ltx2_eval.metrics import frechet

Rows = NDArray[np.float64]
_BOUND = 1e-9


def subspace(random: np.random.Generator, n: int, d: int) -> Rows:
    """Rows in a space of fewer dimensions."""
    rank = int(random.integers(0, max(d // 2, 1))) + 1
    return random.normal(size=(n, rank)) @ random.normal(size=(rank, d))


def constant(random: np.random.Generator, n: int, d: int) -> Rows:
    """One row many times."""
    return np.repeat(random.normal(0, 10, size=(1, d)), n, axis=0)


def repeated(random: np.random.Generator, n: int, d: int) -> Rows:
    """Few different rows, most of them several times: a collapsed generator."""
    return random.normal(size=(max(n // 4, 1), d))[random.integers(0, max(n // 4, 1), size=n)]


def far(random: np.random.Generator, n: int, d: int) -> Rows:
    """A mean a thousand times the spread, half the columns constant: features after a ReLU."""
    return 1e3 + random.normal(size=(n, d)) * (np.arange(d) % 2)


def scaled(random: np.random.Generator, n: int, d: int) -> Rows:
    """Columns whose spreads differ by twelve orders of magnitude."""
    return random.normal(size=(n, d)) * np.geomspace(1e-6, 1e6, d)


def plain(random: np.random.Generator, n: int, d: int) -> Rows:
    """A Gaussian."""
    return random.normal(size=(n, d))


KINDS: tuple[Callable[[np.random.Generator, int, int], Rows], ...] = (plain, subspace, constant, repeated, far, scaled)


def pair(random: np.random.Generator) -> tuple[str, Rows, Rows]:
    """Two sets: of two kinds, or the second nearly the first."""
    d, n, m = int(random.integers(1, 33)), int(random.integers(2, 70)), int(random.integers(2, 70))
    first, second = (KINDS[index] for index in random.integers(0, len(KINDS), 2))
    x = first(random, n, d)
    if random.random() < 0.25:
        return f"{first.__name__} nearly itself", x, x * (1 + 1e-10) + 1e-12 * random.normal(size=x.shape)
    return f"{first.__name__} {second.__name__}", x, second(random, m, d)


def in_pieces(x: Rows, y: Rows) -> float:
    """From two merged states, each fed in pieces."""
    metrics = [frechet.FrechetDistance(dimension=x.shape[1]) for _ in range(2)]
    for rows, real in ((x, False), (y, True)):
        for index, part in enumerate(np.array_split(rows, min(5, len(rows)))):
            metrics[index % 2].update(torch.from_numpy(part), real=real)
    metrics[0].merge_state(metrics[1])
    return float(metrics[0].compute())


def from_statistics(x: Rows, y: Rows) -> float:
    """From means and covariances."""
    moments = [(rows.mean(axis=0), np.cov(rows, rowvar=False).reshape(x.shape[1], x.shape[1])) for rows in (x, y)]
    return frechet.frechet_from_statistics(*moments[0], *moments[1])


WAYS: tuple[Callable[[Rows, Rows], float], ...] = (frechet.frechet_distance, in_pieces, from_statistics)


def broken(cases: int, seed: int = 0) -> tuple[list[str], float, float]:
    """What broke, the lowest value before the cut and the largest distance of a set from itself, in traces."""
    random = np.random.default_rng(seed)
    lowest, self_distance, found = 0.0, 0.0, []
    for number in range(cases):
        kind, x, y = pair(random)
        trace = float(x.var(axis=0, ddof=1).sum() + y.var(axis=0, ddof=1).sum())
        for way in WAYS:
            where = f"case {number} ({kind}, {x.shape} {y.shape}) {way.__name__}"
            value, raw = _with_raw(way, x, y)
            lowest = min(lowest, raw / trace if trace else 0.0)
            own = way(x, x) / (2 * float(x.var(axis=0, ddof=1).sum()) or 1.0)
            self_distance = max(self_distance, own)
            if not (isinstance(value, float) and np.isfinite(value) and value >= 0):
                found.append(f"{where}: {value}")
            if raw < -_BOUND * trace or own >= _BOUND:
                found.append(f"{where}: {raw / (trace or 1):.1e} before the cut, {own:.1e} from itself, in traces")
    return found, lowest, self_distance


def _with_raw(way: Callable[[Rows, Rows], float], x: Rows, y: Rows) -> tuple[float, float]:
    """The value, and what it was before negative rounding noise became zero."""
    seen: list[float] = []
    kept = frechet._not_negative

    def spy(distance: float, trace: float) -> float:
        seen.append(distance)
        return kept(distance, trace)

    frechet._not_negative = spy
    try:
        return way(x, y), seen[-1]
    finally:
        frechet._not_negative = kept


def main() -> None:
    """Run the cases and print what broke."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found, lowest, self_distance = broken(arguments.cases, arguments.seed)
    for line in found[:20]:
        print(line)
    print(f"lowest value before the cut {lowest:.1e} traces, largest distance from itself {self_distance:.1e} traces")
    print(f"broken: {len(found)} of {arguments.cases}")


if __name__ == "__main__":
    main()
