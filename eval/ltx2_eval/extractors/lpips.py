"""LPIPS: how different two pictures look (Zhang et al. 2018), over AlexNet or VGG16."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.frames import bin_centre_frames
from ltx2_eval.extractors.network import NetworkExtractor
from ltx2_eval.extractors.pixels import squashed
from ltx2_eval.weights.safe import load_strict, read_state

Backbone = Literal["alex", "vgg16"]

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_EPS = 1e-10
# (out channels, kernel, stride, padding, pool before it: (kernel, stride) or None, tapped); ReLU after each.
_Layer = tuple[int, int, int, int, tuple[int, int] | None, bool]
_ALEX: tuple[_Layer, ...] = (
    (64, 11, 4, 2, None, True),
    (192, 5, 1, 2, (3, 2), True),
    (384, 3, 1, 1, (3, 2), True),
    (256, 3, 1, 1, None, True),
    (256, 3, 1, 1, None, True),
)


def _vgg16() -> Iterable[_Layer]:
    for block, (channels, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))):
        for i in range(count):
            yield channels, 3, 1, 1, (2, 2) if block and i == 0 else None, i == count - 1


class Lpips(nn.Module):
    """The distance; weights by the converter `lpips-flax`.

    Args:
        backbone: "alex" (the default of most tables) or "vgg16".
    """

    def __init__(self, backbone: Backbone = "alex") -> None:
        super().__init__()
        self.layers = _ALEX if backbone == "alex" else tuple(_vgg16())
        self.convs, self.heads = nn.ModuleList(), nn.ParameterList()
        before = 3
        for channels, kernel, stride, padding, _, tapped in self.layers:
            self.convs.append(nn.Conv2d(before, channels, kernel, stride, padding))
            before = channels
            if tapped:
                self.heads.append(nn.Parameter(torch.zeros(channels)))

    def _taps(self, x: Tensor) -> list[Tensor]:
        shift, scale = (x.new_tensor(values).view(1, 3, 1, 1) for values in (_SHIFT, _SCALE))
        x, taps = (x - shift) / scale, []
        for conv, (*_, pool, tapped) in zip(self.convs, self.layers, strict=True):
            x = F.relu(conv(F.max_pool2d(x, *pool) if pool else x))
            if tapped:
                taps.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + _EPS))
        return taps

    def embed(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) in -1..1 -> (b, d), so that the squared distance of two rows is their LPIPS."""
        rows = []
        for tap, head in zip(self._taps(x), self.heads, strict=True):
            places = tap.shape[2] * tap.shape[3]
            rows.append((tap * (head.clamp(min=0) / places).sqrt().view(1, -1, 1, 1)).flatten(1))
        return torch.cat(rows, dim=1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance of each pair of pictures.

        Args:
            x: (b, 3, h, w) in -1..1, h and w at least 64.
            y: the same shape.

        Returns:
            (b,) >= 0.

        Raises:
            ValueError: shapes that differ.
        """
        if x.shape != y.shape:
            raise ValueError(f"LPIPS: pictures of {tuple(x.shape)} and {tuple(y.shape)}, expected one shape")
        pairs = zip(self._taps(x), self._taps(y), self.heads, strict=True)
        terms = [((a - b).square() * head.view(1, -1, 1, 1)).sum(dim=1).mean(dim=(1, 2)) for a, b, head in pairs]
        return torch.stack(terms).sum(dim=0)


def load_lpips(weights: Path, backbone: Backbone, device: str = "cpu") -> Lpips:
    """The network with the weights of a safetensors file.

    Raises:
        DamagedError: the file does not fit.
    """
    network = Lpips(backbone)
    load_strict(network, read_state(weights), str(weights))
    return network.eval().requires_grad_(False).to(device)


class LpipsExtractor(NetworkExtractor[Lpips]):
    """Frames as points whose squared distance is LPIPS over AlexNet, at 112x112 pixels.

    LPIPS is a weighted sum of squared differences: with each tap multiplied by the root of its weight over its number
    of places, it becomes the squared Euclidean distance of two vectors, which can be cached and paired like any other.
    """

    NUM_FRAMES = 4
    SIDE = 112

    @classmethod
    def build(cls) -> Lpips:
        """The network over AlexNet."""
        return Lpips("alex")

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(4, 111360), frames at the centres of equal parts of the clip.

        Raises:
            NotApplicable: no video.
        """
        with torch.inference_mode():
            return self.network.embed(self.pictures(clip).to(self.device)).cpu().numpy()

    def pictures(self, clip: Clip) -> Tensor:
        """(4, 3, 112, 112) in -1..1, frames at the centres of equal parts of the clip."""
        return squashed(bin_centre_frames(clip, self.NUM_FRAMES), self.SIDE, "bilinear") / 127.5 - 1


class LpipsVgg16Extractor(LpipsExtractor):
    """The same over VGG16, whose points are too large to be kept: it compares two clips at once."""

    @classmethod
    def build(cls) -> Lpips:
        """The network over VGG16."""
        return Lpips("vgg16")

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(4, 1530368), frames at the centres of equal parts of the clip.

        Raises:
            NotApplicable: no video.
        """
        return super().features(clip)

    def distances(self, clip: Clip, other: Clip) -> NDArray[np.float32]:
        """(4,) LPIPS of the frames of two clips, in order.

        Raises:
            NotApplicable: no video.
        """
        with torch.inference_mode():
            x, y = (self.pictures(each).to(self.device) for each in (clip, other))
            return self.network(x, y).cpu().numpy()
