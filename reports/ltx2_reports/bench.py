"""Records of speed: what was measured, on what, every timing, and whether the result is to be believed.

A bench folder holds `bench.jsonl`, append-only: one line per case that was measured, estimated, or could not be run.
Running again into the same folder appends, so that the file is also the history that a regression is judged against.
"""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from ltx2_reports.records import Reason, Record, Scalar
from ltx2_reports.store import DamagedError, Journal, canonical_hash, read_journal

BENCH_FILE = "bench.jsonl"
BENCH_SCHEMA_VERSION = 1
Role = Literal["alone", "a", "b"]


class BenchCase(Record):
    """What one record measures. Equal cases on one device may be compared."""

    model: str
    """As named on the command line, settings included: `ltx2:19b@guidance=ltx2-default`."""
    measure: Literal["step", "clip"]
    """One sampling step with all its passes, or a whole clip from prompt to waveform."""
    width: int
    height: int
    frames: int
    fps: float
    steps: int
    """Sampling steps of a clip; 1 for a step."""
    dtype: str
    batch: int
    """Samples at a time."""
    weights: Literal["random", "checkpoint"]

    @property
    def name(self) -> str:
        """Readable and unique: `ltx2:nano 96x96x49 step float32 b1`."""
        what = self.measure if self.measure == "step" else f"clip of {self.steps} steps"
        rate = "" if self.fps == 24 else f"@{self.fps:g}"
        return f"{self.model} {self.width}x{self.height}x{self.frames}{rate} {what} {self.dtype} b{self.batch}"


class BenchEstimate(Record):
    """What follows from the sizes alone, without running anything."""

    parameters: int
    """Of the transformer."""
    tokens: dict[str, int]
    """Lengths of its sequences: video, audio, text; those a model lacks are absent."""
    flops_per_forward: int
    """One pass of one sample, text projections included."""
    linear_flops: int
    """Of it, in linear layers."""
    attention_flops: int
    """Of it, in the products of attention."""
    flops: int
    """Of the timed unit: all passes of the step, or all stages of the clip that are counted, for the whole batch."""
    parts: dict[str, int]
    """FLOPs per forward by part."""
    weight_bytes: int
    traffic_bytes: int
    """Bytes that one forward must move: weights once, activations between layers."""
    memory_bytes: int
    """Need on the device at the busiest moment of the timed unit, estimated: weights and activations."""
    roofline_seconds: float | None = None
    """Of the timed unit on `roofline_gpu`, at best: the larger of FLOPs over peak and bytes over bandwidth."""
    roofline_gpu: str | None = None
    roofline_bound: Literal["compute", "memory"] | None = None
    roofline_fits: bool | None = None
    """Whether `memory_bytes` is within what that GPU's driver reports."""


class BenchDevice(Record):
    """Where it was measured."""

    kind: str
    """cpu, cuda or meta."""
    name: str
    driver: str | None = None
    memory_bytes: int | None = None
    cores: int | None = None
    """CPU: cores that the process may use."""
    threads: int | None = None
    attention: str | None = None
    """Which kernels scaled-dot-product attention may choose from."""
    clock_mhz: float | None = None
    """While the timed calls ran: on a GPU the median of samples, on a CPU the mean of its cores at the end."""
    clock_low_mhz: float | None = None
    """On a GPU, the lowest tenth of the samples."""
    max_clock_mhz: float | None = None
    throttling: str | None = None
    """Reasons for a lower clock that the driver gave while the timed calls ran; empty: none; null: could not be read.
    A power limit is among them: dense products of matrices reach it on a sound GPU."""
    packages: dict[str, str] = Field(default_factory=dict)

    @property
    def key(self) -> str:
        """Equal where timings may be compared: same hardware, same number of threads."""
        return canonical_hash([self.kind, self.name, self.threads])[:12]


class BenchEnergy(Record):
    """Mean energy of one timed unit; warm-up is not in it, what the device takes between two calls is."""

    joules: float | None
    source: str | None = None
    reason: str | None = None
    """Why there is no figure."""


class BenchVerdict(Record):
    """Whether the timings are to be believed."""

    valid: bool
    reasons: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    """What could not be checked, each with why; a valid result with such has been believed in part."""

    @model_validator(mode="after")
    def _reasons_where_invalid(self) -> Self:
        if self.valid == bool(self.reasons):
            raise ValueError("expected reasons exactly where the result is not valid")
        return self


class BenchTiming(Record):
    """All timings of a case."""

    seconds: tuple[float, ...]
    """Per timed unit, in the order they were taken."""
    rounds: tuple[int, ...] = ()
    """Interleaved runs: which round each belongs to, so that a and b of one round are a pair."""
    cold_s: float
    """The first call of all."""
    warmup: int
    """Untimed calls before, the cold one included."""
    median_s: float
    quartile_low_s: float
    quartile_high_s: float
    stages_s: dict[str, float] = Field(default_factory=dict)
    """Clips: median seconds of each stage."""
    device_peak_bytes: int | None = None
    host_peak_bytes: int | None = None
    """Highest resident memory of the process so far: later cases inherit that of earlier ones."""
    energy: BenchEnergy | None = None
    flops_per_s: float | None = None
    """Achieved."""
    peak_flops_per_s: float | None = None
    """Of a large matrix product on the same device and dtype, measured in the same process."""
    utilisation: float | None = None
    """Achieved over peak."""
    error: float | None = None
    """Relative distance of the output from that of the reference model (root of mean squares)."""


class BenchRecord(Record):
    """One case on one device: estimate, timing and verdict, or why there is no timing."""

    kind: Literal["bench"] = "bench"
    schema_version: Literal[1] = 1
    created_at: str
    """ISO 8601, UTC."""
    recipe: str | None = None
    label: str | None = None
    """The recipe's name of the size."""
    role: Role = "alone"
    """a and b: the two sides of an interleaved comparison."""
    session: str
    """Equal for the records of one invocation."""
    case: BenchCase
    device: BenchDevice
    estimate: BenchEstimate | None = None
    timing: BenchTiming | None = None
    verdict: BenchVerdict | None = None
    reason: Reason | None = None
    """Why there is no timing: only estimated, does not fit, out of memory, failed."""
    details: dict[str, Scalar] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _timing_or_reason(self) -> Self:
        if (self.timing is None) != (self.reason is not None) or (self.timing is None) != (self.verdict is None):
            raise ValueError("expected a timing with its verdict, or a reason why there is none")
        return self


def append_bench(journal: Journal, record: BenchRecord) -> None:
    """Append one record, durably."""
    journal.append(record.model_dump(mode="json"))


def open_bench(folder: Path) -> Journal:
    """Open the journal of a bench folder; only one process at a time may."""
    return Journal(folder / BENCH_FILE)


def is_bench(folder: Path) -> bool:
    """Whether a folder holds bench records."""
    return (folder / BENCH_FILE).is_file()


def read_bench(folder: Path) -> list[BenchRecord]:
    """All records of a bench folder, oldest first.

    Raises:
        DamagedError: changed after it was written (file and line named), or of a newer schema.
        ValueError: no bench folder.
    """
    path = folder / BENCH_FILE
    if not path.is_file():
        raise ValueError(f"{folder} holds no {BENCH_FILE}; bench records are made by `ltx2-eval bench --out {folder}`")
    return [_validated(fields, f"{path} line {number}") for number, fields in read_journal(path)]


def _validated(fields: dict[str, Any], where: str) -> BenchRecord:
    version = fields.get("schema_version")
    if isinstance(version, int) and version > BENCH_SCHEMA_VERSION:
        raise DamagedError(
            f"{where}: schema version {version}, this ltx2-eval reads up to {BENCH_SCHEMA_VERSION}; install a newer one"
        )
    try:
        return BenchRecord.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise DamagedError(f"{where}: field '{field}': {first['msg']}; the file is damaged or not ours") from error


def sessions(records: Iterable[BenchRecord]) -> dict[str, list[BenchRecord]]:
    """Records by invocation, oldest first."""
    found: dict[str, list[BenchRecord]] = {}
    for record in records:
        found.setdefault(record.session, []).append(record)
    return found


def comparable(record: BenchRecord, history: Iterable[BenchRecord]) -> list[BenchRecord]:
    """Valid records of the same case on the same device that are older than `record`, oldest first."""
    return [
        other
        for other in history
        if other.session != record.session
        and other.created_at <= record.created_at
        and other.case == record.case
        and other.device.key == record.device.key
        and other.timing is not None
        and other.verdict is not None
        and other.verdict.valid
    ]


def rolling_median(record: BenchRecord, history: Sequence[BenchRecord], window: int = 9) -> float | None:
    """Median of the medians of the last `window` comparable records; None where there is none."""
    medians = [other.timing.median_s for other in comparable(record, history)[-window:] if other.timing is not None]
    return statistics.median(medians) if medians else None
