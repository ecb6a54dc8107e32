"""VGGish: the audio network of the classic Fréchet audio distance, by its torch port harritaylor/torchvggish."""

from functools import cache

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.network import NetworkExtractor, blank
from ltx2_eval.extractors.sound import mono
from ltx2_eval.extractors.spectrogram import Array, frames, hann, htk_filters, power_spectrum

RATE_HZ = 16_000
EXAMPLE_FRAMES = 96
LEAST_S = 0.1
_WINDOW, _HOP, _FFT, _BANDS = 400, 160, 512, 64
_EXAMPLE_SAMPLES = _WINDOW + (EXAMPLE_FRAMES - 1) * _HOP
_LOG_OFFSET = 0.01

# Outputs of the 3x3 convolutions; None: halve height and width.
_CONVOLUTIONS = (64, None, 128, None, 256, 256, None, 512, 512, None)


@cache
def _filters() -> Array:
    return htk_filters(RATE_HZ, _FFT, _BANDS, 125, 7500, silent="first")


def vggish_examples(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel examples of 0.96 s without overlap; a sound shorter than one is continued by silence.

    Args:
        waveform: (n,) at 16 kHz in -1..1.

    Returns:
        (k, 96, 64): time, mel band; the rest that fills no example is dropped.
    """
    short = _EXAMPLE_SAMPLES - len(waveform)
    padded = np.pad(waveform, (0, max(0, short)))
    power = power_spectrum(frames(padded, _WINDOW, _HOP), hann(_WINDOW, periodic=True), _FFT)
    mels = np.log(np.sqrt(power) @ _filters() + _LOG_OFFSET)
    whole = len(mels) // EXAMPLE_FRAMES * EXAMPLE_FRAMES
    return rearrange(mels[:whole], "(k t) m -> k t m", t=EXAMPLE_FRAMES).astype(np.float32)


class Vggish(nn.Module):
    """The convolutions of VGG-A on log-mels and three linear layers (Hershey et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 1
        for channels in _CONVOLUTIONS:
            if channels is None:
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU()]
                width = channels
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(12_288, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 128)
        )

    def forward(self, examples: Tensor) -> Tensor:
        """(n, 96, 64) log-mels -> (n, 128), without a last ReLU."""
        maps = self.features(rearrange(examples, "n t m -> n 1 t m"))
        return self.embeddings(rearrange(maps, "n c t m -> n (t m c)"))


class VggishExtractor(NetworkExtractor[Vggish]):
    """128-d embeddings of 0.96 s each, as the literature's FD_VGG takes them: no last ReLU, no PCA."""

    @classmethod
    def build(cls) -> Vggish:
        """The network, with the names of `vggish-10086976.pth`."""
        return blank(Vggish)

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(k, 128), k about one per second.

        Raises:
            NotApplicable: no sound, or less than 0.1 s.
        """
        examples = torch.from_numpy(vggish_examples(mono(clip, RATE_HZ, LEAST_S)))
        with torch.inference_mode():
            return self.last(self.network(examples.to(self.device))).float().cpu().numpy()

    def last(self, embeddings: Tensor) -> Tensor:
        """What is done with the last layer's output."""
        return embeddings


class VggishReluExtractor(VggishExtractor):
    """The same with the last ReLU, as torchvggish's own forward has it: another, sparse space."""

    def last(self, embeddings: Tensor) -> Tensor:
        """Negative values become 0."""
        return embeddings.relu()
