"""What a file of published figures may say."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ltx2_benchmarks.ids import check_id

Confidence = Literal["A", "B", "C"]
"""A: read in the authors' own paper, page or repository. B: in somebody's transcription of it. C: in a dated copy of a
live leaderboard."""

Direction = Literal["higher", "lower", "neither"]
Kind = Literal["objective", "judge", "human", "speed"]
Id = Annotated[str, AfterValidator(check_id)]
Text = Annotated[str, Field(min_length=1, max_length=400)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Source(_Strict):
    """Where a figure was read: a paper, a repository, or a work known by its title only."""

    arxiv: Annotated[str, Field(pattern=r"^\d{4}\.\d{5}(v\d+)?$")] | None = None
    repository: Text | None = None
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}$")] | None = None
    title: Text | None = None
    table: Text
    """The table, figure, issue or file in it."""
    date: Annotated[str, Field(pattern=r"^20\d\d(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$")]
    """As exact as it is known: year, month or day."""

    @model_validator(mode="after")
    def _named(self) -> "Source":
        if not (self.arxiv or self.repository or self.title):
            raise ValueError("a source needs arxiv, repository or title")
        return self

    @property
    def label(self) -> str:
        """One line: `arXiv 2601.03233v1, Table 1, 2026-01-06`."""
        where = [
            f"arXiv {self.arxiv}" if self.arxiv else "",
            (self.repository or "") + (f"@{self.commit}" if self.commit else ""),
            self.title or "",
        ]
        return ", ".join(part for part in (*where, self.table, self.date) if part)


class PublishedMetric(_Strict):
    """A column of a source."""

    name: Text
    """As the source prints it."""
    direction: Direction
    unit: Annotated[str, Field(max_length=40)]
    """Empty where the metric has none."""
    range: tuple[float, float] | None = Field(default=None, strict=False)
    """Least and greatest value that the metric can have."""
    family: Id | None = None
    """What people call by one name although it is measured in different ways, such as `desync`."""
    about: Annotated[str, Field(max_length=400)] = ""
    """The network, aggregation or judge behind it."""


class PublishedSystem(_Strict):
    """A row of a source. A cell that the source leaves empty is absent."""

    name: Text
    values: Annotated[dict[Id, Annotated[Decimal, Field(strict=False)]], Field(min_length=1)]
    """With as many digits as the source prints."""
    model: Text | None = None
    """The model under the name that other files use; None: `name` is that name."""
    open_weights: bool | None = None
    setting: Text | None = None
    hardware: Text | None = None
    note: Text | None = None
    copied_from: Text | None = None
    """The protocol or paper from which the source took the row over without measuring it again."""
    source: Source | None = None
    """Where the row's own source differs from the file's."""
    confidence: Confidence | None = None

    @property
    def known_as(self) -> str:
        """The model's name over all protocols."""
        return self.model or self.name


class PublishedProtocol(_Strict):
    """How the figures of one file were made: only figures of the same protocol may share a column."""

    id: Id
    title: Text
    benchmark: Text
    clips: Text
    """Task, resolution, length and settings of the clips."""
    n_prompts: Annotated[int, Field(ge=1)] | None = None
    """None where the source does not say."""
    measured_by: Text
    kind: Kind
    confidence: Confidence
    notes: Annotated[str, Field(max_length=1000)] = ""
