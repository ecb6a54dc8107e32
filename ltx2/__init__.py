"""Our implementation of LTX-2, the joint audio-video generation model (Lightricks, arXiv 2601.03233).

Names are loaded on first use, so that importing the package does not import PyTorch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ltx2.conditioning import Conditions, GivenAudio, ImageCondition
    from ltx2.config import LTX2_19B, NANO, LTX2Config
    from ltx2.guidance import (
        LTX2_DEFAULT,
        PAPER,
        PRESETS,
        RELEASE,
        TEXT_AND_MODALITY,
        UNGUIDED,
        Guidance,
        StreamGuidance,
    )
    from ltx2.pipeline import Pipeline
    from ltx2.sample import Latents, Progress
    from ltx2.settings import PIPELINES, RefineSettings, SamplingSettings, Tiles
    from ltx2.types import AudioLatentShape, AudioVideo, StageCost, VideoLatentShape, VideoPixelShape

_HOMES = {
    "ltx2.conditioning": ("Conditions", "GivenAudio", "ImageCondition"),
    "ltx2.config": ("LTX2_19B", "NANO", "LTX2Config"),
    "ltx2.guidance": (
        "LTX2_DEFAULT",
        "PAPER",
        "PRESETS",
        "RELEASE",
        "TEXT_AND_MODALITY",
        "UNGUIDED",
        "Guidance",
        "StreamGuidance",
    ),
    "ltx2.pipeline": ("Pipeline",),
    "ltx2.sample": ("Latents", "Progress"),
    "ltx2.settings": ("PIPELINES", "RefineSettings", "SamplingSettings", "Tiles"),
    "ltx2.types": ("AudioLatentShape", "AudioVideo", "StageCost", "VideoLatentShape", "VideoPixelShape"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "LTX2_19B",
    "LTX2_DEFAULT",
    "NANO",
    "PAPER",
    "PIPELINES",
    "PRESETS",
    "RELEASE",
    "TEXT_AND_MODALITY",
    "UNGUIDED",
    "AudioLatentShape",
    "AudioVideo",
    "Conditions",
    "GivenAudio",
    "Guidance",
    "ImageCondition",
    "LTX2Config",
    "Latents",
    "Pipeline",
    "Progress",
    "RefineSettings",
    "SamplingSettings",
    "StageCost",
    "StreamGuidance",
    "Tiles",
    "VideoLatentShape",
    "VideoPixelShape",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
