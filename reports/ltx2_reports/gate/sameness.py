"""Same seeds and weights, other code: are the clips still the same ones? By the cosine of features or latents.

No statistics: each clip has its partner, and the least cosine decides. A refactoring gives 1 up to rounding; a
quantisation gives what its author has to state.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ltx2_reports.gate.verdict import Outcome, Verdict

Arrays = Mapping[str, NDArray[np.floating]]
"""By sample; any shape."""


def cosine(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Cosine of two arrays, flattened, in float64; two arrays of zeros are the same.

    Raises:
        ValueError: shapes differ, or values are not finite.
    """
    a, b = (np.asarray(side, np.float64).ravel() for side in (first, second))
    if first.shape != second.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"found shapes {first.shape} and {second.shape}, expected equal ones of finite values")
    if np.array_equal(a, b):
        return 1.0
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip(a @ b / norms, -1, 1)) if norms > 0 else 0.0


def sameness_verdict(
    name: str, title: str, first: Arrays, second: Arrays, least: float, max_lost: float = 0.05
) -> Verdict:
    """Whether every shared sample is at least as similar as asked, and nearly all of the baseline's are shared.

    Args:
        name: of the check.
        title: what is compared.
        first: of the baseline.
        second: of the run.
        least: cosine that every sample must reach.
        max_lost: share of the baseline's samples that may have no partner.
    """
    shared = sorted(first.keys() & second.keys())
    if not shared:
        why = f"no {title} of the same prompt and seed in both run folders"
        return Verdict(metric=name, title=title, outcome="not enough data", why=why)
    misshapen = next((sample for sample in shared if first[sample].shape != second[sample].shape), None)
    if misshapen is not None:
        sizes = f"{first[misshapen].shape} and {second[misshapen].shape}"
        return Verdict(metric=name, title=title, outcome="regressed", why=f"{misshapen}: shapes {sizes} differ")
    broken = [sample for sample in shared if not np.isfinite(second[sample]).all()]
    if broken:
        why = f"{broken[0]}: values that are not finite, in {len(broken)} of {len(shared)} samples of the run"
        return Verdict(metric=name, title=title, outcome="regressed", why=why)
    unusable = next((sample for sample in shared if not np.isfinite(first[sample]).all()), None)
    if unusable is not None:
        why = f"{unusable}: the baseline has values that are not finite; make it again"
        return Verdict(metric=name, title=title, outcome="not enough data", why=why)
    found = {sample: cosine(first[sample], second[sample]) for sample in shared}
    lost = len(first.keys() - set(shared)) / len(first)
    if min(found.values()) < least:
        return Verdict(metric=name, title=title, outcome="regressed", why=_why(found, shared, least))
    outcome: Outcome = "passed" if lost <= max_lost else "not enough data"
    gone = f"{lost:.0%} of the baseline's samples have no partner, allowed: {max_lost:.0%}; " if lost > max_lost else ""
    return Verdict(metric=name, title=title, outcome=outcome, why=gone + _why(found, shared, least))


def _why(found: Mapping[str, float], shared: Sequence[str], least: float) -> str:
    worst = min(shared, key=lambda sample: found[sample])
    same = sum(value == 1.0 for value in found.values())
    mean = float(np.mean(list(found.values())))
    return (
        f"least cosine {found[worst]:.6f} ({worst}), asked {least:g}; mean {mean:.6f}, {same} of {len(shared)} "
        "exactly equal"
    )
