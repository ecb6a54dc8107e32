"""The activation of both autoencoders: RMS normalisation over channels without weights, then SiLU."""

import torch
from torch import Tensor
from torch.nn import functional as F


def pixel_norm(x: Tensor, eps: float) -> Tensor:
    """Divide each position by the root mean square of its channels, `x / sqrt(mean(x^2) + eps)`.

    The mean is taken in float32 whatever the dtype of `x`, without a float32 copy of it.

    Args:
        x: (b, c, ...).
        eps: added to the mean square; 1e-8 in the video autoencoder, 1e-6 in the audio one.

    Returns:
        Same shape and dtype as `x`.
    """
    norm = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
    return x * torch.rsqrt(norm.square() / x.shape[1] + eps).to(x.dtype)


def pixel_norm_silu(x: Tensor, eps: float) -> Tensor:
    """`silu(pixel_norm(x))`, with one buffer fewer when no gradient is needed."""
    y = pixel_norm(x, eps)
    return F.silu(y, inplace=not y.requires_grad)


def add(h: Tensor, x: Tensor) -> Tensor:
    """`h + x`, written into `h` when no gradient is needed; `h` must be a tensor that nobody else reads."""
    return h + x if h.requires_grad or x.requires_grad else h.add_(x)
