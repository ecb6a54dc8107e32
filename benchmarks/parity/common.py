"""What the parity scripts share: the published fill, stand-ins for modules that are imported and not used, the table.

Each script runs an independent source and our own code on the same weights and input, prints the values that the tests
hold, and how far the two are apart: the largest difference over the largest magnitude of the source's values. The head
of a script names the packages; README.md says how the environment is made and what was measured.
"""

import importlib.machinery
import importlib.metadata
import importlib.util
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

_ROOT = Path(__file__).parents[2]
BAR = 1e-5


def _conftest() -> Any:
    """The tests' own fill, so that the literals are of the same numbers."""
    spec = importlib.util.spec_from_file_location("published", _ROOT / "tests" / "eval" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


published = _conftest()


def drawn(*shape: int, scale: float = 1.0, offset: float = 0.0) -> Tensor:
    """An input of the published shape: values of index 999."""
    values = published.published_values(int(np.prod(shape)), 999) * scale + offset
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def tone(rate_hz: int, duration_s: float) -> np.ndarray:
    """A rising tone with a steady one: the sound of the tests."""
    t = np.arange(round(rate_hz * duration_s)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * (200 * t + 150 * t * t)) + 0.1 * np.sin(2 * np.pi * 3000 * t)).astype(np.float32)


def stand_in(name: str, **members: Any) -> None:
    """Put an empty module where a package imports one that it does not need for what is run here."""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        path = ".".join(parts[:depth])
        if path not in sys.modules:
            module = types.ModuleType(path)
            module.__path__ = []
            module.__spec__ = importlib.machinery.ModuleSpec(path, None)
            sys.modules[path] = module
            if depth > 1:
                setattr(sys.modules[".".join(parts[: depth - 1])], parts[depth - 1], module)
    for key, value in members.items():
        setattr(sys.modules[name], key, value)


def bare(name: str) -> None:
    """Make a package importable by its modules, without running its `__init__`."""
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.submodule_search_locations
    module = types.ModuleType(name)
    module.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = module


def told(what: str, theirs: Any, ours: Any, packages: Sequence[str] = (), show: int = 6) -> None:
    """Print one row: what was compared, with what, the first values, and the largest relative difference."""
    first, second = (np.asarray(value, np.float64).reshape(-1) for value in (theirs, ours))
    if first.shape != second.shape:
        raise SystemExit(f"{what}: {first.shape} theirs and {second.shape} ours")
    difference = float(np.abs(first - second).max() / max(np.abs(first).max(), 1e-30))
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    literals = " ".join(f"{value:.7g}" for value in first[:show])
    norm = float(np.linalg.norm(first))
    verdict = "" if difference <= BAR else f"  ABOVE {BAR:g}"
    print(f"| {what} | {versions} | {len(first)} | {difference:.1e} |{verdict}")
    print(f"  first {literals}  mean {first.mean():.7g}  norm {norm:.7g}", file=sys.stderr)
