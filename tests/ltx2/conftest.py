"""Shared by the tests of the model: the deterministic fill, loaded from its file (test folders are no packages)."""

import importlib.util
import warnings
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


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


class LiveBytes(TorchDispatchMode):
    """Adds up the memory of all tensors made under it (also on the meta device) and keeps the peak.

    Views of the weights of the given modules are not counted.
    """

    def __init__(self, *modules):
        super().__init__()
        self.live, self.peak = {}, 0
        self.weights = {StorageWeakRef(x.untyped_storage()).cdata for m in modules for x in m.state_dict().values()}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for storage in (x.untyped_storage() for x in tree_leaves(out) if isinstance(x, torch.Tensor)):
            reference = StorageWeakRef(storage)
            if reference.cdata not in self.weights:
                self.live[reference.cdata] = (reference, storage.nbytes())
        self.live = {key: value for key, value in self.live.items() if not value[0].expired()}
        self.peak = max(self.peak, sum(nbytes for _, nbytes in self.live.values()))
        return out


@pytest.fixture(scope="session")
def live_bytes() -> type[LiveBytes]:
    """The class `LiveBytes`, to be entered as a context: `with live_bytes() as memory: ...; memory.peak`."""
    return LiveBytes
