"""Noise levels of a generation, from 1 (pure noise) down to 0.

Source: Lightricks/LTX-2, `ltx_core/components/schedulers.py` (LTX2Scheduler) and `ltx_pipelines/utils/constants.py`.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Literal, get_args

ScheduleName = Literal["ltx2", "ltx2-tokens", "distilled"]
"""`ltx2`: shift 2.05 for every size, as LTX-2's own pipelines run it. `ltx2-tokens`: the shift grows with the number
of video tokens (the formula's intent, and what diffusers does). `distilled`: the eight steps of distilled weights."""

DISTILLED_SIGMAS = (1.0, 0.99375, 0.9875, 0.98125, 0.975, 0.909375, 0.725, 0.421875, 0.0)
"""For distilled weights, eight steps."""
REFINE_SIGMAS = DISTILLED_SIGMAS[-4:]
"""For the second stage of two-stage generation, three steps."""

_TOKENS = (1024, 4096)
_SHIFTS = (0.95, 2.05)
_TERMINAL = 0.1


def sigmas_for(schedule: ScheduleName | Sequence[float], steps: int, tokens: int) -> tuple[float, ...]:
    """The sigmas of a generation: `steps + 1` values that fall from 1 to 0.

    Args:
        schedule: A name, or the sigmas themselves.
        steps: Number of steps; must agree with schedules of fixed length.
        tokens: Number of video tokens (used by `ltx2-tokens` only).

    Raises:
        ValueError: Unknown name, a length that contradicts `steps`, or sigmas that do not fall to 0.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be at least 1")
    if not isinstance(schedule, str):
        return _checked(tuple(float(sigma) for sigma in schedule), steps)
    if schedule == "ltx2":
        return ltx2_sigmas(steps)
    if schedule == "ltx2-tokens":
        return ltx2_sigmas(steps, shift=token_shift(tokens))
    if schedule == "distilled":
        return _checked(DISTILLED_SIGMAS, steps)
    raise ValueError(f"schedule is {schedule!r}; known: {', '.join(get_args(ScheduleName))}, or a sequence of sigmas")


def token_shift(tokens: int) -> float:
    """The shift for a number of video tokens: linear through (1024, 0.95) and (4096, 2.05), not clamped."""
    slope = (_SHIFTS[1] - _SHIFTS[0]) / (_TOKENS[1] - _TOKENS[0])
    return _SHIFTS[0] + slope * (tokens - _TOKENS[0])


def ltx2_sigmas(steps: int, *, shift: float = _SHIFTS[1], stretch: bool = True) -> tuple[float, ...]:
    """Shifted linear schedule, stretched so that the last sigma before 0 is 0.1.

    With u = 1 - i/n the shifted value is e^m / (e^m + 1/u - 1). It is computed as one minus a ratio in e^-m, in
    float64: the usual form loses all digits in float32 from about 40,000 tokens on and overflows later.

    >>> [round(sigma, 6) for sigma in ltx2_sigmas(4)]
    [1.0, 0.867083, 0.631569, 0.1, 0.0]
    """
    odds = [i / (steps - i) for i in range(steps)]
    inverse = math.exp(-shift)
    distances = [odd * inverse / (1 + odd * inverse) for odd in odds]
    if stretch and steps > 1:
        last = odds[-1]
        distances = [(1 - _TERMINAL) * (odd / last) * (1 + last * inverse) / (1 + odd * inverse) for odd in odds]
    return (*(1 - distance for distance in distances), 0.0)


def _checked(sigmas: tuple[float, ...], steps: int) -> tuple[float, ...]:
    if len(sigmas) != steps + 1:
        raise ValueError(f"the schedule has {len(sigmas) - 1} steps, settings ask for {steps}; make them agree")
    falls = all(a > b for a, b in itertools.pairwise(sigmas))
    if not falls or sigmas[0] > 1 or sigmas[-1] != 0:
        raise ValueError(f"sigmas {sigmas} must fall strictly from at most 1 to 0")
    return sigmas
