"""Safetensors files: checked before anything is read from them, then memory-mapped.

Format: https://huggingface.co/docs/safetensors (8 bytes of header length, a JSON header, the tensors' bytes).
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from safetensors import safe_open
from torch import Tensor

_ITEM_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("BOOL", "I8", "U8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
_MAX_HEADER_BYTES = 100_000_000
_MAPPED_BYTES = 128_000_000
_FOREIGN = {
    b"PK\x03\x04": "a zip archive (a PyTorch .pt or .ckpt file?)",
    b"\x80": "a Python pickle",
    b"GGUF": "a GGUF file",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip archive",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
}


class BrokenFileError(ValueError):
    """A file that is damaged or incomplete."""


class NotSafetensorsError(BrokenFileError):
    """A file of another format, whatever its name says."""


class TensorInfo(NamedTuple):
    """What the header says of a tensor."""

    dtype: str
    """As safetensors spells it: F32, BF16, F8_E4M3 ..."""
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsFile:
    """One checked file: its tensors' names, dtypes and shapes, and its metadata; no tensor is read yet."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]

    def read(self) -> Iterator[tuple[str, Tensor]]:
        """The tensors one by one, backed by the mapped file (pages are read when touched).

        The file is mapped anew after every 128 MB: pages that were touched stay in memory as long as their mapping
        does, so that a reader who copies every tensor would end with the whole file in memory beside the copies.
        """
        for names in _groups(self.tensors):
            with safe_open(self.path, framework="pt") as file:
                for name in names:
                    yield name, file.get_tensor(name)

    def get(self, name: str) -> Tensor:
        """One tensor by its name."""
        with safe_open(self.path, framework="pt") as file:
            return cast(Tensor, file.get_tensor(name))


def open_weights(path: Path) -> tuple[WeightsFile, ...]:
    """The weights at a path: a file, or all files of a folder.

    Raises:
        FileNotFoundError: No such path, or a folder without safetensors files.
        BrokenFileError: A damaged file, or missing shards of a set `-00001-of-0000N`.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; give a safetensors file, or a folder that holds one")
    if path.is_file():
        return (check_file(path),)
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{path} holds no *.safetensors file")
    _check_shards(path, files)
    return tuple(check_file(file) for file in files)


def check_file(path: Path) -> WeightsFile:
    """Check a file against its header, reading the header only.

    Raises:
        NotSafetensorsError: Another format.
        BrokenFileError: Truncated, or a header that contradicts the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(32)
        length = int.from_bytes(start[:8], "little") if len(start) >= 8 else -1
        plausible = 2 <= length <= _MAX_HEADER_BYTES and start[8:9] == b"{"
        if not plausible:
            raise NotSafetensorsError(_foreign(path, start))
        if 8 + length > size:
            raise BrokenFileError(f"{path} is truncated: its header alone takes {8 + length} bytes, it has {size}")
        file.seek(8)
        header = _parse(path, file.read(length))
    metadata = header.pop("__metadata__", {})
    tensors, spans = {}, []
    for name, entry in header.items():
        tensors[name], span = _tensor_info(path, name, entry)
        spans.append(span)
    _check_spans(path, sorted(spans), size - 8 - length)
    return WeightsFile(path=path, tensors=tensors, metadata=metadata)


def _foreign(path: Path, start: bytes) -> str:
    if not start:
        return f"{path} is empty; fetch it again"
    kind = next((kind for magic, kind in _FOREIGN.items() if start.startswith(magic)), "of another format")
    return f"{path} is not a safetensors file but {kind}; convert it, or fetch the safetensors version"


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BrokenFileError(
            f"{path}: the header is not JSON ({type(error).__name__}); fetch the file again"
        ) from error
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__", {}), dict):
        raise BrokenFileError(f"{path}: the header is not a table of tensors; fetch the file again")
    return header


def _tensor_info(path: Path, name: str, entry: Any) -> tuple[TensorInfo, tuple[int, int]]:
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        sound = all(type(n) is int and n >= 0 for n in (*shape, begin, end)) and dtype in _ITEM_BITS
        bits = math.prod(shape) * _ITEM_BITS[dtype] if sound else -1
    except (TypeError, KeyError, ValueError):
        bits = -1
    if bits < 0 or bits != (end - begin) * 8:
        raise BrokenFileError(f"{path}: the header's entry for {name!r} contradicts itself; fetch the file again")
    return TensorInfo(dtype, tuple(shape)), (begin, end)


def _check_spans(path: Path, spans: list[tuple[int, int]], size: int) -> None:
    position = 0
    for begin, end in spans:
        if begin != position:
            raise BrokenFileError(
                f"{path}: the header leaves a gap or overlap at byte {position}; fetch the file again"
            )
        position = end
    if position != size:
        state = "truncated" if size < position else "longer than its header says"
        raise BrokenFileError(f"{path} is {state}: {position} bytes of tensors expected, {size} found; fetch it again")


def _check_shards(folder: Path, files: list[Path]) -> None:
    sets: dict[tuple[str, int], set[int]] = {}
    for part in (re.fullmatch(r"(.+)-(\d+)-of-(\d+)", file.stem) for file in files):
        if part:
            sets.setdefault((part[1], int(part[3])), set()).add(int(part[2]))
    for (name, count), found in sets.items():
        missing = sorted(set(range(1, count + 1)) - found)
        if missing:
            raise BrokenFileError(f"{folder} lacks shards {missing} of {count} of {name}; fetch them")


def _groups(tensors: Mapping[str, TensorInfo]) -> Iterator[list[str]]:
    """Names in order, in groups of as many bytes as are mapped at a time."""
    names: list[str] = []
    size = 0
    for name, info in tensors.items():
        names.append(name)
        size += math.prod(info.shape) * _ITEM_BITS[info.dtype] // 8
        if size >= _MAPPED_BYTES:
            yield names
            names, size = [], 0
    yield names
