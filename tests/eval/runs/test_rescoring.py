"""Scoring a run again: nothing is lost, nothing is written twice, and what failed is tried again."""

import dataclasses
from pathlib import Path

import pytest

import ltx2_eval.sets
from ltx2_eval.commands.show import finish
from ltx2_eval.extractors.base import NotApplicable, NotAvailable
from ltx2_eval.extractors.catalogue import EXTRACTORS
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.metrics.base import Outcome
from ltx2_eval.reference import Reference
from ltx2_eval.runner import score_run
from ltx2_reports.contrast_runs import contrast_runs
from ltx2_reports.records import read_run
from ltx2_reports.store import DamagedError


def journal(folder):
    return (folder / "records.jsonl").read_bytes()


def rescore(world, folder, **changes):
    return score_run(folder, world.scoring(**changes), lambda *_: None)


def test_scoring_again_without_a_reference_keeps_the_value(world, tmp_path):
    before = world.go(tmp_path / "run").values[(None, "colour_distance")]
    after = rescore(world, tmp_path / "run", reference=None).values[(None, "colour_distance")]
    assert before.value is not None
    assert after == before


def test_scoring_again_without_weights_keeps_the_value_and_writes_nothing(world, tmp_path, pool):
    class Gone(pool):
        def weights_sha256(self, extractor):
            return "0" * 64

        def get(self, extractor):
            raise NotAvailable("weights colour are not on this machine")

    world.go(tmp_path / "run")
    before = read_run(tmp_path / "run").values
    rescore(world, tmp_path / "run", pool=Gone())
    assert read_run(tmp_path / "run").values == before


def test_what_is_not_available_is_written_once(world, tmp_path, pool):
    class Gone(pool):
        def get(self, extractor):
            raise NotAvailable("weights colour are not on this machine")

    world.go(tmp_path / "run", pool=Gone())
    assert read_run(tmp_path / "run").values[(None, "colour_distance")].reason.kind == "not_available"
    before = journal(tmp_path / "run")
    for _ in range(3):
        rescore(world, tmp_path / "run", pool=Gone())
    assert journal(tmp_path / "run") == before
    assert rescore(world, tmp_path / "run").values[(None, "colour_distance")].value is not None


def test_a_clip_left_out_of_a_set_is_named_with_its_reason(world, tmp_path, pool, extractor):
    class Picky(extractor):
        calls = 0

        def features(self, clip):
            Picky.calls += 1
            if Picky.calls == 2:
                raise NotApplicable("too short")
            if Picky.calls == 3:
                raise RuntimeError("out of memory")
            return super().features(clip)

    class PickyPool(pool):
        def get(self, name):
            return Picky()

    run = world.go(tmp_path / "run", pool=PickyPool())
    value = run.values[(None, "colour_distance")]
    kinds = sorted(reason.kind for reason in value.left_out.values())
    assert kinds == ["failed", "not_applicable"]
    assert run.protocols[value.protocol].protocol.n == 6
    assert Picky.calls == 8 + 3  # every clip of the run and of the reference once: what failed is not decoded again


def test_a_set_metric_that_failed_is_computed_again(world, tmp_path, monkeypatch):
    def broken(*_args, **_kwargs):
        raise RuntimeError("no convergence")

    with monkeypatch.context() as patch:
        patch.setattr(ltx2_eval.sets, "replicates", broken)
        assert world.go(tmp_path / "run").values[(None, "colour_distance")].reason.kind == "failed"
    assert rescore(world, tmp_path / "run").values[(None, "colour_distance")].value is not None


def test_a_damaged_feature_cache_ends_the_run_by_name(world, tmp_path):
    world.go(tmp_path / "run")
    files = list((tmp_path / "cache/features").rglob("*.safetensors"))
    assert len(files) == 3
    for path in files:
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    other = Reference(name="two", files=world.reference.files[:2])
    with pytest.raises(DamagedError, match="remove it"):
        rescore(world, tmp_path / "run", reference=other)
    assert read_run(tmp_path / "run").header.status == "failed"
    for path in files:
        path.unlink()
    assert rescore(world, tmp_path / "run", reference=other).values[(None, "colour_distance")].value is not None


def test_prompts_are_those_that_the_run_recorded(world, tmp_path, metric_entry, implementations):
    seen = []

    def spy(subject, features, extractor, **settings):
        seen.append((subject.prompt.text, subject.prompt.visual_text))
        return implementations["here:brightness"](subject, features, extractor)

    implementations["here:spy"] = spy
    prompts = tuple(prompt.model_copy(update={"visual_text": "A door."}) for prompt in world.plan.suite.prompts)
    suite = dataclasses.replace(world.plan.suite, name="a[:4]", prompts=prompts)
    world.plan = dataclasses.replace(world.plan, suite=suite)
    world.go(tmp_path / "run")
    rescore(world, tmp_path / "run", entries=(metric_entry("spy"),))
    assert set(seen) == {(f"prompt number {i}", "A door.") for i in range(4)}


def test_a_copy_of_the_reference_under_another_name_is_the_same_set(world, tmp_path):
    first = world.go(tmp_path / "run").values[(None, "colour_distance")]
    renamed = Reference(name="elsewhere", files=world.reference.files)
    before = journal(tmp_path / "run")
    assert rescore(world, tmp_path / "run", reference=renamed).values[(None, "colour_distance")] == first
    assert journal(tmp_path / "run") == before


def test_only_weights_that_gave_a_value_are_listed(world, tmp_path, pool):
    class Hashed(pool):
        def weights_sha256(self, extractor):
            return "a" * 64

    class Gone(Hashed):
        def get(self, extractor):
            raise NotAvailable("weights colour are not on this machine")

    assert world.go(tmp_path / "gone", pool=Gone()).header.weights == {}
    assert world.go(tmp_path / "here", pool=Hashed()).header.weights == {"colour": "a" * 64}


def test_clips_of_two_machines_do_not_share_a_run(world, tmp_path, monkeypatch, noise_model):
    class Stops(noise_model):
        def generate(self, request):
            if request.sample == "p2-s0":
                raise KeyboardInterrupt
            return super().generate(request)

    with pytest.raises(KeyboardInterrupt):
        world.go(tmp_path / "run", Stops())
    here = ltx2_eval.runner.environment("cpu")
    monkeypatch.setattr(
        "ltx2_eval.runner.environment", lambda device: here.model_copy(update={"threads": here.threads + 1})
    )
    with pytest.raises(ValueError, match=r"was begun elsewhere: threads was \d+, now \d+"):
        world.go(tmp_path / "run")
    monkeypatch.setattr("ltx2_eval.runner.environment", lambda device: here)
    world.go(tmp_path / "run")
    monkeypatch.setattr(
        "ltx2_eval.runner.environment", lambda device: here.model_copy(update={"threads": here.threads + 1})
    )
    assert world.go(tmp_path / "run").header.environment.threads == here.threads
    assert Path(tmp_path / "run/summary.json").is_file()


def test_a_sample_that_is_made_at_the_second_try_gets_its_values(world, tmp_path, noise_model):
    first = world.go(tmp_path / "run", noise_model(broken={"p1-s0"}))
    assert first.values[("p1-s0", "brightness")].reason.kind == "failed"
    again = world.go(tmp_path / "run", plan=dataclasses.replace(world.plan, retry_failed=True))
    assert again.values[("p1-s0", "brightness")].value is not None
    assert again.protocols[again.values[(None, "colour_distance")].protocol].protocol.n == 8


def test_a_clip_that_is_gone_is_made_again_or_named(world, tmp_path):
    before = world.go(tmp_path / "run")
    clip = tmp_path / "run" / before.clips["p2-s1"].file
    content = clip.read_bytes()
    clip.unlink()
    left_out = rescore(world, tmp_path / "run", entries=world.entries).values[(None, "colour_distance")].left_out
    assert "is gone" in left_out["p2-s1"].message
    again = world.go(tmp_path / "run")
    assert clip.read_bytes() == content
    assert again.values[(None, "colour_distance")].value == before.values[(None, "colour_distance")].value


def test_which_clip_a_paired_metric_compares_with_which_is_part_of_its_identity(
    world, tmp_path, implementations, monkeypatch
):
    """Two reference files that swap their names: the same set, other pairs."""
    monkeypatch.setattr(implementations["here:colour_distance"], "paired", True, raising=False)
    first, second = (tmp_path / name for name in ("first", "second"))
    stems = ["p0", "p1", "p2", "p3"]
    for folder, names in ((first, stems), (second, ["p1", "p0", "p2", "p3"])):
        folder.mkdir()
        for source, name in zip([*world.reference.files, *world.reference.files][:4], names, strict=True):
            (folder / f"{name}{source.suffix}").write_bytes(source.read_bytes())
    sets = [Reference(name="x", files=tuple(sorted(folder.iterdir()))) for folder in (first, second)]
    assert sets[0].ref == sets[1].ref
    world.reference = sets[0]
    run = world.go(tmp_path / "run")
    before = run.values[(None, "colour_distance")]
    after = rescore(world, tmp_path / "run", reference=sets[1]).values[(None, "colour_distance")]
    assert before.value is not None
    assert after.value is not None
    assert before.protocol != after.protocol
    assert rescore(world, tmp_path / "run", reference=sets[1]).values[(None, "colour_distance")] == after


def test_a_lost_clip_leaves_only_the_paired_metric_out_of_a_comparison(
    world, tmp_path, noise_model, implementations, monkeypatch
):
    """The partners are found by one rule in one set: a system with a clip fewer was measured alike, on other clips."""
    monkeypatch.setattr(implementations["here:colour_distance"], "paired", True, raising=False)
    partners = tmp_path / "real"
    partners.mkdir()
    for source, name in zip([*world.reference.files, *world.reference.files], ("p0", "p1", "p2", "p3"), strict=False):
        (partners / f"{name}{source.suffix}").write_bytes(source.read_bytes())
    world.reference = Reference(name="x", files=tuple(sorted(partners.iterdir())))
    whole = world.go(tmp_path / "whole")
    fewer = world.go(tmp_path / "fewer", noise_model(broken={"p1-s0"}))
    named = [run.protocols[run.values[(None, "colour_distance")].protocol].protocol for run in (whole, fewer)]
    assert named[0].difference(named[1]) == ["n: 8 and 7"]
    found = contrast_runs(whole, fewer)
    assert [contrast.metric.id for contrast in found.contrasts if contrast.metric.level == "clip"] == ["brightness"]
    assert "colour_distance" not in {contrast.metric.id for contrast in found.contrasts}
    assert "colour_distance: of two sets of other clips, which cannot be compared: n: 8 and 7" in found.left_out


def test_what_could_not_be_loaded_is_tried_again_by_the_next_command(
    world, tmp_path, extractor, metric_entry, implementations, monkeypatch, capsys
):
    """Memory that was full at the first loading is no verdict on any clip."""
    loads = []

    def load(name, device):
        loads.append(name)
        raise MemoryError("the device had 1 MiB left")

    implementations["here:looks"] = lambda subject, features, extractor: Outcome(value=float(features[0, 0]))
    monkeypatch.setitem(EXTRACTORS, "colour", extractor.spec)
    entries = (metric_entry("looks", "clip", "colour"), world.entries[2])
    monkeypatch.setattr("ltx2_eval.extractors.pool.load_extractor", load)
    before = world.go(tmp_path / "run", entries=entries, pool=ExtractorPool())
    assert loads == ["colour"]
    for place in (("p0-s0", "looks"), (None, "colour_distance")):
        reason = before.values[place].reason
        assert (reason.kind, reason.error) == ("not_available", "MemoryError")
        assert "could not be loaded (MemoryError: the device had 1 MiB left)" in reason.message
    with pytest.raises(SystemExit):
        finish([before], 0.0)
    assert "colour_distance, looks: could not be loaded" in capsys.readouterr().err
    monkeypatch.setattr("ltx2_eval.extractors.pool.load_extractor", lambda name, device: extractor())
    after = rescore(world, tmp_path / "run", entries=entries, pool=ExtractorPool()).values
    assert after[("p0-s0", "looks")].value is not None
    assert after[(None, "colour_distance")].value is not None


def test_values_that_failed_are_computed_again_when_asked_for(
    world, tmp_path, noise_model, metric_entry, implementations
):
    tried = []

    def looks(subject, features, extractor):
        tried.append(subject.record.sample)
        if len(tried) <= 7:
            raise RuntimeError("the program did not answer within 900 s")
        return Outcome(value=1.0)

    implementations["here:looks"] = looks
    entries = (metric_entry("looks"),)
    before = world.go(tmp_path / "run", noise_model(broken={"p1-s0"}), entries=entries).values
    assert [line.reason.kind for line in before.values()] == ["failed"] * 8
    rescore(world, tmp_path / "run", entries=entries)
    assert len(tried) == 7
    after = rescore(world, tmp_path / "run", entries=entries, retry_failed=True).values
    assert len(tried) == 14
    assert {sample for (sample, _), line in after.items() if line.value is None} == {"p1-s0"}  # was never made


def test_what_can_be_pulled_is_told_before_a_clip_that_failed(world, tmp_path, noise_model, pool):
    """The first clip was never made, the others lack weights: the record must say what to bring, not that one's."""

    class Gone(pool):
        def get(self, extractor):
            raise NotAvailable("no weights: `ltx2-eval weights pull colour`")

    run = world.go(tmp_path / "run", noise_model(broken={"p0-s0"}), pool=Gone())
    reason = run.values[(None, "colour_distance")].reason
    assert (reason.kind, reason.message) == ("not_available", "no weights: `ltx2-eval weights pull colour`")


def test_a_set_without_clips_that_failed_says_so(world, tmp_path, noise_model):
    run = world.go(tmp_path / "run", noise_model(broken={"p0-s0", "p3-s1"}))
    assert "without clips that belong to it: 2 failed" in run.values[(None, "colour_distance")].warnings
    assert not any(
        "without" in text for text in world.go(tmp_path / "whole").values[(None, "colour_distance")].warnings
    )


def test_a_reference_file_that_was_replaced_gives_no_features_under_the_old_hash(world, tmp_path):
    assert len(world.reference.hashes) == 3  # read before the run, as the command does
    world.reference.files[1].write_bytes(world.reference.files[0].read_bytes())
    reason = world.go(tmp_path / "run").values[(None, "colour_distance")].reason
    assert reason.kind == "failed"
    assert "1.mkv was changed or removed; score again" in reason.message
    anew = Reference(name="three", files=world.reference.files)
    assert rescore(world, tmp_path / "run", reference=anew).values[(None, "colour_distance")].value is not None
