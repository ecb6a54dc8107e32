"""Who speaks: the speaker embedding of Resemblyzer, of the stretches in which Silero hears speech."""

from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import ExtractorSpec, NotApplicable, present
from ltx2_eval.extractors.silero import RATE_HZ, SileroExtractor, speech_spans
from ltx2_eval.extractors.sound import mono
from ltx2_eval.extractors.spectrogram import Array, centred_power, hann, slaney_filters
from ltx2_eval.weights import weights_path
from ltx2_eval.weights.safe import load_strict, read_state

LEAST_S = 0.5
PART_FRAMES = 160
_FFT, _HOP, _MELS, _WIDTH = 400, 160, 40, 256
_PART_SAMPLES = PART_FRAMES * _HOP
_STEP_FRAMES = 77
"""1.3 parts per second."""
_LEAST_SPEECH = 0.75
_LEVEL_DBFS = -30.0
_NOT_USED = ("similarity_weight", "similarity_bias")
"""Of the training loss."""


@cache
def _filters() -> Array:
    return slaney_filters(RATE_HZ, _FFT, _MELS, 0, RATE_HZ / 2)


def speaker_mel(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """(1 + n // 160, 40) mel powers, not logarithmic, of a waveform (n,) at 16 kHz."""
    return (centred_power(waveform, hann(_FFT, periodic=True), _FFT, _HOP, "constant") @ _filters()).astype(np.float32)


def louder(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Raised to -30 dBFS where it is quieter, as the network was trained; silence stays as it is."""
    level = float(np.sqrt(np.mean(waveform.astype(np.float64) ** 2)))
    target = 10 ** (_LEVEL_DBFS / 20)
    return waveform if level == 0 or level >= target else (waveform * (target / level)).astype(np.float32)


class SpeakerEncoder(nn.Module):
    """Three LSTM layers and a linear one (Wan et al. 2018), with the names of Resemblyzer's `pretrained.pt`."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_MELS, _WIDTH, 3, batch_first=True)
        self.linear = nn.Linear(_WIDTH, _WIDTH)

    def forward(self, mels: Tensor) -> Tensor:
        """(b, t, 40) mel powers -> (b, 256) of unit length, none negative."""
        _, (hidden, _) = self.lstm(mels)
        return F.normalize(F.relu(self.linear(hidden[-1])), dim=-1)


class SpeakerExtractor:
    """Speaker embeddings of parts of 1.6 s, every 0.77 s, of which three quarters or more are speech."""

    def __init__(self, spec: ExtractorSpec, network: SpeakerEncoder, voice: SileroExtractor, device: str) -> None:
        self.spec = spec
        self.network = network.eval().requires_grad_(False).to(device)
        self.voice = voice
        self.device = device

    @classmethod
    def load(cls, spec: ExtractorSpec, weights: Path | None, device: str) -> Self:
        """Load the encoder, and Silero VAD beside it.

        Raises:
            NotAvailable: one of the two is missing.
            DamagedError: a file does not fit.
        """
        weights = present(spec, weights)
        network = SpeakerEncoder()
        state = {key: value for key, value in read_state(weights).items() if key not in _NOT_USED}
        load_strict(network, state, str(weights))
        return cls(spec, network, load_voice(spec, device), device)

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(k, 256) of unit length, in order of time.

        Raises:
            NotApplicable: no sound, less than 0.5 s, or no part with enough speech in it.
        """
        waveform = mono(clip, RATE_HZ, LEAST_S)
        spoken = np.zeros(max(len(waveform), _PART_SAMPLES), bool)
        for span in speech_spans(self.voice.probabilities(waveform)):
            spoken[round(span.start_s * RATE_HZ) : round(span.end_s * RATE_HZ)] = True
        step = _STEP_FRAMES * _HOP
        starts = range(0, len(spoken) - _PART_SAMPLES + 1, step)
        kept = [start for start in starts if spoken[start : start + _PART_SAMPLES].mean() >= _LEAST_SPEECH]
        if not kept:
            raise NotApplicable("nobody speaks for long enough: no 1.6 s of which three quarters are speech")
        return self.embedded(waveform, kept)

    def embedded(self, waveform: NDArray[np.float32], starts: list[int]) -> NDArray[np.float32]:
        """(len(starts), 256) of parts of 1.6 s from these samples on, multiples of 160; what is missing is silence."""
        padded = np.pad(waveform, (0, max(0, max(starts) + _PART_SAMPLES - len(waveform))))
        mel = speaker_mel(louder(padded))
        parts = np.stack([mel[start // _HOP : start // _HOP + PART_FRAMES] for start in starts])
        with torch.inference_mode():
            return self.network(torch.from_numpy(parts).to(self.device)).float().cpu().numpy()


def load_voice(spec: ExtractorSpec, device: str) -> SileroExtractor:
    """Silero VAD, which an extractor needs beside its own network."""
    return SileroExtractor.load(spec, weights_path("silero-vad"), device)
