"""The Euler sampler against the official value and an exact flow; noise that belongs to its seed alone."""

import pytest
import torch

from ltx2.sample import Latents, NoiseSource, Progress, sample_euler


def pair(*values: float) -> Latents:
    return Latents(torch.tensor([[values]]), -torch.tensor([[values]]))


def test_official_golden_step() -> None:
    x = sample_euler(lambda x, sigma: pair(0.1, 0.2), pair(0.8, -0.4), (0.909375, 0.725))
    assert x.video.flatten().tolist() == pytest.approx([0.6581, -0.2784], abs=5e-5)
    assert torch.equal(x.audio, -x.video)


def test_follows_a_straight_flow_exactly_and_ends_at_the_estimate() -> None:
    clean, noise = pair(0.3, -0.7), pair(1.5, 0.2)
    seen = []

    def model(x: Latents, sigma: float) -> Latents:
        expected = (1 - sigma) * clean.video + sigma * noise.video
        torch.testing.assert_close(x.video, expected)
        return clean

    out = sample_euler(model, noise, (1.0, 0.8, 0.3, 0.1, 0.0), callback=seen.append)
    assert torch.equal(out.video, clean.video)
    assert [(p.step, p.steps, p.sigma) for p in seen] == [(1, 4, 0.8), (2, 4, 0.3), (3, 4, 0.1), (4, 4, 0.0)]
    assert isinstance(seen[0], Progress)


def test_noise_is_of_its_seed_and_leaves_the_global_state_alone() -> None:
    before = torch.random.get_rng_state()
    a, b, c = (NoiseSource(seed).latents((1, 5, 4), (1, 3, 2)) for seed in (7, 7, 8))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(a.video, b.video)
    assert torch.equal(a.audio, b.audio)
    assert not torch.equal(a.video, c.video)
    assert torch.equal(a.video, NoiseSource(7).latents((1, 5, 4), (1, 9, 2)).video)
    assert a.video.dtype == torch.float32
    source = NoiseSource(7)
    assert torch.equal(source.tensor((1, 5, 4)), a.video)
    assert not torch.equal(source.tensor((1, 5, 4)), a.video)


def test_noise_is_drawn_on_the_cpu_whatever_the_device() -> None:
    """Seed 7 gives these values everywhere: also where another device is the default, and on a GPU."""
    first = [-0.146795, 0.786141, 0.946822, -1.114344]
    drawn = NoiseSource(7).tensor((4,))
    assert drawn.tolist() == pytest.approx(first, abs=1e-6)
    with torch.device("meta"):
        assert torch.equal(NoiseSource(7, "cpu").tensor((4,)), drawn)
    assert NoiseSource(7, "meta").tensor((4,)).is_meta
    if torch.cuda.is_available():
        assert torch.equal(NoiseSource(7, "cuda").tensor((4,)).cpu(), drawn)
