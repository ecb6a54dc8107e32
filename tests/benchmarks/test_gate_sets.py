"""The simulation of the gate on a set metric: lots that share no clip, and verdicts on cases known beforehand."""

import sys
from pathlib import Path

import numpy as np
import pytest

STATISTICS = Path(__file__).parents[2] / "benchmarks" / "statistics"


@pytest.fixture
def gate_sets(monkeypatch):
    monkeypatch.syspath_prepend(str(STATISTICS))
    import gate_sets

    yield gate_sets
    for name in ("gate_sets", "studies"):
        sys.modules.pop(name, None)


def test_the_runs_of_a_study_share_no_clip_and_have_four_of_each_prompt(gate_sets):
    lots = gate_sets.runs_by_lot(np.random.default_rng(0), 3)
    assert lots.shape == (3, 3, 720)
    assert (lots.sum(axis=1) == 1).all()
    assert (lots.reshape(3, 3, 60, 12).sum(axis=3) == 4).all()
    assert (lots[0] != lots[1]).any()


def sides(gate_sets, level):
    """A value of 10 and draws about it, and a run at another level with noise of its own."""
    random = np.random.default_rng(int(level))
    return 10 + random.normal(0, 0.05, 201), level + random.normal(0, 0.05, 201)


@pytest.mark.parametrize(("level", "expected"), [(10, "passed"), (30, "regressed"), (20, "not enough data")])
def test_a_study_has_the_verdict_that_its_values_say(gate_sets, level, expected):
    contrast = gate_sets.compared(*sides(gate_sets, level))
    calibration = gate_sets.compared(*sides(gate_sets, 10))
    found = gate_sets.Studies([calibration], {"system": [contrast]})
    cells = gate_sets.row(found, "system", 1.0)
    outcomes = ("passed", "regressed", "not enough data")
    if expected == "not enough data":  # a loss of just the tolerance is real, and no pass
        assert cells[4] == "0.0"
    else:
        assert cells[4:] == [("100.0" if outcome == expected else "0.0") for outcome in outcomes]
    assert cells[3] == "1"
