"""The 3x3x3 convolution of the video autoencoder: replicated frames in time, zeros or reflection in space."""

from collections.abc import Iterable, Iterator
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
        return self._convolve(x)

    def stream(self, slices: Iterable[Tensor], dim: int) -> Iterator[Tensor]:
        """Convolve a clip that comes in slices along `dim`, which together give what `forward` gives of the whole.

        The last two positions of the past are kept, so nothing is computed twice. Where the kernel sees one position
        ahead, outputs lag by one: the first slice comes out one shorter, and one position more follows the last.

        Args:
            slices: (b, c, f, h, w) with any positive size along `dim`; all else equal.
            dim: 2 for time; with reflection, also 3 for height or 4 for width.
        """
        held = None
        started = False
        for x in slices:
            x = self._pad_across(x, dim)
            held = x if held is None else torch.cat([held, x], dim)
            del x  # here and below: a suspended generator must not keep what its reader has done with
            if not started and held.shape[dim] < (1 if dim == 2 else 2):
                continue
            if not started:
                held = torch.cat([*self._edge(held, dim, end=False), held], dim)
                started = True
            if held.shape[dim] > 2:
                out = [self._convolve(held)]
                held = held.narrow(dim, held.shape[dim] - 2, 2).clone()
                yield out.pop()
        assert held is not None
        held = torch.cat([held, *self._edge(held, dim, end=True)], dim)
        if held.shape[dim] > 2:
            yield self._convolve(held)

    def _convolve(self, x: Tensor) -> Tensor:
        """The convolution; PyTorch would leave small inputs on a CPU to a kernel that is up to 7 times slower."""
        conv = self.conv
        needs_grad = torch.is_grad_enabled() and (x.requires_grad or conv.weight.requires_grad)
        if x.device.type != "cpu" or x.dtype != torch.float32 or needs_grad or not torch.backends.mkldnn.is_available():
            return conv(x)
        padding = (0, 0, 0) if self.reflect else (0, 1, 1)
        return torch.mkldnn_convolution(x, conv.weight, conv.bias, padding, (1, 1, 1), (1, 1, 1), 1)

    def _pad_across(self, x: Tensor, dim: int) -> Tensor:
        """Pad all but `dim` by hand, as far as the convolution itself does not."""
        if dim != 2:
            x = replicate_time(x, *self.frames_around)
        if not self.reflect:
            return x
        rows, columns = int(dim != 3), int(dim != 4)
        return F.pad(x, (columns, columns, rows, rows, 0, 0), mode="reflect")

    def _edge(self, x: Tensor, dim: int, *, end: bool) -> list[Tensor]:
        """The positions that padding puts before the first or behind the last of `x`."""
        if dim == 2:
            return [x[:, :, -1:] if end else x[:, :, :1]] * self.frames_around[end]
        return [x.narrow(dim, x.shape[dim] - 2 if end else 1, 1)]


def replicate_time(x: Tensor, before: int, after: int) -> Tensor:
    """Put `before` copies of the first frame in front of (b, c, f, h, w) and `after` copies of the last behind."""
    first = x[:, :, :1].expand(-1, -1, before, -1, -1)
    last = x[:, :, -1:].expand(-1, -1, after, -1, -1)
    return torch.cat([part for part in (first, x, last) if part.shape[2]], dim=2)


def reflect_space(x: Tensor) -> Tensor:
    """Pad height and width of (b, c, f, h, w) by one reflected row or column on each side."""
    return F.pad(x, (1, 1, 1, 1, 0, 0), mode="reflect")
