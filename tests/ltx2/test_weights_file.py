"""Damaged files and files of other formats, found from the header alone."""

import io
import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ltx2.weights_file import BrokenFileError, NotSafetensorsError, check_file, open_weights


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.safetensors"
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.bfloat16), "empty": torch.ones(0)}
    save_file(tensors, path, metadata={"config": "{}"})
    return path


def with_header(path: Path, header: object, data: bytes = b"") -> Path:
    raw = json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    return path


def test_reads_what_was_written(good: Path) -> None:
    file = check_file(good)
    assert file.metadata == {"config": "{}"}
    assert {name: tuple(info) for name, info in file.tensors.items()} == {
        "a": ("F32", (2, 3)),
        "b": ("BF16", (4,)),
        "empty": ("F32", (0,)),
    }
    tensors = dict(file.read())
    assert torch.equal(tensors["a"], torch.arange(6.0).reshape(2, 3))
    assert torch.equal(file.get("b"), torch.ones(4, dtype=torch.bfloat16))


def test_every_tensor_is_read_however_often_the_file_is_mapped(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dict(check_file(good).read())
    for mapped_bytes in (0, 1, 24, 30, 31, 32, 10**6):
        monkeypatch.setattr("ltx2.weights_file._MAPPED_BYTES", mapped_bytes)
        read = list(check_file(good).read())
        assert [name for name, _ in read] == list(whole)
        assert all(torch.equal(tensor, whole[name]) for name, tensor in read)


@pytest.mark.parametrize("keep", [20, 200, -1])
def test_truncated(good: Path, keep: int) -> None:
    good.write_bytes(good.read_bytes()[:keep])
    with pytest.raises(BrokenFileError, match="truncated"):
        check_file(good)


def test_longer_than_its_header_says(good: Path) -> None:
    good.write_bytes(good.read_bytes() + b"\0")
    with pytest.raises(BrokenFileError, match="longer"):
        check_file(good)


def _zip() -> bytes:
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(3)}, buffer)
    assert zipfile.is_zipfile(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"abc", "another format"),
        (b"\xff" * 64, "another format"),
        (_zip(), "zip archive"),
        (pickle.dumps({"a": 1}), "pickle"),
        (b"GGUF" + b"\0" * 60, "GGUF"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
    ],
)
def test_other_formats(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(NotSafetensorsError, match=message):
        check_file(path)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F99", "shape": [1], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": "2", "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]},
        {"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]},
        {"shape": [2]},
        "F32",
    ],
)
def test_contradictory_header(tmp_path: Path, entry: object) -> None:
    with pytest.raises(BrokenFileError, match="'a' contradicts itself"):
        check_file(with_header(tmp_path / "x.safetensors", {"a": entry}, b"\0" * 8))


def test_gaps_and_overlaps(tmp_path: Path) -> None:
    a = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    for begin in (2, 8):
        b = {"dtype": "F32", "shape": [1], "data_offsets": [begin, begin + 4]}
        with pytest.raises(BrokenFileError, match="gap or overlap"):
            check_file(with_header(tmp_path / "x.safetensors", {"a": a, "b": b}, b"\0" * 12))


def test_header_that_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes((8).to_bytes(8, "little") + b'{"a": 1 ' + b"\0" * 20)
    with pytest.raises(BrokenFileError, match="not JSON"):
        check_file(path)
    with pytest.raises(BrokenFileError, match="not a table"):
        check_file(with_header(path, {"__metadata__": [1]}))


def test_folders(good: Path, tmp_path: Path) -> None:
    assert [file.path for file in open_weights(tmp_path)] == [good]
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_weights(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no"):
        open_weights(tmp_path / "empty")
    good.rename(tmp_path / "model-00002-of-00002.safetensors")
    with pytest.raises(BrokenFileError, match=r"lacks shards \[1\] of 2"):
        open_weights(tmp_path)
    save_file({"c": torch.ones(1)}, tmp_path / "model-00001-of-00002.safetensors")
    assert len(open_weights(tmp_path)) == 2
    save_file({"c": torch.ones(1)}, tmp_path / "lora.safetensors")
    assert len(open_weights(tmp_path)) == 3
