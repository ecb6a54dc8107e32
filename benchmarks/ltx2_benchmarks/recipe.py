"""Reads speed recipes: the embedded ones by name, others by path."""

import importlib.resources
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ltx2_benchmarks.nearest import shown, unknown

Measure = Literal["step", "clip"]
_MAX_BYTES = 2**20

SIZE_PATTERN = r"^[1-9]\d{0,4}x[1-9]\d{0,4}$"
Size = Annotated[str, Field(pattern=SIZE_PATTERN)]
Frames = Annotated[int, Field(ge=1, le=100_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Timing(_Strict):
    """How often."""

    warmup: Annotated[int, Field(ge=0, le=100)] = 3
    """Untimed calls at least; more until two in a row agree."""
    repeats: Annotated[int, Field(ge=1, le=10_000)] = 10
    max_seconds: Annotated[float, Field(gt=0)] = 600.0
    """No further repetition of a case begins after this."""
    session_seconds: Annotated[float, Field(gt=0)] | None = None
    """No case begins that could not be timed in what is left of this, even at the device's measured peak."""


class Point(_Strict):
    """One size, at one or several lengths."""

    label: Name
    size: Size | None = None
    """WIDTHxHEIGHT of all models ..."""
    sizes: dict[str, Size] = {}
    """... or of each; a model that is not named leaves the point out."""
    frames: Annotated[tuple[Frames, ...], Field(min_length=1)]
    measure: Measure | None = None
    """Of this point, where it is not the recipe's."""

    @model_validator(mode="after")
    def _one_way(self) -> "Point":
        if (self.size is None) == (not self.sizes):
            raise ValueError("give either size or sizes")
        return self

    def size_of(self, model: str) -> str | None:
        """Of a model, or None where it leaves the point out."""
        return self.size or self.sizes.get(model)


class Compare(_Strict):
    """Which ratio to print: `against` over `ours`, point by point."""

    ours: Name
    against: Name


class PublishedSeconds(_Strict):
    """Somebody's timing of one point, to set against the FLOPs."""

    source: Name
    label: Name
    frames: Frames
    gpu: Name
    seconds: dict[str, Annotated[float, Field(gt=0)]]


class Recipe(_Strict):
    """One benchmark of speed."""

    name: Name
    title: Name
    about: Name
    measure: Measure
    models: Annotated[tuple[Name, ...], Field(min_length=1)]
    dtypes: Annotated[tuple[Name, ...], Field(min_length=1)] = ("float32",)
    steps: Annotated[tuple[Annotated[int, Field(ge=1, le=1000)], ...], Field(min_length=1)] = (1,)
    batches: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1)] = (1,)
    fps: Annotated[float, Field(ge=1, le=240)] = 24.0
    gpu: Name | None = None
    """Of the roofline estimate."""
    timing: Timing = Timing()
    grid: Annotated[tuple[Point, ...], Field(min_length=1)]
    compare: Compare | None = None
    published: PublishedSeconds | None = None
    budgets_gib: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Ask for the largest point that fits into each."""
    stop_when_full: bool = False
    """After a point that does not fit, leave out the model's points that need as much memory or more."""
    quality: bool = False
    """Also measure how far the output is from that of the first model's."""

    @model_validator(mode="after")
    def _named(self) -> "Recipe":
        known = set(self.models)
        used = {name for point in self.grid for name in point.sizes}
        used |= {self.compare.ours, self.compare.against} if self.compare else set()
        used |= set(self.published.seconds) if self.published else set()
        if used - known:
            raise ValueError(f"found models {sorted(used - known)} that `models` does not list")
        return self


@cache
def list_recipes() -> tuple[str, ...]:
    """Names of the embedded recipes, in alphabetical order."""
    folder = importlib.resources.files("ltx2_benchmarks") / "recipes"
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml")))


def load_recipe(name: str) -> Recipe:
    """An embedded recipe by name, or a `.toml` file by path.

    Raises:
        ValueError: unknown name, or a file that is no recipe; the message names file and field.
    """
    if name in list_recipes():
        file = importlib.resources.files("ltx2_benchmarks") / "recipes" / f"{name}.toml"
        return parse_recipe(file.read_bytes(), name)
    path = Path(name).expanduser()
    if path.suffix != ".toml":
        raise ValueError(unknown("recipe", name, list_recipes()))
    if not path.is_file():
        raise ValueError(f"recipe {shown(name)}: there is no such file; embedded: {', '.join(list_recipes())}")
    with path.open("rb") as opened:
        return parse_recipe(opened.read(_MAX_BYTES + 1), path.stem)


def parse_recipe(data: bytes, name: str) -> Recipe:
    """A recipe from the bytes of its file."""
    if len(data) > _MAX_BYTES:
        raise ValueError(f"recipe {shown(name)}: found more than {_MAX_BYTES} bytes, expected a short TOML file")
    try:
        fields = tomllib.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"recipe {shown(name)}: no TOML ({error})") from None
    try:
        return Recipe(**{"name": name, **fields})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise ValueError(f"recipe {shown(name)}: {field}: {first['msg']}, found {shown(first['input'])}") from None
