"""What `validate` found: which metrics saw the degradations they must see and no others. The file that `gate` obeys."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from ltx2_reports.records import Direction, Record
from ltx2_reports.store import DamagedError, atomic_write, strict_json

VALIDATION_FILE = "validation.json"
VALIDATION_SCHEMA = 1
IDENTIFYING = (
    "metric_version",
    "extractor",
    "extractor_version",
    "weights_sha256",
    "preprocessing",
    "sampling",
    "settings",
)
"""Fields of a protocol that make it another metric; suite, reference and n are those of each use."""

Verdict = Literal["may gate", "report only"]
Expected = Literal["rises", "falls", "away", "follows", "still", "exactly still", "shown"]
"""Of the value with growing severity: rises, falls, moves away from 0; follows the signed level; does not move beyond
noise; does not move at all; or nothing is expected and the course is only shown."""


class Point(Record):
    """One level of one degradation, over the clips that have a value both clean and degraded."""

    level: float
    n: int
    """Clips; of a set metric, clips in the set."""
    missing: int
    """Clips with a value when clean and none at this level."""
    value: float | None = None
    """Mean over clips, or the set's value."""
    difference: float | None = None
    """From the clean value, paired."""
    low: float | None = None
    high: float | None = None
    """95 % interval of the difference."""
    error: float | None = None
    """Standard error of the difference."""
    pairs: int = 0
    """Clips, or disjoint groups of clips of a set metric, that were compared clean against degraded."""
    accuracy: float | None = None
    """Share of pairs in which the degraded side lies where it is expected; ties count half."""
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    """Wilson's 95 % interval."""


class Trial(Record):
    """One metric against one degradation."""

    degradation: str
    expected: Expected
    points: tuple[Point, ...]
    rank_correlation: float | None = None
    """Spearman's, of severity (or signed level) and mean difference, the clean clip included."""
    slope: float | None = None
    """Least squares over all clips, change of the value per unit of the level."""
    slope_low: float | None = None
    slope_high: float | None = None
    slope_expected: float | None = None
    tolerance: float | None = None
    """Largest difference that still counts as still."""
    held: bool | None
    """Whether it went as expected; null where nothing was or could be."""
    why: str


class MetricValidation(Record):
    """All that was found of one metric."""

    verdict: Verdict
    why: str
    protocol: str
    """Identity under which its values were computed (12 hex digits)."""
    protocol_fields: dict[str, Any]
    """The same, spelt out: suite, reference and n are those of the validation."""
    title: str
    unit: str
    direction: Direction
    level: Literal["clip", "set"]
    n: int
    """Clips with a value when clean."""
    clean: float | None
    derived: bool
    """Whether what is expected follows from the kind of metric instead of being stated for this one."""
    trials: tuple[Trial, ...]

    @property
    def untested(self) -> tuple[str, ...]:
        """What must leave it still, and had too few clips to tell."""
        return tuple(t.degradation for t in self.trials if t.held is None and t.expected in ("still", "exactly still"))

    @property
    def judgement(self) -> str:
        """The verdict with what it leaves open."""
        open_ = self.untested if self.verdict == "may gate" else ()
        return f"{self.verdict}, not tested for {', '.join(open_)}" if open_ else self.verdict


class DegradationRef(Record):
    """What was done to the clips."""

    title: str
    unit: str
    what: str
    levels: tuple[float, ...]
    clean: float | None
    two_sided: bool


class Validation(Record):
    """The whole of `validation.json`."""

    schema_version: int = Field(alias="schema", default=VALIDATION_SCHEMA)
    source: str
    source_sha256: str
    clips: int
    unusable: dict[str, str]
    """Clips that could not be loaded, and why."""
    reference: str | None
    version: str
    """Of this package."""
    brief: bool = False
    """Whether each course was followed by its mildest and strongest levels alone."""
    degradations: dict[str, DegradationRef]
    metrics: dict[str, MetricValidation]
    left_out: dict[str, str]
    """Metrics that degraded clips say nothing about, and why; no verdict is given on them."""


def write_validation(validation: Validation, folder: Path) -> Path:
    """Write `validation.json`, atomically; return its path."""
    path = folder / VALIDATION_FILE
    atomic_write(path, strict_json(validation.model_dump(mode="json", by_alias=True), indent=1) + "\n")
    return path


def read_verdicts(paths: Iterable[Path]) -> dict[str, MetricValidation]:
    """What several files say of each metric.

    Of two verdicts on one version of a metric the worse counts, whichever file is named first: a brief validation lifts
    no ban. Of two versions the later file's counts.

    Raises:
        DamagedError: as `read_validation`.
        OSError: there is no such file.
    """
    found: dict[str, MetricValidation] = {}
    for path in paths:
        for name, verdict in read_validation(path).metrics.items():
            known = found.get(name)
            banned = known is not None and known.verdict == "report only" and verdict.verdict == "may gate"
            if known is None or not banned or version_of(known.protocol_fields) != version_of(verdict.protocol_fields):
                found[name] = verdict
    return found


def version_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What of a protocol makes a metric another one."""
    return {name: fields.get(name) for name in IDENTIFYING}


def brief_notes(paths: Iterable[Path]) -> list[str]:
    """One sentence for each file whose courses were followed by their ends alone.

    Raises:
        DamagedError, OSError: as `read_validation`.
    """
    return [
        f"{path}: a brief validation, by the mildest and strongest level of each degradation alone"
        for path in paths
        if read_validation(path).brief
    ]


def read_validation(path: Path) -> Validation:
    """Read `validation.json`, given it or its folder.

    Raises:
        DamagedError: it is not JSON, of a newer schema, or lacks a field; says which.
        OSError: there is no such file.
    """
    file = path / VALIDATION_FILE if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{file}: not JSON ({error}); make it again with `ltx2-eval validate`") from error
    found = content.get("schema") if isinstance(content, dict) else None
    if found != VALIDATION_SCHEMA:
        raise DamagedError(
            f"{file}: schema {found!r}, this version reads {VALIDATION_SCHEMA}; make it again with `ltx2-eval validate`"
        )
    try:
        return Validation.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DamagedError(f"{file}: field {where}: {first['msg']}; make it again with `ltx2-eval validate`") from error
