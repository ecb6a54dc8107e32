"""The FLOPs of one generation by our LTX-2, stage by stage."""

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from ltx2_eval.models.base import GenerationRequest, Work

if TYPE_CHECKING:
    from ltx2 import LTX2Config, SamplingSettings
    from ltx2.config import UpsamplerConfig


def work_of(
    config: "LTX2Config",
    settings: "SamplingSettings",
    request: GenerationRequest,
    *,
    dtype: str,
    load_s: float | None = None,
) -> Work:
    """What a request comes to.

    FLOPs of the language model are not counted.

    Args:
        config: The model.
        settings: How it samples.
        request: The clip.
        dtype: Of the weights.
        load_s: Seconds of loading them.
    """
    from ltx2.conditioning import Conditions
    from ltx2.plan import plan_stages
    from ltx2.types import VideoPixelShape
    from ltx2_eval.stage_flops import clip_flops

    pixels = VideoPixelShape(1, request.num_frames, request.height, request.width, Fraction(request.fps))
    plans = plan_stages(config, pixels, seed=request.seed, settings=settings, conditions=Conditions())
    return Work(flops=clip_flops(config, plans, upsampler_of(config)), dtype=dtype, load_s=load_s)


def upsampler_of(config: "LTX2Config") -> "UpsamplerConfig":
    """The published upsampler for a model's latents, or the small model's."""
    from ltx2.config import NANO_SPATIAL_UPSAMPLER, SPATIAL_UPSAMPLER_X2

    channels = config.video_vae.latent_channels
    small = NANO_SPATIAL_UPSAMPLER
    return small if channels == small.in_channels else replace(SPATIAL_UPSAMPLER_X2, in_channels=channels)
