"""Silero VAD: how likely somebody speaks, every 32 ms."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.network import NetworkExtractor
from ltx2_eval.extractors.sound import mono

RATE_HZ = 16_000
LEAST_S = 0.1
CHUNK = 512
CHUNK_S = CHUNK / RATE_HZ
_CONTEXT, _PAD, _FFT, _HOP = 64, 64, 256, 128
_BINS = _FFT // 2 + 1
SPEECH, STILL_SPEECH = 0.5, 0.35
"""Speech begins at the first probability and ends below the second."""
LEAST_SPEECH_S, LEAST_PAUSE_S = 0.25, 0.1


class _Layer(nn.Module):
    def __init__(self, width: int, channels: int, stride: int) -> None:
        super().__init__()
        self.reparam_conv = nn.Conv1d(width, channels, 3, stride=stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.reparam_conv(x))


class _Spectrum(nn.Module):
    forward_basis_buffer: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("forward_basis_buffer", torch.zeros(2 * _BINS, 1, _FFT))

    def forward(self, chunks: Tensor) -> Tensor:
        """(k, n) -> (k, 129, steps) magnitudes."""
        x = rearrange(F.pad(chunks, (0, _PAD), mode="reflect"), "k n -> k 1 n")
        x = F.conv1d(x, self.forward_basis_buffer, stride=_HOP)
        return (x[:, :_BINS].square() + x[:, _BINS:].square()).sqrt()


class _Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTMCell(128, 128)
        self.decoder = nn.Sequential(nn.Dropout(0.0), nn.ReLU(), nn.Conv1d(128, 1, 1))

    def forward(self, steps: Tensor) -> Tensor:
        """(k, 128) in order of time -> (k,) probabilities."""
        hidden: list[Tensor] = []
        state = None
        for step in steps:
            state = self.rnn(step[None], state)
            hidden.append(state[0])
        return torch.sigmoid(self.decoder(rearrange(hidden, "k 1 c -> k c 1")))[:, 0, 0]


class Silero(nn.Module):
    """The network for 16 kHz, with the names of `silero_vad_16k_op15.onnx` after `model.`."""

    def __init__(self) -> None:
        super().__init__()
        self.stft = _Spectrum()
        self.encoder = nn.Sequential(_Layer(_BINS, 128, 1), _Layer(128, 64, 2), _Layer(64, 64, 2), _Layer(64, 128, 1))
        self.decoder = _Decoder()

    def forward(self, waveform: Tensor) -> Tensor:
        """(n,) at 16 kHz -> (ceil(n / 512),) probabilities of speech, each knowing what came before."""
        whole = F.pad(waveform, (_CONTEXT, -len(waveform) % CHUNK))
        chunks = whole.unfold(0, _CONTEXT + CHUNK, CHUNK)
        return self.decoder(rearrange(self.encoder(self.stft(chunks)), "k c 1 -> k c"))


class SileroExtractor(NetworkExtractor[Silero]):
    """The probability of speech in each 32 ms."""

    @classmethod
    def build(cls) -> Silero:
        """The network; its weights are made by the converter `onnx`."""
        return Silero()

    @classmethod
    def renamed(cls, published: dict[str, Tensor]) -> dict[str, Tensor]:
        """The published names without what stands before all of them."""
        return {key.removeprefix("model."): value for key, value in published.items()}

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(k, 1) probabilities, of chunk i from i * 32 ms on.

        Raises:
            NotApplicable: no sound, or less than 0.1 s.
        """
        return self.probabilities(mono(clip, RATE_HZ, LEAST_S))[:, None]

    def probabilities(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """(k,) of a waveform (n,) at 16 kHz."""
        with torch.inference_mode():
            return self.network(torch.from_numpy(waveform).to(self.device)).float().cpu().numpy()


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A stretch of speech, in seconds from the first sample of sound."""

    start_s: float
    end_s: float


def speech_spans(probabilities: NDArray[np.floating]) -> list[Span]:
    """Stretches of speech of at least 0.25 s; a pause shorter than 0.1 s does not end one.

    Args:
        probabilities: (k,) of chunks of 32 ms.
    """
    raw: list[tuple[int, int]] = []
    start: int | None = None
    for index, probability in enumerate([*probabilities.tolist(), 0.0]):
        if start is None and probability >= SPEECH:
            start = index
        elif start is not None and probability < STILL_SPEECH:
            raw.append((start, index))
            start = None
    if not raw:
        return []
    ends = [first[1] for first, second in pairwise(raw) if (second[0] - first[1]) * CHUNK_S >= LEAST_PAUSE_S]
    starts = [second[0] for first, second in pairwise(raw) if (second[0] - first[1]) * CHUNK_S >= LEAST_PAUSE_S]
    spans = zip([raw[0][0], *starts], [*ends, raw[-1][1]], strict=True)
    return [
        Span(start_s=begin * CHUNK_S, end_s=end * CHUNK_S)
        for begin, end in spans
        if (end - begin) * CHUNK_S >= LEAST_SPEECH_S
    ]
