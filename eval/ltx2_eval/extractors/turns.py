"""Who says what: stretches of speech, each with its words and its voice."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import ExtractorSpec
from ltx2_eval.extractors.silero import speech_spans
from ltx2_eval.extractors.sound import mono
from ltx2_eval.extractors.speaker import SpeakerExtractor
from ltx2_eval.extractors.whisper import LEAST_S, RATE_HZ, WhisperExtractor
from ltx2_eval.weights import weights_path

_HOP = 160
_VOICE_WIDTH = 256
_MARGIN_S = 0.1
"""Read beside a stretch, so that no consonant is lost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """A stretch of speech."""

    start_s: float
    speaker: int
    """Number of its voice, from 0."""
    text: str


class TurnsExtractor:
    """Whisper's tokens of each stretch of speech that Silero hears, with the stretch's voice by Resemblyzer."""

    def __init__(self, spec: ExtractorSpec, whisper: WhisperExtractor, speaker: SpeakerExtractor) -> None:
        self.spec, self.whisper, self.speaker = spec, whisper, speaker

    @classmethod
    def load(cls, spec: ExtractorSpec, weights: Path | None, device: str) -> Self:
        """Load Whisper, and Silero VAD and Resemblyzer beside it.

        Raises:
            NotAvailable: one of them is missing.
            DamagedError: a file does not fit.
        """
        whisper = WhisperExtractor.load(spec, weights, device)
        return cls(spec, whisper, SpeakerExtractor.load(spec, weights_path("resemblyzer"), device))

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(k, 258): the start of a stretch in s, one of its tokens, and the embedding of its voice.

        Where nobody speaks it is one row without a text, so that silence counts as words left out.

        Raises:
            NotApplicable: no sound, or less than 0.1 s.
        """
        waveform = mono(clip, RATE_HZ, LEAST_S)
        rows: list[NDArray[np.float32]] = []
        for span in speech_spans(self.whisper.voice.probabilities(waveform)):
            start = max(0, round((span.start_s - _MARGIN_S) * RATE_HZ))
            part = waveform[start : round((span.end_s + _MARGIN_S) * RATE_HZ)]
            tokens = self.whisper.tokens(part)[:, :1]
            voice = self.speaker.embedded(waveform, [round(span.start_s * RATE_HZ / _HOP) * _HOP])
            count = len(tokens)
            rows.append(np.hstack([np.full((count, 1), span.start_s), tokens, np.repeat(voice, count, axis=0)]))
        if not rows:
            rows = [np.hstack([np.zeros((1, 1)), self.whisper.tokens(waveform)[:1, :1], np.zeros((1, _VOICE_WIDTH))])]
        return np.concatenate(rows).astype(np.float32)

    def turns(self, features: NDArray[np.float32], num_speakers: int) -> list[Turn]:
        """Stretches in order of time, their voices grouped into at most that many speakers."""
        starts = list(dict.fromkeys(features[:, 0].tolist()))
        parts = [features[features[:, 0] == np.float32(start)] for start in starts]
        groups = grouped(np.stack([part[0, 2:] for part in parts]), num_speakers)
        texts = [self.whisper.words_of(part[:, 1].astype(int).tolist()) for part in parts]
        return [
            Turn(start_s=start, speaker=group, text=text)
            for start, group, text in zip(starts, groups, texts, strict=True)
        ]


def grouped(voices: NDArray[np.floating], num_speakers: int) -> list[int]:
    """The group, from 0, of each voice (k, d) of unit length: average linkage of cosine distances.

    Groups are numbered as they first come.
    """
    if len(voices) == 1:
        return [0]
    labels = fcluster(linkage(voices, "average", metric="cosine"), num_speakers, "maxclust").tolist()
    order = list(dict.fromkeys(labels))
    return [order.index(label) for label in labels]
