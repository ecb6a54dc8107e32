"""GPUs by their published figures, for estimates on machines that have none."""

import importlib.resources
import tomllib
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ltx2_benchmarks.nearest import unknown


class Gpu(BaseModel):
    """One GPU; `sources` says where each figure comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    tflops: dict[str, float]
    """Dense matrix throughput by dtype, 1e12 operations per second."""
    bandwidth_gb_s: float
    """1e9 bytes per second."""
    memory_gib: float
    """As the driver reports it, which is less than what the name promises."""
    sources: dict[Literal["tflops", "bandwidth_gb_s", "memory_gib"], str]

    @property
    def source(self) -> str:
        """All of them, each once."""
        return "; ".join(dict.fromkeys(self.sources.values()))


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
