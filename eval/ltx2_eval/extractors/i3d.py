"""I3D on Kinetics-400, the network of the Fréchet video distance."""

from functools import reduce as reduce_pairs

import numpy as np
import torch
from einops import rearrange, reduce
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.frames import centred_frames
from ltx2_eval.extractors.network import NetworkExtractor
from ltx2_eval.extractors.pixels import centred, cut, interpolated, scaled

LEAST_FRAMES = 9
"""Fewer leave less than the two time steps that the last pooling joins."""
SIDE = 224
NUM_FRAMES = 16
RATE_HZ = 8.0

Triple = tuple[int, int, int]

# Output channels of the branches (b0, b1a, b1b, b2a, b2b, b3b) of each inception block.
_MIXED = {
    "3b": (192, (64, 96, 128, 16, 32, 32)),
    "3c": (256, (128, 128, 192, 32, 96, 64)),
    "4b": (480, (192, 96, 208, 16, 48, 64)),
    "4c": (512, (160, 112, 224, 24, 64, 64)),
    "4d": (512, (128, 128, 256, 24, 64, 64)),
    "4e": (512, (112, 144, 288, 32, 64, 64)),
    "4f": (528, (256, 160, 320, 32, 128, 128)),
    "5b": (832, (256, 160, 320, 32, 128, 128)),
    "5c": (832, (384, 192, 384, 48, 128, 128)),
}


def pad_same(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """TensorFlow's SAME padding of (b, c, f, h, w) with zeros: as little as possible, the odd element behind.

    Zeros are also right for max pooling here, since every input of a pool has passed a ReLU.
    """
    pads: list[int] = []
    for size, k, s in zip(x.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        total = max(k - (s if size % s == 0 else size % s), 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


def max_pool(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Maxima over windows of (b, c, f, h, w), one axis after the other: the bits of `F.max_pool3d` in a fraction of
    the time, which is a third of the network's on a CPU.
    """
    for axis, (k, s) in enumerate(zip(kernel, stride, strict=True), start=2):
        span = (x.shape[axis] - k) // s * s + 1
        shifted = [x.movedim(axis, 0)[i : i + span : s].movedim(0, axis) for i in range(k)]
        x = reduce_pairs(torch.maximum, shifted)
    return x


class Unit3d(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Triple, stride: Triple = (1, 1, 1), *, eps: float
    ) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv3d = nn.Conv3d(in_channels, out_channels, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(out_channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, f, h, w) -> (b, out_channels, ceil(f / stride), ...)."""
        return F.relu(self.bn(self.conv3d(pad_same(x, self.kernel, self.stride))))


class Pool3d(nn.Module):
    """Max pooling with SAME padding."""

    def __init__(self, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, f, h, w) -> (b, c, ceil(f / stride), ...)."""
        return max_pool(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """Inception block: four branches, joined over channels."""

    def __init__(self, in_channels: int, widths: tuple[int, ...], *, eps: float) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = widths
        one, three = (1, 1, 1), (3, 3, 3)
        self.b0 = Unit3d(in_channels, b0, one, eps=eps)
        self.b1a = Unit3d(in_channels, b1a, one, eps=eps)
        self.b1b = Unit3d(b1a, b1b, three, eps=eps)
        self.b2a = Unit3d(in_channels, b2a, one, eps=eps)
        self.b2b = Unit3d(b2a, b2b, three, eps=eps)
        self.b3a = Pool3d(three, one)
        self.b3b = Unit3d(in_channels, b3b, one, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """(b, in_channels, f, h, w) -> (b, b0 + b1b + b2b + b3b, f, h, w)."""
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], dim=1)


class Logits(nn.Module):
    """The classifier: a 1x1x1 convolution with bias."""

    def __init__(self) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(1024, 400, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 1024, f, h, w) -> (b, 400, f, h, w)."""
        return self.conv3d(x)


class I3d(nn.Module):
    """RGB Inflated Inception (Carreira and Zisserman 2017), names of the converted `i3d_pretrained_400.pt`.

    Args:
        eps: of the batch norms. 1e-3 is the value in the published graph; ports to PyTorch that set 1e-5 differ
            slightly, and papers that used them are to be compared with `eps=1e-5`.
    """

    def __init__(self, eps: float = 1e-3) -> None:
        super().__init__()
        flat, cube = (1, 3, 3), (3, 3, 3)
        layers: dict[str, nn.Module] = {
            "Conv3d_1a_7x7": Unit3d(3, 64, (7, 7, 7), (2, 2, 2), eps=eps),
            "MaxPool3d_2a_3x3": Pool3d(flat, (1, 2, 2)),
            "Conv3d_2b_1x1": Unit3d(64, 64, (1, 1, 1), eps=eps),
            "Conv3d_2c_3x3": Unit3d(64, 192, cube, eps=eps),
            "MaxPool3d_3a_3x3": Pool3d(flat, (1, 2, 2)),
        }
        before = {"4b": ("MaxPool3d_4a_3x3", Pool3d(cube, (2, 2, 2)))}
        before["5b"] = ("MaxPool3d_5a_2x2", Pool3d((2, 2, 2), (2, 2, 2)))
        for name, (in_channels, widths) in _MIXED.items():
            if name in before:
                pool_name, pool = before[name]
                layers[pool_name] = pool
            layers[f"Mixed_{name}"] = Mixed(in_channels, widths, eps=eps)
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.logits = Logits()

    def forward(self, video: Tensor) -> Tensor:
        """Class logits, averaged over time.

        Args:
            video: (b, 3, f >= 9, 224, 224) in -1..1.

        Returns:
            (b, 400).

        Raises:
            ValueError: another shape.
        """
        if video.ndim != 5 or video.shape[1] != 3 or video.shape[2] < LEAST_FRAMES or video.shape[3:] != (SIDE, SIDE):
            raise ValueError(
                f"I3D: found {tuple(video.shape)}, expected (b, 3, at least {LEAST_FRAMES}, {SIDE}, {SIDE})"
            )
        x = video
        for name, layer in self.named_children():
            if name != "logits":
                x = layer(x)
        x = F.avg_pool3d(x, (2, 7, 7), stride=1)
        return reduce(self.logits(x), "b c f h w -> b c", "mean")


def centre_crop_224(frames: NDArray[np.uint8]) -> Tensor:
    """Short side to 224 by bilinear interpolation without antialiasing, centre crop: as FVD's literature does.

    Args:
        frames: (f, h, w, 3) uint8.

    Returns:
        (3, f, 224, 224) float32 in -1..1.
    """
    size = scaled(frames, SIDE, "up")
    x = interpolated(frames, size, "bilinear")
    return rearrange(cut(x, centred(size, SIDE, "down"), SIDE), "f c h w -> c f h w") / 127.5 - 1


class I3dExtractor(NetworkExtractor[I3d]):
    """Logits of I3D on 16 frames at 8 Hz from the middle of the clip: one vector per clip."""

    eps = 1e-3

    @classmethod
    def build(cls) -> I3d:
        """The network; its weights have the layout of `i3d_pretrained_400.pt`."""
        return I3d(cls.eps)

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(1, 400) logits.

        Raises:
            NotApplicable: no video, shorter than 2 s, or fewer than 8 frames a second.
        """
        video = centre_crop_224(centred_frames(clip, NUM_FRAMES, RATE_HZ))
        with torch.inference_mode():
            return self.network(video[None].to(self.device)).float().cpu().numpy()


class I3dVideoGptExtractor(I3dExtractor):
    """The same with the batch norms' epsilon of VideoGPT's port, which MM-Diffusion, TATS and JavisBench took over."""

    eps = 1e-5
