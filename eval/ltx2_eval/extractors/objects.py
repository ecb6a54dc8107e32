"""What is seen and what is heard, as probabilities of the same 1000 objects: EfficientNet-Lite0 and SoundNet."""

from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import ExtractorSpec, present
from ltx2_eval.extractors.efficientnet import NUM_FRAMES, EfficientNetLite, lite_pixels
from ltx2_eval.extractors.frames import bin_centre_frames
from ltx2_eval.extractors.sound import mono
from ltx2_eval.extractors.soundnet import LEAST_S, RATE_HZ, SoundNet
from ltx2_eval.weights import weights_path
from ltx2_eval.weights.safe import load_strict, read_state

SOUND_S = 12.0
"""SoundNet's heads look at about this much; shorter sounds are repeated."""


class ObjectsExtractor:
    """Log probabilities of the 1000 ImageNet classes, of the pictures and of the sound."""

    def __init__(self, spec: ExtractorSpec, pictures: EfficientNetLite, sounds: SoundNet, device: str) -> None:
        self.spec, self.device = spec, device
        self.pictures, self.sounds = (network.eval().requires_grad_(False).to(device) for network in (pictures, sounds))

    @classmethod
    def load(cls, spec: ExtractorSpec, weights: Path | None, device: str) -> Self:
        """Load EfficientNet-Lite0, and SoundNet from its own entry of the lock.

        Raises:
            NotAvailable: one of the two was not pulled.
            DamagedError: one of the two does not fit.
        """
        weights = present(spec, weights)
        pictures, sounds, beside = EfficientNetLite(), SoundNet(), weights_path(spec.beside[0])
        load_strict(pictures, read_state(weights), str(weights))
        load_strict(sounds, read_state(beside), str(beside))
        return cls(spec, pictures, sounds, device)

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(2, 1000): means over 8 frames, and over the steps of the sound.

        Raises:
            NotApplicable: a stream is missing, or less than 1 s of sound.
        """
        waveform = mono(clip, RATE_HZ, LEAST_S)
        repeats = -(-int(SOUND_S * RATE_HZ) // len(waveform))
        pixels = lite_pixels(bin_centre_frames(clip, NUM_FRAMES)).to(self.device)
        with torch.inference_mode():
            seen = F.log_softmax(self.pictures(pixels), dim=1).mean(dim=0)
            heard, _ = self.sounds(torch.from_numpy(np.tile(waveform, repeats))[None].to(self.device))
            rows = torch.stack([seen, F.log_softmax(heard[0], dim=0).mean(dim=1)])
        return rows.cpu().numpy()
