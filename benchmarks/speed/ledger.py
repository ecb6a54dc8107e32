"""What keeping the ledger costs: clips made with and without it in turn, and the seconds of the ledger's own work.

Run: `python benchmarks/speed/ledger.py`. The bar: measuring takes less than 1 % of a warm clip. The first clip of a
process and the first of each size also pay for counting their FLOPs and for a matrix product, once; that is told apart.
"""

import argparse
import platform
import statistics
import time
from fractions import Fraction

import torch

from ltx2_eval.ledger import LedgerKeeper
from ltx2_eval.models.base import Generated, GenerationRequest
from ltx2_eval.models.ltx2 import LTX2Model

BAR = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano@steps=20", help="as after ltx2: on the command line")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--side", type=int, default=64, help="pixels")
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--pairs", type=int, default=10)
    given = parser.parse_args()
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, {given.model}")
    model, keeper = LTX2Model(given.model, device=given.device), LedgerKeeper(given.device)
    first = kept(model, keeper, request(given, 0))
    plain_s, kept_s, shares = [], [], []
    for seed in range(1, given.pairs + 1):
        # Alternate which comes first, so that neither always follows the other.
        for with_ledger in (True, False) if seed % 2 else (False, True):
            if with_ledger:
                whole, own = kept(model, keeper, request(given, seed))
                kept_s.append(whole)
                shares.append(own / (whole - own))
            else:
                plain_s.append(timed(model, request(given, seed))[0])
    share, paired = statistics.median(shares), statistics.median(b / a for a, b in zip(plain_s, kept_s, strict=True))
    print(f"first clip: the ledger took {first[1]:.3f} s beside {first[0] - first[1]:.3f} s (weights are loaded in it)")
    print(f"warm clip without: {told(plain_s)}")
    print(f"warm clip with:    {told(kept_s)}, {paired - 1:+.2%} (median of pairs, noise of the machine in it)")
    print(f"the ledger's own work: {share:.3%} of a warm clip (at most {max(shares):.3%}); bar: {BAR:.0%}")
    print(f"ratio: {BAR / share:.1f}")


def request(given: argparse.Namespace, seed: int) -> GenerationRequest:
    return GenerationRequest(
        sample=f"a-s{seed}",
        prompt_id="a",
        prompt=f"A large red wooden circle falls and hits the floor {seed} times.",
        seed=seed,
        num_frames=given.frames,
        height=given.side,
        width=given.side,
        fps=Fraction(24),
    )


def kept(model: LTX2Model, keeper: LedgerKeeper, asked: GenerationRequest) -> tuple[float, float]:
    """Seconds of a clip with its ledger, and those of the ledger alone."""
    began = time.perf_counter()
    keeper.begin()
    started = time.perf_counter()
    _, generated = timed(model, asked)
    ended = time.perf_counter()
    keeper.end(generated, asked.duration_s)
    done = time.perf_counter()
    return done - began, (started - began) + (done - ended)


def timed(model: LTX2Model, asked: GenerationRequest) -> tuple[float, Generated]:
    began = time.perf_counter()
    generated = model.generate(asked)
    return time.perf_counter() - began, generated


def told(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.4f} s ({min(seconds):.4f} to {max(seconds):.4f})"


if __name__ == "__main__":
    main()
