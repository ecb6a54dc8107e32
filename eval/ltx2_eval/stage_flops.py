"""FLOPs of every stage of a clip: the transformer's in closed form, the others counted on the meta device."""

import functools
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from ltx2.checkpoint import Modules, build
from ltx2.config import LTX2Config
from ltx2.flops import TokenCounts, TransformerFlops, total
from ltx2.guidance import Guidance
from ltx2.types import AudioLatentShape, VideoLatentShape


def clip_flops(
    config: LTX2Config, video: VideoLatentShape, audio: AudioLatentShape, guidance: Guidance, steps: int
) -> dict[str, int]:
    """FLOPs of each stage of one clip in one stage of sampling, by the stages' names.

    The language model is left out (its size is not LTX-2's); decoders are counted without tiles.

    Args:
        config: The model.
        video: Latent of one clip.
        audio: Latent of one clip.
        guidance: Its passes.
        steps: Evaluations of the guided model.
    """
    prompts = 2 if "text" in guidance.passes else 1
    tokens = TokenCounts(video=video.token_count, audio=audio.token_count, text=config.text.max_tokens)
    transformer = TransformerFlops(config.transformer, tokens)
    context = total(transformer.text_context()).total * prompts
    return {
        "connectors": connector_flops(config) * prompts,
        "denoise": context + total(transformer.guided_step(guidance)).total * steps,
        "video_decode": video_decode_flops(config, video._replace(batch=1)),
        "audio_decode": audio_decode_flops(config, audio._replace(batch=1)),
        "vocoder": vocoder_flops(config, audio._replace(batch=1)),
    }


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
