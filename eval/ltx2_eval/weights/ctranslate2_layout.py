"""A Whisper that was converted for CTranslate2, read without it, and its names as transformers has them."""

import re
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

_VERSION, _SPEC = 6, "WhisperSpec"
_TYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}
_LAYER = re.compile(r"(encoder|decoder)/layer_(\d+)/(.+)")
_TOP = {
    "encoder/conv1/weight": "model.encoder.conv1.weight",
    "encoder/conv1/bias": "model.encoder.conv1.bias",
    "encoder/conv2/weight": "model.encoder.conv2.weight",
    "encoder/conv2/bias": "model.encoder.conv2.bias",
    "encoder/position_encodings/encodings": "model.encoder.embed_positions.weight",
    "encoder/layer_norm/gamma": "model.encoder.layer_norm.weight",
    "encoder/layer_norm/beta": "model.encoder.layer_norm.bias",
    "decoder/embeddings/weight": "model.decoder.embed_tokens.weight",
    "decoder/position_encodings/encodings": "model.decoder.embed_positions.weight",
    "decoder/layer_norm/gamma": "model.decoder.layer_norm.weight",
    "decoder/layer_norm/beta": "model.decoder.layer_norm.bias",
}
_PARTS = {
    "self_attention/layer_norm": "self_attn_layer_norm",
    "self_attention/linear_0": "self_attn.q k v",
    "self_attention/linear_1": "self_attn.out_proj",
    "attention/layer_norm": "encoder_attn_layer_norm",
    "attention/linear_0": "encoder_attn.q_proj",
    "attention/linear_1": "encoder_attn.k v",
    "attention/linear_2": "encoder_attn.out_proj",
    "ffn/layer_norm": "final_layer_norm",
    "ffn/linear_0": "fc1",
    "ffn/linear_1": "fc2",
}
_LEAVES = {"gamma": "weight", "beta": "bias", "weight": "weight", "bias": "bias"}


def whisper_state(data: bytes) -> Arrays:
    """Weights of a CTranslate2 `model.bin` under the names of transformers' WhisperForConditionalGeneration, float32.

    Settings of the runtime are left out, and so is the output projection, which is the token embedding.

    Raises:
        ValueError: another format, another model, or a weight that is not stored as floating point.
    """
    state: Arrays = {}
    for name, array in _variables(data):
        if array.ndim == 0 or name == "decoder/alignment_heads":
            continue
        if array.dtype.kind != "f":
            raise ValueError(f"{name} is stored as {array.dtype}; only models in floating point are read")
        for ours, part in _renamed(name, array.astype(np.float32)):
            state[ours] = part
    return state


def _renamed(name: str, array: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    if name in _TOP:
        yield _TOP[name], array
        return
    match = _LAYER.fullmatch(name)
    part, _, leaf = match[3].rpartition("/") if match else ("", "", "")
    if match is None or part not in _PARTS or leaf not in _LEAVES:
        raise ValueError(f"{name}: not a weight of Whisper")
    stem = f"model.{match[1]}.layers.{match[2]}."
    ours = _PARTS[part]
    if " " not in ours:
        yield f"{stem}{ours}.{_LEAVES[leaf]}", array
        return
    attention, _, letters = ours.partition(".")
    names = letters.split()
    for letter, piece in zip(names, np.split(array, len(names)), strict=True):
        if letter == "k" and leaf == "bias":
            if piece.any():
                raise ValueError(f"{name}: Whisper's keys have no bias")
        else:
            yield f"{stem}{attention}.{letter}_proj.{_LEAVES[leaf]}", piece


def _variables(data: bytes) -> Iterator[tuple[str, NDArray[Any]]]:
    try:
        version, at = struct.unpack_from("<I", data)[0], 4
        spec, at = _string(data, at)
        if (version, spec) != (_VERSION, _SPEC):
            raise ValueError(f"found format {version} of {spec!r}, expected {_VERSION} of {_SPEC!r}")
        _, count = struct.unpack_from("<II", data, at)
        at += 8
        for _ in range(count):
            name, at = _string(data, at)
            rank = data[at]
            shape = struct.unpack_from(f"<{rank}I", data, at + 1)
            at += 1 + 4 * rank
            kind, size = struct.unpack_from("<BI", data, at)
            at += 5
            yield name, np.frombuffer(data[at : at + size], _TYPES[kind]).reshape(shape)
            at += size
    except (struct.error, IndexError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"not a CTranslate2 model: {type(error).__name__}: {error}") from error


def _string(data: bytes, at: int) -> tuple[str, int]:
    """A string with its length, the closing zero counted, before it."""
    (size,) = struct.unpack_from("<H", data, at)
    return data[at + 2 : at + 1 + size].decode("utf-8"), at + 2 + size
