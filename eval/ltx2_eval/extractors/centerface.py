"""CenterFace: where the faces of a picture are, by a network small enough to look at every frame (Xu et al. 2019)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE, _MULTIPLE = 4, 32
LARGEST_SIDE = 320
"""Frames are made smaller until their longer side fits, never larger; SyncNet's pipeline looks at a quarter of 1280."""
LEAST_SCORE, LARGEST_OVERLAP = 0.5, 0.3
_WIDTH = 24

# (blocks, first stride, out channels) of each stage, all widened sixfold.
_STAGES = ((2, 2, 24), (3, 2, 32), (4, 2, 64), (3, 1, 96), (3, 2, 160), (1, 1, 320))
_TAPS = (2, 5, 12, 16)
"""Blocks whose outputs, at 1/4, 1/8, 1/16 and 1/32 of the size, the neck joins."""


def _conv(into: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(into, out, kernel, stride, kernel // 2, groups=groups)


class _Block(nn.Module):
    """Widen, filter each channel, narrow; added to the input where the shapes agree. Norms are folded in."""

    def __init__(self, into: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = into * expansion
        wider = [_conv(into, width, 1), nn.ReLU()] if expansion > 1 else []
        self.layers = nn.Sequential(*wider, _conv(width, width, 3, stride, width), nn.ReLU(), _conv(width, out, 1))
        self.adds = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.adds else self.layers(x)


class _Up(nn.Module):
    """Twice the height and width."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(_WIDTH, _WIDTH, 2, 2, bias=False)
        self.bn = nn.BatchNorm2d(_WIDTH, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def _blocks() -> Iterator[_Block]:
    yield _Block(32, 16, 1, 1)
    into = 16
    for count, stride, out in _STAGES:
        for i in range(count):
            yield _Block(into, out, stride if i == 0 else 1, 6)
            into = out


class CenterFace(nn.Module):
    """The network; weights by the converter `onnx`, renamed by `renamed`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 32, 3, 2)
        self.blocks = nn.ModuleList(_blocks())
        self.sides = nn.ModuleList(_conv(width, _WIDTH, 1) for width in (320, 96, 32, 24))
        self.smooth = _conv(_WIDTH, _WIDTH, 3)
        self.neck = nn.ModuleDict({"deconv_layers": nn.ModuleList(_Up() for _ in range(3))})
        self.head = nn.ModuleDict({f"{name}_conv": _conv(_WIDTH, out, 1) for name, out in _HEADS.items()})

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where faces are, at a quarter of the size.

        Args:
            pictures: (b, 3, h, w) RGB, 0..255; h and w multiples of 32.

        Returns:
            (b, 1, h/4, w/4) probabilities; (b, 2, ...) logarithms of height and width / 4; (b, 2, ...) where in its
            cell the middle lies, down and right.
        """
        x, taps = F.relu(self.stem(pictures)), []
        for block in self.blocks:
            x = block(x)
            taps.append(x)
        deepest, *others = (F.relu(side(taps[tap])) for side, tap in zip(self.sides, reversed(_TAPS), strict=True))
        x = deepest
        ups = self.neck["deconv_layers"]
        assert isinstance(ups, nn.ModuleList)
        for up, side in zip(reversed(list(ups)), others, strict=True):
            x = up(x) + side
        x = F.relu(self.smooth(x))
        return torch.sigmoid(self.head["pos_conv"](x)), self.head["reg_conv"](x), self.head["off_conv"](x)


_HEADS = {"pos": 1, "reg": 2, "off": 2}


def renamed(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published names -> ours: its numbers count the folded convolutions in their order. Landmarks are left out."""
    with torch.device("meta"):
        network = CenterFace()
    folded = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and not name.startswith("head.")
    ]
    ours = [f"{name}.{kind}" for name in folded for kind in ("weight", "bias")]
    numbers = sorted((key for key in published if key.isdigit()), key=int)
    named = {key: value for key, value in published.items() if not key.isdigit() and not key.startswith("head.lm_")}
    if len(numbers) != len(ours):
        return published  # another network: strict loading says so
    return {**named, **{name: published[key] for name, key in zip(ours, numbers, strict=True)}}


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces of one frame, the surest first."""

    boxes: NDArray[np.float64]
    """(n, 4) left, top, right, bottom in pixels of the frame."""
    scores: NDArray[np.float64]
    """(n,) in 0..1."""


def find_faces(network: CenterFace, frames: NDArray[np.uint8], device: str = "cpu") -> list[Faces]:
    """The faces of each frame.

    Args:
        network: with its weights.
        frames: (f, h, w, 3) uint8, of one size.
        device: where the network is.
    """
    height, width = frames.shape[1:3]
    shrink = min(1.0, LARGEST_SIDE / max(height, width))
    size = tuple(-(-round(side * shrink) // _MULTIPLE) * _MULTIPLE for side in (height, width))
    x = rearrange(torch.from_numpy(np.array(frames)), "f h w c -> f c h w").float().to(device)
    x = F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
    with torch.inference_mode():
        maps = [part.cpu().double().numpy() for part in network(x)]
    scale = np.array([width / size[1], height / size[0]] * 2)
    found = []
    for scores, sizes, shifts in zip(*maps, strict=True):
        faces = decoded(scores[0], sizes, shifts)
        found.append(Faces(np.clip(faces.boxes * scale, 0, [width, height, width, height]), faces.scores))
    return found


def decoded(scores: NDArray[np.float64], sizes: NDArray[np.float64], shifts: NDArray[np.float64]) -> Faces:
    """Boxes in pixels of what the network saw, without those that overlap a surer one by 0.3 or more.

    Args:
        scores: (h, w) probabilities.
        sizes: (2, h, w), see CenterFace.
        shifts: (2, h, w), see CenterFace.
    """
    rows, columns = np.nonzero(scores > LEAST_SCORE)
    order = np.argsort(-scores[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    high, wide = np.exp(sizes[:, rows, columns]) * STRIDE
    middle_y = (rows + shifts[0, rows, columns] + 0.5) * STRIDE
    middle_x = (columns + shifts[1, rows, columns] + 0.5) * STRIDE
    boxes = np.stack([middle_x - wide / 2, middle_y - high / 2, middle_x + wide / 2, middle_y + high / 2], axis=1)
    kept: list[int] = []
    for index in range(len(boxes)):
        if not kept or overlap(boxes[index], boxes[kept]).max() < LARGEST_OVERLAP:
            kept.append(index)
    return Faces(boxes[kept], scores[rows, columns][kept])


def overlap(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) area that a box (4,) and each of others (n, 4) share, over the area of both together."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    return np.asarray(shared / np.maximum(areas - shared, 1e-9))
