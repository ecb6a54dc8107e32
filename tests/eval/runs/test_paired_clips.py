"""Clip metrics that compare each clip with the one of its name in the reference set."""

import dataclasses
import shutil

import pytest

from ltx2_eval.metrics.base import Outcome
from ltx2_eval.reference import Reference
from ltx2_eval.runner import score_run


def _brighter(subject, features, extractor, **settings):
    assert features is None
    return Outcome(value=float(subject.clip.video.mean() - subject.reference.video.mean()))


@pytest.fixture
def paired(world, metric_entry, implementations, monkeypatch):
    """The world with one such metric."""
    monkeypatch.setitem(implementations, "here:brighter", _brighter)
    world.entries = (metric_entry("brighter", needs=("video", "reference")),)
    world.cut_to(2)
    return world


def _named(folder, sources, *names):
    """Files of these names in a folder of their own."""
    folder.mkdir()
    for source, name in zip(sources, names, strict=True):
        shutil.copyfile(source, folder / f"{name}.mkv")
    return Reference(name="named", files=tuple(sorted(folder.iterdir())))


def _rescored(world, folder, reference):
    return score_run(folder, world.scoring(reference=reference), lambda *_: None).values


def test_each_clip_meets_the_one_of_its_name(paired, tmp_path):
    run = paired.go(tmp_path / "run")
    clips = [tmp_path / "run" / run.clips[sample].file for sample in sorted(run.clips)]
    by_sample = _named(tmp_path / "samples", clips, *sorted(run.clips))
    values = _rescored(paired, tmp_path / "run", by_sample)
    assert [values[(sample, "brighter")].value for sample in sorted(run.clips)] == [0.0, 0.0]
    by_prompt = _named(tmp_path / "prompts", clips[::-1], "p0", "p1")
    values = _rescored(paired, tmp_path / "run", by_prompt)
    first, second = (values[(sample, "brighter")].value for sample in sorted(run.clips))
    assert first == -second != 0


def test_names_are_part_of_the_identity(paired, tmp_path):
    paired.go(tmp_path / "run")
    sources = paired.reference.files[:2]
    straight, crossed = _named(tmp_path / "a", sources, "p0", "p1"), _named(tmp_path / "b", sources, "p1", "p0")
    assert straight.ref == crossed.ref
    first = _rescored(paired, tmp_path / "run", straight)
    second = _rescored(paired, tmp_path / "run", crossed)
    changed = [(first[place], second[place]) for place in first if place[1] == "brighter"]
    assert len(changed) == 2
    assert all(old.protocol != new.protocol and old.value != new.value for old, new in changed)


def test_a_partner_that_was_replaced_gives_no_value(paired, tmp_path):
    """The protocol names the hashes of the files that were there when the set was read."""
    paired.reference = _named(tmp_path / "a", paired.reference.files[:2], "p0", "p1")
    assert len(paired.reference.hashes) == 2
    shutil.copyfile(paired.reference.files[0], paired.reference.files[1])
    values = paired.go(tmp_path / "run").values
    assert values[("p0-s0", "brighter")].value is not None
    reason = values[("p1-s0", "brighter")].reason
    assert reason.kind == "failed"
    assert "p1.mkv was changed or removed; score again" in reason.message


@pytest.mark.parametrize(
    ("reference", "kind", "message"),
    [
        (lambda world: None, "not_available", "name one with --reference"),
        (lambda world: world.reference, "not_applicable", "has no clip for 1 of 1 samples"),
    ],
)
def test_without_a_partner_there_is_a_reason(paired, tmp_path, reference, kind, message):
    paired.reference = reference(paired)
    values = paired.go(tmp_path / "run").values
    reasons = [value.reason for (_, metric), value in values.items() if metric == "brighter"]
    assert [reason.kind for reason in reasons] == [kind] * 2
    assert all(message in reason.message for reason in reasons)


def test_a_metric_may_ask_its_extractor_itself(paired, tmp_path, implementations, pool, metric_entry, monkeypatch):
    def asks(subject, features, extractor, **settings):
        assert features is None
        return Outcome(value=float(extractor.features(subject.reference)[0, 0]))

    monkeypatch.setitem(implementations, "here:asks", asks)
    made = metric_entry("asks", extractor="colour", needs=("video", "reference"))
    paired.entries = (dataclasses.replace(made, reads_features=False),)
    paired.reference = _named(tmp_path / "a", paired.reference.files[:2], "p0", "p1")
    values = paired.go(tmp_path / "run").values
    assert all(values[place].value > 0 for place in values if place[1] == "asks")
    assert not list((tmp_path / "run").glob("features/**/*.safetensors"))
