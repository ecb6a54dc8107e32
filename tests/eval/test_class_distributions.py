"""Inception score and paired divergence: by hand, against SciPy, in any order and any pieces."""

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax

from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.catalogue import EXTRACTORS
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.features import FeatureCache
from ltx2_eval.metrics.catalogue import implementation
from ltx2_eval.metrics.catalogue_audio import ENTRIES
from ltx2_eval.metrics.catalogue_speech import ENTRIES as SPEECH
from ltx2_eval.metrics.class_distributions import (
    InceptionScore,
    PairedDivergence,
    inception_score,
    paired_divergence,
)
from ltx2_eval.metrics.resampling import replicates
from ltx2_eval.reference import Reference
from ltx2_reports.records import ClipRecord

_CLASSES = 5


def _draw(n, seed=0):
    return np.random.default_rng(seed).normal(0, 2, (n, _CLASSES)).astype(np.float32)


def test_the_inception_score_by_hand():
    certain = 200 * np.eye(3, dtype=np.float32)
    assert inception_score(certain) == pytest.approx(3)
    assert inception_score(np.repeat(certain[:1], 4, axis=0)) == pytest.approx(1)
    assert inception_score(np.zeros((4, 3))) == pytest.approx(1)
    x = softmax(_draw(20).astype(np.float64), axis=1)
    assert inception_score(_draw(20)) == pytest.approx(np.exp(rel_entr(x, x.mean(axis=0)).sum(axis=1).mean()))


def test_the_divergence_equals_scipys():
    x, y = _draw(20), _draw(20, seed=1)
    first, second = softmax(x.astype(np.float64), axis=1), softmax(y.astype(np.float64), axis=1)
    assert paired_divergence(x, y) == pytest.approx(rel_entr(second, first).sum(axis=1).mean())
    assert paired_divergence(x, x) == pytest.approx(0, abs=1e-12)
    assert paired_divergence(x, y) != pytest.approx(paired_divergence(y, x))


def test_pieces_order_and_shards_do_not_change_the_values():
    x, y = _draw(12), _draw(12, seed=1)
    scores = [InceptionScore(_CLASSES), InceptionScore(_CLASSES)]
    for i, row in enumerate(np.random.default_rng(2).permutation(12)):
        scores[i % 2].update(torch.from_numpy(x[row : row + 1]), real=False)
    scores[0].update(torch.from_numpy(y), real=True)  # not looked at
    scores[0].merge_state(scores[1])
    assert float(scores[0].compute()) == pytest.approx(inception_score(x), rel=1e-12)
    pairs = [PairedDivergence(_CLASSES), PairedDivergence(_CLASSES)]
    for i in range(12):
        for side, real in ((x, False), (y, True)):
            pairs[i % 2].update(torch.from_numpy(side[i : i + 1]), real=real)
    pairs[0].merge_state(pairs[1])
    assert float(pairs[0].compute()) == pytest.approx(paired_divergence(x, y), rel=1e-6)


def test_drawn_clips_are_the_clips_taken_again():
    x, y = [_draw(1, seed=i) for i in range(6)], [_draw(1, seed=10 + i) for i in range(6)]
    counts = np.array([[1, 1, 1, 1, 1, 1], [0, 2, 0, 3, 1, 0]])
    index = [1, 1, 3, 3, 3, 4]
    drawn, theirs = [x[i] for i in index], [y[i] for i in index]
    score, divergence = InceptionScore(_CLASSES).distance, PairedDivergence(_CLASSES).distance
    assert score.on_draws(x, [], counts) == pytest.approx([score(x, []), score(drawn, [])])
    assert divergence.on_draws(x, y, counts) == pytest.approx([divergence(x, y), divergence(drawn, theirs)])
    assert len(replicates(divergence, x, y, list("aabbcc"), n=7)) == 7


@pytest.mark.parametrize("kind", [InceptionScore, PairedDivergence])
@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_what_cannot_be_judged_is_an_error(kind):
    metric = kind(_CLASSES)
    metric.update(torch.from_numpy(_draw(1)), real=False)
    with pytest.raises(ValueError, match="found 1 rows, at least 2"):
        metric.compute()
    bad = torch.from_numpy(_draw(4))
    bad[2, 1] = torch.nan
    with pytest.raises(ValueError, match="row 2 of 4 is not finite"):
        metric.update(bad, real=False)
    with pytest.raises(ValueError, match="width 7"):
        metric.update(torch.zeros(3, 7), real=True)
    with pytest.raises(ValueError, match="expected pairs"):
        paired_divergence(_draw(3), _draw(4))


def test_few_clips_bound_the_score():
    metric = InceptionScore(_CLASSES)
    metric.update(torch.from_numpy(_draw(3)), real=False)
    assert metric.warnings == ("cannot exceed 3, the number of sounds: compare only at equal n",)
    metric.update(torch.from_numpy(_draw(3)), real=False)
    assert metric.warnings == ()


def _clip(sample, prompt):
    return ClipRecord(sample=sample, prompt_id=prompt, seed=0, file=f"clips/{sample}.mp4", sha256="0" * 64)


def test_pairs_are_found_by_the_name_of_the_sample_or_the_prompt_and_read_when_asked_for(tmp_path):
    files = tuple(tmp_path / name for name in ("bird.mp4", "rain-s1.mp4", "rain.mp4"))
    for path in files:
        path.write_text(path.name)
    reference, pool, cache = Reference(name="real", files=files), ExtractorPool(), FeatureCache(tmp_path)
    spec, weights = pool.spec("panns-cnn14-16k-classes"), pool.weights_sha256("panns-cnn14-16k-classes")
    clips = [_clip("rain-s0", "rain"), _clip("rain-s1", "rain"), _clip("bird-s0", "bird")]
    found = reference.of_clips(clips, spec.id, pool, cache)
    for index, sha256 in enumerate(reference.hashes):  # after `found` was made
        cache.put(sha256, spec, weights, np.full((1, 527), index, np.float32))
    assert [int(mine[0, 0]) for mine in found] == [2, 1, 0]
    assert [int(mine[0, 0]) for mine in found[1:]] == [1, 0]
    with pytest.raises(NotApplicable, match="real has no clip for 1 of 4 samples, first frog-s0"):
        reference.of_clips([*clips, _clip("frog-s0", "frog")], spec.id, pool, cache)


@pytest.mark.parametrize("entry", [*ENTRIES, *SPEECH], ids=lambda entry: entry.spec.id)
def test_the_catalogue_fits_extractors_and_implementations(entry):
    spec = EXTRACTORS[entry.extractor]
    assert callable(implementation(entry))
    assert "audio" in entry.spec.needs
    assert spec.stream == "audio"
    assert entry.settings.get("dimension", spec.dimension) == spec.dimension
    of_many = hasattr(implementation(entry), "compute") or entry.corpus_of is not None
    assert entry.spec.level == ("set" if of_many else "clip")
