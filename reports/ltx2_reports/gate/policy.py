"""The policy of a gate: which metrics decide, what may be lost, and how sure one must be. A TOML file."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ltx2_benchmarks.nearest import unknown
from ltx2_reports.records import Protocol
from ltx2_reports.validation import IDENTIFYING, MetricValidation

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

POLICY_SCHEMA: Final = 1
NORMAL_FLOOR = 2.5758
"""A floor bounds a normal error with 99 % confidence: so many of its standard deviations."""
PolicyDirection = Literal["up", "down", "zero", "same"]
"""same: any change of the mean is a loss, for descriptive metrics such as loudness."""
Test = Literal["sign-flip", "t"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class MetricPolicy(_Strict):
    """What may be lost of one metric."""

    direction: PolicyDirection | None = None
    """None: the metric's own; required for metrics that have none."""
    relative: float = Field(default=0.0, ge=0)
    """Tolerated loss as a share of the baseline's value."""
    absolute: float = Field(default=0.0, ge=0)
    """Tolerated loss in the metric's unit."""
    margin: float | None = Field(default=None, gt=0)
    """Instead of the two: a margin that was stated in advance, in the metric's unit; passing is then the claim that the
    run is not worse by that much (with direction `same`: that it does not differ by that much)."""
    floor: float = Field(default=0.0, ge=0)
    """By how much repeated runs of one system differ for reasons that more prompts do not cure (99 % bound); from
    `gate calibrate`. Adds to the noise of every comparison."""
    test: Test = "sign-flip"
    constant: bool = False
    """From `gate calibrate`: no prompt differed between its runs. A policy of nothing else passes nothing."""
    despite_validation: bool = False
    """Gate by this metric even if validation says that it may only be reported."""

    @model_validator(mode="after")
    def _margin_stands_alone(self) -> Self:
        if self.margin is not None and (self.relative or self.absolute):
            raise ValueError("a margin stands alone; take out relative and absolute, or the margin")
        return self

    def tolerance(self, baseline: float) -> float:
        """The margin, or the larger of relative and absolute, in the metric's unit; where none is given, the floor.

        A floor above the other two does not widen them: it is noise, and what noise hides is undecided, not passed.
        """
        if self.margin is not None:
            return self.margin
        return max(self.relative * abs(baseline), self.absolute) or self.floor


class SpeedPolicy(_Strict):
    """How timings are judged: against earlier runs on the same device."""

    window: int = Field(default=5, ge=1)
    """The latest so many earlier runs; their median is the baseline."""
    least_records: int = Field(default=3, ge=2)
    """With fewer earlier runs nobody knows how much this device varies."""
    warm_up: int = Field(default=1, ge=0)
    """Clips at the beginning of a run whose timings do not count."""
    relative: float = Field(default=0.05, ge=0)
    """Tolerated slow-down of every case of a bench, as a share."""


class SamenessPolicy(_Strict):
    """For the same seeds and weights under other code: least cosine of any clip with its partner."""

    feature_cosine: float | None = Field(default=None, ge=-1, le=1)
    latent_cosine: float | None = Field(default=None, ge=-1, le=1)


class Policy(_Strict):
    """The whole file."""

    schema_version: Literal[1] = Field(default=POLICY_SCHEMA, alias="schema")
    false_alarm: float = Field(default=0.005, gt=0, lt=0.5)
    """Chance that an unchanged system is called regressed, over all metrics together."""
    confidence: float = Field(default=0.975, gt=0.5, lt=1)
    """With which a loss above the tolerance is ruled out before a metric passes."""
    max_lost: float = Field(default=0.05, ge=0, le=1)
    """Share of the baseline's values of a metric that the run may lack."""
    max_failed: float = Field(default=0.0, ge=0, le=1)
    """Share of the run's clips that may have failed beyond the baseline's share."""
    validation: str | tuple[str, ...] = ()
    """Files that `ltx2-eval validate` wrote, relative to this one; of two verdicts on one version of a metric the worse
    counts, of two versions the later file."""
    left_out: tuple[str, ...] = ()
    """From `gate calibrate`: metrics that its runs found too noisy to decide; the gate names their number."""
    metrics: dict[str, MetricPolicy] = {}
    speed: SpeedPolicy = SpeedPolicy()
    sameness: SamenessPolicy = SamenessPolicy()


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyFile:
    """A policy and where it stands."""

    path: Path
    policy: Policy
    lines: dict[str, int]
    """Line of each metric's table, for annotations."""

    @property
    def validations(self) -> list[Path]:
        """The files of verdicts that the policy names."""
        named = self.policy.validation
        return [self.path.parent / name for name in ([named] if isinstance(named, str) else named)]


def read_policy(path: Path, *, for_bench: bool = False) -> PolicyFile:
    """Read and check a policy; one for the records of `bench` needs no metric.

    Raises:
        ValueError: not TOML, an unknown key, a value outside its range, or nothing to judge; names file and key.
        OSError: no such file.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not TOML: {error}") from error
    try:
        policy = Policy.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{path}: {'; '.join(map(_mistake, error.errors()))}") from error
    if not for_bench and not policy.metrics and policy.sameness == SamenessPolicy():
        raise ValueError(f'{path}: nothing to judge; add a table such as [metrics."av_align"] with absolute = 0.05')
    return PolicyFile(path=path, policy=policy, lines=_lines(text))


def _mistake(error: "ErrorDetails") -> str:
    """One mistake in words: where, and for an unknown key which there are."""
    *parents, key = map(str, error["loc"])
    where = ".".join((*parents, key))
    if error["type"] != "extra_forbidden":
        return f"{where}: {error['msg'].removeprefix('Value error, ')}"
    tables: dict[str, type[_Strict]] = {"speed": SpeedPolicy, "sameness": SamenessPolicy}
    table = tables.get(parents[0], MetricPolicy) if parents else Policy
    known = [field.alias or name for name, field in table.model_fields.items()]
    return f"{where}: {unknown('key', key, known)}"


def default_policy() -> PolicyFile:
    """For what can be judged without a file: the records of `bench`."""
    return PolicyFile(path=Path("defaults"), policy=Policy(), lines={})


def _lines(text: str) -> dict[str, int]:
    header = re.compile(r"^\s*\[\s*metrics\s*\.\s*(?:\"([^\"]+)\"|'([^']+)'|([\w-]+))\s*\]")
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = header.match(line)
        if match:
            found[next(name for name in match.groups() if name)] = number
    return found


def require_validated(
    file: PolicyFile, verdicts: Mapping[str, MetricValidation], protocols: Mapping[str, Protocol] | None = None
) -> list[str]:
    """Refuse metrics that validation found fit for reports only; return what is to be said of the others.

    Args:
        file: the policy.
        verdicts: what `validate` found, by metric.
        protocols: how each metric was measured in the run; that a metric may gate holds of the version that was
            validated only, that it may not stands until another validation lifts it.

    Raises:
        ValueError: such a metric is in the policy without `despite_validation = true`; says why it is unfit.
    """
    notes = []
    for name, metric in file.policy.metrics.items():
        found = verdicts.get(name)
        if found is None:
            notes.append(f"{name}: gates although no validation has judged it: nothing says what moves it")
            continue
        changed = changed_since(found, (protocols or {}).get(name))
        another = f"was validated in another version ({changed})" if changed else ""
        if found.verdict == "report only" and not metric.despite_validation:
            still = f"; it {another}, and the ban stands until this one is validated" if another else ""
            raise ValueError(
                f"{file.path}: {name} may only be reported, not gate: {found.why}{still}; take it out, or write "
                "despite_validation = true under it"
            )
        if found.verdict == "report only":
            notes.append(f"{name}: gates although validation found it fit for reports only ({found.why})")
        elif another:
            notes.append(f"{name}: {another}, which says nothing of this one")
        elif found.untested:
            notes.append(f"{name}: {found.judgement} (too few clips in the validation)")
    return notes


def changed_since(found: MetricValidation, protocol: Protocol | None) -> str:
    """In words, the fields in which the metric as validated differs from the metric as measured; empty: none."""
    if protocol is None:
        return ""
    now, then = protocol.model_dump(mode="json"), found.protocol_fields
    return "; ".join(
        f"{name}: {then[name]} and {now[name]}" for name in IDENTIFYING if name in then and then[name] != now[name]
    )
