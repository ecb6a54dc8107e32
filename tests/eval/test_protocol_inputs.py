"""Whatever really goes into a value arrives in its protocol: each input is changed where a user would change it."""

import dataclasses
import json
from fractions import Fraction

import av
import numpy as np
import pytest
import soxr

from ltx2_eval import libraries, weights
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.catalogue import EXTRACTORS
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.folder_of_clips import clips_in
from ltx2_eval.media import write_clip
from ltx2_eval.metrics.catalogue import BUILT_IN
from ltx2_eval.reference import load_reference
from ltx2_eval.runner import ScoringPlan, score_folder
from ltx2_eval.weights.cache import keep, new_folder
from ltx2_eval.weights.lockfile import entry

METRICS = ("nano_fad", "nano_ta", "audio.true_peak_dbtp")


def _write(folder, seeds):
    folder.mkdir()
    for name, seed in zip("ab", seeds, strict=True):
        random = np.random.default_rng(seed)
        video = random.integers(0, 255, (12, 32, 32, 3), dtype=np.uint8)
        audio = random.normal(0, 0.1, (2, 24_000)).astype(np.float32)
        write_clip(
            Clip(video=video, fps=Fraction(24), audio=audio, rate_hz=48_000), folder / f"{name}.mp4", container="mp4"
        )
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    return {name: _write(root / name, seeds) for name, seeds in (("mine", (0, 1)), ("real", (2, 3)), ("other", (2, 4)))}


@pytest.fixture
def scored(folders, tmp_path, monkeypatch):
    """Score the clips with a prompt each, and give the protocols by metric."""
    libraries.behaviour.cache_clear()
    monkeypatch.setenv("LTX2_EVAL_CACHE", str(tmp_path / "cache"))

    def score(out, *, reference="real", text="a red ball", entries=METRICS):
        lines = [json.dumps({"file": f"{name}.mp4", "text": f"{text} {name}"}) for name in "ab"]
        (folders["mine"] / "prompts.jsonl").write_text("\n".join(lines))
        libraries.behaviour.cache_clear()
        plan = ScoringPlan(
            entries=tuple(BUILT_IN[chosen] if isinstance(chosen, str) else chosen for chosen in entries),
            pool=ExtractorPool(),
            reference=load_reference(str(folders[reference]), "mp4"),
        )
        found = clips_in(folders["mine"])
        run = score_folder(found, tmp_path / out, system="x", scoring=plan, progress=lambda *_: None)
        assert all(value.value is not None for value in run.values.values()), run.values
        return {line.metric.id: line.protocol for line in run.protocols.values()}

    yield score
    libraries.behaviour.cache_clear()


def _changed(before, after):
    return {
        metric: " ".join(line.partition(":")[0] for line in before[metric].difference(after[metric]))
        for metric in before
        if before[metric].identity != after[metric].identity
    }


def test_the_same_inputs_give_the_same_identities(scored):
    assert _changed(scored("first"), scored("second")) == {}


def test_another_reference_clip(scored):
    assert _changed(scored("first"), scored("second", reference="other")) == {"nano_fad": "reference"}


def test_another_word_in_a_prompt(scored):
    changed = _changed(scored("first"), scored("second", text="a blue ball"))
    assert changed == dict.fromkeys(METRICS, "suite")


def test_another_decoder(scored, monkeypatch):
    before = scored("first")
    monkeypatch.setattr(av, "library_versions", {**av.library_versions, "libavcodec": (99, 0, 0)})
    assert _changed(before, scored("second")) == dict.fromkeys(METRICS, "decoder")


def test_a_resampler_that_gives_other_samples(scored, monkeypatch):
    before, original = scored("first"), soxr.resample
    monkeypatch.setattr(soxr, "resample", lambda wave, old, new, quality: original(wave, old, new, quality="LQ"))
    after = scored("second")
    assert _changed(before, after) == dict.fromkeys(METRICS, "libraries")
    assert "soxr" in before["nano_fad"].difference(after["nano_fad"])[0]


def test_another_crop(scored, monkeypatch):
    before = scored("first")
    spec = dataclasses.replace(EXTRACTORS["nano-audio"], preprocessing="mono24000-soxrvhq-mel48")
    monkeypatch.setitem(EXTRACTORS, "nano-audio", spec)
    assert _changed(before, scored("second")) == dict.fromkeys(("nano_fad", "nano_ta"), "preprocessing")


def test_another_threshold(scored):
    entry = BUILT_IN["dynamic_degree"]
    bolder = dataclasses.replace(entry, settings={**entry.settings, "least_motion": 0.5})
    before, after = (scored(out, entries=(chosen,)) for out, chosen in (("first", entry), ("second", bolder)))
    assert _changed(before, after) == {"dynamic_degree": "settings"}


def _pulled(cache, monkeypatch, *, sha256="a" * 64, config="{}"):
    """The identity of DINO's features when its file was pulled with this hash and this configuration beside it."""
    monkeypatch.setenv("LTX2_EVAL_CACHE", str(cache))
    item = entry("dino-vitb16")
    with new_folder(item) as folder:
        (folder / "config.json").write_text(config)
        (folder / "model.safetensors").write_text("never read")
        keep(folder, item, sha256, item.revision)
    return ExtractorPool().weights_sha256("dino-vitb16-frames")


def test_another_weight_file_or_another_file_beside_it(tmp_path, monkeypatch):
    made = [
        _pulled(tmp_path / str(index), monkeypatch, **given)
        for index, given in enumerate(({}, {}, {"sha256": "b" * 64}, {"config": '{"hidden_act": "relu"}'}))
    ]
    assert made[0] == made[1]
    assert len(set(made)) == 3


def test_a_second_network_of_an_extractor(monkeypatch):
    before = ExtractorPool().weights_sha256("dnsmos")
    original = weights.identity_sha256
    monkeypatch.setattr(weights, "identity_sha256", lambda name: "0" * 64 if name == "dnsmos-p808" else original(name))
    assert ExtractorPool().weights_sha256("dnsmos") != before
