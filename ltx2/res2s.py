"""The second-order sampler res_2s: an exponential integrator in log-sigma with one midpoint and fresh noise per step.

Between two noise levels the linear part of the flow dx / d(ln s) = x - D is solved exactly, with the denoised estimate
D taken at the start and at the middle of the step. The scheme is that of arXiv 2308.02157; the fresh noise is that of
LTX-2's HQ pipeline (Lightricks/LTX-2, `ltx_pipelines/utils/{samplers,res2s}.py`), but drawn from the sample's own seed.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from ltx2.sample import Callback, Latents, Model, Progress

LAST_SIGMA = 0.0011
"""Put before a final 0, where log-sigma has no end; one more evaluation there gives the result."""
ETA = 0.5
"""Share of a noise level that is fresh noise."""
_ANCHOR_BELOW_STEP = 0.5
_ANCHOR_ABOVE_SIGMA = 0.03
_MOST_FRESH = 0.9999

Draw = Callable[[], Latents]
"""Unit Gaussian noise of the latents' shapes, new at each call."""


class Coefficients(NamedTuple):
    """Of one step from `sigma` to `sigma_next`."""

    h: float
    """Length of the step in log-sigma."""
    a21: float
    b1: float
    b2: float
    midpoint: float
    """Noise level of the second evaluation, the geometric mean of both ends."""


class Renoising(NamedTuple):
    """How a step that ends at one noise level ends there with fresh noise instead."""

    alpha: float
    sigma_down: float
    """Level to which the old noise is taken down first."""
    sigma_up: float
    """Amount of fresh noise."""


def coefficients(sigma: float, sigma_next: float) -> Coefficients:
    """Weights of the two estimates in a step, for `sigma > sigma_next > 0`.

    With phi1(z) = (e^z - 1) / z and phi2(z) = (e^z - 1 - z) / z^2: a21 = phi1(-h / 2) / 2, b2 = 2 phi2(-h) and
    b1 = phi1(-h) - b2.

    >>> [round(value, 6) for value in coefficients(1.0, 0.9)[:4]]
    [0.105361, 0.487058, -0.016664, 0.965786]
    """
    h = math.log(sigma / sigma_next)
    b2 = 2 * (math.expm1(-h) + h) / h**2
    return Coefficients(h, _phi1(-h / 2) / 2, _phi1(-h) - b2, b2, math.sqrt(sigma * sigma_next))


def renoising(sigma_next: float, eta: float) -> Renoising:
    """Split a noise level into what stays and what is new, so that signal and noise keep their shares.

    >>> [round(value, 6) for value in renoising(0.725, 0.5)]
    [0.902868, 0.695415, 0.3625]
    """
    up = min(eta, _MOST_FRESH) * sigma_next
    kept = math.sqrt(sigma_next**2 - up**2)
    alpha = 1 - sigma_next + kept
    return Renoising(alpha, kept / alpha, up)


def sample_res2s(
    model: Model,
    x: Latents,
    sigmas: Sequence[float],
    *,
    draw: Draw | None = None,
    eta: float = ETA,
    keep: Callable[[Latents], Latents] | None = None,
    callback: Callback | None = None,
) -> Latents:
    """Go from `sigmas[0]` to `sigmas[-1]`; to 0 in 2n + 1 evaluations for n steps.

    Args:
        model: Called twice per step, and once more where the last sigma is 0.
        x: Latents at noise level `sigmas[0]`. Arithmetic is float64; the model gets, and the caller, the dtype of `x`.
        sigmas: Falling noise levels.
        draw: Source of fresh noise, called twice per step; None follows the flow without any.
        eta: Share of each level that is fresh noise, 0..1.
        keep: Puts given tokens back after fresh noise was added to all.
        callback: Called after each step.
    """
    levels = tuple(sigmas)
    if levels[-1] == 0 and levels[-2] > LAST_SIGMA:
        levels = (*levels[:-1], LAST_SIGMA, 0.0)
    fresh = _Fresh(draw, eta, keep)
    for i, (sigma, sigma_next) in enumerate(itertools.pairwise(levels)):
        if sigma_next == 0:
            x = denoised = model(x, sigma)
        else:
            x, denoised = _step(model, x, coefficients(sigma, sigma_next), (sigma, sigma_next), fresh)
        if callback is not None:
            callback(Progress(i + 1, len(levels) - 1, sigma_next, denoised))
    return x


def _step(
    model: Model, x: Latents, c: Coefficients, ends: tuple[float, float], fresh: "_Fresh"
) -> tuple[Latents, Latents]:
    """Latents at the step's end, and the second estimate."""
    sigma, sigma_next = ends
    like, anchor = x, _double(x)
    first = _double(model(x, sigma))
    pull = c.h * c.a21
    middle = _each(lambda x, d: x + pull * (d - x), anchor, first)
    middle = fresh.add(anchor, middle, sigma, c.midpoint)
    if c.h < _ANCHOR_BELOW_STEP and sigma > _ANCHOR_ABOVE_SIGMA:
        # The start from which the first half step would have led to the midpoint as it is with its fresh noise: the
        # limit of LTX-2's iteration x <- midpoint - pull * (first - x), a contraction.
        anchor = _each(lambda m, d: (m - pull * d) / (1 - pull), middle, first)
    second = _double(model(_like(middle, like), c.midpoint))
    end = _each(lambda x, d1, d2: x + c.h * (c.b1 * (d1 - x) + c.b2 * (d2 - x)), anchor, first, second)
    end = fresh.add(anchor, end, sigma, sigma_next)
    return _like(end, like), _like(second, like)


class _Fresh(NamedTuple):
    draw: Draw | None
    eta: float
    keep: Callable[[Latents], Latents] | None

    def add(self, anchor: Latents, end: Latents, sigma: float, sigma_next: float) -> Latents:
        """Replace a part of the noise in `end`, reached from `anchor`, by new noise."""
        if self.draw is None or self.eta == 0:
            return end
        parts = renoising(sigma_next, self.eta)
        noise = _each(_standardised, _double(self.draw()))

        def renoise(start: Tensor, end: Tensor, noise: Tensor) -> Tensor:
            velocity = (start - end) / (sigma - sigma_next)
            clean = start - sigma * velocity
            return parts.alpha * (clean + parts.sigma_down * velocity) + parts.sigma_up * noise

        noisy = _each(renoise, anchor, end, noise)
        return noisy if self.keep is None else self.keep(noisy)


def _standardised(noise: Tensor) -> Tensor:
    """Mean 0 and deviation 1 over tokens and channels of each sample."""
    return (noise - noise.mean((-2, -1), keepdim=True)) / noise.std((-2, -1), keepdim=True)


def _phi1(z: float) -> float:
    return math.expm1(z) / z


def _each(function: Callable[..., Tensor], *latents: Latents) -> Latents:
    return Latents(*(function(*streams) for streams in zip(*latents, strict=True)))


def _double(latents: Latents) -> Latents:
    return _each(Tensor.double, latents)


def _like(latents: Latents, other: Latents) -> Latents:
    return _each(lambda x, y: x.to(y.dtype), latents, other)
