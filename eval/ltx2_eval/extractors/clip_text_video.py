"""CLIP ViT-L/14: pictures and sentences in one space."""

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import ExtractorSpec, present
from ltx2_eval.extractors.embedding import TextTower, check_texts, load_model, load_tokenizer, unit
from ltx2_eval.extractors.frames import bin_centre_frames

NUM_FRAMES = 16
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


def clip_pixels(frame: NDArray[np.uint8], side: int) -> Tensor:
    """One frame as CLIP was trained on: short side by antialiased bicubic interpolation, centre crop, normalised.

    Args:
        frame: (h, w, 3) uint8.
        side: of the square that the network sees, in pixels.

    Returns:
        (3, side, side) float32.
    """
    height, width = frame.shape[:2]
    short = min(height, width)
    size = (width * side // short, height * side // short)
    image = Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    pixels = torch.from_numpy(np.asarray(image.crop((left, top, left + side, top + side)), dtype=np.float32)) / 255
    return rearrange((pixels - torch.tensor(_MEAN)) / torch.tensor(_STD), "h w c -> c h w")


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
