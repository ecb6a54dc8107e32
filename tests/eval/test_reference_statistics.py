"""Published means and covariances as a reference set: converted without unpickling, refused where they do not fit."""

import io

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ltx2_eval import reference_statistics, weights
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.catalogue import EXTRACTORS
from ltx2_eval.metrics.catalogue import BUILT_IN
from ltx2_eval.metrics.extrapolated import FrechetAtInfinityOverClips
from ltx2_eval.metrics.frechet import FrechetOverClips, frechet_distance
from ltx2_eval.reference import check_reference, clips_reference, load_reference
from ltx2_eval.reference_statistics import PUBLISHED, Statistics, StatisticsReference
from ltx2_eval.sets import _of_sets
from ltx2_eval.weights import lock
from ltx2_eval.weights.convert import convert


@pytest.fixture
def rows():
    random = np.random.default_rng(0)
    return random.normal(size=(300, 128)), random.normal(0.2, 1.1, size=(400, 128))


@pytest.fixture
def pulled(tmp_path, monkeypatch, rows):
    """What `weights pull fma-pop` leaves, of known rows."""
    archive = io.BytesIO()
    np.savez(archive, **{"vggish.mu": rows[1].mean(axis=0), "vggish.cov": np.cov(rows[1], rowvar=False)})
    (tmp_path / "fma_pop.npz").write_bytes(archive.getvalue())
    convert("fad-statistics", tmp_path / "fma_pop.npz", tmp_path)
    monkeypatch.setattr(weights, "weights_path", lambda name: tmp_path / "model.safetensors")
    return tmp_path


def test_conversion_keeps_double_precision_and_names(pulled, rows):
    arrays = load_file(pulled / "model.safetensors")
    assert set(arrays) == {"vggish.mean", "vggish.covariance"}
    assert np.array_equal(arrays["vggish.covariance"], np.cov(rows[1], rowvar=False))


def test_an_archive_of_objects_is_refused(tmp_path):
    np.savez(tmp_path / "bad.npz", **{"vggish.mu": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(ValueError, match="pickle"):
        convert("fad-statistics", tmp_path / "bad.npz", tmp_path)


def test_the_distance_is_that_to_the_clips_behind_the_statistics(pulled, rows):
    generated = [row[None] for row in rows[0]]
    target = Statistics(name="fma-pop", key="vggish").gaussian()
    expected = frechet_distance(*rows)
    assert FrechetOverClips()(generated, target) == pytest.approx(expected, rel=1e-9)
    counts = np.ones((1, len(generated)), np.int64)
    assert FrechetOverClips().on_draws(generated, target, counts)[0] == pytest.approx(expected, rel=1e-9)
    assert FrechetAtInfinityOverClips(128)(generated, target) < expected


def test_metrics_take_it_where_they_can(pulled, rows):
    generated = [row[None].astype(np.float32) for row in rows[0]]
    prompts = [str(index) for index in range(len(generated))]
    statistics = Statistics(name="fma-pop", key="vggish")
    made = _of_sets(BUILT_IN["fad_vggish_fadtk"], generated, statistics, prompts)
    assert made.value == pytest.approx(frechet_distance(*rows), rel=1e-5)
    assert len(made.replicates) == 200
    with pytest.raises(NotApplicable, match="means and covariances only"):
        _of_sets(BUILT_IN["kad_vggish"], generated, statistics, prompts)


def test_a_width_that_does_not_fit_is_refused(pulled):
    target = Statistics(name="fma-pop", key="vggish").gaussian()
    with pytest.raises(ValueError, match="features of 5 dimensions, reference statistics of 128"):
        FrechetOverClips()([np.eye(5)], target)


def test_it_is_a_reference_by_name():
    check_reference("fma-pop")
    reference = load_reference("fma-pop", "mp4")
    assert isinstance(reference, StatisticsReference)
    pinned = next(item for item in lock().weights if item.name == "fma-pop")
    assert (reference.ref.sha256, reference.ref.n) == (pinned.sha256, 0)
    for other in ("soundnet-pool5", "vggish", "clap-630k"):  # other windows, other samples: never mixed
        with pytest.raises(NotApplicable, match=r"name one of fad_vggish_fadtk, fad_clap_630k_fadtk$"):
            reference.features(other, None, None)
    assert reference.features("vggish-fadtk", None, None) == Statistics(name="fma-pop", key="vggish")
    with pytest.raises(ValueError, match="clips are needed here"):
        clips_reference("fma-pop", "mp4")
    with pytest.raises(ValueError, match="or fma-pop"):
        check_reference("fma-popp")


def test_what_is_published_is_of_extractors_that_exist():
    for name, features in PUBLISHED.items():
        assert name in {item.name for item in lock().weights}
        assert features.keys() <= EXTRACTORS.keys()


def test_a_covariance_that_is_none_is_refused(tmp_path, monkeypatch):
    bad = {"vggish.mean": np.zeros(2), "vggish.covariance": np.array([[1.0, 2.0], [2.0, 1.0]])}
    save_file(bad, tmp_path / "model.safetensors")
    monkeypatch.setattr(reference_statistics.weights, "weights_path", lambda name: tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="it is no covariance"):
        Statistics(name="fma-pop", key="vggish").gaussian()
