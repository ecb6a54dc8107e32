"""TransNetV2: where one shot ends and the next begins (Souček and Lokoč 2020)."""

import numpy as np
import torch
from einops import rearrange, reduce
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.network import NetworkExtractor

HEIGHT, WIDTH = 27, 48
WINDOW, MARGIN = 100, 25
_LOOKUP = 101
_DILATIONS = (1, 2, 4, 8)
_HISTOGRAM = 512


class _Separable(nn.Module):
    """A 3x3 convolution of each frame, then one over three frames that lie `dilation` apart."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int) -> None:
        super().__init__()
        space = nn.Conv3d(in_channels, 2 * out_channels, (1, 3, 3), padding=(0, 1, 1), bias=False)
        time = nn.Conv3d(
            2 * out_channels, out_channels, (3, 1, 1), padding=(dilation, 0, 0), dilation=(dilation, 1, 1), bias=False
        )
        self.layers = nn.ModuleList([space, time])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[1](self.layers[0](x))


class _Dilated(nn.Module):
    """Four dilations side by side, then batch norm."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        for dilation in _DILATIONS:
            self.add_module(f"Conv3D_{dilation}", _Separable(in_channels, out_channels, dilation))
        self.bn = nn.BatchNorm3d(4 * out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.get_submodule(f"Conv3D_{dilation}")(x) for dilation in _DILATIONS]
        return self.bn(torch.cat(parts, dim=1))


class _Stack(nn.Module):
    """Two dilated blocks with a shortcut, then half the height and width."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.DDCNN = nn.ModuleList([_Dilated(in_channels, out_channels), _Dilated(4 * out_channels, out_channels)])

    def forward(self, x: Tensor) -> Tensor:
        first = F.relu(self.DDCNN[0](x))
        return F.avg_pool3d(F.relu(self.DDCNN[1](first)) + first, (1, 2, 2))


def _neighbours(x: Tensor) -> Tensor:
    """Cosines of each step with the 50 before and the 50 after it: (b, f, c) -> (b, f, 101), 0 beyond the ends."""
    x = F.normalize(x, dim=2)
    half = _LOOKUP // 2
    table = F.pad(x @ x.transpose(1, 2), (half, half))
    steps = torch.arange(x.shape[1], device=x.device)
    columns = steps[:, None] + torch.arange(_LOOKUP, device=x.device)
    return table[:, steps[:, None], columns]


class _Similarity(nn.Module):
    """How alike frames are, by what the blocks see."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.projection = nn.Linear(in_channels, 128)
        self.fc = nn.Linear(_LOOKUP, 128)

    def forward(self, blocks: list[Tensor]) -> Tensor:
        means = torch.cat([reduce(block, "b c f h w -> b f c", "mean") for block in blocks], dim=2)
        return F.relu(self.fc(_neighbours(self.projection(means))))


class _Colours(nn.Module):
    """How alike frames are, by their histograms of 8x8x8 colours."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(_LOOKUP, 128)

    def forward(self, frames: Tensor) -> Tensor:
        red, green, blue = (frames.long() >> 5).unbind(dim=-1)
        bins = rearrange((red << 6) + (green << 3) + blue, "b f h w -> b f (h w)")
        counts = torch.zeros(*bins.shape[:2], _HISTOGRAM, device=bins.device)
        counts.scatter_add_(2, bins, torch.ones_like(bins, dtype=torch.float32))
        return F.relu(self.fc(_neighbours(counts)))


class TransNetV2(nn.Module):
    """The network, names of its PyTorch release."""

    def __init__(self) -> None:
        super().__init__()
        self.SDDCNN = nn.ModuleList([_Stack(3, 16), _Stack(64, 32), _Stack(128, 64)])
        self.frame_sim_layer = _Similarity(64 + 128 + 256)
        self.color_hist_layer = _Colours()
        self.fc1 = nn.Linear(256 * 3 * 6 + 128 + 128, 1024)
        self.cls_layer1 = nn.Linear(1024, 1)
        self.cls_layer2 = nn.Linear(1024, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Logits that a frame is the last of its shot, and that it lies in a transition.

        Args:
            frames: (b, f, 27, 48, 3) uint8.

        Returns:
            (b, f, 2).

        Raises:
            ValueError: another shape or type.
        """
        if frames.shape[2:] != (HEIGHT, WIDTH, 3) or frames.dtype != torch.uint8:
            raise ValueError(
                f"TransNetV2: found {frames.dtype} {tuple(frames.shape)}, expected uint8 (b, f, 27, 48, 3)"
            )
        x, blocks = rearrange(frames, "b f h w c -> b c f h w").float() / 255, []
        for stack in self.SDDCNN:
            x = stack(x)
            blocks.append(x)
        seen = rearrange(x, "b c f h w -> b f (h w c)")
        joined = torch.cat([self.color_hist_layer(frames), self.frame_sim_layer(blocks), seen], dim=2)
        hidden = F.relu(self.fc1(joined))
        return torch.cat([self.cls_layer1(hidden), self.cls_layer2(hidden)], dim=2)


class TransNetExtractor(NetworkExtractor[TransNetV2]):
    """Two probabilities for every frame: last of its shot, part of a transition."""

    @classmethod
    def build(cls) -> TransNetV2:
        """The network; its weights have the names of the release."""
        return TransNetV2()

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(f, 2) in 0..1, over windows of 100 frames every 50, of which the middle counts; ends are repeated.

        Raises:
            NotApplicable: no video.
        """
        if clip.video is None or not len(clip.video):
            raise NotApplicable("the clip has no video frame")
        size = (WIDTH, HEIGHT)
        small = np.stack(
            [np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR)) for frame in clip.video]
        )
        middle = WINDOW - 2 * MARGIN
        behind = MARGIN + -len(small) % middle
        padded = torch.from_numpy(np.concatenate([small[:1].repeat(MARGIN, 0), small, small[-1:].repeat(behind, 0)]))
        parts = []
        with torch.inference_mode():
            for start in range(0, len(padded) - WINDOW + 1, middle):
                logits = self.network(padded[None, start : start + WINDOW].to(self.device))[0]
                parts.append(logits[MARGIN : MARGIN + middle].sigmoid().cpu().numpy())
        return np.concatenate(parts)[: len(small)]
