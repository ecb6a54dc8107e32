"""Noise, and the Euler sampler, for an audio-video pair of latents.

Source: Lightricks/LTX-2, `ltx_core/components/{noisers,diffusion_steps}.py`.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Latents(NamedTuple):
    """Video and audio tokens, `(b, t, c)` each."""

    video: Tensor
    audio: Tensor


class Progress(NamedTuple):
    """Where a sampler stands, after a step."""

    step: int
    """Steps done, from 1."""
    steps: int
    sigma: float
    """Noise level that is left."""
    denoised: Latents
    """The step's estimate of the clean latents."""


Model = Callable[[Latents, float], Latents]
"""From noisy latents at a noise level to the estimate of the clean ones."""
Callback = Callable[[Progress], None]


class NoiseSource:
    """All the noise of one sample, float32, in the order it is asked for.

    Drawn on the CPU by a generator of its own, so that a seed means the same sample on every device and the global
    random state stays as it is.

    Args:
        seed: 0 to 2^63 - 1.
        device: Where the noise goes.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._device = device

    def latents(self, video_shape: Sequence[int], audio_shape: Sequence[int]) -> Latents:
        """Unit Gaussian noise for both streams, video first."""
        return Latents(self.tensor(video_shape), self.tensor(audio_shape))

    def tensor(self, shape: Sequence[int]) -> Tensor:
        """Unit Gaussian noise of one shape."""
        noise = torch.randn(tuple(shape), generator=self._generator, dtype=torch.float32, device="cpu")
        return noise.to(self._device)


def sample_euler(model: Model, x: Latents, sigmas: Sequence[float], *, callback: Callback | None = None) -> Latents:
    """Follow the flow from `sigmas[0]` to `sigmas[-1]` with Euler steps; a step to 0 returns the estimate itself.

    Args:
        model: Called once per step.
        x: Latents at noise level `sigmas[0]`; noise where that is 1. Kept in their dtype (float32 advised).
        sigmas: Falling noise levels.
        callback: Called after each step.
    """
    for i, (sigma, sigma_next) in enumerate(itertools.pairwise(sigmas)):
        denoised = model(x, sigma)
        ratio = sigma_next / sigma
        x = denoised if sigma_next == 0 else Latents(*(d + ratio * (y - d) for y, d in zip(x, denoised, strict=True)))
        if callback is not None:
            callback(Progress(i + 1, len(sigmas) - 1, sigma_next, denoised))
    return x
