"""N1 to N8 for every kind of set metric in the catalogue: a new entry is tested here by being in it.

Entries that differ in nothing but their extractor are one kind, which is tested at the least width among them where the
width decides, and else at eight dimensions.
"""

import importlib
import math
import time

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltx2_eval.extractors.catalogue import EXTRACTORS
from ltx2_eval.metrics.base import Declined
from ltx2_eval.metrics.catalogue import BUILT_IN
from ltx2_eval.metrics.resampling import replicates

SETS = [
    entry
    for entry in BUILT_IN.values()
    if entry.spec.level == "set" and entry.extractor and entry.pairs is None and entry.corpus_of is None
]
"""All over features: floors of cosines and rates of a corpus are functions of clips' values, tested by themselves."""
WIDTHS = {entry.spec.id: EXTRACTORS[entry.extractor].dimension for entry in SETS}
SMALL, CLIPS = 8, 64
NOT_SYMMETRIC = ("gaussian", "FrechetAtInfinity", "PairedDivergence")
"""Settings and classes that treat the reference otherwise than the generated set, as their pages say."""
EXACT_WHERE_IDENTICAL = ("FrechetDistance", "Cmmd", "PairedDistance", "PairedDivergence")
"""0 for identical sets; unbiased estimators are slightly below it, and extrapolated ones about it."""
_BAD = {
    "nan": torch.tensor(float("nan")),
    "inf": torch.tensor(float("inf")),
    "-inf": torch.tensor(float("-inf")),
    "float16 overflow": torch.tensor(70000.0).half(),
}


def implementation(entry):
    module, _, name = entry.implementation.partition(":")
    return getattr(importlib.import_module(module), name)


def _kind(entry):
    others = {key: value for key, value in entry.settings.items() if key != "dimension"}
    return entry.implementation, tuple(sorted(others.items()))


def _kinds():
    """One entry of each kind, that of the least width."""
    return list({_kind(entry): entry for entry in sorted(SETS, key=lambda entry: -WIDTHS[entry.spec.id])}.values())


KINDS = _kinds()
RELATIVE = [entry for entry in KINDS if "reference" in entry.spec.needs]


@pytest.fixture(params=KINDS, ids=lambda entry: entry.spec.id)
def entry(request):
    return request.param


@pytest.fixture(params=RELATIVE, ids=lambda entry: entry.spec.id)
def relative(request):
    """Those that compare with a reference."""
    return request.param


@pytest.fixture(
    params=[entry for entry in RELATIVE if not entry.spec.id.endswith("_inf")], ids=lambda entry: entry.spec.id
)
def direct(request):
    """Those that compare, and have a value for any two sets: the others extrapolate from these."""
    return request.param


def _small(entry):
    """The metric of an entry, for features of eight dimensions."""
    return implementation(entry)(
        **{**entry.settings, **({"dimension": SMALL} if "dimension" in entry.settings else {})}
    )


def _is(entry, names):
    return implementation(entry).__name__ in names or entry.settings.get("kernel") in names


def _draw(width=SMALL, n=CLIPS, seed=0, shift=0.0):
    """Directions of unequal spread, as features have."""
    spread = 1 / np.sqrt(1 + np.arange(width))
    return (np.random.default_rng(seed).normal(shift, 1, (n, width)) * spread).astype(np.float32)


def _value(entry, generated, reference):
    metric = _small(entry)
    _feed(metric, generated, real=False)
    _feed(metric, reference, real=True)
    return float(metric.compute())


def _feed(metric, rows, real):
    """Each row a clip of its own."""
    for row in rows:
        metric.update(torch.as_tensor(row)[None], real=real)


def _valued(entry, generated, reference):
    """The value, or None where the metric declines by its own rule."""
    try:
        return _value(entry, generated, reference)
    except Declined:
        return None


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("row", [0, 10, 19])
@pytest.mark.parametrize("bad", _BAD)
def test_n1_not_finite_is_refused_at_once_and_by_row(entry, bad, row, real):
    width = WIDTHS[entry.spec.id]
    features = torch.from_numpy(_draw(width, 20))
    if "float16" in bad:
        features = features.half()
    features[row, 3] = _BAD[bad]
    metric = implementation(entry)(**entry.settings)
    started = time.process_time()
    with pytest.raises(ValueError, match=f"row {row} of 20 is not finite"):
        metric.update(features, real=real)
    if not real or entry in RELATIVE:
        with pytest.raises(ValueError, match=f"row {row} of 20 is not finite"):
            metric.distance(*([features.numpy()], [_draw(width, 20)])[:: -1 if real else 1])
    assert time.process_time() - started < 5


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("real", [False, True])
@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_n2_n3_too_few_is_an_error_that_says_so(entry, n, real):
    if real and entry not in RELATIVE:
        pytest.skip("looks at no reference")
    metric = _small(entry)
    _feed(metric, _draw(n=5), real=not real)
    _feed(metric, _draw(n=n), real=real)
    with pytest.raises(ValueError, match=f"found {n} (rows|clips), at least 2"):
        metric.compute()


def test_n2_a_constant_set_has_a_value_or_an_error_but_no_sentinel(entry):
    constant, varied = np.ones((CLIPS, SMALL), np.float32), _draw()
    for generated, reference in ((constant, varied), (varied, constant), (constant, constant)):
        if reference is constant and _is(entry, ("gaussian",)):
            with pytest.raises(ValueError, match="alike"):  # a bandwidth of 0
                _value(entry, generated, reference)
        else:
            found = _valued(entry, generated, reference)
            assert found is None or math.isfinite(found)


def test_n3_fewer_rows_than_dimensions_are_told(entry):
    metric = _small(entry)
    _feed(metric, _draw(n=4), real=False)
    _feed(metric, _draw(n=4, seed=1), real=True)
    if _is(entry, ("FrechetDistance",)):
        assert "rank_deficient: 4 generated and 4 reference vectors for 8" in metric.warnings[0]
    elif _is(entry, ("FrechetAtInfinity",)):
        with pytest.raises(Declined, match="4 clips, at least 64 are needed"):
            metric.compute()
    else:
        assert math.isfinite(metric.compute())


def test_n2_n7_identical_and_disjoint_sets(relative):
    x = _draw()
    same, other = _valued(relative, x, x), _valued(relative, x, _draw(seed=1, shift=5.0))
    if other is None:
        return
    assert same is None or abs(same) < 5e-2 * other
    if _is(relative, EXACT_WHERE_IDENTICAL):
        assert same == pytest.approx(0, abs=1e-9 * other)


def test_an_inception_score_is_least_where_all_say_the_same():
    (score,) = (entry for entry in KINDS if entry not in RELATIVE)
    assert _value(score, np.ones((5, SMALL), np.float32), ()) == pytest.approx(1, abs=1e-12)
    assert _value(score, 100 * np.eye(SMALL, dtype=np.float32), ()) == pytest.approx(SMALL)


def _of_rows(entry, generated, reference):
    """The value of two sets by the metric's own function of lists of clips; eight rows a clip."""
    return _small(entry).distance(np.split(generated, len(generated) // 8), np.split(reference, len(reference) // 8))


_FIFTY = settings(
    max_examples=50, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.1, 1.0, 30.0]))
@_FIFTY
def test_n7_symmetric_where_it_should_be(direct, seed, scale):
    x, y = scale * _draw(n=16, seed=[seed, 0]), scale * _draw(n=16, seed=[seed, 1], shift=0.3)
    first, second = _of_rows(direct, x, y), _of_rows(direct, y, x)
    if _is(direct, NOT_SYMMETRIC):
        assert first != second
    else:
        assert first == pytest.approx(second, rel=1e-6, abs=1e-6 * scale**2)
        assert first >= 0 or not _is(direct, EXACT_WHERE_IDENTICAL)


@given(seed=st.integers(0, 2**32 - 1))
@_FIFTY
def test_n7_grows_with_damage(direct, seed):
    x, noise = _draw(n=32, seed=[seed, 0]), _draw(n=32, seed=[seed, 1])
    values = [_of_rows(direct, x + level * (1 + 0.3 * noise), x) for level in (0.0, 0.3, 0.6, 1.2)]
    assert values == sorted(values)
    assert values[-1] > values[0]


@pytest.mark.parametrize("pieces", [1, 3, CLIPS])
def test_n6_order_pieces_and_shards_do_not_change_the_value(entry, pieces):
    """Pairs keep together; of clips that pool their rows the pieces may hold several."""
    x, y = _draw(), _draw(seed=1, shift=1.0)
    value = _valued(entry, x, y)
    order = np.random.default_rng(2).permutation(CLIPS)
    metrics = [_small(entry) for _ in range(2)]
    for index, part in enumerate(np.array_split(order, pieces)):
        for side, real in ((x, False), (y, True)):
            if getattr(metrics[0], "pools_rows", False):
                metrics[index % 2].update(torch.from_numpy(side[part]), real=real)
            else:
                _feed(metrics[index % 2], side[part], real)
    if pieces > 1:
        metrics[0].merge_state(metrics[1])
    if value is None:
        with pytest.raises(Declined):
            metrics[0].compute()
    else:
        assert float(metrics[0].compute()) == pytest.approx(value, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_n5_n8_the_statistic_is_of_float64_whatever_arrives(entry, dtype):
    """Features are kept in float32 at least: what half floats hold is not rounded again, and the rest within 1e-6."""
    x, y = (torch.from_numpy(_draw(seed=seed, shift=seed)).to(dtype) for seed in (0, 1))
    metric = _small(entry)
    for row, other in zip(x, y, strict=True):
        metric.update(row[None], real=False)
        metric.update(other[None], real=True)
    try:
        found = metric.compute()
    except Declined:
        assert _is(entry, ("FrechetAtInfinity",))
        return
    assert (found.dtype, found.shape) == (torch.float64, ())
    exact = [[row[None].double().numpy() for row in side] for side in (x, y)]
    assert float(found) == pytest.approx(float(metric.distance(*exact)), rel=1e-6)


def test_replicates_through_the_metrics_own_distance(entry):
    if _is(entry, ("FrechetAtInfinity",)):
        pytest.skip("has a standard error of its own instead")
    clips, real = [_draw(n=2, seed=i) for i in range(6)], [_draw(n=2, seed=9 + i) for i in range(6)]
    values = replicates(_small(entry).distance, clips, real, ["a", "a", "b", "b", "c", "c"], n=5)
    assert len(values) == 5
    assert np.isfinite(values).all()


def test_the_width_must_be_the_extractors(entry):
    metric = _small(entry)
    metric.update(torch.from_numpy(_draw(n=3)), real=False)
    with pytest.raises(ValueError, match=r"width 7|\(3, 7\)"):
        metric.update(torch.randn(3, 7), real=False)


def test_the_catalogue_fits_the_extractors():
    for entry in BUILT_IN.values():
        assert callable(implementation(entry))
        if entry.extractor is not None:
            spec = EXTRACTORS[entry.extractor]
            assert entry.settings.get("dimension", spec.dimension) == spec.dimension
            assert spec.stream in entry.spec.needs
