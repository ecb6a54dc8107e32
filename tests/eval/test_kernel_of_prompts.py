"""Kernel distances of runs with several seeds a prompt: seeds of one prompt are alike and are no independent pairs."""

import itertools

import numpy as np
import pytest

from ltx2_eval.metrics.catalogue import BUILT_IN
from ltx2_eval.metrics.kernel import median_bandwidth
from ltx2_eval.paired_sets import _draws, _Shared
from ltx2_eval.sets import TooFew, _of_sets

PROMPTS, SEEDS, ROWS, WIDTH = 6, 3, 2, 5


def _made_clips():
    """Clips in mixed order whose prompt says much more than their seed."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(PROMPTS, WIDTH))
    order = random.permutation(PROMPTS * SEEDS)
    prompts = [f"p{k % PROMPTS}" for k in order]
    clips = [(centres[k % PROMPTS] + 0.1 * random.normal(size=(ROWS, WIDTH))).astype(np.float32) for k in order]
    reference = [random.normal(size=(ROWS, WIDTH)).astype(np.float32) for _ in range(8)]
    return clips, prompts, reference


def _loops(clips, prompts, reference):
    """Each pair of rows written out; within a set only rows of other prompts (of other clips of the reference)."""
    width = median_bandwidth(np.concatenate(reference))

    def kernel(x, y):
        return np.exp(-((x.astype(float) - y.astype(float)) ** 2).sum() / (2 * width**2))

    def within(sets, names):
        pairs = [(a, b) for a, b in itertools.permutations(range(len(sets)), 2) if names[a] != names[b]]
        return np.mean([kernel(x, y) for a, b in pairs for x in sets[a] for y in sets[b]])

    across = np.mean([kernel(x, y) for clip in clips for other in reference for x in clip for y in other])
    return 100 * (within(clips, prompts) + within(reference, list(range(len(reference)))) - 2 * across)


def test_seeds_of_a_prompt_are_no_pairs():
    clips, prompts, reference = _made_clips()
    made = _of_sets(BUILT_IN["kad_soundnet"], clips, reference, prompts)
    assert made.value == pytest.approx(_loops(clips, prompts, reference), rel=1e-9)
    as_if_independent = _of_sets(BUILT_IN["kad_soundnet"], clips, reference, [str(k) for k in range(len(clips))])
    assert as_if_independent.value > made.value + 1


def test_one_clip_a_prompt_is_what_it_was():
    clips, _, reference = _made_clips()
    made = _of_sets(BUILT_IN["kad_soundnet"], clips[:6], reference, list("fedcba"))
    metric_value = _loops(clips[:6], list("fedcba"), reference)
    assert made.value == pytest.approx(metric_value, rel=1e-9)


def test_one_prompt_is_too_few():
    clips, _, reference = _made_clips()
    with pytest.raises(TooFew, match="clips of one prompt only"):
        _of_sets(BUILT_IN["kad_soundnet"], clips, reference, ["p"] * len(clips))


def test_a_comparison_takes_the_values_that_the_runs_have():
    clips, prompts, reference = _made_clips()
    others = [clip + np.float32(0.5) for clip in clips]
    entry = BUILT_IN["kad_soundnet"]
    drawn = _draws(entry, _Shared(first=clips, second=others, prompts=prompts), reference)
    alone = [_of_sets(entry, side, reference, prompts).value for side in (clips, others)]
    assert [drawn.first, drawn.second] == pytest.approx(alone, rel=1e-9)
    assert drawn.prompts == PROMPTS
