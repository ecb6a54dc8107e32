"""PaSST-S: a spectrogram transformer trained on AudioSet, as hear21passt runs it."""

from functools import cache

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.network import NetworkExtractor, blank
from ltx2_eval.extractors.parts import PreNormBlock, Projection
from ltx2_eval.extractors.sound import mono
from ltx2_eval.extractors.spectrogram import Array, centred_power, hann, htk_filters

RATE_HZ = 32_000
SAMPLES = 10 * RATE_HZ
LEAST_S = 0.1
_WINDOW, _HOP, _FFT, _BANDS = 800, 320, 1024, 128
_PRE_EMPHASIS = 0.97
_WIDTH, _HEADS, _DEPTH, _CLASSES = 768, 12, 12, 527
_ROWS, _COLUMNS = 12, 99


@cache
def _filters() -> Array:
    return htk_filters(RATE_HZ, _FFT, _BANDS, 0, 15_000, silent="last")


def passt_mel(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalised log-mels (128, 1000) of exactly 10 s: longer sounds are cut, shorter ones end in silence.

    Args:
        waveform: (n,) at 32 kHz in -1..1.
    """
    whole = np.pad(waveform[:SAMPLES], (0, max(0, SAMPLES - len(waveform)))).astype(np.float64)
    emphasised = whole[1:] - _PRE_EMPHASIS * whole[:-1]
    power = centred_power(emphasised, hann(_WINDOW, periodic=False), _FFT, _HOP)
    mels = (np.log(power @ _filters() + 1e-5) + 4.5) / 5
    return np.ascontiguousarray(mels.T, dtype=np.float32)


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(_WIDTH, 3 * _WIDTH)
        self.proj = nn.Linear(_WIDTH, _WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = rearrange(self.qkv(x), "b n (three h d) -> three b h n d", three=3, h=_HEADS)
        return self.proj(rearrange(F.scaled_dot_product_attention(q, k, v), "b h n d -> b n (h d)"))


class Passt(nn.Module):
    """The transformer (Koutini et al. 2022), with the names of `passt-s-f128-p16-s10-ap.476-swa.pt`."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, _WIDTH))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, _WIDTH))
        self.new_pos_embed = nn.Parameter(torch.zeros(1, 2, _WIDTH))
        self.freq_new_pos_embed = nn.Parameter(torch.zeros(1, _WIDTH, _ROWS, 1))
        self.time_new_pos_embed = nn.Parameter(torch.zeros(1, _WIDTH, 1, _COLUMNS))
        self.patch_embed = Projection(nn.Conv2d(1, _WIDTH, 16, stride=10))
        self.blocks = nn.Sequential(*(PreNormBlock(_WIDTH, _Attention(), 4 * _WIDTH) for _ in range(_DEPTH)))
        self.norm = nn.LayerNorm(_WIDTH, eps=1e-6)
        self.head = nn.Sequential(nn.LayerNorm(_WIDTH), nn.Linear(_WIDTH, _CLASSES))
        self.head_dist = nn.Linear(_WIDTH, _CLASSES)  # in the file, not used

    def forward(self, mels: Tensor) -> tuple[Tensor, Tensor]:
        """Features (b, 768), the mean of both tokens, and logits (b, 527) of AudioSet's classes.

        Args:
            mels: (b, 128, t) with t from 16 to 1005.
        """
        patches = self.patch_embed(rearrange(mels, "b m t -> b 1 m t"))
        patches = patches + self.time_new_pos_embed[..., : patches.shape[3]] + self.freq_new_pos_embed
        places = rearrange(patches, "b d f t -> b (f t) d")
        tokens = torch.cat([self.cls_token, self.dist_token], dim=1) + self.new_pos_embed
        x = self.norm(self.blocks(torch.cat([tokens.expand(len(mels), -1, -1), places], dim=1)))
        features = x[:, :2].mean(dim=1)
        return features, self.head(features)


class PasstExtractor(NetworkExtractor[Passt]):
    """One 768-d vector of the first 10 s, as FD_PaSST takes it."""

    output = 0

    @classmethod
    def build(cls) -> Passt:
        """The network; its weights are made by the converter `torch`."""
        return blank(Passt)

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(1, d) of exactly 10 s: shorter sounds are followed by silence, as the network was trained.

        Raises:
            NotApplicable: no sound, or less than 0.1 s.
        """
        mels = torch.from_numpy(passt_mel(mono(clip, RATE_HZ, LEAST_S))).to(self.device)
        with torch.inference_mode():
            return self.network(mels[None])[self.output].float().cpu().numpy()


class PasstClassesExtractor(PasstExtractor):
    """The 527 logits of AudioSet's classes."""

    output = 1
