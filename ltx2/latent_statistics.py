"""The per-channel mean and deviation by which both autoencoders normalise their latents."""

import math

import torch
from torch import Tensor, nn


class PerChannelStatistics(nn.Module):
    """Mean and standard deviation of latents over the training set, as buffers under their published names.

    Args:
        shape: how the flat buffers spread over one latent: (c, 1, 1, 1) for video, (c, 1, m) for audio, whose
            statistics are per channel and mel bin (index `channel * m + mel`, as in the transformer's tokens).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("mean-of-means", torch.zeros(math.prod(shape)))
        self.register_buffer("std-of-means", torch.ones(math.prod(shape)))

    def normalize(self, latent: Tensor) -> Tensor:
        """Raw latent (b, *shape) -> normalised latent, same dtype."""
        mean, std = self._mean_std()
        return ((latent - mean) / std).to(latent.dtype)

    def denormalize(self, latent: Tensor) -> Tensor:
        """Normalised latent (b, *shape) -> raw latent, same dtype."""
        mean, std = self._mean_std()
        return (latent * std + mean).to(latent.dtype)

    def _mean_std(self) -> tuple[Tensor, Tensor]:
        mean, std = self.get_buffer("mean-of-means"), self.get_buffer("std-of-means")
        return mean.reshape(self.shape), std.reshape(self.shape)
