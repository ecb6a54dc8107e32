"""A version of a library that changes no value is noted; one that does is part of the identity."""

import ast
import functools
import importlib.metadata
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soxr
from PIL import Image
from torch.nn import functional as F

from ltx2_eval import libraries
from ltx2_eval.extractors.catalogue import EXTRACTORS
from ltx2_eval.libraries import BUDGET, USED, behaviour, libraries_of
from ltx2_eval.metrics.catalogue import BUILT_IN

NAMES = {"soxr": "soxr", "PIL": "pillow", "transformers": "transformers", "torch": "torch"}
NOT_REACHED = {"i3d": {"pillow"}, "videomae": {"pillow"}, "nano": {"transformers"}}
"""Imported with a module of which these extractors use another part."""
IMPORTED_FOR_OTHER_ENDS = {
    "ltx2_eval.metrics.binding",  # the places of windows
    "ltx2_eval.metrics.sync_networks",  # the spacing of classes
    "ltx2_eval.metrics.video_checks",  # where a sound begins
}


@pytest.fixture(autouse=True)
def _asked_anew():
    behaviour.cache_clear()
    yield
    behaviour.cache_clear()


def test_what_is_here_does_what_it_was_tested_to_do():
    assert {name: behaviour(name) for name in ("soxr", "pillow", "torch")} == {
        "soxr": "vhq-1",
        "pillow": "resize-1",
        "torch": "operators-1",
    }
    assert behaviour("transformers") == importlib.metadata.version("transformers").partition(".")[0]


def _other_soxr(factor):
    original = soxr.resample
    return lambda wave, old, new, quality: original(wave, old, new, quality=quality) * factor


@pytest.mark.parametrize("version", ["0.9.9", "2.0.0"])
def test_another_version_within_the_error_budget_changes_nothing(monkeypatch, version):
    original = importlib.metadata.version
    other = {"soxr": version}
    monkeypatch.setattr(libraries.importlib.metadata, "version", lambda name: other.get(name) or original(name))
    monkeypatch.setattr(soxr, "resample", _other_soxr(1 + BUDGET / 10))
    assert behaviour("soxr") == "vhq-1"


def test_beyond_the_budget_the_version_is_named(monkeypatch):
    monkeypatch.setattr(soxr, "resample", _other_soxr(1 + 100 * BUDGET))
    assert behaviour("soxr") == f"{importlib.metadata.version('soxr')}, which is not vhq-1"


def test_a_picture_resized_by_another_filter_is_noticed(monkeypatch):
    resize = Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda image, size, _: resize(image, size, Image.Resampling.LANCZOS))
    assert behaviour("pillow").endswith("which is not resize-1")


@pytest.mark.parametrize("name", ["interpolate", "gelu", "layer_norm", "scaled_dot_product_attention", "conv2d"])
def test_each_operator_of_torch_is_noticed(monkeypatch, name):
    original = getattr(F, name)

    def bent(*given, **named):
        found = original(*given, **named)
        return found + 1e-3 * found**2

    monkeypatch.setattr(F, name, bent)
    assert behaviour("torch").endswith("which is not operators-1")


def test_a_probe_that_is_not_finite_is_no_agreement(monkeypatch):
    monkeypatch.setattr(soxr, "resample", lambda wave, old, new, quality: np.full(1600, np.nan))
    assert behaviour("soxr").endswith("which is not vhq-1")


@functools.cache
def _imports(module):
    found = set()
    spec = importlib.util.find_spec(module)
    for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(found)


def _uses(module):
    """Libraries that a module imports, itself or through other extractors and metrics of ours."""
    seen, todo, found = set(), [module], set()
    while todo:
        seen.add(here := todo.pop())
        names = _imports(here)
        found |= {NAMES[name.partition(".")[0]] for name in names if name.partition(".")[0] in NAMES}
        ours = {name for name in names if name.startswith(("ltx2_eval.extractors.", "ltx2_eval.metrics."))}
        todo += sorted(ours - seen)
    return found


def test_every_extractor_says_which_libraries_it_goes_through():
    modules = {spec.implementation.partition(":")[0] for spec in EXTRACTORS.values()}
    for module in sorted(modules):
        name, used = module.rpartition(".")[2], set(USED[module])
        assert _uses(module) - used <= NOT_REACHED.get(name, set()), module


def test_every_metric_says_which_libraries_it_goes_through_besides_its_extractor():
    modules = {entry.implementation.partition(":")[0] for entry in BUILT_IN.values()} - IMPORTED_FOR_OTHER_ENDS
    for module in sorted(modules):
        brought = {
            name
            for entry in BUILT_IN.values()
            if entry.implementation.startswith(f"{module}:") and entry.extractor
            for name in libraries_of(EXTRACTORS[entry.extractor].implementation)
        }
        assert _uses(module) - brought - {"torch"} <= set(USED.get(module, ())), module
    assert libraries_of(None, "of.a.plugin:Metric") == {}
