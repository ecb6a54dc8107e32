"""Shared by the tests of the model: the deterministic fill, loaded from its file (test folders are no packages)."""

import importlib.util
import warnings
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def deterministic() -> ModuleType:
    """The module `deterministic.py` beside this file: `u(i, shape)`, `fill(keys_shapes)`, `shapes_of(state)`."""
    spec = importlib.util.spec_from_file_location("ltx2_deterministic", Path(__file__).with_name("deterministic.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def diffusers() -> ModuleType:
    """The independent implementation that parity tests compare with; without it they skip."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports warn about third parties, which is not what is tested
        return pytest.importorskip("diffusers", reason="parity needs diffusers, from the extra 'dev'")
