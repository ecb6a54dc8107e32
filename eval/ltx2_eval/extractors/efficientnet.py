"""EfficientNet-Lite0 on ImageNet: what a frame shows, by a network small enough for any machine."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.frames import bin_centre_frames
from ltx2_eval.extractors.network import NetworkExtractor
from ltx2_eval.extractors.pixels import bicubic_224

NUM_FRAMES = 8
WIDTH, CLASSES = 1280, 1000

# (blocks, kernel, first stride, expansion, in, out) of each stage.
_STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)


class SameConv2d(nn.Conv2d):
    """Convolution without bias with TensorFlow's SAME padding: the odd element behind."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(b, in, h, w) -> (b, out, ceil(h / stride), ceil(w / stride))."""
        pads: list[int] = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(x, pads))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class InvertedResidual(nn.Module):
    """Widen, filter each channel, narrow; added to the input where the shapes agree."""

    def __init__(self, kernel: int, stride: int, expansion: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        width = in_channels * expansion
        self.widens, self.adds = expansion > 1, stride == 1 and in_channels == out_channels
        if self.widens:
            self._expand_conv, self._bn0 = SameConv2d(in_channels, width, 1), _norm(width)
        self._depthwise_conv, self._bn1 = SameConv2d(width, width, kernel, stride, groups=width), _norm(width)
        self._project_conv, self._bn2 = SameConv2d(width, out_channels, 1), _norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(b, in, h, w) -> (b, out, ceil(h / stride), ceil(w / stride))."""
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.widens else x
        y = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(y)))))
        return x + y if self.adds else y


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite0 (Tan and Le 2019, without squeeze and with ReLU6), names of its PyTorch release."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = SameConv2d(3, 32, 3, 2), _norm(32)
        self._blocks = nn.ModuleList(
            InvertedResidual(kernel, stride if i == 0 else 1, expansion, in_channels if i == 0 else out, out)
            for count, kernel, stride, expansion, in_channels, out in _STAGES
            for i in range(count)
        )
        self._conv_head, self._bn1 = SameConv2d(320, WIDTH, 1), _norm(WIDTH)
        self._fc = nn.Linear(WIDTH, CLASSES)

    def embed(self, frames: Tensor) -> Tensor:
        """(b, 3, 224, 224) in -1..1 -> (b, 1280), the mean over places before the classifier."""
        x = F.relu6(self._bn0(self._conv_stem(frames)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))

    def forward(self, frames: Tensor) -> Tensor:
        """(b, 3, 224, 224) in -1..1 -> (b, 1000) logits of the ImageNet classes."""
        return self._fc(self.embed(frames))


def lite_pixels(frames: NDArray[np.uint8]) -> Tensor:
    """(f, h, w, 3) uint8 -> (f, 3, 224, 224): short side by antialiased bicubic, centre crop, (x - 127) / 128."""
    return (bicubic_224(frames) - 127) / 128


class EfficientNetExtractor(NetworkExtractor[EfficientNetLite]):
    """Features of 8 frames at the centres of equal parts of the clip."""

    @classmethod
    def build(cls) -> EfficientNetLite:
        """The network; its weights have the names of the release."""
        return EfficientNetLite()

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(8, 1280).

        Raises:
            NotApplicable: no video.
        """
        pixels = lite_pixels(bin_centre_frames(clip, NUM_FRAMES)).to(self.device)
        with torch.inference_mode():
            return self.network.embed(pixels).cpu().numpy()
