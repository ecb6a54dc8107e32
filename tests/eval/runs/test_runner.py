"""Runs: what is recorded, what is resumed, what is refused."""

import dataclasses
import json

import pytest

from ltx2_eval.recording import _changes
from ltx2_reports.records import read_run


def keys_in_journal(folder):
    lines = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    return [
        (line["kind"], line.get("sample"), line.get("metric") if line["kind"] == "value" else line.get("id"))
        for line in lines
    ]


def test_every_planned_sample_and_value_is_there_once(world, tmp_path):
    run = world.go(tmp_path / "run")
    samples = {f"p{prompt}-s{seed}" for prompt in range(4) for seed in (0, 1)}
    assert set(run.clips) == samples
    assert set(run.values) == {(s, m) for s in samples for m in ("brightness", "shy")} | {(None, "colour_distance")}
    keys = keys_in_journal(tmp_path / "run")
    assert len(keys) == len(set(keys))
    assert run.header.status == "done"
    assert all((tmp_path / "run" / clip.file).is_file() for clip in run.clips.values())


def test_a_value_says_what_it_is(world, tmp_path):
    run = world.go(tmp_path / "run")
    value = run.values[(None, "colour_distance")]
    protocol = run.protocols[value.protocol].protocol
    assert protocol.n == 8
    assert protocol.extractor == "colour"
    assert protocol.reference.startswith("three#")
    assert protocol.suite.startswith("four@1#")
    assert protocol.signature.endswith("#" + value.protocol)
    assert len(value.replicates) >= 100
    assert "reference n 3 below 8" in value.warnings[0]


def test_an_abstention_is_null_with_its_reason(world, tmp_path):
    value = world.go(tmp_path / "run").values[("p0-s0", "shy")]
    assert value.value is None
    assert (value.reason.kind, value.reason.message) == ("abstained", "this one never says")


def test_a_value_that_is_not_finite_becomes_a_reason(world, tmp_path, metric_entry):
    value = world.go(tmp_path / "run", entries=(metric_entry("careless"),)).values[("p0-s0", "careless")]
    assert value.value is None
    assert value.reason.kind == "failed"
    assert "outside its range" in value.reason.message


def test_a_failed_sample_is_a_record_and_the_run_goes_on(world, tmp_path, noise_model):
    run = world.go(tmp_path / "run", noise_model(broken={"p1-s0"}))
    clip = run.clips["p1-s0"]
    assert clip.file is None
    assert (clip.reason.kind, clip.reason.stage, clip.reason.error) == ("failed", "generate", "RuntimeError")
    assert run.values[("p1-s0", "brightness")].reason.message == "the device ran out of luck"
    assert run.protocols[run.values[(None, "colour_distance")].protocol].protocol.n == 7
    assert run.header.status == "done"


def test_a_clip_that_was_changed_is_not_scored(world, tmp_path, metric_entry):
    run = world.go(tmp_path / "run", entries=(metric_entry("brightness"),))
    path = tmp_path / "run" / run.clips["p2-s1"].file
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    again = world.go(tmp_path / "run", entries=(metric_entry("brightness"), metric_entry("shy")))
    assert "was changed after it was recorded" in again.values[("p2-s1", "shy")].reason.message
    assert again.values[("p2-s0", "shy")].reason.kind == "abstained"


def test_a_second_run_computes_nothing_again(world, tmp_path, noise_model):
    world.go(tmp_path / "run")
    before = (tmp_path / "run/records.jsonl").read_bytes()
    model = noise_model()
    world.go(tmp_path / "run", model)
    assert model.calls == []
    assert (tmp_path / "run/records.jsonl").read_bytes() == before


def test_a_new_metric_is_added_to_a_finished_run(world, tmp_path, metric_entry):
    world.go(tmp_path / "run", entries=(metric_entry("brightness"),))
    run = world.go(tmp_path / "run", entries=(metric_entry("brightness"), metric_entry("shy")))
    assert len(run.of_metric("shy")) == 8
    assert len(run.of_metric("brightness")) == 8


def test_only_the_entries_that_differ_are_told():
    old, new = {"a": {"x": 1, "long": "y" * 200}, "b": 2}, {"a": {"long": "y" * 200, "x": 3}, "b": 2}
    assert list(_changes("", old, new)) == ["a.x was 1, now 3"]
    assert list(_changes("", {"a": {}}, {"a": {"x": 1}})) == ["a.x was None, now 1"]


def test_another_spec_is_refused_by_its_differing_field(world, tmp_path):
    world.go(tmp_path / "run")
    with pytest.raises(ValueError, match=r"another spec: seeds was \[0, 1\], now \[0\]; choose another --out"):
        world.go(tmp_path / "run", plan=dataclasses.replace(world.plan, seeds=(0,)))


def test_a_folder_of_other_things_is_left_alone(world, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match=r"holds other files \(thesis.txt"):
        world.go(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_a_file_in_the_place_of_the_folder(world, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(ValueError, match="is not a folder"):
        world.go(tmp_path / "run")


def test_a_newer_schema_is_refused_by_name(world, tmp_path):
    world.go(tmp_path / "run")
    path = tmp_path / "run/run.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 7'))
    with pytest.raises(ValueError, match="schema version 7"):
        world.go(tmp_path / "run")


def test_ctrl_c_is_recorded_as_cancelled_and_resumes(world, tmp_path, noise_model):
    class Impatient(noise_model):
        def generate(self, request):
            if request.sample == "p2-s0":
                raise KeyboardInterrupt
            return super().generate(request)

    with pytest.raises(KeyboardInterrupt):
        world.go(tmp_path / "run", Impatient())
    stopped = read_run(tmp_path / "run")
    assert (stopped.header.status, len(stopped.clips)) == ("cancelled", 4)
    assert world.go(tmp_path / "run").header.status == "done"


def test_two_fresh_runs_are_equal_to_the_bit(world, tmp_path):
    first, second = world.go(tmp_path / "a"), world.go(tmp_path / "b")
    assert [clip.sha256 for clip in first.clips.values()] == [clip.sha256 for clip in second.clips.values()]
    assert (tmp_path / "a/summary.json").read_bytes() == (tmp_path / "b/summary.json").read_bytes()
