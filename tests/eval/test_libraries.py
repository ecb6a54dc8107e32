"""A version of a library that changes no value is noted; one that does is part of the identity."""

import ast
import functools
import importlib.metadata
import importlib.util
import pydoc
from pathlib import Path

import numpy as np
import pytest
import soxr
import tokenizers
import transformers
from PIL import Image
from torch.nn import functional as F
from transformers.models.whisper import english_normalizer

from ltx2_eval import libraries
from ltx2_eval.extractors.catalogue import EXTRACTORS
from ltx2_eval.libraries import BUDGET, USED, behaviour, libraries_of
from ltx2_eval.metrics.catalogue import BUILT_IN

NAMES = {name: name for name in ("soxr", "scipy", "tokenizers", "transformers", "torch")} | {"PIL": "pillow"}
NOT_REACHED = {
    **{name: {"pillow"} for name in ("i3d", "videomae")},
    **{name: {"scipy"} for name in ("imagebind", "synchformer")},
    **{name: {"tokenizers"} for name in ("clip_frames", "fadtk")},
    "nano": {"transformers"},
}
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
    prepared = ("scipy", "tokenizers", "transformers.mels", "transformers.normaliser")
    assert [behaviour(name) for name in prepared] == ["filters-1", "bpe-1", "mels-1", "english-1"]
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


@pytest.mark.parametrize(
    "name",
    [
        *("ndimage.maximum_filter1d", "ndimage.gaussian_filter1d", "signal.lfilter", "signal.medfilt", "fft.dct"),
        "special.log_softmax",
    ],
)
def test_each_filter_of_scipy_is_noticed(monkeypatch, name):
    original = pydoc.locate(f"scipy.{name}")
    monkeypatch.setattr(f"scipy.{name}", lambda *given, **named: original(*given, **named) * (1 + 1e-3))
    assert behaviour("scipy") == f"{importlib.metadata.version('scipy')}, which is not filters-1"


@pytest.mark.parametrize("kind", ["ClapFeatureExtractor", "WhisperFeatureExtractor"])
def test_another_spectrogram_is_noticed(monkeypatch, kind):
    """As if a release had another window."""
    front_end = getattr(transformers, kind)
    original = front_end.__call__

    def softer(self, wave, **named):
        return original(self, wave * 0.999, **named)

    monkeypatch.setattr(front_end, "__call__", softer)
    assert behaviour("transformers.mels").endswith("which is not mels-1")


@pytest.mark.parametrize("kind", ["EnglishTextNormalizer", "BasicTextNormalizer"])
def test_another_normaliser_of_sentences_is_noticed(monkeypatch, kind):
    found = getattr(english_normalizer, kind)
    original = found.__call__
    monkeypatch.setattr(found, "__call__", lambda self, text: original(self, text).replace("3", "three"))
    assert behaviour("transformers.normaliser").endswith("which is not english-1")
    assert libraries_of("ltx2_eval.metrics.speech:speech_wer")["transformers.normaliser"] != "english-1"


@pytest.mark.parametrize("kind", ["ByteLevel", "Split"])
def test_words_that_are_cut_otherwise_are_noticed(monkeypatch, kind):
    spaces = tokenizers.pre_tokenizers.Whitespace()
    monkeypatch.setattr(tokenizers.pre_tokenizers, kind, lambda *_, **__: spaces)
    assert behaviour("tokenizers").endswith("which is not bpe-1")


def test_a_package_that_is_not_here_is_said():
    assert behaviour("a_package_that_nobody_wrote") == "not installed"


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
            found |= {"tokenizers" for alias in node.names if alias.name == "load_tokenizer"}  # of transformers
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
        name, used = module.rpartition(".")[2], {library.partition(".")[0] for library in USED[module]}
        assert _uses(module) - used <= NOT_REACHED.get(name, set()), module


def test_every_metric_says_which_libraries_it_goes_through_besides_its_extractor():
    modules = {entry.implementation.partition(":")[0] for entry in BUILT_IN.values()} - IMPORTED_FOR_OTHER_ENDS
    for module in sorted(modules):
        brought = {
            name.partition(".")[0]
            for entry in BUILT_IN.values()
            if entry.implementation.startswith(f"{module}:") and entry.extractor
            for name in libraries_of(EXTRACTORS[entry.extractor].implementation)
        }
        used = {library.partition(".")[0] for library in USED.get(module, ())}
        assert _uses(module) - brought - {"torch"} <= used, module
    assert libraries_of(None, "of.a.plugin:Metric") == {}
