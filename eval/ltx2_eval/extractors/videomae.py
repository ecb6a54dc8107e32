"""VideoMAE-v2-g, fine-tuned on Something-Something-v2: the network of the content-debiased Fréchet video distance."""

import math

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.frames import middle_frames
from ltx2_eval.extractors.i3d import NUM_FRAMES, SIDE
from ltx2_eval.extractors.network import NetworkExtractor, blank
from ltx2_eval.extractors.parts import PreNormBlock, Projection

TUBELET = 2
PATCH = 14
RESOLUTION = 256
_EPS = 1e-6


def sine_positions(count: int, width: int) -> Tensor:
    """Sines and cosines interleaved, base 10000: (count, width) float32."""
    rates = 10_000 ** (-2 * (np.arange(width) // 2) / width)
    angles = np.arange(count)[:, None] * rates
    angles[:, 0::2], angles[:, 1::2] = np.sin(angles[:, 0::2]), np.cos(angles[:, 1::2])
    return torch.from_numpy(angles.astype(np.float32))


class Attention(nn.Module):
    """Self-attention whose keys have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(b, n, width) -> (b, n, width)."""
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        qkv = F.linear(x, self.qkv.weight, bias)
        q, k, v = rearrange(qkv, "b n (part h d) -> part b h n d", part=3, h=self.heads)
        return self.proj(rearrange(F.scaled_dot_product_attention(q, k, v), "b h n d -> b n (h d)"))


class VideoMae(nn.Module):
    """Video transformer (Wang et al. 2023, VideoMAE V2), names of `vit_g_hybrid_pt_1200e_ssv2_ft.pth`.

    The defaults are the published giant: 1.01 billion parameters.
    """

    def __init__(
        self, width: int = 1408, depth: int = 40, heads: int = 16, hidden: int = 6144, classes: int = 174
    ) -> None:
        super().__init__()
        kernel = (TUBELET, PATCH, PATCH)
        self.patch_embed = Projection(nn.Conv3d(3, width, kernel, stride=kernel))
        self.blocks = nn.ModuleList(PreNormBlock(width, Attention(width, heads), hidden) for _ in range(depth))
        self.fc_norm = nn.LayerNorm(width, eps=_EPS)
        self.head = nn.Linear(width, classes)

    def forward(self, video: Tensor) -> Tensor:
        """Features before the classifier.

        Args:
            video: (b, 3, 16, 224, 224) in 0..1, without ImageNet's mean and deviation, as CD-FVD feeds it.

        Returns:
            (b, width).

        Raises:
            ValueError: another shape.
        """
        if video.shape[1:] != (3, NUM_FRAMES, SIDE, SIDE):
            raise ValueError(f"VideoMAE: found {tuple(video.shape)}, expected (b, 3, {NUM_FRAMES}, {SIDE}, {SIDE})")
        x = rearrange(self.patch_embed(video), "b d t h w -> b (t h w) d")
        x = x + sine_positions(x.shape[1], x.shape[2]).to(x)
        for block in self.blocks:
            x = block(x)
        return self.fc_norm(x.mean(dim=1))


def published_pixels(frames: NDArray[np.uint8]) -> Tensor:
    """Frames as content-debiased-fvd loads and feeds them: twice resized, through bytes that are cut off.

    Short side to 256 by antialiased bilinear interpolation, the longer side rounded up, centre square, whole values by
    leaving out what follows the point, then to 224 by bilinear interpolation without antialiasing.

    Args:
        frames: (f, h, w, 3) uint8.

    Returns:
        (3, f, 224, 224) float32 in 0..1, without ImageNet's mean and deviation.
    """
    height, width = frames.shape[1:3]
    scale = RESOLUTION / min(height, width)
    size = (RESOLUTION, math.ceil(width * scale)) if height < width else (math.ceil(height * scale), RESOLUTION)
    x = rearrange(torch.from_numpy(np.ascontiguousarray(frames)), "f h w c -> f c h w").float() / 255
    x = F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
    top, left = (size[0] - RESOLUTION) // 2, (size[1] - RESOLUTION) // 2
    x = (x[:, :, top : top + RESOLUTION, left : left + RESOLUTION] * 255).byte().float() / 255
    x = F.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=False)
    return rearrange(x, "f c h w -> c f h w")


class VideoMaeExtractor(NetworkExtractor[VideoMae]):
    """Features of VideoMAE-v2-g on 16 consecutive frames from the middle of the clip: one vector per clip."""

    @classmethod
    def build(cls) -> VideoMae:
        """The giant, its memory not yet filled."""
        return blank(VideoMae)

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(1, 1408).

        Raises:
            NotApplicable: fewer than 16 frames.
        """
        video = published_pixels(middle_frames(clip, NUM_FRAMES))
        with torch.inference_mode():
            return self.network(video[None].to(self.device)).float().cpu().numpy()
