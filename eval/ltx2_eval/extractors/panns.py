"""PANNs CNN14 at 16 kHz: an AudioSet tagger, its pooled embedding and its 527 classes."""

import itertools
from typing import cast

import numpy as np
import torch
from einops import rearrange, reduce
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.network import NetworkExtractor
from ltx2_eval.extractors.sound import mono
from ltx2_eval.extractors.spectrogram import slaney_filters

RATE_HZ = 16_000
LEAST_S = 0.5
"""Five times the spectrogram is halved; 0.31 s is the least that leaves anything."""
_FFT, _HOP, _BANDS = 512, 160, 64
_WIDTHS = (1, 64, 128, 256, 512, 1024, 2048)
_CLASSES = 527


class _LogMel(nn.Module):
    """Mel filters, which the published file holds, and decibels of at least -100."""

    melW: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("melW", torch.from_numpy(slaney_filters(RATE_HZ, _FFT, _BANDS, 50, 8000)).float())
        self.register_buffer("window", torch.hann_window(_FFT), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """(b, n) -> (b, 1 + n // 160, 64)."""
        window = cast(Tensor, self.window)
        spectrum = torch.stft(waveform, _FFT, _HOP, window=window, pad_mode="reflect", return_complex=True)
        power = rearrange(torch.view_as_real(spectrum).square().sum(-1), "b f t -> b t f")
        return 10 * torch.log10((power @ self.melW).clamp(min=1e-10))


class _Block(nn.Module):
    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)))


class Cnn14(nn.Module):
    """CNN14 (Kong et al. 2020) at 16 kHz, with the names of `Cnn14_16k_mAP=0.438.pth`."""

    def __init__(self) -> None:
        super().__init__()
        self.logmel_extractor = _LogMel()
        self.bn0 = nn.BatchNorm2d(_BANDS)
        for i, (width, channels) in enumerate(itertools.pairwise(_WIDTHS), start=1):
            self.add_module(f"conv_block{i}", _Block(width, channels))
        self.fc1 = nn.Linear(_WIDTHS[-1], _WIDTHS[-1])
        self.fc_audioset = nn.Linear(_WIDTHS[-1], _CLASSES)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Embedding (b, 2048), not negative, and logits (b, 527) of AudioSet's classes, whose sigmoid is a probability.

        Args:
            waveform: (b, n) at 16 kHz in -1..1, at least 0.31 s.
        """
        mels = self.logmel_extractor(waveform)
        x = self.bn0(rearrange(mels, "b t m -> b m t 1"))
        x = rearrange(x, "b m t 1 -> b 1 t m")
        for i in range(1, len(_WIDTHS)):
            x = self.get_submodule(f"conv_block{i}")(x)
            if i < len(_WIDTHS) - 1:
                x = F.avg_pool2d(x, 2)
        steps = reduce(x, "b c t m -> b c t", "mean")
        embedding = F.relu(self.fc1(steps.amax(dim=2) + steps.mean(dim=2)))
        return embedding, self.fc_audioset(embedding)


class PannsExtractor(NetworkExtractor[Cnn14]):
    """One 2048-d embedding of the whole sound, after the ReLU, as FD_PANN takes it."""

    output = 0

    @classmethod
    def build(cls) -> Cnn14:
        """The network; its weights are made by the converter `panns`."""
        return Cnn14()

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(1, d) of the whole sound.

        Raises:
            NotApplicable: no sound, or less than 0.5 s.
        """
        waveform = torch.from_numpy(mono(clip, RATE_HZ, LEAST_S)).to(self.device)
        with torch.inference_mode():
            return self.network(waveform[None])[self.output].float().cpu().numpy()


class PannsClassesExtractor(PannsExtractor):
    """The 527 logits of AudioSet's classes, before the sigmoid."""

    output = 1
