"""Same seed, same machine: two fresh processes with fresh caches give the same media, values and table (P1)."""

import csv
import json
import os
import subprocess
import sys

import pytest

from ltx2_reports.records import read_run

COMMAND = ("run", "--profile", "dsp", "--limit", "2", "--model", "nano=ltx2:nano@steps=2", "--model", "world=world")


def fresh_run(folder, hash_seed):
    environment = {
        **os.environ,
        "LTX2_EVAL_CACHE": str(folder / "cache"),
        "LTX2_EVAL_OFFLINE": "1",
        "PYTHONHASHSEED": hash_seed,
    }
    done = subprocess.run(
        [sys.executable, "-m", "ltx2_eval.cli", *COMMAND, "--out", str(folder / "out"), "--json"],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "out", json.loads(done.stdout)


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    return [fresh_run(tmp_path_factory.mktemp(f"run-{seed}"), seed) for seed in ("1", "2")]


@pytest.mark.parametrize("system", ["nano", "world"])
def test_the_same_media_and_values_to_the_bit(twice, system):
    first, second = (read_run(out / system) for out, _ in twice)
    assert len(first.clips) == 2
    assert {s: clip.sha256 for s, clip in first.clips.items()} == {s: clip.sha256 for s, clip in second.clips.items()}
    assert first.header.spec == second.header.spec
    untimed = [key for key in first.values if not key[1].startswith("runtime.")]
    assert len(untimed) >= 40
    assert first.values.keys() == second.values.keys()
    for key in untimed:
        assert first.values[key] == second.values[key]


def test_the_same_table_but_for_the_timings(twice):
    tables = []
    for out, _ in twice:
        with (out / "table.csv").open(newline="", encoding="utf-8") as file:
            tables.append([row for row in csv.reader(file) if not any("runtime." in cell for cell in row)])
    assert len(tables[0]) > 20
    assert tables[0] == tables[1]


def test_the_json_output_names_the_report_and_every_system(twice):
    out, printed = twice[0]
    assert printed["report"] == str(out / "report.html")
    assert [summary["system"] for summary in printed["systems"]] == ["nano", "world"]
