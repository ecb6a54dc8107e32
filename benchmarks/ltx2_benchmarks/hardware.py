"""GPUs by their data sheets, for estimates on machines that have none."""

import importlib.resources
import tomllib
from functools import cache

from pydantic import BaseModel, ConfigDict

from ltx2_benchmarks.nearest import unknown


class Gpu(BaseModel):
    """One GPU as its maker describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    tflops: dict[str, float]
    """Dense matrix throughput by dtype, 1e12 operations per second."""
    bandwidth_gb_s: float
    memory_gib: float
    source: str


def load_gpu(name: str) -> Gpu:
    """A GPU by its short name, such as `h100-sxm`.

    Raises:
        ValueError: unknown name.
    """
    if name not in gpus():
        raise ValueError(unknown("gpu", name, gpus()))
    return gpus()[name]


@cache
def gpus() -> dict[str, Gpu]:
    """All of them by name."""
    text = (importlib.resources.files("ltx2_benchmarks") / "hardware.toml").read_text(encoding="utf-8")
    return {name: Gpu(name=name, **fields) for name, fields in tomllib.loads(text).items()}
