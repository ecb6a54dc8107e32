"""Networks of the nano extractors: video, audio and text in one space, and the offset between picture and sound."""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from einops import rearrange, reduce
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2.nano_vocabulary import build_tokenizer

EMBEDDING = 128
SIDE_PX = 64
FPS = 24
RATE_HZ = 24_000
MAX_TOKENS = 112
AUDIO_STEPS_HZ = 96
"""Spectrogram columns per second: four per video frame at 24 fps."""
MAX_LAG = 48
"""Offsets of the classifier: -48..48 columns, half a second either way."""
_MEL_BANDS = 48
_WINDOW = 512
_HOP = RATE_HZ // AUDIO_STEPS_HZ
_FLOOR = 1e-4
_SYNC_CHANNELS = 8


class Towers(nn.Module):
    """Three encoders into one space of `EMBEDDING` dimensions, unit length, and the temperature they are trained with.

    The videos are 64 px high and wide at 24 fps, the sounds stereo at 24 kHz.
    """

    def __init__(self) -> None:
        super().__init__()
        self.video = VideoTower()
        self.audio = AudioTower()
        self.text = TextTower()
        self.log_scale = nn.Parameter(torch.tensor(math.log(14.0)))

    def embed_video(self, video: Tensor) -> Tensor:
        """(b, 3, f, 64, 64) in -1..1 -> (b, EMBEDDING)."""
        return F.normalize(self.video(video).float(), dim=-1)

    def embed_audio(self, waveform: Tensor) -> Tensor:
        """(b, 2, n) in -1..1 at 24 kHz -> (b, EMBEDDING)."""
        return F.normalize(self.audio(log_spectrogram(waveform)).float(), dim=-1)

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Texts -> (b, EMBEDDING); words beyond `MAX_TOKENS` tokens are not read."""
        return F.normalize(self.text(token_ids(texts, self.log_scale.device)).float(), dim=-1)


class VideoTower(nn.Module):
    """Strided 3D convolutions; means and maxima over time and space are read out by two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            (
                nn.Conv3d(3, 16, (1, 4, 4), (1, 4, 4)),
                nn.Conv3d(16, 32, (3, 3, 3), (2, 1, 1), 1),
                nn.Conv3d(32, 48, (3, 3, 3), (2, 2, 2), 1),
                nn.Conv3d(48, 96, (3, 3, 3), (2, 2, 2), 1),
                nn.Conv3d(96, 128, (3, 3, 3), (1, 1, 1), 1),
            )
        )
        self.head = _Head(3 * 128)

    def forward(self, video: Tensor) -> Tensor:
        """(b, 3, f, h, w) -> (b, EMBEDDING), not yet of unit length."""
        x = video
        for layer in self.layers:
            x = F.gelu(layer(x), approximate="tanh")
        # The middle of a half says on which side something is, which means and maxima of the whole do not.
        columns = torch.linspace(-1, 1, x.shape[-1], device=x.device)
        place = (x * columns).mean(dim=(2, 3, 4))
        return self.head(torch.cat([x.mean(dim=(2, 3, 4)), x.amax(dim=(2, 3, 4)), place], dim=1))


class AudioTower(nn.Module):
    """Strided 2D convolutions over a stereo log-mel spectrogram, read out as in the video tower."""

    def __init__(self) -> None:
        super().__init__()
        widths = (2, 24, 48, 72, 128)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 5 if a == 2 else 3, 2, 2 if a == 2 else 1) for a, b in pairwise(widths)
        )
        self.head = _Head(3 * 128)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """(b, 2, t, m) -> (b, EMBEDDING), not yet of unit length."""
        x = spectrogram
        for layer in self.layers:
            x = F.gelu(layer(x), approximate="tanh")
        x = x.amax(dim=3) + x.mean(dim=3)
        times = torch.linspace(-1, 1, x.shape[-1], device=x.device)
        return self.head(torch.cat([x.mean(dim=2), x.amax(dim=2), (x * times).mean(dim=2)], dim=1))


class TextTower(nn.Module):
    """Word embeddings and convolutions over neighbouring words, read out by mean and maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(build_tokenizer().get_vocab_size(), 96, padding_idx=0)
        self.layers = nn.ModuleList((nn.Conv1d(96, 128, 5, padding=2), nn.Conv1d(128, 128, 5, padding=2)))
        self.head = _Head(2 * 128)

    def forward(self, ids: Tensor) -> Tensor:
        """(b, t) token ids, 0 where there is no token -> (b, EMBEDDING), not yet of unit length."""
        valid = rearrange(ids != 0, "b t -> b 1 t")
        x = rearrange(self.embed_tokens(ids), "b t d -> b d t")
        for layer in self.layers:
            h = F.gelu(layer(x), approximate="tanh")
            x = (h + x if h.shape == x.shape else h) * valid
        mean = reduce(x, "b d t -> b d", "sum") / valid.sum(dim=2)
        return self.head(torch.cat([mean, x.amax(dim=2)], dim=1))


class SyncTower(nn.Module):
    """Both streams become a few curves 96 times a second; their correlation says by how much one lags the other."""

    def __init__(self) -> None:
        super().__init__()
        self.video_layers = nn.ModuleList(
            (
                nn.Conv3d(3, 16, (1, 4, 4), (1, 4, 4)),
                nn.Conv3d(16, 32, (3, 3, 3), (1, 2, 2), 1),
                nn.Conv3d(32, 32, (3, 3, 3), (1, 2, 2), 1),
            )
        )
        self.video_time = nn.ModuleList(
            (nn.Conv1d(64, 64, 5, padding=2), nn.Conv1d(64, 4 * _SYNC_CHANNELS, 5, padding=2))
        )
        self.audio_layers = nn.ModuleList(
            (nn.Conv1d(2 * _MEL_BANDS, 48, 5, padding=2), nn.Conv1d(48, 48, 5, padding=2))
        )
        self.audio_out = nn.Conv1d(48, _SYNC_CHANNELS, 5, padding=2)
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, video: Tensor, waveform: Tensor) -> Tensor:
        """Scores of all offsets.

        Args:
            video: (b, 3, f, 64, 64) in -1..1 at 24 fps.
            waveform: (b, 2, n) in -1..1 at 24 kHz.

        Returns:
            (b, 2 * MAX_LAG + 1); entry `MAX_LAG + k` is the score of a sound that comes k / 96 s too late.
        """
        seen, heard = self._seen(video), self._heard(waveform)
        steps = min(seen.shape[2], heard.shape[2])
        seen, heard = _unit(seen[:, :, :steps].float()), _unit(heard[:, :, :steps].float())
        padded = F.pad(heard, (MAX_LAG, MAX_LAG))
        lags = [(padded[:, :, lag : lag + steps] * seen).sum(dim=(1, 2)) for lag in range(2 * MAX_LAG + 1)]
        return self.scale * torch.stack(lags, dim=1)

    def _seen(self, video: Tensor) -> Tensor:
        x = video
        for layer in self.video_layers:
            x = F.gelu(layer(x), approximate="tanh")
        x = torch.cat([x.amax(dim=(3, 4)), x.mean(dim=(3, 4))], dim=1)
        x = F.gelu(self.video_time[0](x), approximate="tanh")
        return rearrange(self.video_time[1](x), "b (c s) f -> b c (f s)", s=AUDIO_STEPS_HZ // FPS)

    def _heard(self, waveform: Tensor) -> Tensor:
        x = rearrange(log_spectrogram(waveform), "b c t m -> b (c m) t")
        for layer in self.audio_layers:
            x = F.gelu(layer(x), approximate="tanh")
        out: Tensor = self.audio_out(x)
        return out


class _Head(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(width, 256), nn.Linear(256, EMBEDDING)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(F.gelu(self.hidden(x), approximate="tanh"))
        return out


def log_spectrogram(waveform: Tensor) -> Tensor:
    """Log-mel spectrogram (b, 2, t, 48) of waveforms (b, 2, n) at 24 kHz, 96 columns a second, about -2..2."""
    window = torch.hann_window(_WINDOW, device=waveform.device)
    flat = rearrange(waveform.float(), "b c n -> (b c) n")
    spectrum = torch.stft(flat, _WINDOW, _HOP, window=window / window.sum(), center=True, return_complex=True)
    bands = _bands(waveform.device) @ spectrum.abs()
    logs = (bands + _FLOOR).log()
    return rearrange((logs + 6.0) / 3.0, "(b c) m t -> b c t m", b=waveform.shape[0])


def token_ids(texts: Sequence[str], device: Any) -> Tensor:
    """Token ids (b, MAX_TOKENS), 0 behind the end of a text."""
    rows = [encoding.ids[:MAX_TOKENS] for encoding in _tokenizer().encode_batch(list(texts))]
    ids = torch.zeros(len(rows), MAX_TOKENS, dtype=torch.long)
    for row, found in zip(ids, rows, strict=True):
        row[: len(found)] = torch.tensor(found)
    return ids.to(device)


def count_tokens(texts: Sequence[str]) -> list[int]:
    """How many tokens each text has."""
    return [len(encoding.ids) for encoding in _tokenizer().encode_batch(list(texts))]


def _unit(curves: Tensor) -> Tensor:
    centred = curves - curves.mean(dim=2, keepdim=True)
    return centred / (centred.square().sum(dim=(1, 2), keepdim=True) + 1e-6).sqrt()


@lru_cache(maxsize=4)
def _bands(device: torch.device) -> Tensor:
    """Triangular bands (48, 257) whose centres lie evenly on the mel scale from 60 Hz to 12 kHz."""
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (60.0, 12_000.0))
    corners = 700 * (10 ** (torch.linspace(low, high, _MEL_BANDS + 2, dtype=torch.float64) / 2595) - 1)
    hz = torch.linspace(0, RATE_HZ / 2, _WINDOW // 2 + 1, dtype=torch.float64)
    left, centre, right = (corners[k : k + _MEL_BANDS, None] for k in range(3))
    spread = torch.tensor(RATE_HZ / _WINDOW, dtype=torch.float64)
    rising = (hz - left) / (centre - left).maximum(spread)
    falling = (right - hz) / (right - centre).maximum(spread)
    with torch.inference_mode(False):
        return torch.minimum(rising, falling).clamp(min=0).float().to(device)


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    return build_tokenizer()
