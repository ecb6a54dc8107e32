"""The result schema, the only one: what a run folder holds, how it is written, how it is read.

A run folder is one system on one suite: `run.json` (what was asked, with which versions), `records.jsonl` (append-only:
one line per clip, per value, per protocol), `clips/`, `features/`, and files derived from these that can be rebuilt at
any time. A value that does not exist is null with a reason; there is no sentinel.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError, model_validator

from ltx2_reports.store import LINE_END, DamagedError, Journal, canonical_hash, read_journal, read_sealed, write_sealed

SCHEMA_VERSION: Final = 1
RUN_FILE = "run.json"
RECORDS_FILE = "records.jsonl"
CLIPS_FOLDER = "clips"
FEATURES_FOLDER = "features"
LATENTS_FOLDER = "latents"

T = TypeVar("T")

Scalar = str | int | float | bool | None
Direction = Literal["up", "down", "zero", "none"]
ReasonKind = Literal["not_available", "not_applicable", "abstained", "too_few", "failed"]


class Record(BaseModel):
    """Base of everything stored: unknown fields and numbers that are not finite are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Reason(Record):
    """Why there is no clip or no value."""

    kind: ReasonKind
    """not_available: weights or packages are missing. not_applicable: the clip lacks a stream or a prompt.
    abstained: the metric looked and declines to answer. too_few: the set is too small. failed: an exception."""
    message: str
    """One sentence for people: what was found, what was expected, what to do."""
    stage: str | None = None
    """generate, write, decode, features, metric: where it happened."""
    error: str | None = None
    """Class of the exception, if there was one."""


class MetricSpec(Record):
    """What a metric is; travels with its values so that tables need no other source."""

    id: str
    version: int
    """Raised at each change of meaning."""
    title: str
    unit: str
    """Unit of the value, '' for pure numbers."""
    direction: Direction
    """up: larger is better; down: smaller; zero: closer to zero; none: descriptive."""
    range: tuple[float | None, float | None]
    """Lowest and highest possible value; null: unbounded."""
    level: Literal["clip", "set"]
    needs: tuple[Literal["video", "audio", "prompt", "reference", "speech", "runtime"], ...]
    least_n: int
    """Below this many clips (set metrics: per side) the value carries a warning."""
    source: str
    """Paper or repository and section."""
    code_licence: str
    weight_licence: str | None
    cannot_see: str
    """What the metric is blind to, one sentence."""


class Protocol(Record):
    """Everything that can change a value. Two values may share a table column only if their protocols are equal."""

    metric: str
    metric_version: int
    extractor: str | None
    extractor_version: int | None
    weights_sha256: str | None
    preprocessing: str | None
    """Id of resize, crop, resampling and normalisation."""
    decoder: str
    sampling: str | None
    """Which frames or windows of a clip are used."""
    aggregation: str
    """From windows to clip, and from clips to the value."""
    reference: str | None
    """`name#hash` of the reference set."""
    suite: str
    """`name@version#hash` of the prompts."""
    n: int | None
    """Clips in the set; null for clip metrics, whose n is counted when they are averaged."""
    settings: dict[str, Scalar]
    """What is left: thresholds, kernel, device of a timing, ..."""
    arithmetic: str | None = None
    """Device kind and precision of the features; null: on the CPU in float32, or no features."""
    libraries: dict[str, str] | None = None
    """What the libraries do that a value goes through: the name of a behaviour that was tested, or a version. Null:
    not recorded, as in early records."""
    text: str | None = None
    """Which text of the prompts a clip is compared with: said apart, or cut out of the prompt. Null: none, or not
    recorded."""

    @property
    def identity(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical form."""
        return canonical_hash(self._content())[:12]

    @property
    def signature(self) -> str:
        """Readable short form ending in `#identity`, in the spirit of sacreBLEU's signatures."""
        extractor = f"{self.extractor}@{(self.weights_sha256 or '-')[:4]}" if self.extractor else None
        parts = (self.metric, extractor, self.sampling, self.aggregation, f"suite:{self.suite}")
        tail = (f"ref:{self.reference}" if self.reference else None, f"n{self.n}" if self.n is not None else None)
        return "|".join(part for part in (*parts, *tail, f"v{self.metric_version}") if part) + f" #{self.identity}"

    def difference(self, other: "Protocol") -> list[str]:
        """Sentences naming each field in which two protocols differ."""
        mine, theirs = self._content(), other._content()
        changed = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
        return [f"{key}: {_told(key, self)} and {_told(key, other)}" for key in changed]

    def _content(self) -> dict[str, Any]:
        """All fields; of suite and reference only the hash, since a copy under another name is the same set.

        What older records do not have counts only where it is set: their identities stay.
        """
        content = self.model_dump(mode="json")
        for key in _ADDED:
            if not content[key]:
                del content[key]
        for key in ("suite", "reference"):
            if content[key] is not None:
                content[key] = content[key].rpartition("#")[2]
        return content


_ADDED = ("arithmetic", "libraries", "text")
"""Fields of a protocol that the earliest records do not have."""


def _told(key: str, protocol: Protocol) -> str:
    found = getattr(protocol, key)
    return "not recorded" if found is None and key in ("libraries", "text") else repr(found)


class Stage(Record):
    """Cost of one stage of making a clip."""

    name: str
    seconds: float
    peak_bytes: int | None
    """Peak memory while the stage ran; null where it cannot be measured."""
    step_s: tuple[float, ...] = ()
    """Stages that sample: seconds of each step."""
    flops: int | None = None
    """Floating-point operations, a multiply and an add counted as two; null where they are not known."""
    joules: float | None = None
    """Energy of the device; null where it cannot be read, or the stage was too short for its samples."""


class Ledger(Record):
    """What a clip cost. What could not be measured is null; for energy and FLOPs a reason stands beside."""

    cold: bool
    """The first clip of its process, which also pays for allocations and for choosing kernels."""
    load_s: float | None = None
    """Cold clips: seconds of loading the weights, which the stages do not hold."""
    seconds: float
    """All stages of the model; writing the file is not among them."""
    seconds_per_step: float | None = None
    """Median over the sampling steps of the first stage that has any."""
    real_time_factor: float | None = None
    """Seconds of clip per second of work."""
    clips_per_hour: float | None = None
    device_peak_bytes: int | None = None
    """Largest peak of any stage."""
    host_peak_bytes: int | None = None
    """Highest resident memory of the process so far."""
    joules: float | None = None
    """While the stages ran; loading the weights is not in it."""
    joules_source: str | None = None
    joules_reason: str | None = None
    flops: int | None = None
    """Of the stages whose FLOPs are known."""
    flops_reason: str | None = None
    flops_per_s: float | None = None
    """Over the seconds of the stages whose FLOPs are known."""
    peak_flops_per_s: float | None = None
    """Of a large matrix product on the same device and dtype, measured in the same process."""
    utilisation: float | None = None
    """Share of that peak."""
    device: str | None = None
    driver: str | None = None
    dtype: str | None = None
    attention: str | None = None
    clock_mhz: float | None = None
    """While the clip was made: on a GPU the median of samples."""
    throttling: str | None = None
    """The driver's reasons for a lower clock; empty: none; null: could not be read."""


class ClipRecord(Record):
    """One sample (prompt, seed): the clip that was made, or why there is none."""

    kind: Literal["clip"] = "clip"
    sample: str
    """Id of the sample; the stem of its file."""
    prompt_id: str
    seed: int
    noise_seed: int | None = None
    """What the model was given as its seed; null where it takes none, or made the clip elsewhere."""
    file: str | None
    """Path of the clip, relative to the run folder (or absolute for clips scored where they lie)."""
    sha256: str | None
    stages: tuple[Stage, ...] = ()
    ledger: Ledger | None = None
    """What it cost; null where no model worked here."""
    details: dict[str, Scalar] = {}
    reason: Reason | None = None
    """Set exactly when there is no clip."""

    @model_validator(mode="after")
    def _clip_or_reason(self) -> Self:
        if (self.file is None) != (self.reason is not None):
            raise ValueError("expected either a file or a reason why there is none")
        return self


class ValueRecord(Record):
    """One value of one metric: of a clip, or (sample null) of the whole set."""

    kind: Literal["value"] = "value"
    sample: str | None
    metric: str
    protocol: str
    """Identity of a ProtocolRecord in the same journal."""
    value: float | None
    reason: Reason | None = None
    """Set exactly when value is null."""
    inputs_sha256: str | None = None
    """Set metrics: hash over the clips that went in; tells whether the value is still current."""
    left_out: dict[str, Reason] = {}
    """Set metrics: clips that could not take part, by sample, and why."""
    details: dict[str, Scalar] = {}
    replicates: tuple[float, ...] = ()
    """Set metrics: the value on prompts drawn with replacement; draw k uses the same prompts in every run."""
    warnings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _value_or_reason(self) -> Self:
        if (self.value is None) != (self.reason is not None):
            raise ValueError("expected either a value or a reason why there is none")
        return self


class ProtocolRecord(Record):
    """A protocol and its metric, written before the first value that names it."""

    kind: Literal["protocol"] = "protocol"
    id: str
    metric: MetricSpec
    protocol: Protocol

    @model_validator(mode="after")
    def _id_is_the_identity(self) -> Self:
        if self.id != self.protocol.identity:
            raise ValueError(f"found id {self.id!r}, the protocol's identity is {self.protocol.identity!r}")
        return self


class LineRef(Record):
    """A line that somebody says, as the suite has it."""

    speaker: str
    language: str
    """BCP-47 tag."""
    text: str


class PromptRef(Record):
    """A prompt as it was used."""

    id: str
    text: str
    category: str | None
    language: str | None
    visual_text: str | None
    """What is seen, where the suite says it apart."""
    audio_text: str | None
    """What is heard, where the suite says it apart."""
    world: dict[str, JsonValue] = {}
    """What the prompt promises exactly, for checkers that know its form; empty for most prompts."""
    speech: tuple[LineRef, ...] = ()
    """Lines that must be heard, where the suite says them apart."""
    num_speakers: int | None = None
    """How many people speak; 0: nobody; null: not said."""
    on_screen_text: tuple[str, ...] = ()
    """Texts that are seen and not spoken."""


class SuiteRef(Record):
    """Which prompts."""

    name: str
    version: str
    sha256: str
    licence: str | None

    @property
    def label(self) -> str:
        """`name@version#hash`, the form that protocols carry."""
        return f"{self.name}@{self.version}#{self.sha256[:12]}"


class ReferenceRef(Record):
    """The set that set metrics compare with."""

    name: str
    sha256: str
    """Over the hashes of its clips."""
    n: int

    @property
    def label(self) -> str:
        """`name#hash`, the form that protocols carry."""
        return f"{self.name}#{self.sha256[:12]}"


class ClipShape(Record):
    """What was asked of the model."""

    num_frames: int | None
    """Null: from each prompt's duration."""
    height: int
    width: int
    fps: str
    """Frames per second as a fraction, `24` or `30000/1001`."""


class RunSpec(Record):
    """What was asked; equal specs make runs that may resume each other."""

    system: str
    """Label in tables."""
    model: str
    """As named on the command line: `ltx2:nano`, `folder:PATH`, ..."""
    model_identity: dict[str, Scalar]
    """What decides the model's output: weights' hash, settings, device, dtype."""
    suite: SuiteRef
    prompts: tuple[PromptRef, ...]
    seeds: tuple[int, ...]
    clip: ClipShape | None
    """Null when clips are scored that were not made here."""
    container: str | None
    """`mp4` or `mkv`; null as above."""
    noise: Literal["prompt-seed", "none"] | None = None
    """prompt-seed: every prompt and seed has noise of its own, the same in every system. none: nothing is drawn.
    Null: not known, or (in early records) all prompts of a seed start from the same noise."""


class Environment(Record):
    """Where it ran."""

    packages: dict[str, str]
    python: str
    platform: str
    machine: str
    device: str
    threads: int
    git: str | None


class RunHeader(Record):
    """Content of `run.json`."""

    schema_version: Literal[1]
    status: Literal["started", "done", "cancelled", "failed"]
    created_at: str
    spec: RunSpec
    environment: Environment
    weights: dict[str, str]
    """SHA-256 of every weight file that had a part in a value."""


Line = Annotated[ClipRecord | ValueRecord | ProtocolRecord, Field(discriminator="kind")]
_HEADER = TypeAdapter(RunHeader)
_LINE: TypeAdapter[ClipRecord | ValueRecord | ProtocolRecord] = TypeAdapter(Line)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run folder as read: later lines about the same thing supersede earlier ones."""

    folder: Path
    header: RunHeader
    clips: dict[str, ClipRecord]
    values: dict[tuple[str | None, str], ValueRecord]
    protocols: dict[str, ProtocolRecord]

    def of_metric(self, metric: str) -> list[ValueRecord]:
        """Values of one metric, clips first in order of their ids."""
        chosen = [value for value in self.values.values() if value.metric == metric]
        return sorted(chosen, key=lambda value: (value.sample is None, value.sample or ""))


def write_header(folder: Path, header: RunHeader) -> None:
    """Write `run.json`, atomically."""
    write_sealed(folder / RUN_FILE, header.model_dump(mode="json"))


def read_header(folder: Path) -> RunHeader:
    """Read `run.json`.

    Raises:
        DamagedError: changed after it was written, incomplete, or of a newer schema.
        ValueError: absent.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        raise ValueError(f"{folder} is not a run folder: it has no {RUN_FILE}")
    _refuse_newer(path)
    return _validated(_HEADER, read_sealed(path), str(path))


def open_journal(folder: Path) -> Journal:
    """Open the run's journal for appending; only one process at a time may."""
    return Journal(folder / RECORDS_FILE)


def append(journal: Journal, record: ClipRecord | ValueRecord | ProtocolRecord) -> None:
    """Append one record, durably."""
    journal.append(record.model_dump(mode="json"))


def read_run(folder: Path) -> Run:
    """Read a whole run folder.

    Raises:
        DamagedError: changed after it was written (file and line named), or of a newer schema.
        ValueError: not a run folder.
    """
    header = read_header(folder)
    records = list(_read_records(folder / RECORDS_FILE))
    return Run(
        folder=folder,
        header=header,
        clips={record.sample: record for record in _only(ClipRecord, records)},
        values={(record.sample, record.metric): record for record in _only(ValueRecord, records)},
        protocols={record.id: record for record in _only(ProtocolRecord, records)},
    )


def ends_unfinished(folder: Path) -> bool:
    """Whether the journal ends in the beginning of a record, which `read_run` leaves out."""
    path = folder / RECORDS_FILE
    if not path.is_file() or not (size := path.stat().st_size):
        return False
    with path.open("rb") as file:
        file.seek(size - 1)
        return file.read(1) != LINE_END


def _read_records(path: Path) -> Iterator[ClipRecord | ValueRecord | ProtocolRecord]:
    protocols: dict[str, str] = {}
    for number, line in read_journal(path):
        record = _validated(_LINE, line, f"{path} line {number}")
        if isinstance(record, ProtocolRecord):
            protocols[record.id] = record.metric.id
        elif isinstance(record, ValueRecord) and protocols.get(record.protocol) != record.metric:
            raise DamagedError(
                f"{path} line {number}: no earlier line describes protocol {record.protocol!r} of metric "
                f"{record.metric!r}; the file is damaged or not ours"
            )
        yield record


def _only(kind: type[T], records: Iterable[Any]) -> list[T]:
    return [record for record in records if isinstance(record, kind)]


def _refuse_newer(path: Path) -> None:
    """Only the version is looked at, since a newer schema may differ in everything else."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return  # read_sealed says what is wrong
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise DamagedError(
            f"{path}: schema version {version}, this ltx2-eval reads up to {SCHEMA_VERSION}; install a newer ltx2-eval"
        )


def _validated(schema: TypeAdapter[T], content: Any, where: str) -> T:
    try:
        return schema.validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise DamagedError(f"{where}: field '{field}': {first['msg']}; the file is damaged or not ours") from error


def inputs_hash(clips: Iterable[ClipRecord]) -> str:
    """Hash over the clips that went into a set metric, whatever their order."""
    return canonical_hash(sorted([clip.sample, clip.sha256] for clip in clips))
