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


def bicubic_224(frames: NDArray[np.uint8]) -> Tensor:
    """Short side to 224 by antialiased bicubic interpolation, centre crop: (f, h, w, 3) uint8 -> (f, 3, 224, 224)."""
    height, width = frames.shape[1:3]
    short = min(height, width)
    size = (width * SIDE // short, height * SIDE // short)
    left, top = round((size[0] - SIDE) / 2), round((size[1] - SIDE) / 2)
    box = (left, top, left + SIDE, top + SIDE)
    images = [np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC).crop(box)) for frame in frames]
    return rearrange(torch.from_numpy(np.stack(images)), "f h w c -> f c h w").float()


def short_side_224(frames: NDArray[np.uint8], mode: Literal["bilinear", "bicubic"], *, crop: bool) -> Tensor:
    """Short side to 224 without antialiasing, rounded to whole values as torchvision does to bytes.

    Args:
        frames: (f, h, w, 3) uint8.
        mode: of interpolation.
        crop: cut the centre square out.

    Returns:
        (f, 3, h', w'), the shorter of h' and w' 224.
    """
    height, width = frames.shape[1:3]
    short = min(height, width)
    size = (height * SIDE // short, width * SIDE // short)
    x = rearrange(torch.from_numpy(np.ascontiguousarray(frames)), "f h w c -> f c h w").float()
    x = F.interpolate(x, size, mode=mode, align_corners=False, antialias=False).round().clamp(0, 255)
    if not crop:
        return x
    top, left = round((size[0] - SIDE) / 2), round((size[1] - SIDE) / 2)
    return x[:, :, top : top + SIDE, left : left + SIDE]


def squashed(frames: NDArray[np.uint8], side: int, mode: Literal["bilinear", "bicubic"]) -> Tensor:
    """Squash to side x side without antialiasing, whatever the aspect ratio: (f, h, w, 3) uint8 -> (f, 3, side, side).

    Bicubic interpolation overshoots; it is not clipped.
    """
    x = rearrange(torch.from_numpy(np.ascontiguousarray(frames)), "f h w c -> f c h w").float()
    return F.interpolate(x, (side, side), mode=mode, align_corners=False, antialias=False)


def normalised(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(f, 3, h, w) in 0..255 -> (x / 255 - mean) / std for each channel."""
    return (x / 255 - x.new_tensor(mean).view(1, 3, 1, 1)) / x.new_tensor(std).view(1, 3, 1, 1)
