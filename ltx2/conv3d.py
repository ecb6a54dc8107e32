"""The 3x3x3 convolution of the video autoencoder: replicated frames in time, zeros or reflection in space."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SpatialPadding = Literal["zeros", "reflect"]


class Conv3d(nn.Module):
    """Size-preserving 3x3x3 convolution (Lightricks/LTX-2, `model/video_vae/convolution.py`).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        causal: pad time with two copies of the first frame in front, so that no output sees a later frame;
            otherwise with one copy of the first frame in front and one of the last behind.
        spatial_padding: "zeros" (encoder) or "reflect" (decoder; needs height and width of at least 2).
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, causal: bool, spatial_padding: SpatialPadding = "zeros"
    ) -> None:
        super().__init__()
        self.frames_around = (2, 0) if causal else (1, 1)
        self.reflect = spatial_padding == "reflect"
        self.conv = nn.Conv3d(in_channels, out_channels, 3, padding=0 if self.reflect else (0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, f, h, w) -> (b, out_channels, f, h, w)."""
        if self.reflect:
            x = reflect_space(x)
        x = replicate_time(x, *self.frames_around)
        return self.conv(x)


def replicate_time(x: Tensor, before: int, after: int) -> Tensor:
    """Put `before` copies of the first frame in front of (b, c, f, h, w) and `after` copies of the last behind."""
    first = x[:, :, :1].expand(-1, -1, before, -1, -1)
    last = x[:, :, -1:].expand(-1, -1, after, -1, -1)
    return torch.cat([part for part in (first, x, last) if part.shape[2]], dim=2)


def reflect_space(x: Tensor) -> Tensor:
    """Pad height and width of (b, c, f, h, w) by one reflected row or column on each side."""
    return F.pad(x, (1, 1, 1, 1, 0, 0), mode="reflect")
