"""CLIP ViT-L/14: pictures and sentences in one space."""

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import ExtractorSpec, present
from ltx2_eval.extractors.embedding import TextTower, check_texts, load_model, load_tokenizer, unit
from ltx2_eval.extractors.frames import bin_centre_frames
from ltx2_eval.extractors.pixels import CLIP_MEAN, CLIP_STD, pillow_squares

NUM_FRAMES = 16


def clip_pixels(frame: NDArray[np.uint8], side: int) -> Tensor:
    """One frame as CLIP was trained on: short side by antialiased bicubic interpolation, centre crop, normalised.

    Args:
        frame: (h, w, 3) uint8.
        side: of the square that the network sees, in pixels.

    Returns:
        (3, side, side) float32.
    """
    pixels = torch.from_numpy(pillow_squares(frame[None], side, "down")).float() / 255
    return rearrange((pixels - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD), "1 h w c -> c h w")


class ClipExtractor(TextTower):
    """Unit-length CLIP embeddings of 16 frames; sentences through `text_features`."""

    def __init__(self, spec: ExtractorSpec, model: Any, tokenizer: Any, device: str) -> None:
        self.spec = spec
        self.model = model
        self.tokenizer = tokenizer
        self.device = device
        self.side = int(model.config.vision_config.image_size)

    @classmethod
    def load(cls, spec: ExtractorSpec, weights: Path | None, device: str) -> Self:
        """Load a folder in the layout of `openai/clip-vit-large-patch14`.

        Raises:
            ValueError: weights or tokenizer do not fit.
        """
        weights = present(spec, weights)
        from transformers import CLIPModel

        model = load_model(CLIPModel, weights, device)
        extractor = cls(spec, model, load_tokenizer(weights, model.config.text_config.vocab_size), device)
        check_texts(extractor.text_features, weights)
        return extractor

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(16, d) embeddings of unit length.

        Raises:
            NotApplicable: no video.
        """
        frames = bin_centre_frames(clip, NUM_FRAMES)
        pixels = torch.stack([clip_pixels(frame, self.side) for frame in frames])
        with torch.inference_mode():
            return unit(self.model.get_image_features(pixel_values=pixels.to(self.device))).cpu().numpy()
