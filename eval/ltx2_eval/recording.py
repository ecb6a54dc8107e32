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
        """Record a value, and before it its protocol where the journal does not have it yet."""
        assert record.protocol == protocol.identity
        if record.protocol not in self.run.protocols:
            line = ProtocolRecord(id=record.protocol, metric=metric, protocol=protocol)
            append(self.journal, line)
            self.run.protocols[line.id] = line
        append(self.journal, record)
        self.run.values[(record.sample, record.metric)] = record


@contextmanager
def recording(folder: Path, spec: RunSpec, environment: Environment) -> Iterator[Recorder]:
    """Open a run folder for writing, new or to be resumed; status ends as done, cancelled or failed.

    Raises:
        ValueError: the folder holds another run (the differing fields are named), is damaged, of a newer schema, being
            written by another process, or full of other files.
    """
    _refuse_foreign_folder(folder)
    make_folder(folder)
    with open_journal(folder) as journal:
        sweep(folder)
        header = _resumed_header(folder, spec, environment)
        write_header(folder, header)
        recorder = Recorder(run=read_run(folder), journal=journal)
        try:
            yield recorder
        except KeyboardInterrupt:
            write_header(folder, _with_status(recorder, "cancelled"))
            raise
        except BaseException:
            _try_to_mark_failed(recorder)
            raise
        write_header(folder, _with_status(recorder, "done"))


def reopened(folder: Path, environment: Environment) -> tuple[RunSpec, Environment]:
    """Spec and first environment of an existing run, for adding scores to it."""
    header = read_header(folder)
    return header.spec, header.environment or environment


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


def _resumed_header(folder: Path, spec: RunSpec, environment: Environment) -> RunHeader:
    if not (folder / RUN_FILE).exists():
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return RunHeader(
            schema_version=SCHEMA_VERSION,
            status="started",
            created_at=now,
            spec=spec,
            environment=environment,
            weights={},
        )
    header = read_header(folder)
    if header.spec != spec:
        raise ValueError(
            f"{folder} holds a run of another spec: {_differences(header.spec, spec)}; choose another --out"
        )
    return header.model_copy(update={"status": "started"})


def _differences(old: RunSpec, new: RunSpec) -> str:
    mine, theirs = old.model_dump(mode="json"), new.model_dump(mode="json")
    changed = [key for key in mine if mine[key] != theirs[key]]
    return "; ".join(f"{key} was {_short(mine[key])}, now {_short(theirs[key])}" for key in changed)


def _short(value: object, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "…"


def _with_status(recorder: Recorder, status: str) -> RunHeader:
    used = {
        record.protocol.extractor: record.protocol.weights_sha256
        for record in recorder.run.protocols.values()
        if record.protocol.extractor and record.protocol.weights_sha256
    }
    return recorder.run.header.model_copy(update={"status": status, "weights": used})


def _try_to_mark_failed(recorder: Recorder) -> None:
    try:
        write_header(recorder.folder, _with_status(recorder, "failed"))
    except OSError:
        # The disk may be what failed; the status then stays "started", which says as much.
        return
