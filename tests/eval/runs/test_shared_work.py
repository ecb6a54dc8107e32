"""What several metrics need is done once for all of them, and what none needs is not done."""

import collections
import tracemalloc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import ltx2_eval.sets
from ltx2_eval.extractors.base import NotAvailable
from ltx2_eval.features import FeatureCache
from ltx2_eval.metrics.base import Outcome
from ltx2_eval.metrics.paired_distance import DistanceOverPairs, PairedDistance
from ltx2_eval.on_demand import OnDemand
from ltx2_eval.runner import score_run
from ltx2_eval.score import Judge
from ltx2_reports.records import ClipRecord


def _of_features(subject, features, extractor, **settings):
    assert extractor.spec.id == "colour"
    return Outcome(value=float(features[0, 0]))


def _of_network(subject, features, extractor, **settings):
    return Outcome(value=float(extractor.features(subject.clip)[0, 1]))


def _rescore(world, folder, **changes):
    return score_run(folder, world.scoring(**changes), lambda *_: None)


def test_a_network_is_loaded_only_where_it_runs(world, tmp_path, pool, metric_entry, implementations):
    implementations |= {"here:looks": _of_features, "here:runs": _of_network}
    looks, runs = (metric_entry(name, "clip", "colour") for name in ("looks", "runs"))
    world.go(tmp_path / "run")  # leaves the features
    idle, busy = pool(), pool()
    values = _rescore(world, tmp_path / "run", entries=(looks,), pool=idle).values
    assert idle.loads == 0
    assert values[("p0-s0", "looks")].value is not None
    values = _rescore(world, tmp_path / "run", entries=(runs,), pool=busy).values
    assert busy.loads == 8
    assert values[("p0-s0", "runs")].value is not None


def test_cached_features_have_values_when_the_weights_are_gone(world, tmp_path, pool, metric_entry, implementations):
    class Gone(pool):
        def get(self, extractor):
            raise NotAvailable("weights colour are not on this machine: `ltx2-eval weights pull colour`")

    implementations |= {"here:looks": _of_features, "here:runs": _of_network}
    entries = tuple(metric_entry(name, "clip", "colour") for name in ("looks", "runs"))
    world.go(tmp_path / "run")
    values = _rescore(world, tmp_path / "run", entries=entries, pool=Gone()).values
    assert values[("p1-s0", "looks")].value is not None
    reason = values[("p1-s0", "runs")].reason
    assert reason.kind == "not_available"
    assert "weights pull colour" in reason.message


def test_features_are_read_once_for_all_set_metrics(world, tmp_path, monkeypatch, metric_entry, implementations):
    names = ("a", "b", "c")
    monkeypatch.setattr(ltx2_eval.sets, "implementation", lambda entry: implementations["here:colour_distance"])
    reads, get = collections.Counter(), FeatureCache.get

    def counted(cache, sha256, spec, weights):
        found = get(cache, sha256, spec, weights)
        reads[sha256] += found is not None
        return found

    world.go(tmp_path / "run")
    monkeypatch.setattr(FeatureCache, "get", counted)
    entries = tuple(metric_entry(name, "set", "colour", ("video", "reference")) for name in names)
    values = _rescore(world, tmp_path / "run", entries=entries).values
    assert len({values[(None, name)].value for name in names}) == 1
    assert len(reads) == 8 + 3  # clips of the run and of the reference
    assert set(reads.values()) == {1}


@pytest.mark.parametrize("count", [16, 64])
def test_a_set_metric_holds_the_features_of_its_clips_and_no_more(world, tmp_path, monkeypatch, count):
    """n clips of (k, d) float32 are 4 n k d bytes; of paired metrics nothing that grows with k d is held."""
    rows, width = 50, 400
    monkeypatch.setattr(ltx2_eval.sets, "media_of", lambda *_: Decoded())
    clips = {str(n): ClipRecord(sample=str(n), prompt_id="p", seed=n, file="f", sha256="0" * 64) for n in range(count)}
    judge = Judge(entries=(), pool=world.scoring().pool, cache=None, prompts={}, protocols={})
    recorder = SimpleNamespace(folder=tmp_path, run=SimpleNamespace(clips=clips))

    class Decoded:
        def features(self, extractor):
            return np.ones((rows, width), np.float32), None

    def held(entry):
        group = ltx2_eval.sets._Group(recorder, judge, [entry], None, None)
        tracemalloc.start()
        assert len(group.collected.clips) == count
        found, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return found, most

    whole = 4 * count * rows * width
    found, most = held(world.entries[2])
    assert found == pytest.approx(whole, rel=0.1)
    assert most < 1.1 * whole
    monkeypatch.setattr(ltx2_eval.sets, "implementation", lambda entry: PairedDistance)
    assert held(world.entries[2])[1] < 3 * whole / count


def test_pairs_are_compared_one_at_a_time():
    alive, counts = [], []

    def read(value):
        row = np.full((4, 1000), value, np.float32)
        alive.append(weakref.ref(row))
        counts.append(sum(found() is not None for found in alive))
        return row

    count = 40
    mine = OnDemand([lambda n=n: read(n) for n in range(count)])
    theirs = OnDemand([lambda n=n: read(2 * n) for n in range(count)])
    expected = 1000 * np.mean(np.arange(count) ** 2)
    assert DistanceOverPairs()(mine, theirs) == pytest.approx(expected, rel=1e-12)
    assert len(counts) == 2 * count
    assert 2 <= max(counts) <= 4
    metric = PairedDistance()
    for features, real in ((mine, False), (theirs, True)):
        for row in features:
            metric.update(torch.from_numpy(np.asarray(row)), real=real)
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-12)
