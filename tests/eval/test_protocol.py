"""Whatever can change a value changes its protocol's identity; what cannot, does not."""

import dataclasses

import pytest

from ltx2_eval import protocol as module
from ltx2_eval.extractors.base import ExtractorSpec
from ltx2_eval.metrics.catalogue import BUILT_IN
from ltx2_eval.protocol import protocol_of
from ltx2_reports.records import Environment, PromptRef, Protocol, ReferenceRef, RunHeader, RunSpec, SuiteRef

SPEC = ExtractorSpec(
    id="x",
    version=1,
    title="X",
    stream="video",
    dimension=4,
    weights="w",
    preprocessing="p",
    sampling="s",
    source="",
    implementation="m:C",
)
ENTRY = dataclasses.replace(BUILT_IN["fvd"], extractor="x", settings={"dimension": 4})
REFERENCE = ReferenceRef(name="real", sha256="1" * 64, n=9)


class Pool:
    def __init__(self, spec=SPEC, sha256="a" * 64, device="cpu"):
        self._spec, self._sha256, self.device = spec, sha256, device

    def spec(self, name):
        return self._spec

    def weights_sha256(self, name):
        return self._sha256


def _prompt(**given):
    empty = {"category": None, "language": None, "visual_text": None, "audio_text": None}
    return PromptRef(**{"id": "p", "text": "A dog.", **empty, **given})


def _header(suite="2" * 64, prompts=(), **environment):
    fields = {
        "packages": {"torch": "2"},
        "python": "3",
        "platform": "p",
        "machine": "m",
        "device": "cpu",
        "threads": 1,
        "git": None,
    }
    spec = RunSpec(
        system="a",
        model="m",
        model_identity={},
        suite=SuiteRef(name="s", version="1", sha256=suite, licence=None),
        prompts=prompts,
        seeds=(0,),
        clip=None,
        container=None,
    )
    made = Environment(**{**fields, **environment})
    return RunHeader(schema_version=1, status="done", created_at="", spec=spec, environment=made, weights={})


def _protocol(entry=ENTRY, header=None, pool=None, reference=REFERENCE, n=8):
    return protocol_of(entry, header or _header(), pool or Pool(), reference=reference, n=n)


def _spec(**changes):
    return {"pool": Pool(dataclasses.replace(SPEC, **changes))}


def _metric(**changes):
    return {"entry": dataclasses.replace(ENTRY, spec=ENTRY.spec.model_copy(update=changes))}


CHANGES = {
    "metric": lambda: _metric(id="other"),
    "metric_version": lambda: _metric(version=ENTRY.spec.version + 1),
    "extractor": lambda: _spec(id="y"),
    "extractor_version": lambda: _spec(version=2),
    "weights_sha256": lambda: {"pool": Pool(sha256="b" * 64)},
    "preprocessing": lambda: _spec(preprocessing="q"),
    "sampling": lambda: _spec(sampling="t"),
    "aggregation": lambda: {"entry": dataclasses.replace(ENTRY, aggregation="other")},
    "reference": lambda: {"reference": REFERENCE.model_copy(update={"sha256": "3" * 64})},
    "suite": lambda: {"header": _header(suite="4" * 64)},
    "n": lambda: {"n": 9},
    "arithmetic": lambda: {"pool": Pool(device="cuda:1")},
    "libraries": lambda: _spec(implementation="ltx2_eval.extractors.i3d:I3dExtractor"),
    "text": lambda: {"entry": dataclasses.replace(ENTRY, text="audio_text")},
    "settings": lambda: {"entry": dataclasses.replace(ENTRY, settings={"dimension": 4, "more": True})},
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_change_of_one_field_is_another_identity_and_is_named(field):
    before, after = _protocol(), _protocol(**CHANGES[field]())
    assert before.identity != after.identity
    assert [line.partition(":")[0] for line in before.difference(after)] == [field]


def test_the_decoder_is_in_it(monkeypatch):
    before = _protocol()
    monkeypatch.setattr(module, "decoder_id", lambda: "another")
    assert before.difference(_protocol()) == [f"decoder: {before.decoder!r} and 'another'"]


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("audio_text", "audio_text, else text without quotes"),
        ("visual_text", "visual_text, else text without quotes"),
        ("speech", "speech, else quotes in text"),
    ],
)
def test_the_rule_for_the_text_is_told_and_not_how_many_prompts_say_it_apart(field, told):
    """A part of a suite is measured like the whole: its prompts are told by the suite's hash."""
    line = {"speaker": "a", "language": "en", "text": "Hello."}
    apart = _prompt(**{field: (line,) if field == "speech" else "A bark."})
    entry = dataclasses.replace(ENTRY, text=field)
    suites = ((apart,), (apart, _prompt(id="q")), (_prompt(id="q"),))
    found = [_protocol(entry, header=_header(str(i) * 64, prompts)) for i, prompts in enumerate(suites)]
    assert {protocol.text for protocol in found} == {told}
    for other in found[1:]:
        assert [line.partition(":")[0] for line in found[0].difference(other)] == ["suite"]


@pytest.mark.parametrize("name", ["speech_wer_corpus", "speech_cer_corpus"])
def test_a_corpus_rate_knows_how_its_clips_were_counted(name, monkeypatch):
    """Another way to count is another version of the clip metric, and another rate."""
    clip = BUILT_IN[BUILT_IN[name].corpus_of]
    before = [_protocol(BUILT_IN[metric]).identity for metric in (name, clip.spec.id)]
    later = clip.spec.model_copy(update={"version": clip.spec.version + 1})
    monkeypatch.setitem(BUILT_IN, clip.spec.id, dataclasses.replace(clip, spec=later))
    after = [_protocol(BUILT_IN[metric]).identity for metric in (name, clip.spec.id)]
    assert all(old != new for old, new in zip(before, after, strict=True))
    elsewhere = dataclasses.replace(BUILT_IN[clip.spec.id], implementation="ltx2_eval.metrics.offset:av_offset")
    monkeypatch.setitem(BUILT_IN, clip.spec.id, elsewhere)
    assert "soxr" in _protocol(BUILT_IN[name]).libraries


def test_an_early_record_keeps_its_identity_and_says_what_it_does_not_know():
    """Records from before the fields existed: read as they are, told apart by name, never taken for equal."""
    now = _protocol(**_spec(implementation="ltx2_eval.extractors.i3d:I3dExtractor"))
    stored = now.model_dump(mode="json")
    early = Protocol.model_validate({k: v for k, v in stored.items() if k not in ("arithmetic", "libraries", "text")})
    assert early.libraries is None
    assert early.identity == now.model_copy(update={"libraries": None}).identity != now.identity
    assert early.difference(now) == ["libraries: not recorded and {'torch': 'operators-1'}"]


def test_a_metric_without_libraries_keeps_the_identity_of_its_early_records():
    now = _protocol(dataclasses.replace(BUILT_IN["video.flicker"]))
    assert now.libraries == {}
    assert now.identity == now.model_copy(update={"libraries": None}).identity


def test_no_field_of_a_protocol_is_left_untried():
    assert {*CHANGES, "decoder"} == set(Protocol.model_fields)


@pytest.mark.parametrize(
    "change",
    [
        {"reference": REFERENCE.model_copy(update={"name": "the same clips elsewhere"})},
        {"header": _header(machine="another")},
        _metric(title="other words", cannot_see="other words", source="other words", least_n=1),
        _spec(title="other words", source="other words"),
    ],
)
def test_what_cannot_change_a_value_changes_nothing(change):
    assert _protocol().identity == _protocol(**change).identity


@pytest.mark.parametrize("field", ["machine", "device", "threads", "packages"])
def test_a_duration_belongs_to_the_machine(field):
    entry = BUILT_IN["runtime.generate_s"]
    other = {"machine": "n", "device": "cuda", "threads": 2, "packages": {"torch": "3"}}[field]
    assert _protocol(entry).identity != _protocol(entry, header=_header(**{field: other})).identity


def test_every_metric_of_the_catalogue_has_an_identity_of_its_own():
    """The settings, the aggregation and the extractor tell them apart even under one id."""
    anonymous = [
        (entry.implementation, entry.extractor, entry.aggregation, tuple(sorted(entry.settings.items())))
        for entry in BUILT_IN.values()
    ]
    assert len(set(anonymous)) == len(anonymous)


def test_a_program_outside_python_is_part_of_the_identity(monkeypatch):
    from ltx2_eval.metrics import vmaf

    monkeypatch.setattr(vmaf, "_libvmaf", {"/somewhere": "3.0", "/elsewhere": "3.0", "/other": "3.1"}.__getitem__)
    monkeypatch.setattr(vmaf, "_ffmpeg", lambda: ("/somewhere", "9.0"))
    first = protocol_of(BUILT_IN["vmaf"], _header(), Pool())
    assert first.settings == {"model": "vmaf_v0.6.1", "ffmpeg": "9.0", "libvmaf": "3.0"}
    monkeypatch.setattr(vmaf, "_ffmpeg", lambda: ("/elsewhere", "9.0"))
    assert protocol_of(BUILT_IN["vmaf"], _header(), Pool()).identity == first.identity
    for changed in (("/somewhere", "9.1"), ("/other", "9.0")):
        monkeypatch.setattr(vmaf, "_ffmpeg", lambda changed=changed: changed)
        assert protocol_of(BUILT_IN["vmaf"], _header(), Pool()).identity != first.identity
