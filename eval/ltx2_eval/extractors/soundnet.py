"""SoundNet 8: sound features learned from the pictures of two million videos."""

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.network import NetworkExtractor
from ltx2_eval.extractors.sound import mono

RATE_HZ = 22_050
LEAST_S = 1.0
"""Below this the padding at both ends is a large part of what the last layers see."""

# (in, out, kernel, padding, pool) of conv1..conv7; every convolution has stride 2.
_LAYERS = (
    (1, 16, 64, 32, 8),
    (16, 32, 32, 16, 8),
    (32, 64, 16, 8, 1),
    (64, 128, 8, 4, 1),
    (128, 256, 4, 2, 4),
    (256, 512, 4, 2, 1),
    (512, 1024, 4, 2, 1),
)
_HEADS = {"conv8": 1000, "conv8_2": 401}


class SoundNet(nn.Module):
    """The eight-layer network (Aytar, Vondrick and Torralba 2016)."""

    def __init__(self) -> None:
        super().__init__()
        for i, (in_channels, out_channels, kernel, padding, _) in enumerate(_LAYERS, start=1):
            self.add_module(f"conv{i}", nn.Conv1d(in_channels, out_channels, kernel, stride=2, padding=padding))
            self.add_module(f"bn{i}", nn.BatchNorm1d(out_channels, eps=1e-5))
        for name, classes in _HEADS.items():
            self.add_module(name, nn.Conv1d(_LAYERS[-1][1], classes, 8, stride=2))

    def layer(self, waveform: Tensor, depth: int) -> Tensor:
        """Output of layer `depth` (1..7) after its pooling; 5 is the layer known as pool5.

        Args:
            waveform: (b, n) at 22,050 Hz in -1..1.
            depth: how many layers to run.

        Returns:
            (b, channels, steps).
        """
        x = rearrange(waveform, "b n -> b 1 n") * 256
        for i, (*_, pool) in enumerate(_LAYERS[:depth], start=1):
            x = F.relu(self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(x)))
            if pool > 1:
                x = F.max_pool1d(x, pool)
        return x

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of 1000 ImageNet objects and 401 Places scenes, each (b, classes, steps); needs about 12 s."""
        x = self.layer(waveform, len(_LAYERS))
        return self.get_submodule("conv8")(x), self.get_submodule("conv8_2")(x)


class SoundNetExtractor(NetworkExtractor[SoundNet]):
    """pool5 of SoundNet: a 256-d vector for every 0.37 s of the clip, which is seen whole."""

    @classmethod
    def build(cls) -> SoundNet:
        """The network; its weights are made by the converter `soundnet-npy`."""
        return SoundNet()

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(k, 256), k about 2.7 per second.

        Raises:
            NotApplicable: no sound, or less than 1 s.
        """
        waveform = torch.from_numpy(mono(clip, RATE_HZ, LEAST_S)).to(self.device)
        with torch.inference_mode():
            pooled = self.network.layer(waveform[None], 5)
        return rearrange(pooled, "1 c k -> k c").float().cpu().numpy()
