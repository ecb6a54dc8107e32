"""InceptionV3 as the published FID uses it: TensorFlow's network of 2015, in its port to PyTorch (Szegedy et al. 2016).

It differs from the InceptionV3 of today's libraries: means leave the padding out, the last block takes a maximum, there
are 1008 classes, and pictures are resized on TensorFlow 1's grid, whose first sample lies on the first pixel.
"""

from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.frames import bin_centre_frames
from ltx2_eval.extractors.network import NetworkExtractor

SIDE, WIDTH, CLASSES = 299, 2048, 1008

Pool = Literal["mean", "max"]
_Kernel = int | tuple[int, int]


class Conv(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, channels: tuple[int, int], kernel: _Kernel, stride: int = 1, padding: _Kernel = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(*channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels[1], eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """(b, in, h, w) -> (b, out, h', w')."""
        return F.relu(self.bn(self.conv(x)))


def same(into: int, out: int, kernel: _Kernel) -> Conv:
    """A convolution that keeps height and width."""
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    return Conv((into, out), kernel, padding=(sides[0] // 2, sides[1] // 2))


def halving(into: int, out: int) -> Conv:
    """3x3 with stride 2, no padding."""
    return Conv((into, out), 3, stride=2)


def pooled(x: Tensor, pool: Pool) -> Tensor:
    """3x3 with stride 1; a mean is over the places inside the picture only."""
    if pool == "max":
        return F.max_pool2d(x, 3, stride=1, padding=1)
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class Wide(nn.Module):
    """Blocks 5b to 5d: 1x1, 5x5, two of 3x3, and pooling."""

    def __init__(self, into: int, after_pool: int) -> None:
        super().__init__()
        self.branch1x1 = same(into, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = same(into, 48, 1), same(48, 64, 5)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = same(into, 64, 1), same(64, 96, 3)
        self.branch3x3dbl_3 = same(96, 96, 3)
        self.branch_pool = same(into, after_pool, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, in, h, w) -> (b, 224 + after_pool, h, w)."""
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(pooled(x, "mean"))], 1)


class Shrink6(nn.Module):
    """Block 6a: half the height and width."""

    def __init__(self, into: int) -> None:
        super().__init__()
        self.branch3x3 = halving(into, 384)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = same(into, 64, 1), same(64, 96, 3)
        self.branch3x3dbl_3 = halving(96, 96)

    def forward(self, x: Tensor) -> Tensor:
        """(b, in, h, w) -> (b, 480 + in, h', w')."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], 1)


class Crossed(nn.Module):
    """Blocks 6b to 6e: kernels of 1x7 and 7x1 in turn."""

    def __init__(self, width: int) -> None:
        super().__init__()
        row, column = (1, 7), (7, 1)
        self.branch1x1 = same(768, 192, 1)
        self.branch7x7_1, self.branch7x7_2 = same(768, width, 1), same(width, width, row)
        self.branch7x7_3 = same(width, 192, column)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = same(768, width, 1), same(width, width, column)
        self.branch7x7dbl_3, self.branch7x7dbl_4 = same(width, width, row), same(width, width, column)
        self.branch7x7dbl_5 = same(width, 192, row)
        self.branch_pool = same(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 768, h, w) -> the same shape."""
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return torch.cat([self.branch1x1(x), once, twice, self.branch_pool(pooled(x, "mean"))], 1)


class Shrink7(nn.Module):
    """Block 7a: half the height and width."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = same(768, 192, 1), halving(192, 320)
        self.branch7x7x3_1, self.branch7x7x3_2 = same(768, 192, 1), same(192, 192, (1, 7))
        self.branch7x7x3_3, self.branch7x7x3_4 = same(192, 192, (7, 1)), halving(192, 192)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 768, h, w) -> (b, 1280, h', w')."""
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, stride=2)], 1)


class Forked(nn.Module):
    """Blocks 7b and 7c: rows and columns side by side; the two differ in how they pool."""

    def __init__(self, into: int, pool: Pool) -> None:
        super().__init__()
        self.pool = pool
        self.branch1x1 = same(into, 320, 1)
        self.branch3x3_1 = same(into, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = same(384, 384, (1, 3)), same(384, 384, (3, 1))
        self.branch3x3dbl_1, self.branch3x3dbl_2 = same(into, 448, 1), same(448, 384, 3)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = same(384, 384, (1, 3)), same(384, 384, (3, 1))
        self.branch_pool = same(into, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, in, h, w) -> (b, 2048, h, w)."""
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        forks = [self.branch3x3_2a(single), self.branch3x3_2b(single)]
        forks += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)]
        return torch.cat([self.branch1x1(x), *forks, self.branch_pool(pooled(x, self.pool))], 1)


class FidInception(nn.Module):
    """The network, names of `pt_inception-2015-12-05-6726825d.pth`."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = halving(3, 32), Conv((32, 32), 3)
        self.Conv2d_2b_3x3, self.Conv2d_3b_1x1 = same(32, 64, 3), same(64, 80, 1)
        self.Conv2d_4a_3x3 = Conv((80, 192), 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = Wide(192, 32), Wide(256, 64), Wide(288, 64)
        self.Mixed_6a, self.Mixed_6b = Shrink6(288), Crossed(128)
        self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = Crossed(160), Crossed(160), Crossed(192)
        self.Mixed_7a, self.Mixed_7b, self.Mixed_7c = Shrink7(), Forked(1280, "mean"), Forked(2048, "max")
        self.fc = nn.Linear(WIDTH, CLASSES)

    def embed(self, pictures: Tensor) -> Tensor:
        """(b, 3, 299, 299) in -1..1 -> (b, 2048), the mean over places of the last block."""
        stem: Any = (self.Conv2d_1a_3x3, self.Conv2d_2a_3x3, self.Conv2d_2b_3x3)
        x = pictures
        for layer in stem:
            x = layer(x)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, stride=2)))
        x = F.max_pool2d(x, 3, stride=2)
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
            x = getattr(self, f"Mixed_{name}")(x)
        return x.mean(dim=(2, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        """(b, 3, 299, 299) in -1..1 -> (b, 1008) logits."""
        return self.fc(self.embed(pictures))


def resized_as_tensorflow_1(x: Tensor, side: int) -> Tensor:
    """Squash to side x side: bilinear without antialiasing, sample i at i * size / side of the old picture.

    Args:
        x: (b, c, h, w).
        side: new height and width.
    """
    for dim in (3, 2):
        size = x.shape[dim]
        at = torch.arange(side, dtype=x.dtype, device=x.device) * torch.tensor(size / side, dtype=x.dtype)
        before = at.long()
        share = (at - before).view(-1, *([1] * (3 - dim)))
        low, high = x.index_select(dim, before), x.index_select(dim, (before + 1).clamp(max=size - 1))
        x = low + (high - low) * share
    return x


def inception_pixels(frames: NDArray[np.uint8]) -> Tensor:
    """(f, h, w, 3) uint8 -> (f, 3, 299, 299): resized as TensorFlow 1 does, then (x - 128) / 128."""
    x = rearrange(torch.from_numpy(np.ascontiguousarray(frames)), "f h w c -> f c h w").float()
    return (resized_as_tensorflow_1(x, SIDE) - 128) / 128


class FidExtractor(NetworkExtractor[FidInception]):
    """Features of 2 frames at the centres of the halves of the clip."""

    NUM_FRAMES = 2

    @classmethod
    def build(cls) -> FidInception:
        """The network; its weights have the names of the release."""
        return FidInception()

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(2, 2048).

        Raises:
            NotApplicable: no video.
        """
        pixels = inception_pixels(bin_centre_frames(clip, self.NUM_FRAMES)).to(self.device)
        with torch.inference_mode():
            return self.network.embed(pixels).cpu().numpy()
