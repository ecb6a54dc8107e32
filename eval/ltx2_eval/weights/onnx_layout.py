"""The weights in an ONNX file, read without ONNX: the few fields of its protocol-buffer format that hold them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GRAPH, _INITIALIZER = 7, 5
_DIMS, _TYPE, _FLOATS, _NAME, _RAW = 1, 2, 4, 8, 9
_FLOAT32 = 1


def onnx_weights(data: bytes) -> dict[str, NDArray[Any]]:
    """Every float32 tensor that an ONNX model carries, by its name.

    Raises:
        ValueError: not such a file.
    """
    graph = next((value for field, value in _fields(data) if field == _GRAPH), None)
    if not isinstance(graph, bytes):
        raise ValueError("not an ONNX model: no graph in it")
    tensors = (_tensor(value) for field, value in _fields(graph) if field == _INITIALIZER and isinstance(value, bytes))
    found = {name: array for name, array in tensors if array is not None}
    if not found:
        raise ValueError("no weights in the ONNX model")
    return found


def _tensor(data: bytes) -> tuple[str, NDArray[Any] | None]:
    dims: list[int] = []
    kind, name, content = 0, "", b""
    for field, value in _fields(data):
        if field == _DIMS:
            dims += [value] if isinstance(value, int) else list(_varints(value))
        elif field == _TYPE:
            kind = value if isinstance(value, int) else 0
        elif field == _NAME and isinstance(value, bytes):
            name = value.decode("utf-8")
        elif field in (_FLOATS, _RAW) and isinstance(value, bytes):
            content += value
    if kind != _FLOAT32:
        return name, None
    return name, np.frombuffer(content, "<f4").reshape(dims).copy()


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and content of each field: an integer, or bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"not a protocol buffer: wire type {wire}")
        if at + size > len(data):
            raise ValueError("not a protocol buffer, or cut short")
        yield key >> 3, data[at : at + size]
        at += size


def _varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("not a protocol buffer, or cut short")
