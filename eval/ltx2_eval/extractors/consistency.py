"""Encoders that look at every frame: DINO for what moves, CLIP ViT-B/32 for the whole picture, as VBench has them."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import ExtractorSpec, NotApplicable, present
from ltx2_eval.extractors.embedding import load_model, unit
from ltx2_eval.extractors.pixels import (
    CLIP_MEAN,
    CLIP_STD,
    IMAGENET_MEAN,
    IMAGENET_STD,
    normalised,
    short_side_224,
)

_BATCH = 16


class _EveryFrame(ABC):
    """A transformers model on all frames of a clip, in batches."""

    def __init__(self, spec: ExtractorSpec, model: Any, device: str) -> None:
        self.spec, self.model, self.device = spec, model, device

    @classmethod
    def load(cls, spec: ExtractorSpec, weights: Path | None, device: str) -> Self:
        """Load a folder with configuration and weights of the published layout.

        Raises:
            NotAvailable: no folder.
            DamagedError: it does not fit.
        """
        weights = present(spec, weights)
        return cls(spec, cls._model(weights, device), device)

    @staticmethod
    @abstractmethod
    def _model(folder: Path, device: str) -> Any: ...

    @abstractmethod
    def _embed(self, frames: NDArray[np.uint8]) -> Tensor: ...

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(f, d) of unit length.

        Raises:
            NotApplicable: no video.
        """
        if clip.video is None or not len(clip.video):
            raise NotApplicable("the clip has no video frame")
        batches = np.array_split(clip.video, -(-len(clip.video) // _BATCH))
        with torch.inference_mode():
            return torch.cat([self._embed(batch).cpu() for batch in batches]).numpy()


class DinoExtractor(_EveryFrame):
    """DINO ViT-B/16, class token; the frame keeps its aspect ratio and the positions are interpolated."""

    @staticmethod
    def _model(folder: Path, device: str) -> Any:
        """Without the pooler: DINO has none, and only the class token is used; a file that has one is as good."""
        from transformers import ViTModel

        return load_model(ViTModel, folder, device, unused=("pooler.",), add_pooling_layer=False)

    def _embed(self, frames: NDArray[np.uint8]) -> Tensor:
        pixels = normalised(short_side_224(frames, "bilinear", crop=False), IMAGENET_MEAN, IMAGENET_STD)
        output = self.model(pixel_values=pixels.to(self.device), interpolate_pos_encoding=True)
        return F.normalize(output.last_hidden_state[:, 0].float(), dim=1)


class ClipEveryFrameExtractor(_EveryFrame):
    """CLIP ViT-B/32, image embedding of the centre square."""

    @staticmethod
    def _model(folder: Path, device: str) -> Any:
        from transformers import CLIPModel

        return load_model(CLIPModel, folder, device)

    def _embed(self, frames: NDArray[np.uint8]) -> Tensor:
        pixels = normalised(short_side_224(frames, "bicubic", crop=True), CLIP_MEAN, CLIP_STD)
        return unit(self.model.get_image_features(pixel_values=pixels.to(self.device)))
