"""N1 to N3 for every set metric of the catalogue: what is not finite never gets in, nothing is a sentinel."""

import importlib
import time

import numpy as np
import pytest
import torch

from ltx2_eval.extractors.catalogue import EXTRACTORS
from ltx2_eval.metrics.catalogue_features import ENTRIES
from ltx2_eval.metrics.resampling import replicates

SETS = [entry for entry in ENTRIES if entry.spec.level == "set"]
WIDTHS = {entry.spec.id: EXTRACTORS[entry.extractor].dimension for entry in SETS}
_BAD = {
    "nan": torch.tensor(float("nan")),
    "inf": torch.tensor(float("inf")),
    "-inf": torch.tensor(float("-inf")),
    "float16 overflow": torch.tensor(70000.0).half(),
}


def implementation(entry):
    module, _, name = entry.implementation.partition(":")
    return getattr(importlib.import_module(module), name)


@pytest.fixture(params=SETS, ids=lambda entry: entry.spec.id)
def entry(request):
    return request.param


@pytest.fixture(params=[entry for entry in SETS if not entry.spec.id.endswith("_inf")], ids=lambda entry: entry.spec.id)
def valued(request):
    """Those that have a value for small sets; the others have tests of their own."""
    return request.param


def _draw(entry, n, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, (n, WIDTHS[entry.spec.id])).astype(np.float32)


def _value(entry, generated, reference):
    metric = implementation(entry)(**entry.settings)
    _feed(metric, generated, real=False)
    _feed(metric, reference, real=True)
    return float(metric.compute())


def _feed(metric, rows, real):
    """Each row a clip of its own."""
    for row in rows:
        metric.update(torch.as_tensor(row)[None], real=real)


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("row", [0, 10, 19])
@pytest.mark.parametrize("bad", _BAD)
def test_not_finite_is_refused_at_once_and_by_row(entry, bad, row, real):
    features = torch.from_numpy(_draw(entry, 20))
    if "float16" in bad:
        features = features.half()
    features[row, 3] = _BAD[bad]
    started = time.monotonic()
    metric = implementation(entry)(**entry.settings)
    with pytest.raises(ValueError, match=f"row {row} of 20 is not finite"):
        metric.update(features, real=real)
    with pytest.raises(ValueError, match=f"row {row} of 20 is not finite"):
        metric.distance(*([features.numpy()], [_draw(entry, 20)])[:: -1 if real else 1])
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("real", [False, True])
@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_too_few_is_an_error_that_says_so(entry, n, real):
    metric = implementation(entry)(**entry.settings)
    _feed(metric, _draw(entry, 5), real=not real)
    _feed(metric, _draw(entry, n), real=real)
    with pytest.raises(ValueError, match=f"found {n} (rows|clips), at least 2"):
        metric.compute()


def test_identical_and_disjoint_sets(valued):
    x = _draw(valued, 30)
    same, other = _value(valued, x, x), _value(valued, x, _draw(valued, 30, seed=1, shift=5.0))
    assert np.isfinite([same, other]).all()
    assert same < 1e-3 * other


def test_a_constant_set_has_a_value_or_an_error_but_no_sentinel(valued):
    constant, varied = np.ones((10, WIDTHS[valued.spec.id]), np.float32), _draw(valued, 10)
    assert np.isfinite(_value(valued, constant, varied))
    if valued.settings.get("kernel") == "gaussian":
        with pytest.raises(ValueError, match="alike"):
            _value(valued, varied, constant)
    else:
        assert np.isfinite(_value(valued, varied, constant))


def test_order_pieces_and_shards_do_not_change_the_value(valued):
    x, y = _draw(valued, 40), _draw(valued, 40, seed=1)
    value = _value(valued, x, y)
    metrics = [implementation(valued)(**valued.settings) for _ in range(2)]
    for i, row in enumerate(np.random.default_rng(2).permutation(40)):
        metrics[i % 2].update(torch.from_numpy(x[row : row + 1]), real=False)
    for i, part in enumerate(np.array_split(y, 7)):
        _feed(metrics[i % 2], part, real=True)
    metrics[0].merge_state(metrics[1])
    assert float(metrics[0].compute()) == pytest.approx(value, rel=1e-6, abs=1e-9)


def test_replicates_through_the_metrics_own_distance(valued):
    clips, real = [_draw(valued, 2, seed=i) for i in range(6)], [_draw(valued, 2, seed=9 + i) for i in range(6)]
    distance = implementation(valued)(**valued.settings).distance
    values = replicates(distance, clips, real, ["a", "a", "b", "b", "c", "c"], n=5)
    assert len(values) == 5
    assert np.isfinite(values).all()


def test_the_width_must_be_the_extractors(entry):
    metric = implementation(entry)(**entry.settings)
    metric.update(torch.from_numpy(_draw(entry, 3)), real=True)
    with pytest.raises(ValueError, match="width 7"):
        metric.update(torch.randn(3, 7), real=False)


def test_the_catalogue_fits_the_extractors():
    for entry in ENTRIES:
        assert entry.extractor in EXTRACTORS
        assert callable(implementation(entry))
        assert (
            entry.settings.get("dimension", EXTRACTORS[entry.extractor].dimension)
            == EXTRACTORS[entry.extractor].dimension
        )
        assert EXTRACTORS[entry.extractor].stream in entry.spec.needs
