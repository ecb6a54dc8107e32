"""What to measure: one model at one size, and the list of them that a recipe or a command line asks for."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from ltx2_benchmarks.recipe import Measure, Recipe
from ltx2_reports.bench import BenchCase


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One thing to measure."""

    model: str
    measure: Measure
    width: int
    height: int
    frames: int
    fps: Fraction = Fraction(24)
    steps: int = 1
    dtype: str = "float32"
    batch: int = 1
    label: str | None = None
    """The recipe's name of the size."""
    weights: str = "random"

    def record(self) -> BenchCase:
        """As it is kept."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del fields["label"]
        return BenchCase(**{**fields, "fps": float(self.fps), "steps": 1 if self.measure == "step" else self.steps})


def cases_of(recipe: Recipe) -> list[Case]:
    """Every case of a recipe, sizes in its order and within a size the models beside each other."""
    return list(_cases_of(recipe))


def _cases_of(recipe: Recipe) -> Iterator[Case]:
    for point in recipe.grid:
        measure = point.measure or recipe.measure
        several_steps = recipe.steps if measure == "clip" else recipe.steps[:1]
        for frames in point.frames:
            for model in recipe.models:
                size = point.size_of(model)
                if size is None:
                    continue
                width, height = (int(side) for side in size.split("x"))
                for steps in several_steps:
                    for dtype in recipe.dtypes:
                        for batch in recipe.batches:
                            yield Case(
                                model=model,
                                measure=measure,
                                width=width,
                                height=height,
                                frames=frames,
                                fps=Fraction(recipe.fps).limit_denominator(1001),
                                steps=steps,
                                dtype=dtype,
                                batch=batch,
                                label=point.label,
                            )
