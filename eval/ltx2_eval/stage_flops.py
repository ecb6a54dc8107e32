"""FLOPs of every stage of a clip: the transformer's in closed form, the others counted on the meta device."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch.utils.flop_counter import FlopCounterMode

from ltx2.checkpoint import Modules, build
from ltx2.config import LTX2Config, UpsamplerConfig
from ltx2.flops import TokenCounts, TransformerFlops, total
from ltx2.plan import StagePlan
from ltx2.tiled import split_axis
from ltx2.types import AudioLatentShape, VideoLatentShape
from ltx2.upsampler import LatentUpsampler


def clip_flops(
    config: LTX2Config, plans: Sequence[StagePlan], upsampler: UpsamplerConfig | None = None
) -> dict[str, int]:
    """FLOPs of each stage of one clip, by the stages' names; decoders are counted whole, without slices.

    Args:
        config: The model.
        plans: Of its stages of sampling.
        upsampler: Between two of them; None where it is not known, and not counted.
    """
    prompts = 2 if any("text" in plan.guidance.passes for plan in plans) else 1
    flops = {"connectors": connector_flops(config) * prompts}
    for plan in plans:
        flops[plan.name] = sampling_flops(config, plan, prompts)
    if upsampler is not None and len(plans) > 1:
        flops["upsample"] = upsample_flops(upsampler, plans[0].video._replace(batch=1))
    video, audio = plans[-1].video._replace(batch=1), plans[-1].audio._replace(batch=1)
    return {
        **flops,
        "video_decode": video_decode_flops(config, video),
        "audio_decode": audio_decode_flops(config, audio),
        "vocoder": vocoder_flops(config, audio),
    }


def sampling_flops(config: LTX2Config, plan: StagePlan, prompts: int) -> int:
    """Of one stage of sampling: the text's keys and values once, then every evaluation of the guided model."""
    text, audio = config.text.max_tokens, plan.audio.token_count
    whole = TransformerFlops(config.transformer, TokenCounts(video=plan.video.token_count, audio=audio, text=text))
    step = sum(
        total(
            TransformerFlops(config.transformer, TokenCounts(video=tokens, audio=audio, text=text)).guided_step(
                plan.guidance
            )
        ).total
        for tokens in _tokens_at_once(plan)
    )
    return total(whole.text_context()).total * prompts + step * plan.evaluations


def _tokens_at_once(plan: StagePlan) -> list[int]:
    """Video tokens of each pass of a step: all at once, or those of one tile after the other."""
    if plan.tiles is None:
        return [plan.video.token_count]
    sizes, shape = plan.tiles, plan.video
    axes = (
        split_axis(shape.frames, sizes.frames, sizes.overlap_frames),
        split_axis(shape.height, sizes.height, sizes.overlap),
        split_axis(shape.width, sizes.width, sizes.overlap),
    )
    return [math.prod(span.end - span.start for span in spans) for spans in itertools.product(*axes)]


@functools.cache
def upsample_flops(config: UpsamplerConfig, shape: VideoLatentShape) -> int:
    """The latent upsampler on one latent."""
    with torch.device("meta"):
        upsampler = LatentUpsampler(config)
    return _counted(lambda: upsampler(torch.empty(shape.grid_shape, device="meta")))


@functools.cache
def connector_flops(config: LTX2Config) -> int:
    """Projection and connectors, for one prompt."""
    text = config.text
    states = torch.empty(1, text.max_tokens, text.hidden_size, text.num_hidden_states, device="meta")
    mask = torch.ones(1, text.max_tokens, dtype=torch.bool, device="meta")
    return _counted(lambda: _modules(config).connectors(states, mask))


@functools.cache
def video_decode_flops(config: LTX2Config, shape: VideoLatentShape) -> int:
    """The video decoder on one latent."""
    latent = torch.empty(shape.grid_shape, device="meta")
    return _counted(lambda: _modules(config).video_vae.decoder(latent))


@functools.cache
def audio_decode_flops(config: LTX2Config, shape: AudioLatentShape) -> int:
    """The audio decoder on one latent, to a log-mel spectrogram."""
    latent = torch.empty(tuple(shape), device="meta")
    return _counted(lambda: _modules(config).audio_vae.decode(latent))


@functools.cache
def vocoder_flops(config: LTX2Config, shape: AudioLatentShape) -> int:
    """The vocoder on what the audio decoder makes of one latent."""
    modules = _modules(config)
    with torch.no_grad():
        log_mel = modules.audio_vae.decode(torch.empty(tuple(shape), device="meta"))
    return _counted(lambda: modules.vocoder(log_mel))


@functools.cache
def _modules(config: LTX2Config) -> Modules:
    return build(config, device="meta")


def _counted(call: Callable[[], object]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())
