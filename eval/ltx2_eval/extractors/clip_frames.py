"""CLIP on single frames: the embeddings of CMMD, and LAION's aesthetic score."""

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import ExtractorSpec, present
from ltx2_eval.extractors.clip_text_video import NUM_FRAMES, clip_pixels
from ltx2_eval.extractors.embedding import load_model, unit
from ltx2_eval.extractors.frames import bin_centre_frames
from ltx2_eval.extractors.pixels import CLIP_MEAN, CLIP_STD, normalised, squashed
from ltx2_eval.weights import weights_path
from ltx2_eval.weights.safe import load_strict, read_state

CMMD_FRAMES = 2
"""Of a clip: frames of one clip are alike, and more of them would only seem to be more."""


class CmmdExtractor:
    """Image embeddings of CLIP ViT-L/14 at 336 pixels, frames squashed as CMMD does."""

    def __init__(self, spec: ExtractorSpec, model: Any, device: str) -> None:
        self.spec, self.model, self.device = spec, model, device
        self.side = int(model.config.vision_config.image_size)

    @classmethod
    def load(cls, spec: ExtractorSpec, weights: Path | None, device: str) -> Self:
        """Load a folder in the layout of `openai/clip-vit-large-patch14-336`.

        Raises:
            NotAvailable: no folder.
            DamagedError: it does not fit.
        """
        from transformers import CLIPModel

        return cls(spec, load_model(CLIPModel, present(spec, weights), device), device)

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(2, 768) of unit length.

        Raises:
            NotApplicable: no video.
        """
        frames = squashed(bin_centre_frames(clip, CMMD_FRAMES), self.side, "bicubic")
        pixels = normalised(frames, CLIP_MEAN, CLIP_STD).to(self.device)
        with torch.inference_mode():
            return unit(self.model.get_image_features(pixel_values=pixels)).cpu().numpy()


class AestheticExtractor:
    """LAION's linear head on CLIP ViT-L/14: a score for each of 16 frames, roughly 1 to 10."""

    def __init__(self, spec: ExtractorSpec, model: Any, head: nn.Linear, device: str) -> None:
        self.spec, self.model, self.device = spec, model, device
        self.head = head.eval().requires_grad_(False).to(device)
        self.side = int(model.config.vision_config.image_size)

    @classmethod
    def load(cls, spec: ExtractorSpec, weights: Path | None, device: str) -> Self:
        """Load CLIP's folder, and the head from its own entry of the lock.

        Raises:
            NotAvailable: one of the two was not pulled.
            DamagedError: one of the two does not fit.
        """
        from transformers import CLIPModel

        folder = present(spec, weights)
        path = weights_path(spec.beside[0])
        model = load_model(CLIPModel, folder, device)
        head = nn.Linear(int(model.config.projection_dim), 1)
        load_strict(head, read_state(path), str(path))
        return cls(spec, model, head, device)

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(16, 1) scores.

        Raises:
            NotApplicable: no video.
        """
        pixels = torch.stack([clip_pixels(frame, self.side) for frame in bin_centre_frames(clip, NUM_FRAMES)])
        with torch.inference_mode():
            embeddings = unit(self.model.get_image_features(pixel_values=pixels.to(self.device)))
            return self.head(embeddings).cpu().numpy()
