"""The floor of mismatched pairs, against loops, by hand, and through a run."""

import numpy as np
import pytest

from ltx2_eval.metrics.catalogue import BUILT_IN, chosen
from ltx2_eval.metrics.floor import mismatched
from ltx2_eval.sets import TooFew, _of_cosines


def _loops(sides, prompts, counts):
    """Each drawn clip written out, every pair of different prompts once each way."""
    drawn = [index for index, times in enumerate(counts) for _ in range(times)]
    matched = np.mean([sides[i][0] @ sides[i][1] for i in drawn])
    pairs = [sides[i][0] @ sides[j][1] for i in drawn for j in drawn if prompts[i] != prompts[j]]
    return matched, np.mean(pairs)


def test_equals_loops_over_pairs():
    random = np.random.default_rng(0)
    sides = [random.normal(size=(2, 5)) for _ in range(6)]
    prompts = ["a", "a", "b", "c", "c", "d"]
    counts = np.array([[1] * 6, [2, 0, 1, 3, 0, 1], [1, 1, 0, 0, 2, 0]])
    matched, floors = mismatched(sides, prompts, counts)
    for row, value, floor in zip(counts, matched, floors, strict=True):
        assert (value, floor) == pytest.approx(_loops(sides, prompts, row), rel=1e-12)


def test_a_space_that_tells_nothing_has_no_margin():
    """Where all pictures and all texts lie alike, the floor is the value; where each has its own, the floor is zero."""
    same = [np.array([[0.6, 0.8], [0.6, 0.8]])] * 4
    matched, floors = mismatched(same, list("abcd"), np.ones((1, 4), int))
    assert matched[0] == floors[0] == pytest.approx(1.0)
    apart = [np.stack([row, row]) for row in np.eye(4)]
    matched, floors = mismatched(apart, list("abcd"), np.ones((1, 4), int))
    assert (matched[0], floors[0]) == (1.0, 0.0)


def test_a_draw_of_one_prompt_has_no_floor():
    _, floors = mismatched([np.ones((2, 2))] * 2, ["a", "b"], np.array([[2, 0], [1, 1]]))
    assert np.isnan(floors[0])
    assert floors[1] == 2.0


def test_every_cosine_has_a_floor_and_brings_it_along():
    cosines = [entry for entry in BUILT_IN.values() if entry.pairs is not None and entry.spec.level == "clip"]
    assert {"clip_tv", "clap_ta", "nano_tv", "nano_ta"} <= {entry.spec.id for entry in cosines}
    for entry in cosines:
        names = [found.spec.id for found in chosen((entry.spec.id,), "dsp")]
        assert names == [entry.spec.id, f"{entry.spec.id}_floor", f"{entry.spec.id}_margin"]


@pytest.mark.parametrize(("gives", "value"), [("floor", 0.0), ("margin", 1.0)])
def test_what_is_recorded(gives, value):
    sides = [np.stack([row, row]) for row in np.eye(8, dtype=np.float32)]
    made = _of_cosines(BUILT_IN[f"clip_tv_{gives}"], sides, list("abcdefgh"))
    assert made.value == value
    assert made.details == {"matched": 1.0, "floor": 0.0}
    assert len(made.replicates) == 200


def test_one_prompt_is_too_few():
    with pytest.raises(TooFew, match="one prompt only"):
        _of_cosines(BUILT_IN["clip_tv_floor"], [np.ones((2, 3), np.float32)] * 5, ["a"] * 5)
