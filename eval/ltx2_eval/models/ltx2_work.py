"""The FLOPs of one generation by our LTX-2, stage by stage."""

from fractions import Fraction
from typing import TYPE_CHECKING

from ltx2_eval.models.base import GenerationRequest, Work

if TYPE_CHECKING:
    from ltx2 import LTX2Config, SamplingSettings


def work_of(
    config: "LTX2Config",
    settings: "SamplingSettings",
    request: GenerationRequest,
    *,
    dtype: str,
    load_s: float | None = None,
) -> Work:
    """What a request comes to.

    FLOPs of the language model, of the latent upsampler and of a refinement in tiles are not counted.

    Args:
        config: The model.
        settings: How it samples.
        request: The clip.
        dtype: Of the weights.
        load_s: Seconds of loading them.
    """
    from ltx2.conditioning import Conditions
    from ltx2.flops import TokenCounts, TransformerFlops, total
    from ltx2.plan import plan_stages
    from ltx2.types import VideoPixelShape
    from ltx2_eval.stage_flops import audio_decode_flops, connector_flops, video_decode_flops, vocoder_flops

    pixels = VideoPixelShape(1, request.num_frames, request.height, request.width, Fraction(request.fps))
    plans = plan_stages(config, pixels, seed=request.seed, settings=settings, conditions=Conditions())
    prompts = 2 if any("text" in plan.guidance.passes for plan in plans) else 1
    flops = {"connectors": connector_flops(config) * prompts}
    for plan in plans:
        if plan.tiles is not None:
            continue
        tokens = TokenCounts(video=plan.video.token_count, audio=plan.audio.token_count, text=config.text.max_tokens)
        transformer = TransformerFlops(config.transformer, tokens)
        steps = len(plan.sigmas) - 1
        evaluations = steps if plan.sampler == "euler" else 2 * steps + 1
        context = total(transformer.text_context()).total * prompts
        flops[plan.name] = context + total(transformer.guided_step(plan.guidance)).total * evaluations
    video, audio = plans[-1].video, plans[-1].audio
    flops |= {
        "video_decode": video_decode_flops(config, video),
        "audio_decode": audio_decode_flops(config, audio),
        "vocoder": vocoder_flops(config, audio),
    }
    return Work(flops=flops, dtype=dtype, load_s=load_s)
