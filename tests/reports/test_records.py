"""Run folders are read as they were written, or refused by file and line."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ltx2_reports import records, store

MakeRun = Callable[..., Path]
GOLDEN = Path(__file__).parents[1] / "golden"


def test_a_run_reads_back_and_later_lines_supersede(make_run: MakeRun, factory: ModuleType) -> None:
    folder = make_run(prompts=2, failed=("p001-s0",))
    run = records.read_run(folder)
    assert sorted(run.clips) == ["p000-s0", "p000-s1", "p001-s0", "p001-s1"]
    assert run.clips["p001-s0"].reason is not None
    assert [value.sample for value in run.of_metric("sharpness")] == sorted(run.clips)
    old = run.values["p000-s0", "sharpness"]
    with records.open_journal(folder) as journal:
        records.append(journal, old.model_copy(update={"value": 0.25}))
    assert records.read_run(folder).values["p000-s0", "sharpness"].value == 0.25


@pytest.mark.parametrize("name", [records.RUN_FILE, records.RECORDS_FILE])
def test_one_changed_byte_is_refused_by_name(make_run: MakeRun, name: str) -> None:
    folder = make_run(prompts=3)
    path = folder / name
    whole = path.read_bytes()
    chance = random.Random(f"damage to {name}")
    for _ in range(200):
        place = chance.randrange(len(whole))
        byte = chance.choice([b for b in (0, 9, 10, 13, 32, 48, 57, 255, chance.randrange(256)) if b != whole[place]])
        path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
        number = whole.count(store.LINE_END, 0, place) + 1
        line = f" line {number}" if name == records.RECORDS_FILE else ""
        with pytest.raises(ValueError) as caught:
            records.read_run(folder)
        assert str(caught.value).startswith(f"{path}{line}:"), (place, byte)


def test_a_line_that_vanished_takes_its_values_with_it_by_name(make_run: MakeRun) -> None:
    folder = make_run(prompts=1)
    path = folder / records.RECORDS_FILE
    lines = [line for line in path.read_text("utf-8").splitlines() if '"kind": "protocol"' not in line]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"records\.jsonl line 3: no earlier line describes protocol"):
        records.read_run(folder)


ADDED_LATER = ("world", "noise", "speech", "num_speakers", "on_screen_text")
"""Fields with a default: records written before they were added are read too."""


def _fields(content: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of all fields of records; keys of free-form tables are no fields."""
    free = ("packages", "weights", "model_identity")
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        if isinstance(content, dict):
            yield (*path, key)
        if key not in free:
            yield from _fields(value, (*path, key))


def _without(content: Any, path: tuple[str | int, ...]) -> Any:
    copy = json.loads(json.dumps(content))
    place = copy
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return copy


def test_a_header_without_any_one_of_its_fields_is_refused(make_run: MakeRun) -> None:
    folder = make_run(prompts=1)
    content = store.read_sealed(folder / records.RUN_FILE)
    fields = [path for path in _fields(content) if path[-1] not in ADDED_LATER]
    assert len(fields) > 30
    for path in fields:
        store.write_sealed(folder / records.RUN_FILE, _without(content, path))
        with pytest.raises(ValueError, match=r"run\.json: field '[a-z0-9_.]+': "):
            records.read_header(folder)


def test_an_unknown_field_is_refused(make_run: MakeRun) -> None:
    folder = make_run(prompts=1)
    content = store.read_sealed(folder / records.RUN_FILE)
    store.write_sealed(folder / records.RUN_FILE, {**content, "extra": 1})
    with pytest.raises(ValueError, match="field 'extra'"):
        records.read_header(folder)


def test_a_newer_schema_is_refused_by_name_whatever_it_looks_like(make_run: MakeRun) -> None:
    folder = make_run(prompts=1)
    newer = json.dumps({"schema_version": records.SCHEMA_VERSION + 1, "everything": "else"})
    (folder / records.RUN_FILE).write_text(newer, encoding="utf-8")
    with pytest.raises(ValueError, match=r"schema version 2, this ltx2-eval reads up to 1; install a newer"):
        records.read_run(folder)


@pytest.mark.parametrize("version", [0, -1, "1", 1.5, None])
def test_a_version_that_never_was_is_refused(make_run: MakeRun, version: object) -> None:
    folder = make_run(prompts=1)
    content = store.read_sealed(folder / records.RUN_FILE)
    store.write_sealed(folder / records.RUN_FILE, {**content, "schema_version": version})
    with pytest.raises(ValueError, match=r"run\.json: field 'schema_version'"):
        records.read_header(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"x"', "\ufeff{}", "[" * 100_000])
def test_a_header_that_is_no_header_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / records.RUN_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"run\.json: "):
        records.read_run(tmp_path)


def test_a_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is not a run folder: it has no run\.json"):
        records.read_run(tmp_path)
    with pytest.raises(ValueError, match="is not a run folder"):
        records.read_run(tmp_path / "absent")


def test_there_is_a_value_or_a_reason_never_both_or_neither(factory: ModuleType) -> None:
    reason = records.Reason(kind="abstained", message="silence")
    with pytest.raises(ValidationError, match="either a value or a reason"):
        records.ValueRecord(sample="a", metric="m", protocol="0", value=None)
    with pytest.raises(ValidationError, match="either a value or a reason"):
        records.ValueRecord(sample="a", metric="m", protocol="0", value=1.0, reason=reason)
    with pytest.raises(ValidationError, match="either a file or a reason"):
        records.ClipRecord(sample="a", prompt_id="a", seed=0, file=None, sha256=None)
    how = factory.protocol("m")
    with pytest.raises(ValidationError, match="the protocol's identity is"):
        records.ProtocolRecord(id="0" * 12, metric=factory.metric_spec("m"), protocol=how)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_no_number_that_is_not_finite_fits_anywhere(value: float) -> None:
    known = {"sample": "a", "metric": "m", "protocol": "0"}
    for field in ({"value": value}, {"value": 1.0, "details": {"x": value}}, {"value": 1.0, "replicates": (value,)}):
        with pytest.raises(ValidationError, match="finite"):
            records.ValueRecord.model_validate({**known, **field})


def test_every_field_of_a_protocol_changes_its_identity_and_is_named(factory: ModuleType) -> None:
    base = factory.protocol("m", extractor="i3d", weights_sha256="ab" * 32, n=12)
    assert base.signature == f"m|i3d@abab|all|mean|suite:smoke@1#abcdefabcdef|n12|v1 #{base.identity}"
    changed = {"metric_version": 2, "extractor_version": 2, "n": 13}
    changed |= {"settings": {"threshold": 0.5}, "libraries": {"torch": "3"}}
    for field in records.Protocol.model_fields:
        other = base.model_copy(update={field: changed.get(field, "other")})
        assert other.identity != base.identity
        assert [sentence.split(":")[0] for sentence in base.difference(other)] == [field]


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.one_of(text, st.integers(-(2**70), 2**70), numbers, st.booleans(), st.none())
tables = st.dictionaries(text, scalars, max_size=4)
reasons = st.builds(
    records.Reason, kind=st.sampled_from(["failed", "abstained", "too_few"]), message=text, stage=st.none() | text
)
stages = st.builds(records.Stage, name=text, seconds=numbers, peak_bytes=st.none() | st.integers())
clips = st.builds(
    records.ClipRecord,
    sample=text,
    prompt_id=text,
    seed=st.integers(),
    file=text,
    sha256=st.none() | text,
    stages=st.lists(st.builds(records.Stage, name=text, seconds=numbers, peak_bytes=st.none() | st.integers())).map(
        tuple
    ),
    details=tables,
    reason=st.none(),
)
values = st.builds(
    records.ValueRecord,
    sample=st.none() | text,
    metric=st.just("m"),
    value=numbers,
    reason=st.none(),
    details=tables,
    replicates=st.lists(numbers, max_size=4).map(tuple),
    warnings=st.lists(text, max_size=2).map(tuple),
)
missing = st.builds(records.ValueRecord, sample=text, metric=st.just("m"), value=st.none(), reason=reasons)


def _store(folder: Path, head: records.RunHeader, lines: list[Any]) -> None:
    records.write_header(folder, head)
    with records.open_journal(folder) as journal:
        for line in lines:
            records.append(journal, line)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(lines=st.lists(st.one_of(clips, values, missing), max_size=5), setting=tables, name=text)
def test_write_read_write_is_the_identity(
    tmp_path_factory: pytest.TempPathFactory, factory: ModuleType, lines: list[Any], setting: dict[str, Any], name: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "identity"
    shutil.rmtree(folder, ignore_errors=True)
    head = factory.header(name, prompts=1, prompt=name)
    how = factory.protocol("m", settings=setting)
    stored = [records.ProtocolRecord(id=how.identity, metric=factory.metric_spec("m"), protocol=how)]
    stored += [line.model_copy(update={"protocol": how.identity}) if line.kind == "value" else line for line in lines]
    for turn in ("first", "second"):
        with patch("os.fsync"):
            _store(folder / turn, head, stored)
        head = records.read_header(folder / turn)
        stored = list(records._read_records(folder / turn / records.RECORDS_FILE))
    for file in (records.RUN_FILE, records.RECORDS_FILE):
        assert (folder / "first" / file).read_bytes() == (folder / "second" / file).read_bytes()


def test_the_stored_run_of_schema_version_1_is_readable() -> None:
    run = records.read_run(GOLDEN / "run-v1")
    assert run.header.schema_version == 1
    assert run.header.spec.system == "nano"
    assert [clip.sample for clip in run.clips.values() if clip.reason] == ["p001-s1"]
    assert {metric for _, metric in run.values} == {"sharpness", "fvd", "clip_score"}
    assert run.values[None, "fvd"].value == 312.5
    assert run.values[None, "fvd"].replicates == (310.0, 315.5)
    reason = run.values[None, "clip_score"].reason
    assert reason is not None
    assert reason.kind == "not_available"
    assert len(run.protocols) == 3
    for identity, line in run.protocols.items():
        assert line.protocol.identity == identity
