"""The activation of both autoencoders, RMS normalisation over channels without weights and SiLU, sparing of memory."""

import torch
from torch import Tensor
from torch.nn import functional as F


def pixel_norm_silu(x: Tensor, eps: float, *, overwrite: bool = False) -> Tensor:
    """SiLU of each position divided by the root mean square of its channels, `x / sqrt(mean(x^2) + eps)`.

    The mean is accumulated in float32 whatever the dtype of `x`.

    Args:
        x: (b, c, ...).
        eps: added to the mean square; 1e-8 in the video autoencoder, 1e-6 in the audio one.
        overwrite: `x` is a temporary that nobody reads afterwards; its memory is used again if no gradient is needed.

    Returns:
        Same shape and dtype as `x`.
    """
    mean = x.square().mean(dim=1, keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
    scale = torch.rsqrt(mean + eps).to(x.dtype)
    y = x.mul_(scale) if overwrite and not x.requires_grad else x * scale
    return F.silu(y, inplace=not y.requires_grad)


def add(h: Tensor, x: Tensor) -> Tensor:
    """`h + x`, written into `h` when no gradient is needed; `h` must be a temporary that nobody else reads."""
    return h + x if h.requires_grad or x.requires_grad else h.add_(x)
