"""A run folder that is being written: opened, resumed, locked, and closed with a truthful status."""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ltx2_reports.records import (
    RECORDS_FILE,
    RUN_FILE,
    SCHEMA_VERSION,
    ClipRecord,
    Environment,
    MetricSpec,
    Protocol,
    ProtocolRecord,
    Record,
    Run,
    RunHeader,
    RunSpec,
    ValueRecord,
    append,
    open_journal,
    read_header,
    read_run,
    write_header,
)
from ltx2_reports.store import Journal, make_folder, sweep


@dataclass(kw_only=True, slots=True)
class Recorder:
    """The run so far and the journal it grows by."""

    run: Run
    journal: Journal

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.run.folder

    def add_clip(self, record: ClipRecord) -> None:
        """Record a sample, durably."""
        append(self.journal, record)
        self.run.clips[record.sample] = record

    def add_value(self, record: ValueRecord, protocol: Protocol, metric: MetricSpec) -> None:
        """Record a value, and before it its protocol where the journal does not have it yet.

        Nothing is written that says nothing new; and a value that was measured once is never superseded by the news
        that today its weights or its reference are not at hand.
        """
        assert record.protocol == protocol.identity
        known = self.run.values.get((record.sample, record.metric))
        if known == record or (known is not None and known.value is not None and _is_not_available(record)):
            return
        if record.protocol not in self.run.protocols:
            line = ProtocolRecord(id=record.protocol, metric=metric, protocol=protocol)
            append(self.journal, line)
            self.run.protocols[line.id] = line
        append(self.journal, record)
        self.run.values[(record.sample, record.metric)] = record


def _is_not_available(record: ValueRecord) -> bool:
    return record.reason is not None and record.reason.kind == "not_available"


@contextmanager
def recording(
    folder: Path, spec: RunSpec, environment: Environment, planned: frozenset[str] = frozenset()
) -> Iterator[Recorder]:
    """Open a run folder for writing, new or to be resumed; status ends as done, cancelled or failed.

    Args:
        folder: Of the run; made if absent.
        spec: What is asked; must equal that of a run that is resumed.
        environment: Of this process. A run keeps the one its clips were made in.
        planned: Samples that are going to be made here where they are missing; then the environment must be that of
            the clips that are there, since timings of two machines must not stand under one name.

    Raises:
        ValueError: the folder holds another run (the differing fields are named), is damaged, of a newer schema, being
            written by another process, or full of other files.
    """
    _refuse_foreign_folder(folder)
    make_folder(folder)
    with open_journal(folder) as journal:
        sweep(folder)
        header = _resumed_header(folder, spec, environment, planned)
        write_header(folder, header)
        recorder = Recorder(run=read_run(folder), journal=journal)
        try:
            yield recorder
        except Exception:
            _try_to_mark(recorder, "failed")
            raise
        except BaseException:  # asked to stop: Ctrl-C, a signal, the interpreter's end
            _try_to_mark(recorder, "cancelled")
            raise
        write_header(folder, _with_status(recorder, "done"))


def _refuse_foreign_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; choose another --out")
    if folder.is_dir() and not (folder / RUN_FILE).exists():
        others = [item.name for item in folder.iterdir() if item.name not in {RECORDS_FILE, "clips", "features"}]
        others = [name for name in others if not name.startswith(".")]
        if others:
            raise ValueError(
                f"{folder} holds other files ({others[0]}, ...) and is no run folder; choose another --out"
            )


def _resumed_header(folder: Path, spec: RunSpec, environment: Environment, planned: frozenset[str]) -> RunHeader:
    if not (folder / RUN_FILE).exists():
        return _new_header(spec, environment)
    header = read_header(folder)
    if header.spec != spec:
        changed = _differences(header.spec, spec)
        raise ValueError(f"{folder} holds a run of another spec: {changed}; choose another --out")
    made = {clip.sample for clip in read_run(folder).clips.values() if clip.file is not None}
    changed = _differences(_timed(header.environment), _timed(environment))
    if made and planned - made and changed:
        raise ValueError(f"{folder} was begun elsewhere: {changed}; finish it there, or choose another --out")
    return header.model_copy(update={"status": "started", "environment": header.environment if made else environment})


def _new_header(spec: RunSpec, environment: Environment) -> RunHeader:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return RunHeader(
        schema_version=SCHEMA_VERSION, status="started", created_at=now, spec=spec, environment=environment, weights={}
    )


def _timed(environment: Environment) -> Environment:
    """What decides how long work takes and what it gives; the rest may change under a run."""
    versions = {name: version for name, version in environment.packages.items() if name in ("torch", "ltx2-eval")}
    return environment.model_copy(update={"packages": versions, "python": "", "platform": "", "git": None})


def _differences(old: Record, new: Record) -> str:
    return "; ".join(_changes("", old.model_dump(mode="json"), new.model_dump(mode="json")))


def _changes(name: str, old: object, new: object) -> Iterator[str]:
    """What differs, by name, down to the entries of dictionaries: whole ones would be cut before the difference."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        if old != new:
            yield f"{name} was {_short(old)}, now {_short(new)}"
        return
    for key in dict.fromkeys((*old, *new)):
        yield from _changes(f"{name}.{key}" if name else key, old.get(key), new.get(key))


def _short(value: object, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "…"


def _with_status(recorder: Recorder, status: str) -> RunHeader:
    with_value = {value.protocol for value in recorder.run.values.values() if value.value is not None}
    protocols = [recorder.run.protocols[identity].protocol for identity in sorted(with_value)]
    used = {p.extractor: p.weights_sha256 for p in protocols if p.extractor and p.weights_sha256}
    return recorder.run.header.model_copy(update={"status": status, "weights": used})


def _try_to_mark(recorder: Recorder, status: str) -> None:
    try:
        write_header(recorder.folder, _with_status(recorder, status))
    except OSError:
        # The disk may be what failed; the status then stays "started", which says as much.
        return
