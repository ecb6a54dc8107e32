"""One stage of a generation: where both streams start, which of their tokens are given, and sampling them."""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor

from ltx2.res2s import sample_res2s
from ltx2.rope import video_positions
from ltx2.sample import Callback, Latents, Model, NoiseSource, sample_euler
from ltx2.settings import SamplerName
from ltx2.types import VideoLatentShape


class StreamState(NamedTuple):
    """One stream before its first step."""

    clean: Tensor
    """float32 `(1, t, c)`: given tokens as they are, the others as far as they are known (0 if not at all)."""
    positions: Tensor
    """Bounds of each token, `(1, axes, t, 2)`."""
    mask: Tensor | None = None
    """Share of noise in each token, float32 `(1, t)`: 0 given, 1 generated; None where all are generated."""

    def noised(self, noise: Tensor, sigma: float) -> Tensor:
        """The tokens at noise level sigma, given ones with their own share of it."""
        share = sigma if self.mask is None else sigma * self.mask[..., None]
        return self.clean * (1 - share) + noise * share

    def keep(self, x: Tensor) -> Tensor:
        """`x` with given tokens put back, by their share."""
        if self.mask is None:
            return x
        mask, clean = self.mask[..., None].to(x.dtype), self.clean.to(x.dtype)
        return x * mask + clean * (1 - mask)

    def given(self) -> "StreamState":
        """The same stream with all tokens given."""
        return self._replace(mask=torch.zeros(self.clean.shape[:2], device=self.clean.device))

    def at_first_frame(self, tokens: Tensor, strength: float) -> "StreamState":
        """With a picture's tokens `(1, h * w, c)` in place of the first latent frame."""
        count = tokens.shape[1]
        mask = self._mask().clone()
        mask[:, :count] = 1 - strength
        return self._replace(clean=torch.cat((tokens, self.clean[:, count:]), 1), mask=mask)

    def with_guide(self, tokens: Tensor, positions: Tensor, strength: float) -> "StreamState":
        """With a picture's tokens appended, at positions `(1, 3, h * w, 2)` of their own."""
        share = torch.full(tokens.shape[:2], 1 - strength, device=tokens.device)
        return StreamState(
            clean=torch.cat((self.clean, tokens), 1),
            positions=torch.cat((self.positions, positions), 2),
            mask=torch.cat((self._mask(), share), 1),
        )

    def _mask(self) -> Tensor:
        return torch.ones(self.clean.shape[:2], device=self.clean.device) if self.mask is None else self.mask


class StageState(NamedTuple):
    """Both streams before the first step of a stage."""

    video: StreamState
    audio: StreamState

    @property
    def masks(self) -> tuple[Tensor | None, Tensor | None]:
        """Masks of both streams."""
        return self.video.mask, self.audio.mask

    def keep(self, x: Latents) -> Latents:
        """`x` with the given tokens of both streams put back."""
        return Latents(self.video.keep(x.video), self.audio.keep(x.audio))


def guide_positions(shape: VideoLatentShape, frame: float, fps: Fraction, device: torch.device | str = "cpu") -> Tensor:
    """Bounds `(1, 3, h * w, 2)` of a picture's tokens: the one pixel frame it stands for, the whole image plane."""
    positions = video_positions(shape._replace(frames=1), fps, device)
    positions[:, 0] = torch.tensor((frame, frame + 1), dtype=torch.float32, device=device) / float(fps)
    return positions


def run_stage(
    model: Model,
    state: StageState,
    sigmas: Sequence[float],
    *,
    sampler: SamplerName,
    noise: NoiseSource,
    generated: int,
    callback: Callback | None = None,
) -> Latents:
    """Sample both streams.

    Args:
        model: Denoises all tokens, those of guides too.
        state: Where both streams start.
        sigmas: Falling noise levels.
        sampler: How to step.
        noise: Of this sample. The noise of generated tokens does not depend on what is given.
        generated: Video tokens without those of guides, which come after them and are not returned.
        callback: Called after each step.
    """
    channels, guides = state.video.clean.shape[2], state.video.clean.shape[1] - generated

    def draw() -> Latents:
        video, audio = noise.latents((1, generated, channels), state.audio.clean.shape)
        return Latents(torch.cat((video, noise.tensor((1, guides, channels))), 1) if guides else video, audio)

    def denoise(x: Latents, sigma: float) -> Latents:
        return state.keep(model(x, sigma))

    first = draw()
    x = Latents(*(s.noised(n, sigmas[0]) for s, n in zip(state, first, strict=True)))
    if sampler == "res_2s":
        x = sample_res2s(denoise, x, sigmas, draw=draw, keep=state.keep, callback=callback)
    else:
        x = sample_euler(denoise, x, sigmas, callback=callback)
    return Latents(x.video[:, :generated], x.audio)
