"""The bundled small model without training: files in the published layout, filled from a seed."""

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import Gemma3TextConfig, Gemma3TextModel

from ltx2.checkpoint import Modules, build, save
from ltx2.config import NANO, NANO_SPATIAL_UPSAMPLER, TextConfig
from ltx2.nano_vocabulary import SPECIAL_TOKENS, build_tokenizer
from ltx2.upsampler import LatentUpsampler
from ltx2.upsampler_checkpoint import save_upsampler

CHECKPOINT_NAME = "ltx2-nano.safetensors"
TEXT_ENCODER_NAME = "text_encoder"
UPSAMPLER_NAME = "spatial_upsampler/ltx2-nano-spatial-upscaler-x2.safetensors"
_HEADS = 4


def write_untrained(folder: str | Path, seed: int = 0) -> Path:
    """Write a complete model folder: `ltx2-nano.safetensors`, `text_encoder/` and `spatial_upsampler/`.

    The same seed gives the same bytes on every machine: values come from integer random bits by exact arithmetic.

    Args:
        folder: Made if it does not exist; files of these names are replaced.
        seed: Of the weights.

    Returns:
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / CHECKPOINT_NAME, untrained_modules(seed))
    write_text_encoder(folder / TEXT_ENCODER_NAME, NANO.text, seed)
    (folder / UPSAMPLER_NAME).parent.mkdir(exist_ok=True)
    save_upsampler(folder / UPSAMPLER_NAME, untrained_upsampler(seed))
    return folder


def untrained_modules(seed: int = 0) -> Modules:
    """The small model's modules (on the CPU, float32) with values drawn from a seed."""
    modules = build(NANO)
    _fill(modules.state(), seed)
    return modules


def untrained_upsampler(seed: int = 0) -> LatentUpsampler:
    """The small model's spatial upsampler (on the CPU, float32) with values drawn from a seed."""
    upsampler = LatentUpsampler(NANO_SPATIAL_UPSAMPLER)
    _fill(upsampler.state_dict(), seed)
    return upsampler.eval().requires_grad_(False)


def _fill(state: Mapping[str, Tensor], seed: int) -> None:
    values = _random_state(state, seed)
    with torch.no_grad():
        for key, tensor in state.items():
            if not key.endswith(".kernel"):  # a constant, of the shape that it has in the published file
                tensor.copy_(values[key])


def write_text_encoder(folder: Path, config: TextConfig, seed: int) -> None:
    """Write a Gemma 3 of `config`'s width and depth, with random weights, and its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer()
    settings = _gemma_settings(config, tokenizer.get_vocab_size())
    tokenizer_settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "padding_side": "left",
        "model_max_length": config.max_tokens,
        **{f"{token.strip('<>')}_token": token for token in SPECIAL_TOKENS},
    }
    _write_json(folder / "config.json", settings)
    _write_json(folder / "tokenizer_config.json", tokenizer_settings)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    with torch.device("meta"):
        model = Gemma3TextModel(Gemma3TextConfig(**settings))
    state = _random_state({f"model.{key}": value for key, value in model.state_dict().items()}, seed)
    tensors = {key: value.to(torch.bfloat16) for key, value in state.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)


def _gemma_settings(config: TextConfig, vocabulary: int) -> dict[str, Any]:
    layers = config.num_hidden_states - 1
    head_dim = config.hidden_size // _HEADS
    return {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "vocab_size": vocabulary,
        "hidden_size": config.hidden_size,
        "intermediate_size": 2 * config.hidden_size,
        "num_hidden_layers": layers,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _HEADS // 2,
        "head_dim": head_dim,
        "query_pre_attn_scalar": head_dim,
        "max_position_embeddings": config.max_tokens,
        "sliding_window": config.max_tokens,
        "layer_types": ["sliding_attention"] * (layers - 1) + ["full_attention"],
        **{f"{token.strip('<>')}_token_id": i for i, token in enumerate(SPECIAL_TOKENS[:3])},
    }


def _random_state(shapes: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """A value for every key, drawn by a generator of its own, so that it depends on nothing but seed, key and shape."""
    return {key: _random_tensor(key, tuple(tensor.shape), seed) for key, tensor in shapes.items()}


def _random_tensor(key: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """Uniform values of a scale that keeps activations of order one; norms, biases and statistics neutral."""
    name = key.rsplit(".", 1)[-1]
    if name in ("bias", "mean-of-means") or (key.startswith("model.") and _is_gemma_norm(key)):
        return torch.zeros(shape)
    if name == "std-of-means" or (name == "weight" and len(shape) == 1):
        return torch.ones(shape)
    generator = np.random.Generator(np.random.PCG64([seed, zlib.crc32(key.encode())]))
    uniform = torch.from_numpy(generator.random(shape, dtype=np.float32)) * 2 - 1
    if name == "learnable_registers":
        return uniform
    fan_in = shape[-1] if len(shape) < 3 else math.prod(shape[1:])
    return uniform * math.sqrt(3 / fan_in)


def _is_gemma_norm(key: str) -> bool:
    """Gemma's norms multiply by one plus their weight."""
    return key.endswith("norm.weight") and not key.startswith("model.diffusion_model.")


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
