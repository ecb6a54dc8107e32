"""Reads the files of published figures."""

import importlib.resources
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ltx2_benchmarks.baselines.schema import (
    Confidence,
    PublishedMetric,
    PublishedProtocol,
    PublishedSystem,
    Source,
)
from ltx2_benchmarks.nearest import unknown


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One published value with all that is needed to cite it."""

    protocol: PublishedProtocol
    metric: PublishedMetric
    metric_key: str
    system: PublishedSystem
    printed: str
    """With the digits of the source."""
    source: Source
    confidence: Confidence

    @property
    def value(self) -> float:
        """The number."""
        return float(self.printed)


class Baseline(BaseModel):
    """One file: a protocol, its columns and its rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: PublishedProtocol
    source: Source
    metrics: dict[str, PublishedMetric]
    systems: tuple[PublishedSystem, ...]

    def values(self) -> Iterator[Published]:
        """Every value, row by row."""
        for system in self.systems:
            for key, value in system.values.items():
                yield Published(
                    protocol=self.protocol,
                    metric=self.metrics[key],
                    metric_key=key,
                    system=system,
                    printed=str(value),
                    source=system.source or self.source,
                    confidence=system.confidence or self.protocol.confidence,
                )


def list_baselines() -> list[str]:
    """Ids of the embedded protocols, in alphabetical order."""
    folder = importlib.resources.files("ltx2_benchmarks") / "baselines"
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def load_baseline(name: str) -> Baseline:
    """An embedded protocol by id, or a user's `.toml` file by path.

    Raises:
        ValueError: unknown id, unreadable file, or a file that does not say what it has to.
    """
    if name in list_baselines():
        text = (importlib.resources.files("ltx2_benchmarks") / "baselines" / f"{name}.toml").read_text("utf-8")
        return parse(text, name)
    path = Path(name)
    if path.suffix != ".toml" or not path.is_file():
        raise ValueError(unknown("baseline", name, list_baselines()) + "; or give a .toml file")
    try:
        return parse(path.read_text("utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name}: cannot be read ({error})") from error


def load_baselines() -> tuple[Baseline, ...]:
    """All embedded protocols."""
    return tuple(load_baseline(name) for name in list_baselines())


def parse(text: str, name: str) -> Baseline:
    """Read one file's text.

    Raises:
        ValueError: no TOML, or a field that is missing, unknown or of a wrong kind; names the file and the field.
    """
    try:
        baseline = Baseline.model_validate(tomllib.loads(text, parse_float=Decimal))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{name}: no TOML file: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{name}: {where}: {first['msg']} (found {str(first['input'])[:80]!r})") from error
    for system in baseline.systems:
        strange = system.values.keys() - baseline.metrics.keys()
        if strange:
            raise ValueError(f"{name}: {system.name}: no [metrics.{min(strange)}] in this file")
    return baseline
