"""Same seed, same machine: two fresh processes with fresh caches give the same media, values and table (P1)."""

import csv
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from safetensors.numpy import load_file

from ltx2_eval import weights
from ltx2_reports.records import read_run

NANO = ("--model", "nano=ltx2:nano@steps=2")
COMMAND = ("run", "--profile", "dsp", "--limit", "2", *NANO, "--model", "world=world")
SETS = ("fvd", "kvd", "fad_soundnet", "kad_soundnet")
COMMAND_SETS = ("run", "--limit", "3", *NANO, "--reference", "world:3", *(w for m in SETS for w in ("--metric", m)))


def fresh_run(folder, hash_seed, command=COMMAND, **more):
    environment = {
        **os.environ,
        "LTX2_EVAL_CACHE": str(folder / "cache"),
        "LTX2_EVAL_OFFLINE": "1",
        "PYTHONHASHSEED": hash_seed,
        **more,
    }
    done = subprocess.run(
        [sys.executable, "-m", "ltx2_eval.cli", *command, "--out", str(folder / "out"), "--json"],
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


@pytest.fixture(scope="module")
def sets_twice(tmp_path_factory, packaged_weights):
    """Runs with the networks' features, cached nowhere before."""
    for name in ("i3d-k400", "soundnet"):
        packaged_weights(name)

    def run(hash_seed):
        folder = tmp_path_factory.mktemp(f"sets-{hash_seed}")
        (folder / "cache").mkdir()
        (folder / "cache/weights").symlink_to(weights.cache_root() / "weights")
        return fresh_run(folder, hash_seed, COMMAND_SETS, OMP_NUM_THREADS="1")[0] / "nano"

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, ("1", "2")))


def features_below(folder):
    files = sorted(folder.rglob("*.safetensors"))
    return {str(path.relative_to(folder)): load_file(path)["features"] for path in files}


@pytest.mark.weights
@pytest.mark.parametrize("place", ["out/nano/features", "cache/features"])
def test_the_same_features_to_the_bit(sets_twice, place):
    first, second = (features_below(out.parents[1] / place) for out in sets_twice)
    assert len(first) == 2 * 3
    assert first.keys() == second.keys()
    for name, features in first.items():
        assert np.array_equal(features, second[name]), name


@pytest.mark.weights
@pytest.mark.parametrize("metric", SETS)
def test_the_same_distances_and_replicates_to_the_bit(sets_twice, metric):
    first, second = (read_run(out).values[(None, metric)] for out in sets_twice)
    assert first.value is not None
    assert len(set(first.replicates)) > 3
    assert first == second
