"""Training of the video autoencoder: reconstruction of short cuts, and the statistics of its latents."""

import math
from functools import cached_property

import torch
from torch import Tensor, nn

from ltx2.config import VideoVAEConfig
from ltx2.video_vae import VideoVAE
from ltx2_eval.nano.loop import batch_indices
from ltx2_eval.nano.world_pool import BRIGHT_LEVEL, WorldPool

_SQUARE_WEIGHT = 4.0
_EDGE_WEIGHT = 0.5
_KL_WEIGHT = 1e-4
_OBJECT_WEIGHT = 6.0
_BRIGHT = 2 * BRIGHT_LEVEL / 255 - 1
_CROP_PX = 32
_LEAST_CELLS = 2
"""Latent cells that the decoder needs either way, since it reflects at the rims; larger cells make larger crops."""
_WHOLE_EVERY = 2
"""Every second batch has whole frames, a quarter as many: the edges of the picture and the background matter too."""
_HARD_SHAPES = ("star", "cross")
"""The shapes that blur first; half of each batch of crops comes from clips that hold one."""
_NOISE = 0.05
"""Standard deviation of the noise on latents (whose own scale is about 1): the decoder learns to bear inexact ones."""


class VideoStage:
    """Absolute and squared error on pixels, absolute error on their differences, and a small pull to unit latents.

    Every second batch shows squares around objects, at a quarter of the work per clip: what is hard to learn are
    objects, and of those the shapes with many corners. Where latent cells are so large that a crop would be no smaller
    than the frame, all batches have whole frames.

    Args:
        config: Sizes of the autoencoder.
        pool: Training clips.
        held_out: Clips of another split.
        batch: Crops per step; of whole frames, a quarter.
        cut_frames: Frames of a cut, 8k + 1.
        seed: Of weights and batches.
        device: Where it is trained.
    """

    name = "video_vae"
    refines = False
    stream = 0

    def __init__(
        self,
        config: VideoVAEConfig,
        pool: WorldPool,
        held_out: WorldPool,
        *,
        batch: int = 16,
        cut_frames: int = 17,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(seed)
        self.model: nn.Module = VideoVAE(config)
        self.pool, self.held_out = pool, held_out
        self.batch, self.cut_frames, self.seed, self.device = batch, cut_frames, seed, device
        self.crop_px = crop_side_px(config.spatial_factor, pool.size_px)

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss on a step's cuts."""
        indices, generator = batch_indices(self.seed, step, self.batch, self.pool.clips, stream=self.stream)
        start = int(torch.randint(self.pool.frames - self.cut_frames + 1, (), generator=generator))
        video = self._cuts(indices, step, start, generator).to(self.device)
        vae = _video_vae(self.model)
        with torch.set_grad_enabled(not self.refines):
            mean, _ = vae.encoder.moments(video)
        noise = torch.randn(mean.shape, generator=generator).to(mean) * _NOISE
        decoded = vae.decoder(mean + noise).float()
        weights = object_weights(video)
        absolute = ((decoded - video).abs() * weights).mean()
        square = ((decoded - video).square() * weights).mean()
        edges = edge_error(decoded, video, weights)
        size = mean.float().square().mean()
        total = absolute + _SQUARE_WEIGHT * square + _EDGE_WEIGHT * edges + _KL_WEIGHT * size
        return total, {"absolute": absolute.item(), "weighted_psnr_db": 10 * math.log10(4 / square.item())}

    def _cuts(self, indices: Tensor, step: int, start: int, generator: torch.Generator) -> Tensor:
        """Frames (b, 3, f, h, w) of a step: whole, or squares around objects."""
        if self.crop_px is None or step % _WHOLE_EVERY == 0:
            whole = indices[: max(1, self.batch // 4)]
            return self.pool.video(whole, start=start, frames=self.cut_frames)
        if len(self._hard):
            chosen = torch.randint(len(self._hard), (self.batch // 2,), generator=generator)
            indices = torch.cat([self._hard[chosen], indices[self.batch // 2 :]])
        return self.pool.crops(indices, self.crop_px, generator, start=start, frames=self.cut_frames)

    @cached_property
    def _hard(self) -> Tensor:
        return self.pool.holding(_HARD_SHAPES)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean PSNR of whole held-out clips, clipped and rounded as a user sees them."""
        vae = _video_vae(model)
        ratios = []
        for index in range(min(16, self.held_out.clips)):
            video = self.held_out.video(torch.tensor([index])).to(self.device)
            ratios.append(psnr_db(vae.decoder(vae.encoder.moments(video)[0]), video))
        return {"psnr_db": float(torch.stack(ratios).mean())}


class VideoDecoderStage(VideoStage):
    """Further training of the decoder alone, while others already work on the encoder's latents.

    Args:
        vae: The finished autoencoder; its encoder and statistics stay as they are.
        pool: Training clips.
        held_out: Clips of another split.
        batch: Crops per step; of whole frames, a quarter.
        cut_frames: Frames of a cut, 8k + 1.
        seed: Of batches.
        device: Where it is trained.
    """

    name = "video_decoder"
    refines = True
    stream = 1  # batches of its own: the decoder has seen those of `video_vae`

    def __init__(
        self,
        vae: VideoVAE,
        pool: WorldPool,
        held_out: WorldPool,
        *,
        batch: int = 16,
        cut_frames: int = 17,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        super().__init__(vae.config, pool, held_out, batch=batch, cut_frames=cut_frames, seed=seed, device=device)
        vae.encoder.requires_grad_(False)
        vae.decoder.requires_grad_(True)
        self.model = vae


def crop_side_px(cell_px: int, frame_px: int) -> int | None:
    """Side of the crops: whole latent cells, as many as the decoder needs, and smaller than the frame; None if none is.

    >>> crop_side_px(16, 64), crop_side_px(32, 64), crop_side_px(32, 128)
    (32, None, 64)
    """
    cells = max(_LEAST_CELLS, -(-_CROP_PX // cell_px))
    side_px = cells * cell_px
    return side_px if side_px < frame_px else None


def object_weights(video: Tensor) -> Tensor:
    """Weights (b, 1, f, h, w) of mean 1 by which objects count more than backgrounds, which are larger but easy.

    Objects and flashes are brighter than any background of the world: their strongest channel is above 150 of 255.
    """
    bright = (video.amax(dim=1, keepdim=True) > _BRIGHT).float()
    # Pixels beside an object count as much: its outline is what tells shapes apart.
    near = nn.functional.max_pool3d(bright, (1, 3, 3), stride=1, padding=(0, 1, 1))
    weights = 1 + _OBJECT_WEIGHT * near
    return weights / weights.mean()


def psnr_db(decoded: Tensor, video: Tensor) -> Tensor:
    """Peak signal-to-noise ratio over a whole clip in -1..1, after rounding to 8 bits; at most 100 dB."""
    rounded = ((decoded.float().clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
    return 10 * torch.log10(4 / (rounded - video).square().mean().clamp(min=4e-10))


def measure_statistics(vae: VideoVAE, pool: WorldPool, *, clips: int, device: str = "cpu") -> None:
    """Write mean and deviation per channel of the latents of the first clips into the autoencoder's buffers."""
    total, square, count = torch.zeros(()), torch.zeros(()), 0
    with torch.no_grad():
        for first in range(0, clips, 8):
            indices = torch.arange(first, min(first + 8, clips))
            mean = vae.encoder.moments(pool.video(indices).to(device))[0].double().cpu()
            total = total + mean.sum(dim=(0, 2, 3, 4))
            square = square + mean.square().sum(dim=(0, 2, 3, 4))
            count += mean[:, 0].numel()
    average = total / count
    deviation = (square / count - average.square()).clamp(min=1e-8).sqrt()
    vae.per_channel_statistics.get_buffer("mean-of-means").copy_(average)
    vae.per_channel_statistics.get_buffer("std-of-means").copy_(deviation)


def edge_error(decoded: Tensor, video: Tensor, weights: Tensor) -> Tensor:
    """Absolute error of the differences along time, height and width, weighted as the pixel where each ends."""
    errors = []
    for axis in (2, 3, 4):
        error = (decoded.diff(dim=axis) - video.diff(dim=axis)).abs()
        errors.append((error * weights.narrow(axis, 1, error.shape[axis])).mean())
    return torch.stack(errors).sum()


def _video_vae(model: nn.Module) -> VideoVAE:
    assert isinstance(model, VideoVAE)
    return model
