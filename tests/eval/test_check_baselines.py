"""`list baselines --check FILE`: a user's own published figures are linted alone and beside the embedded."""

import json
import subprocess
import sys

import pytest

GOOD = """
[protocol]
id = "mine"
title = "Mine"
benchmark = "Mine"
clips = "5 s"
measured_by = "me"
kind = "objective"
confidence = "A"

[source]
title = "A report of ours"
table = "Table 1"
date = "2026"

[metrics.fvd]
name = "FVD"
direction = "lower"
unit = ""
range = [0.0, 1000.0]

[[systems]]
name = "One"
values = { fvd = 5.0 }
"""


@pytest.fixture
def check(tmp_path):
    """Writes the text to a file, runs the command on it."""

    def run(text, *words, what="baselines"):
        (tmp_path / "mine.toml").write_text(text)
        command = [sys.executable, "-m", "ltx2_eval.cli", "list", what, "--check", "mine.toml", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_a_good_file_passes(check):
    done = check(GOOD)
    assert (done.returncode, done.stdout) == (0, "mine.toml: 1 value, 0 problems\n")
    assert json.loads(check(GOOD, "--json").stdout) == {"file": "mine.toml", "problems": []}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("fvd = 5.0", "fvd = 5000.0"), "mine: One, FVD: 5000 lies outside 0 to 1000"),
        (('id = "mine"', 'id = "ltx2-speed"'), "ltx2-speed: 2 files have this id"),
        (('table = "Table 1"', 'table = "see the rows"'), "mine: One: has no source of its own"),
    ],
)
def test_what_is_wrong_is_said_and_the_exit_code_is_1(check, change, said):
    done = check(GOOD.replace(*change))
    assert done.returncode == 1
    assert said in done.stdout


def test_wrong_use_is_exit_code_2_in_one_sentence(check):
    for done in (check("[protocol"), check(GOOD, what="metrics")):
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr
