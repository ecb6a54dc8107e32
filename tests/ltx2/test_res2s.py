"""The second-order sampler: published numbers, a step by hand, an exact flow, its order, and the noise it adds."""

import itertools
import math

import pytest
import torch

from ltx2.res2s import LAST_SIGMA, coefficients, renoising, sample_res2s
from ltx2.sample import Latents, NoiseSource, sample_euler

MEAN, SPREAD = 0.4, 0.6


def pair(*values: float) -> Latents:
    return Latents(torch.tensor([[values]]).double(), -torch.tensor([[values]]).double())


def of_gaussian(x: Latents, sigma: float) -> Latents:
    """The exact estimate where clean values are Gaussian around MEAN (video) or -MEAN (audio) with SPREAD."""
    share = SPREAD**2 * (1 - sigma) / ((1 - sigma) ** 2 * SPREAD**2 + sigma**2)
    return Latents(*(m + share * (y - (1 - sigma) * m) for m, y in zip((MEAN, -MEAN), x, strict=True)))


def exact(noise: float, sigma: float) -> float:
    """Where the flow of that estimate takes a noise value: the mean and the spread move, the quantile stays."""
    return (1 - sigma) * MEAN + math.hypot((1 - sigma) * SPREAD, sigma) * noise


def geometric(steps: int, last: float) -> tuple[float, ...]:
    return tuple(last ** (i / steps) for i in range(steps + 1))


@pytest.mark.parametrize(
    ("ends", "h", "a21", "b1", "b2"),
    [
        ((1, 0.9), 0.105361, 0.487058, -0.016664, 0.965786),
        ((0.725, 0.421875), math.log(0.725 / 0.421875), 0.438033, -0.069346, 0.84152),
        ((0.1, 0.0011), math.log(0.1 / 0.0011), 0.19848, -0.126923, 0.34622),
    ],
)
def test_official_coefficients(ends: tuple[float, float], h: float, a21: float, b1: float, b2: float) -> None:
    c = coefficients(*ends)
    assert (c.h, c.a21, c.b1, c.b2) == pytest.approx((h, a21, b1, b2), abs=6e-7)
    assert c.midpoint == pytest.approx(math.sqrt(ends[0] * ends[1]))


def test_official_renoising_keeps_signal_and_noise_in_their_shares() -> None:
    parts = renoising(0.725, 0.5)
    assert parts == pytest.approx((0.902868, 0.695415, 0.3625), abs=6e-7)
    assert parts.alpha * (1 - parts.sigma_down) == pytest.approx(1 - 0.725)
    assert math.hypot(parts.alpha * parts.sigma_down, parts.sigma_up) == pytest.approx(0.725)


def test_a_step_worked_by_hand() -> None:
    """From 1 to 1/4: h = ln 4, e^(-h/2) = 1/2, so a21 = (1 - 1/2) / h, and the midpoint is at 1/2.

    x = 2 with estimates 1, then 3: the midpoint is 2 + 1/2 (1 - 2) = 1.5. phi1(-h) h = 3/4, b2 h = 2 (h - 3/4) / h.
    """
    seen = []

    def model(x: Latents, sigma: float) -> Latents:
        seen.append((x.video.item(), sigma))
        return pair(1.0 if sigma == 1 else 3.0)

    h = math.log(4)
    b2 = 2 * (h - 0.75) / h
    out = sample_res2s(model, pair(2.0), (1.0, 0.25))
    assert seen == [(2.0, 1.0), (pytest.approx(1.5), pytest.approx(0.5))]
    assert out.video.item() == pytest.approx(2 + (0.75 - b2) * (1 - 2) + b2 * (3 - 2), abs=1e-12)
    assert torch.equal(out.audio, -out.video)


def test_solves_a_linear_flow_exactly_and_evaluates_twice_a_step_and_once_more() -> None:
    calls, steps = [], []

    def model(x: Latents, sigma: float) -> Latents:
        calls.append(sigma)
        torch.testing.assert_close(x.video, (1 - sigma) * pair(0.3, -0.7).video + sigma * pair(1.5, 0.2).video)
        return pair(0.3, -0.7)

    sigmas = (1.0, 0.8, 0.3, 0.0)
    out = sample_res2s(model, pair(1.5, 0.2), sigmas, callback=lambda p: steps.append((p.step, p.steps, p.sigma)))
    assert torch.equal(out.video, pair(0.3, -0.7).video)
    assert len(calls) == 2 * 3 + 1
    assert calls[-1] == LAST_SIGMA
    assert steps == [(1, 4, 0.8), (2, 4, 0.3), (3, 4, LAST_SIGMA), (4, 4, 0.0)]


@pytest.mark.parametrize(("sampler", "order"), [(sample_euler, 1), (sample_res2s, 2)])
def test_order_of_convergence(sampler, order: int) -> None:
    errors = []
    for steps in (16, 32, 64, 128):
        out = sampler(of_gaussian, pair(1.3), geometric(steps, 0.1))
        errors.append(abs(out.video.item() - exact(1.3, 0.1)))
    rates = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert rates[-1] == pytest.approx(order, abs=0.1), (errors, rates)
    assert all(rate == pytest.approx(order, abs=0.3) for rate in rates), (errors, rates)


def test_fresh_noise_leaves_the_distribution_as_it_is() -> None:
    source = NoiseSource(0)

    def draw() -> Latents:
        return source.latents((1, 4000, 2), (1, 2000, 2))

    sigmas = (*geometric(12, 0.05), 0.0)
    out = sample_res2s(of_gaussian, draw(), sigmas, draw=draw)
    quiet = sample_res2s(of_gaussian, NoiseSource(0).latents((1, 4000, 2), (1, 2000, 2)), sigmas)
    assert out.video.dtype == torch.float32
    for stream, mean in ((out.video, MEAN), (out.audio, -MEAN)):
        assert stream.mean().item() == pytest.approx(mean, abs=0.04)
        assert stream.std().item() == pytest.approx(SPREAD, rel=0.05)
    assert (out.video - quiet.video).abs().mean() > 0.1


def test_the_anchor_is_the_limit_of_the_iteration_it_stands_for() -> None:
    """A short step with noise, next to the iteration x <- midpoint - q (D1 - x) carried out a hundred times."""
    x, noises, estimates = pair(1.0, -0.5), [pair(0.6, -0.6), pair(-1.1, 1.1)], [pair(0.2, 0.1), pair(0.3, -0.2)]
    sigma, sigma_next = 0.5, 0.4
    given = iter(estimates)
    draws = iter(noises)
    out = sample_res2s(lambda x, s: next(given), x, (sigma, sigma_next), draw=lambda: next(draws))

    c = coefficients(sigma, sigma_next)
    d1, d2 = (e.video for e in estimates)
    start = anchor = x.video
    middle = renoised(start, start + c.h * c.a21 * (d1 - start), noises[0].video, sigma, c.midpoint)
    for _ in range(100):
        anchor = middle - c.h * c.a21 * (d1 - anchor)
    end = anchor + c.h * (c.b1 * (d1 - anchor) + c.b2 * (d2 - anchor))
    torch.testing.assert_close(out.video, renoised(anchor, end, noises[1].video, sigma, sigma_next))
    assert (anchor - start).abs().max() > 0.1


def renoised(start: torch.Tensor, end: torch.Tensor, noise: torch.Tensor, sigma: float, sigma_next: float):
    """Fresh noise with eta 1/2, written out."""
    unit = (noise - noise.mean()) / noise.std()
    up = sigma_next / 2
    kept = math.sqrt(sigma_next**2 - up**2)
    alpha = (1 - sigma_next) + kept
    e = (start - end) / (sigma - sigma_next)
    return alpha * (start - sigma * e + kept / alpha * e) + up * unit


def test_given_tokens_are_put_back_after_noise() -> None:
    clean = pair(0.25, 0.5)
    source = NoiseSource(3)
    seen = []

    def model(x: Latents, sigma: float) -> Latents:
        seen.append(x.audio)
        return Latents(of_gaussian(x, sigma).video, clean.audio)

    def keep(x: Latents) -> Latents:
        return Latents(x.video, clean.audio.to(x.audio.dtype))

    sample_res2s(
        model,
        Latents(pair(1.0, 2.0).video, clean.audio),
        (1.0, 0.5, 0.0),
        draw=lambda: source.latents((1, 1, 2), (1, 1, 2)),
        keep=keep,
    )
    assert len(seen) == 5
    assert all(torch.equal(x, clean.audio) for x in seen)
