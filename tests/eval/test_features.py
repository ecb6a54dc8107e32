"""The feature cache: one file per clip, extractor and weights; nothing damaged or not finite is ever returned."""

import contextlib
import dataclasses
import multiprocessing

import av
import numpy as np
import pytest
import torch

from ltx2_eval.extractors.base import ExtractorSpec, arithmetic, full_float32
from ltx2_eval.features import FeatureCache
from ltx2_reports.store import DamagedError

SPEC = ExtractorSpec(
    id="probe",
    version=1,
    title="",
    stream="video",
    dimension=3,
    weights=None,
    preprocessing="p",
    sampling="s",
    source="",
    implementation="none:None",
)
FILE, WEIGHTS = "a" * 64, "b" * 64


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path)


def _features(rows=2):
    return np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)


def test_what_is_put_is_got(cache):
    assert cache.get(FILE, SPEC, WEIGHTS) is None
    cache.put(FILE, SPEC, WEIGHTS, np.asfortranarray(_features()))
    assert np.array_equal(cache.get(FILE, SPEC, WEIGHTS), _features())


@pytest.mark.parametrize("field", ["version", "preprocessing", "sampling", "id"])
def test_a_changed_extractor_finds_nothing(cache, field):
    cache.put(FILE, SPEC, WEIGHTS, _features())
    changed = dataclasses.replace(SPEC, **{field: 2 if field == "version" else "other"})
    assert cache.get(FILE, changed, WEIGHTS) is None
    assert cache.get("c" * 64, SPEC, WEIGHTS) is None
    assert cache.get(FILE, SPEC, "c" * 64) is None
    assert cache.get(FILE, SPEC, None) is None


def test_another_decoder_or_kind_of_device_finds_nothing(cache, monkeypatch):
    cache.put(FILE, SPEC, WEIGHTS, _features())
    assert FeatureCache(cache.root, device="cuda").get(FILE, SPEC, WEIGHTS) is None
    on_cuda = [FeatureCache(cache.root, device=device).path(FILE, SPEC, WEIGHTS) for device in ("cuda:0", "cuda:1")]
    assert on_cuda[0] == on_cuda[1]
    monkeypatch.setattr("ltx2_eval.media.DECODER", "another-v1")
    assert FeatureCache(cache.root).get(FILE, SPEC, WEIGHTS) is None
    monkeypatch.undo()
    monkeypatch.setattr("av.library_versions", {**av.library_versions, "libavcodec": (0, 0, 0)})
    assert FeatureCache(cache.root).get(FILE, SPEC, WEIGHTS) is None
    monkeypatch.undo()
    monkeypatch.setattr("ltx2_eval.features.libraries_of", lambda place: {"soxr": "another"})
    assert FeatureCache(cache.root).get(FILE, SPEC, WEIGHTS) is None
    monkeypatch.undo()
    assert FeatureCache(cache.root).get(FILE, SPEC, WEIGHTS) is not None


def test_every_changed_byte_is_noticed(cache):
    cache.put(FILE, SPEC, WEIGHTS, _features())
    path = cache.path(FILE, SPEC, WEIGHTS)
    whole, harmless = path.read_bytes(), 0
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with contextlib.suppress(ValueError):  # spaces that pad the header say nothing: then the content is the same
            assert np.array_equal(cache.get(FILE, SPEC, WEIGHTS), _features())
            harmless += 1
    assert harmless < 16
    for length in (0, 4, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedError, match=path.name):
            cache.get(FILE, SPEC, WEIGHTS)


def test_an_entry_in_anothers_place_is_refused(cache):
    cache.put(FILE, SPEC, WEIGHTS, _features())
    other = cache.path("c" * 64, SPEC, WEIGHTS)
    other.write_bytes(cache.path(FILE, SPEC, WEIGHTS).read_bytes())
    with pytest.raises(DamagedError, match=other.name):
        cache.get("c" * 64, SPEC, WEIGHTS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_not_finite_is_never_stored(cache, value, row):
    features = _features(3)
    features[row, 1] = value
    with pytest.raises(ValueError, match=f"row {row}"):
        cache.put(FILE, SPEC, WEIGHTS, features)
    assert cache.get(FILE, SPEC, WEIGHTS) is None


@pytest.mark.parametrize(
    "features", [_features().astype(np.float64), _features()[:, :2], _features()[0], np.zeros((0, 3), np.float32)]
)
def test_another_shape_or_type_is_refused(cache, features):
    with pytest.raises(ValueError, match="expected float32"):
        cache.put(FILE, SPEC, WEIGHTS, features)


def _put_often(root):
    for _ in range(30):
        FeatureCache(root).put(FILE, SPEC, WEIGHTS, _features(200))


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_processes_that_put_the_same_tear_nothing(tmp_path):
    """C4."""
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_put_often, args=(tmp_path,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        found = FeatureCache(tmp_path).get(FILE, SPEC, WEIGHTS)
        assert found is None or np.array_equal(found, _features(200))
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_full_float32_holds_inside_and_changes_nothing_outside():
    before = (torch.backends.cudnn.deterministic, torch.get_float32_matmul_precision())
    allowed = torch._C._get_cudnn_allow_tf32()
    with full_float32():
        assert not torch._C._get_cudnn_allow_tf32()
        assert torch.backends.cudnn.deterministic
        assert torch.get_float32_matmul_precision() == "highest"
    assert (torch.backends.cudnn.deterministic, torch.get_float32_matmul_precision()) == before
    assert torch._C._get_cudnn_allow_tf32() == allowed


def test_how_features_are_computed_is_told_where_it_is_not_on_the_cpu():
    assert arithmetic("cpu") is None
    assert arithmetic("cuda:1") == arithmetic("cuda") == "cuda float32 without tf32"
