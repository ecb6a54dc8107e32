"""Frames at the size a network wants, each way named by who resizes so; all give floats in 0..255."""

from typing import Literal

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

SIDE = 224
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def scaled(frames: NDArray[np.uint8], side: int, rule: Literal["down", "up"] = "down") -> tuple[int, int]:
    """Height and width of (f, h, w, 3) with the shorter at `side`, the other in proportion, rounded by the rule."""
    height, width = frames.shape[1:3]
    short = min(height, width)
    up = short - 1 if rule == "up" else 0
    return (height * side + up) // short, (width * side + up) // short


def centred(size: tuple[int, int], side: int, rule: Literal["down", "up", "even"]) -> tuple[int, int]:
    """Top and left of the middle square of a picture, half pixels rounded by the rule.

    "down" as CLIP and FVD do, "up" as ImageBind does, "even" to the even one as Python and torchvision do.
    """
    spare = size[0] - side, size[1] - side
    if rule == "even":
        return round(spare[0] / 2), round(spare[1] / 2)
    return (spare[0] + (rule == "up")) // 2, (spare[1] + (rule == "up")) // 2


def cut(pictures: Tensor, place: tuple[int, int], side: int) -> Tensor:
    """The square of (..., h, w) whose corner is at (top, left)."""
    top, left = place
    return pictures[..., top : top + side, left : left + side]


def interpolated(
    frames: NDArray[np.uint8],
    size: tuple[int, int],
    mode: Literal["bilinear", "bicubic"],
    *,
    antialias: bool = False,
    whole: bool = False,
) -> Tensor:
    """Resize by torch: (f, h, w, 3) uint8 -> (f, 3, *size) floats, `whole` ones as torchvision makes of bytes.

    Bicubic interpolation overshoots; only `whole` values are clipped to 0..255.
    """
    x = rearrange(torch.from_numpy(np.ascontiguousarray(frames)), "f h w c -> f c h w").float()
    x = F.interpolate(x, size, mode=mode, align_corners=False, antialias=antialias)
    return x.round().clamp(0, 255) if whole else x


def pillow_squares(frames: NDArray[np.uint8], side: int, rule: Literal["down", "even"]) -> NDArray[np.uint8]:
    """Short side by Pillow's antialiased bicubic interpolation, centre crop: (f, h, w, 3) -> (f, side, side, 3)."""
    size = scaled(frames, side)
    top, left = centred(size, side, rule)
    box = (left, top, left + side, top + side)
    images = (Image.fromarray(frame).resize(size[::-1], Image.Resampling.BICUBIC).crop(box) for frame in frames)
    return np.stack([np.asarray(image) for image in images])


def bicubic_224(frames: NDArray[np.uint8]) -> Tensor:
    """Short side to 224 by antialiased bicubic interpolation, centre crop: (f, h, w, 3) uint8 -> (f, 3, 224, 224)."""
    return rearrange(torch.from_numpy(pillow_squares(frames, SIDE, "even")), "f h w c -> f c h w").float()


def short_side_224(frames: NDArray[np.uint8], mode: Literal["bilinear", "bicubic"], *, crop: bool) -> Tensor:
    """Short side to 224 without antialiasing, rounded to whole values as torchvision does to bytes.

    Args:
        frames: (f, h, w, 3) uint8.
        mode: of interpolation.
        crop: cut the centre square out.

    Returns:
        (f, 3, h', w'), the shorter of h' and w' 224.
    """
    size = scaled(frames, SIDE)
    x = interpolated(frames, size, mode, whole=True)
    return cut(x, centred(size, SIDE, "even"), SIDE) if crop else x


def squashed(frames: NDArray[np.uint8], side: int, mode: Literal["bilinear", "bicubic"]) -> Tensor:
    """Squash to side x side without antialiasing, whatever the aspect ratio: (f, h, w, 3) uint8 -> (f, 3, side, side).

    Bicubic interpolation overshoots; it is not clipped.
    """
    return interpolated(frames, (side, side), mode)


def normalised(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(f, 3, h, w) in 0..255 -> (x / 255 - mean) / std for each channel."""
    return (x / 255 - x.new_tensor(mean).view(1, 3, 1, 1)) / x.new_tensor(std).view(1, 3, 1, 1)
