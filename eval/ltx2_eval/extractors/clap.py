"""LAION-CLAP: sounds and sentences in one space, run by transformers' ClapModel."""

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import ExtractorSpec, present
from ltx2_eval.extractors.embedding import TextTower, check_texts, load_model, load_tokenizer, unit
from ltx2_eval.extractors.sound import mono

RATE_HZ = 48_000
WINDOW = 10 * RATE_HZ
HOP = 5 * RATE_HZ
LEAST_S = 0.1


def clap_front_end() -> Any:
    """LAION's spectrogram: 64 Slaney mels from 50 Hz to 14 kHz of 10 s, shorter sounds repeated then padded.

    transformers' default starts at 0 Hz, which is another spectrogram altogether. No window is longer than 10 s, so
    the front end never crops at random.
    """
    from transformers import ClapFeatureExtractor

    front_end = ClapFeatureExtractor(
        frequency_min=50, frequency_max=14_000, truncation="rand_trunc", padding="repeatpad", sampling_rate=RATE_HZ
    )
    assert front_end.frequency_min == 50
    assert front_end.nb_max_samples == WINDOW
    return front_end


def windows(waveform: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Windows of 10 s every 5 s, the last one flush with the end; a sound of up to 10 s is one window."""
    if len(waveform) <= WINDOW:
        return [waveform]
    starts = [*range(0, len(waveform) - WINDOW, HOP), len(waveform) - WINDOW]
    return [waveform[start : start + WINDOW] for start in starts]


class ClapExtractor(TextTower):
    """Unit-length CLAP embeddings of 10 s windows; sentences through `text_features`."""

    def __init__(self, spec: ExtractorSpec, model: Any, tokenizer: Any, device: str) -> None:
        self.spec = spec
        self.model = model
        self.tokenizer = tokenizer
        self.device = device
        self.front_end = clap_front_end()

    @classmethod
    def load(cls, spec: ExtractorSpec, weights: Path | None, device: str) -> Self:
        """Load a folder with the configuration, weights and vocabulary of a ClapModel without fusion.

        Raises:
            ValueError: weights or tokenizer do not fit, or a fusion model.
        """
        weights = present(spec, weights)
        from transformers import ClapModel

        model = load_model(ClapModel, weights, device)
        if model.config.audio_config.enable_fusion:
            raise ValueError(f"{weights}: a fusion model, whose crops are random; use one without fusion")
        extractor = cls(spec, model, load_tokenizer(weights, model.config.text_config.vocab_size), device)
        check_texts(extractor.text_features, weights)
        return extractor

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(k, d) embeddings of unit length: one up to 10 s of sound, then one for each further 5 s.

        Raises:
            NotApplicable: no sound.
        """
        parts = windows(mono(clip, RATE_HZ, LEAST_S))
        batch = self.front_end(parts, sampling_rate=RATE_HZ, return_tensors="pt")
        mels = batch["input_features"].to(self.device)
        with torch.inference_mode():
            return unit(self.model.get_audio_features(input_features=mels)).cpu().numpy()
