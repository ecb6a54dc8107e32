"""Names of the released LAION-CLAP checkpoints, and those of transformers' ClapModel."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

_DROPPED = re.compile(
    r"text_branch\.embeddings\.position_ids|audio_branch\.(spectrogram_extractor|logmel_extractor|tscam_conv|head)\..*"
    r"|.*\.attn_mask|(text|audio)_transform\..*"
)
_RENAMED = (
    (r"^text_branch\.", "text_model."),
    (r"^audio_branch\.", "audio_model.audio_encoder."),
    (r"^(text|audio)_projection\.0\.", r"\1_projection.linear1."),
    (r"^(text|audio)_projection\.2\.", r"\1_projection.linear2."),
)
_RENAMED_AUDIO = (
    (r"\.bn0\.", ".batch_norm."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.attn\.relative_position_", ".attention.self.relative_position_"),
)
_QKV = re.compile(r"(.*)\.attn\.qkv\.(weight|bias)")
_SPLIT = re.compile(r"(audio_model\..*)\.attention\.self\.(query|key|value)\.(weight|bias)")
_BLOCK = re.compile(r"audio_model\.audio_encoder\.layers\.(\d+)\.blocks\.(\d+)\.layernorm_before\.weight")
_TEXT_LAYER = re.compile(r"text_model\.encoder\.layer\.(\d+)\.")
_TEXT_HEAD_WIDTH = 64


def clap_state(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a LAION-CLAP state dict (LAION-AI/CLAP, non-fusion HTSAT) for transformers' ClapModel.

    Front-end tables and classification heads are left out; the fused query, key and value are split.

    Raises:
        ValueError: a fusion checkpoint, which has another audio branch.
    """
    state: dict[str, Tensor] = {}
    for key, value in published.items():
        key = key.removeprefix("module.")
        if ".fusion_model." in key or "mel_conv2d" in key:
            raise ValueError(f"{key}: a fusion checkpoint; the non-fusion ones are read")
        if not _DROPPED.fullmatch(key):
            state.update(_renamed(key, value))
    return state


def _renamed(key: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    for pattern, replacement in _RENAMED:
        key = re.sub(pattern, replacement, key)
    if not key.startswith("audio_model."):
        yield key, value
        return
    for pattern, replacement in _RENAMED_AUDIO:
        key = re.sub(pattern, replacement, key)
    match = _QKV.fullmatch(key)
    if match is None:
        yield key, value
        return
    for name, part in zip(("query", "key", "value"), value.chunk(3), strict=True):
        yield f"{match[1]}.attention.self.{name}.{match[2]}", part


def is_left_out(key: str) -> bool:
    """Whether a released name is of a table or a head, which ClapModel does without."""
    return _DROPPED.fullmatch(key) is not None


def released_clap_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The way back: from the names of ClapModel to those of LAION-AI/CLAP, query, key and value in one again."""
    released: dict[str, Tensor] = {}
    for key, value in state.items():
        match = _SPLIT.fullmatch(key)
        if match is None:
            released[_released(key)] = value
        elif match[2] == "query":
            names = (f"{match[1]}.attention.self.{name}.{match[3]}" for name in ("query", "key", "value"))
            released[_released(f"{match[1]}.attn.qkv.{match[3]}")] = torch.cat([state[name] for name in names])
    return released


def _released(key: str) -> str:
    if key.startswith("audio_model."):
        for released, ours in sorted(_RENAMED_AUDIO, key=lambda names: -len(names[1])):  # one ends as another does
            key = key.replace(ours, released.replace("\\", ""))
        return key.replace("audio_model.audio_encoder.", "audio_branch.")
    key = re.sub(r"^text_model\.", "text_branch.", key)
    return re.sub(r"^(text|audio)_projection\.linear([12])\.", lambda m: f"{m[1]}_projection.{2 * int(m[2]) - 2}.", key)


def clap_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Configuration of the ClapModel that a renamed state dict fits, read off the shapes."""
    blocks = [match for match in map(_BLOCK.fullmatch, state) if match]
    depths = [sum(int(match[1]) == layer for match in blocks) for layer in range(4)]
    audio = "audio_model.audio_encoder."
    bias_table = audio + "layers.{}.blocks.0.attention.self.relative_position_bias_table"
    width = state[audio + "norm.weight"].shape[0]
    projection = state["audio_projection.linear1.weight"].shape[0]
    return {
        "model_type": "clap",
        "projection_dim": projection,
        "projection_hidden_act": "relu",
        "audio_config": {
            "depths": depths,
            "enable_fusion": False,
            "hidden_size": width,
            "num_attention_heads": [state[bias_table.format(layer)].shape[1] for layer in range(4)],
            "patch_embeds_hidden_size": state[audio + "patch_embed.proj.weight"].shape[0],
            "projection_dim": projection,
        },
        "text_config": _text_config(state, projection),
    }


def _text_config(state: Mapping[str, Tensor], projection: int) -> dict[str, Any]:
    vocabulary, width = state["text_model.embeddings.word_embeddings.weight"].shape
    layers = {int(match[1]) for match in map(_TEXT_LAYER.match, state) if match}
    return {
        "hidden_size": width,
        "intermediate_size": state["text_model.encoder.layer.0.intermediate.dense.weight"].shape[0],
        "max_position_embeddings": state["text_model.embeddings.position_embeddings.weight"].shape[0],
        "num_attention_heads": max(1, width // _TEXT_HEAD_WIDTH),
        "num_hidden_layers": len(layers),
        "projection_dim": projection,
        "type_vocab_size": state["text_model.embeddings.token_type_embeddings.weight"].shape[0],
        "layer_norm_eps": 1e-5,
        "vocab_size": vocabulary,
    }
