"""The gate on records of `bench`, simulated: what is called slower by the last k records of an unchanged system.

Paste: OMP_NUM_THREADS=1 python benchmarks/statistics/bench_gate.py
Records vary from run to run by normal noise of their logarithm; tolerance 5 %, one case. The interval is the product's.
"""

import numpy as np

from ltx2_reports.speed import reach_of_next

STUDIES, MARGIN = 20_000, 0.05
NOISES, LENGTHS, FACTORS = (0.01, 0.05, 0.08), (3, 5, 9), (1.0, 1.1, 1.3)


def shares(noise: float, k: int, factor: float) -> tuple[float, float]:
    """Percentages of records called slower, and called the same, of a system that takes `factor` times as long."""
    drawn = np.random.default_rng(7).normal(0, noise, (STUDIES, k + 1))
    middle = drawn[:, -1] + np.log(factor) - np.median(drawn[:, :-1], axis=1)
    reach = reach_of_next(drawn[:, :-1])
    slower, same = middle - reach > np.log1p(MARGIN), np.abs(middle) + reach <= np.log1p(MARGIN)
    return 100 * float(slower.mean()), 100 * float(same.mean())


def main() -> None:
    """Print the table."""
    titles = ["unchanged", "10 % slower", "30 % slower"]
    print(f"{STUDIES} records each; slower % / same %, the rest is undecided\n")
    print(f"| noise | k | {' | '.join(titles)} |\n|---|---|{'---|' * len(titles)}")
    for noise in NOISES:
        for k in LENGTHS:
            cells = ("{:.1f} / {:.1f}".format(*shares(noise, k, factor)) for factor in FACTORS)
            print(f"| {noise:.0%} | {k} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
