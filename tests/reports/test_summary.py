"""`summary.json` is derived, complete, comparable bit for bit, and can be rebuilt."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ltx2_reports.records import Reason, read_run
from ltx2_reports.statistics import mean_interval
from ltx2_reports.summary import summarise, write_summary

MakeRun = Callable[..., Path]


def _metrics(seconds: float) -> dict[str, Any]:
    abstained = Reason(kind="abstained", message="silence")
    return {
        "offset": {
            "values": lambda i, s: abstained if i == 3 else float(i),
            "spec": {"unit": "ms", "direction": "zero"},
        },
        "fvd": {"value": 12.5, "replicates": (12.0, 13.0, 14.0), "protocol": {"n": 11}},
        "clip": {"value": Reason(kind="not_available", message="no weights"), "spec": {"level": "clip"}},
        "runtime.seconds": {"values": lambda i, s: seconds + i, "spec": {"unit": "s"}},
    }


def test_every_metric_has_its_value_interval_and_counts(make_run: MakeRun) -> None:
    run = read_run(make_run(metrics=_metrics(1.0), failed=("p005-s1",), warnings=("few clips",)))
    content = summarise(run)
    assert sorted(content["metrics"]) == ["clip", "fvd", "offset"]
    assert list(content["runtime"]) == ["runtime.seconds"]
    (offset,) = content["metrics"]["offset"]
    by_prompt = {f"p{i:03}": [2.0 * i, 2.0 * i + 1] for i in range(6)}
    by_prompt["p001"] = [2.0]
    by_prompt["p005"] = [10.0]
    expected = mean_interval(by_prompt)
    assert (offset["value"], offset["low"], offset["high"]) == (expected.value, expected.low, expected.high)
    assert {key: offset[key] for key in ("n", "n_asked", "n_abstained", "n_prompts", "unit", "direction", "level")} == {
        "n": 10,
        "n_asked": 12,
        "n_abstained": 1,
        "n_prompts": 6,
        "unit": "ms",
        "direction": "zero",
        "level": "clip",
    }
    assert offset["missing"] == {"abstained": 1, "not_applicable": 1}
    (fvd,) = content["metrics"]["fvd"]
    assert (fvd["value"], fvd["n"], fvd["warnings"]) == (12.5, 11, ["few clips"])
    (clip,) = content["metrics"]["clip"]
    assert (clip["value"], clip["reason"]) == (None, "not available: no weights")
    assert (content["n_clips"], content["n_failed"]) == (12, 1)


def test_only_the_runtime_block_knows_of_time_and_machine(make_run: MakeRun) -> None:
    contents = []
    for seconds, platform in ((1.0, "here"), (2.0, "there")):
        run = read_run(make_run(platform, metrics=_metrics(seconds), platform=platform))
        contents.append(summarise(run))
    runtimes = [content.pop("runtime") for content in contents]
    assert runtimes[0] != runtimes[1]
    assert json.dumps(contents[0]) == json.dumps(contents[1])


def test_the_file_is_rebuilt_with_equal_bytes(make_run: MakeRun) -> None:
    folder = make_run(metrics=_metrics(1.0))
    first = write_summary(folder).read_bytes()
    (folder / "summary.json").unlink()
    assert write_summary(folder).read_bytes() == first
    assert json.loads(first) == summarise(read_run(folder))


def test_a_run_without_values_has_an_empty_summary(make_run: MakeRun) -> None:
    content = summarise(read_run(make_run(metrics={})))
    assert content["metrics"] == content["runtime"] == {}
    assert content["n_clips"] == 12
