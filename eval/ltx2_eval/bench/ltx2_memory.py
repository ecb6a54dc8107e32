"""How much memory of a device LTX-2 takes: its weights as they are kept, and the busiest moment of a step or a clip."""

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from ltx2.checkpoint import build
from ltx2.config import LTX2Config, TextConfig, UpsamplerConfig
from ltx2.memory import Size, Weights, sampling_bytes, weights_of
from ltx2.plan import StagePlan
from ltx2.upsampler import LatentUpsampler
from ltx2.video_memory import least_decode_bytes
from ltx2_eval.bench.estimate import BYTES

if TYPE_CHECKING:
    from torch import nn

_LAYERS_ON_DEVICE = 2
_COPIES_OF_STATES = 2
"""The language model's hidden states are listed, then stacked."""


class Kept(NamedTuple):
    """How the weights are kept."""

    dtype: str
    storage: str | None = None
    """fp8 or int8, of the linear layers of the transformer's blocks; None: in `dtype`."""
    offload: bool = False
    """Layers of blocks wait in CPU memory."""


def parameter_count(config: LTX2Config) -> int:
    """Parameters of the transformer."""
    return _transformer_count(config)[0]


def transformer_bytes(config: LTX2Config, kept: Kept) -> int:
    """Of all its weights, wherever they lie."""
    weights = _transformer_weights(config, kept)
    return replace(weights, is_offloaded=False).device_bytes + _scale_bytes(config, kept)


def step_bytes(config: LTX2Config, plan: StagePlan, kept: Kept, *, batch: int = 1) -> int:
    """Of one sampling step: the transformer and the activations of so many samples."""
    size = Size.of(plan, config.text.max_tokens)
    weights = _transformer_weights(config, kept).device_bytes + _scale_bytes(config, kept)
    return weights + sampling_bytes(config.transformer, size, BYTES[kept.dtype]) * batch


def clip_bytes(
    config: LTX2Config,
    plans: Sequence[StagePlan],
    kept: Kept,
    *,
    upsampler: UpsamplerConfig | None = None,
    with_text_model: bool = True,
) -> int:
    """Of a whole clip, at its busiest stage; the language model stays in memory between prompts.

    Args:
        config: The model.
        plans: Of its stages of sampling.
        kept: How the weights are kept.
        upsampler: Between two stages.
        with_text_model: Whether hidden states of the prompt are computed here.
    """
    item = BYTES[kept.dtype]
    weights = _all_weights(config, kept)
    resident = weights.device_bytes + _scale_bytes(config, kept)
    resident += 0 if upsampler is None else _upsampler_values(upsampler) * item
    resident += _text_model_bytes(config.text, kept) if with_text_model else 0
    prompts = 2 if any("text" in plan.guidance.passes for plan in plans) else 1
    text = config.text
    states = _COPIES_OF_STATES * prompts * text.max_tokens * text.hidden_size * text.num_hidden_states * item
    stages = [
        sampling_bytes(config.transformer, Size.of(plan, text.max_tokens), item) + _latent_bytes(plan) for plan in plans
    ]
    # Half of what is free may go to a slice of the video: kernels need workspace too.
    decode = 2 * least_decode_bytes(config.video_vae, plans[-1].video, getattr(torch, kept.dtype))
    return resident + max(states, *stages, decode)


def _latent_bytes(plan: StagePlan) -> int:
    """Noisy, clean and estimated latents of the whole clip, in 4 bytes."""
    return 3 * 4 * (plan.video.token_count * plan.video.channels + plan.audio.frames * plan.audio.token_shape[2])


def _all_weights(config: LTX2Config, kept: Kept) -> Weights:
    whole = _counted(config, BYTES[kept.dtype])
    return replace(whole, is_fp8=kept.storage is not None, is_offloaded=kept.offload)


def _transformer_weights(config: LTX2Config, kept: Kept) -> Weights:
    item = BYTES[kept.dtype]
    parameters, block_values, _ = _transformer_count(config)
    return Weights(
        block_values=block_values,
        num_blocks=config.transformer.num_layers,
        item_bytes=item,
        other_bytes=(parameters - block_values) * item,
        is_fp8=kept.storage is not None,
        is_offloaded=kept.offload,
    )


def _scale_bytes(config: LTX2Config, kept: Kept) -> int:
    """Of 8-bit integers: one factor for each output."""
    return _transformer_count(config)[2] * BYTES[kept.dtype] if kept.storage == "int8" else 0


@functools.cache
def _counted(config: LTX2Config, item_bytes: int) -> Weights:
    return weights_of(build(config, device="meta"), is_offloaded=False, item_bytes=item_bytes)


@functools.cache
def _transformer_count(config: LTX2Config) -> tuple[int, int, int]:
    """Parameters; weights of linear layers in blocks; outputs of those layers. By a model of one and one of two blocks,
    for all blocks are alike.
    """
    from ltx2.transformer import LTX2Transformer

    found = []
    for layers in (1, 2):
        with torch.device("meta"):
            model = LTX2Transformer(replace(config.transformer, num_layers=layers))
        inside = [layer for layer in model.transformer_blocks.modules() if isinstance(layer, torch.nn.Linear)]
        values = sum(layer.weight.numel() for layer in inside)
        found.append((_values(model), values, sum(layer.out_features for layer in inside)))
    more = config.transformer.num_layers - 1
    parameters, values, outputs = (one + more * (two - one) for one, two in zip(*found, strict=True))
    return parameters, values, outputs


@functools.cache
def _upsampler_values(config: UpsamplerConfig) -> int:
    with torch.device("meta"):
        return _values(LatentUpsampler(config))


@functools.cache
def _text_model_values(config: TextConfig) -> tuple[int, int]:
    """Of the language model: in all, and in the linear layers of its blocks."""
    from ltx2_eval.bench.random_encoder import text_model

    model: Any = text_model(config)
    inside = sum(m.weight.numel() for m in model.layers.modules() if isinstance(m, torch.nn.Linear))
    return _values(model), inside


def _text_model_bytes(config: TextConfig, kept: Kept) -> int:
    values, inside = _text_model_values(config)
    layers = config.num_hidden_states - 1
    on_device = values - inside + inside * _LAYERS_ON_DEVICE // layers if kept.offload else values
    return on_device * BYTES[kept.dtype]


def _values(module: "nn.Module") -> int:
    return sum(parameter.numel() for parameter in module.parameters())
