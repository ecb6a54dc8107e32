"""CLIP and CLAP through their real loaders, on tiny random models saved in the published layout."""

import copy
import json
import sys
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ltx2_benchmarks.suite import Prompt
from ltx2_eval.extractors import clap_upstream
from ltx2_eval.extractors.base import NotApplicable, NotAvailable
from ltx2_eval.extractors.catalogue import EXTRACTORS
from ltx2_eval.extractors.clap import HOP, WINDOW, ClapExtractor, clap_front_end, windows
from ltx2_eval.extractors.clip_text_video import ClipExtractor, clip_pixels
from ltx2_eval.extractors.embedding import tokenized, unit
from ltx2_eval.metrics.alignment import clap_sides, clap_ta, clip_sides, clip_tv
from ltx2_eval.metrics.base import Subject
from ltx2_eval.metrics.catalogue import BUILT_IN
from ltx2_eval.weights.clap_layout import clap_state, is_left_out, released_clap_state
from ltx2_eval.weights.convert import main
from ltx2_reports.records import ClipRecord
from ltx2_reports.store import DamagedError

_RECORD = ClipRecord(sample="s", prompt_id="p", seed=0, file="clips/s.mp4", sha256="0" * 64)


def _bytes():
    """The printable stand-ins of byte-level tokenizers."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + i) for i in range(len(others))]


def _vocabulary(folder, entries, kind):
    (folder / "vocab.json").write_text(json.dumps({entry: i for i, entry in enumerate(entries)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind, "model_max_length": 77}))
    return len(entries)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    from transformers import CLIPConfig, CLIPModel

    folder = tmp_path_factory.mktemp("clip")
    entries = [*_bytes(), *(f"{byte}</w>" for byte in _bytes()), "<|startoftext|>", "<|endoftext|>"]
    size = _vocabulary(folder, entries, "CLIPTokenizer")
    common = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**common, "vocab_size": size, "projection_dim": 8, "eos_token_id": 2}
    vision = {**common, "image_size": 32, "patch_size": 8, "projection_dim": 8}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clap_folder(tmp_path_factory):
    """A tiny LAION-CLAP checkpoint, converted by the real converter, beside a tiny RoBERTa vocabulary."""
    from transformers import ClapConfig, ClapModel

    folder = tmp_path_factory.mktemp("clap")
    size = _vocabulary(folder, ["<s>", "<pad>", "</s>", "<unk>", *_bytes(), "<mask>"], "RobertaTokenizer")
    torch.manual_seed(0)
    text = {
        "vocab_size": size,
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 1,
    }
    text |= {"max_position_embeddings": 80, "layer_norm_eps": 1e-5, "projection_dim": 16}
    audio = {
        "patch_embeds_hidden_size": 8,
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 1, 2, 2],
        "hidden_size": 64,
    }
    model = ClapModel(ClapConfig(text_config=text, audio_config={**audio, "projection_dim": 16}, projection_dim=16))
    numbers = {"epoch": np.float64(15), "optimizer": {"lr": np.float32(1e-4)}}
    torch.save({"state_dict": _published_clap(model.state_dict()), **numbers}, folder / "w.pt")
    assert main(["laion-clap", str(folder / "w.pt"), str(folder)]) == 0
    (folder / "original").mkdir()
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, folder / "original/w.safetensors")
    return folder


_TO_PUBLISHED = (
    ("audio_model.audio_encoder.", "module.audio_branch."),
    ("text_model.", "module.text_branch."),
    ("_projection.linear1.", "_projection.0."),
    ("_projection.linear2.", "_projection.2."),
)
_AUDIO_TO_PUBLISHED = (
    (".batch_norm.", ".bn0."),
    ("layernorm_before", "norm1"),
    ("layernorm_after", "norm2"),
    ("intermediate.dense", "mlp.fc1"),
    ("attention.output.dense", "attn.proj"),
    ("output.dense", "mlp.fc2"),
    ("attention.self.relative", "attn.relative"),
)


def _published_clap(state):
    """The names of a released LAION checkpoint."""
    published = {
        "module.audio_branch.tscam_conv.weight": torch.zeros(2),
        "module.audio_branch.logmel_extractor.melW": torch.zeros(2),
        "module.text_branch.embeddings.position_ids": torch.arange(4),
    }
    for key, value in state.items():
        if key.endswith(
            ("position_ids", "token_type_ids", "self.key.weight", "self.key.bias", "self.value.weight")
        ) and ("audio" in key or key.endswith("ids")):
            continue
        if "audio" in key and key.endswith("self.value.bias"):
            continue
        if "audio_model" in key and ".self.query." in key:
            parts = [state[key.replace("query", part)] for part in ("query", "key", "value")]
            key, value = key.replace("attention.self.query", "attn.qkv"), torch.cat(parts)
        for ours, theirs in _TO_PUBLISHED:
            key = key.replace(ours, theirs)
        if "audio_branch" in key:
            for ours, theirs in _AUDIO_TO_PUBLISHED:
                key = key.replace(ours, theirs)
        published[key if key.startswith("module.") else f"module.{key}"] = value
    return published


@pytest.fixture(scope="module")
def clip_model(clip_folder):
    return ClipExtractor.load(EXTRACTORS["clip-vit-l14"], clip_folder, "cpu")


@pytest.fixture(scope="module")
def clap_model(clap_folder):
    return ClapExtractor.load(EXTRACTORS["clap-music-speech"], clap_folder, "cpu")


def _frames(n=20, height=40, width=60):
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def _prompt(text="A dog barks. A cat runs.", **more):
    return Prompt(id="p", text=text, **more)


@pytest.mark.parametrize("size", [(40, 60), (61, 33), (32, 32), (300, 170)])
def test_clip_sees_what_transformers_prepares(size):
    from transformers.models.clip import CLIPImageProcessorPil

    frame = _frames(1, *size)[0]
    prepare = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    expected = prepare(Image.fromarray(frame), return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(clip_pixels(frame, 32), expected, rtol=0, atol=1e-5)


def test_clip_features_are_unit_float32_and_the_models_own(clip_model, video_clip):
    video = _frames()
    features = clip_model.features(video_clip(video))
    assert (features.shape, features.dtype) == ((16, 8), np.float32)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)
    with torch.inference_mode():
        first = clip_model.model.get_image_features(pixel_values=clip_pixels(video[0], 32)[None])
    np.testing.assert_allclose(features[0], unit(first)[0].numpy(), atol=1e-6)
    assert {parameter.dtype for parameter in clip_model.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("model", ["clip_model", "clap_model"])
def test_texts_differ_and_do_not_depend_on_their_neighbours(request, model):
    extractor = request.getfixturevalue(model)
    texts = ["a dog barks", "rain", "a dog barks " * 60]
    together = extractor.text_features(texts)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert np.abs(together[0] - together[1]).max() > 1e-3
    with torch.inference_mode():
        batch = extractor.encode(tokenized(extractor.tokenizer, texts, "cpu")).numpy()
    np.testing.assert_allclose(together, batch, atol=1e-5)
    assert extractor.num_truncated(texts) == 1


@pytest.mark.parametrize("model", ["clip_model", "clap_model"])
def test_a_text_is_encoded_once_whatever_stands_beside_it(request, model, monkeypatch):
    """As several metrics and every seed of a prompt ask for it."""
    extractor, encoded = request.getfixturevalue(model), []
    encode = extractor.encode
    monkeypatch.setattr(extractor, "encode", lambda inputs: encoded.append(len(inputs["input_ids"])) or encode(inputs))
    first = extractor.text_features(["thunder rolls", "a door"])
    again = extractor.text_features(["a door", "thunder rolls", "a door"])
    assert np.array_equal(again, first[[1, 0, 1]])
    assert encoded == [1, 1]
    again[:] = 0  # a caller's copy
    assert np.array_equal(extractor.text_features(["a door"])[0], first[1])


def test_unit_takes_tensors_and_objects():
    class Output:
        pooler_output = torch.tensor([[3.0, 4.0]])

    for output in (Output(), Output.pooler_output):
        torch.testing.assert_close(unit(output), torch.tensor([[0.6, 0.8]]))


@pytest.mark.parametrize("kind", ["clip", "clap"])
def test_a_tokenizer_without_its_vocabulary_is_refused(request, tmp_path, kind):
    folder = request.getfixturevalue(f"{kind}_folder")
    for name in ("config.json", "model.safetensors", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    extractor = {"clip": ClipExtractor, "clap": ClapExtractor}[kind]
    with pytest.raises((ValueError, OSError, TypeError)):
        extractor.load(EXTRACTORS["clip-vit-l14"], tmp_path, "cpu")


@pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
@pytest.mark.filterwarnings("ignore")
def test_weights_that_do_not_fit_are_refused_not_filled_at_random(clip_folder, tmp_path, change):
    for path in clip_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    state = load_file(tmp_path / "model.safetensors")
    name = "text_projection.weight"
    if change == "missing":
        del state[name]
    else:
        state[name if change == "shape" else "stranger"] = torch.zeros(3, 3)
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises((ValueError, RuntimeError), match=name if change != "unknown" else "stranger"):
        ClipExtractor.load(EXTRACTORS["clip-vit-l14"], tmp_path, "cpu")


def test_the_converter_gives_back_every_tensor(clap_folder):
    original, found = load_file(clap_folder / "original/w.safetensors"), load_file(clap_folder / "model.safetensors")
    left_out = {key for key in original if key not in found}
    assert all(key.endswith(("position_ids", "token_type_ids")) for key in left_out)
    assert set(found) <= set(original)
    for key, value in found.items():
        assert torch.equal(value, original[key]), key


def test_clap_reads_the_spectrogram_of_the_published_recipe():
    t = np.arange(5 * 48000) / 48000
    signal = 0.5 * np.sin(2 * np.pi * (200 * t + 150 * t**2)) + 0.1 * np.sin(2 * np.pi * 3000 * t)
    batch = clap_front_end()(signal.astype(np.float32), sampling_rate=48000, return_tensors="pt")
    mel = batch["input_features"][0, 0]
    assert mel.shape == (1001, 64)
    found = [float(x) for x in (mel.mean(), mel.std(), mel.min(), mel.max(), mel[0, 0], mel[500, 20], mel[1000, 63])]
    assert found == pytest.approx([-67.5487, 35.4707, -100, 25.0149, 19.9693, -2.4195, -34.6174], abs=5e-3)


def test_the_published_audio_branch_is_reproduced(published_fill, published_input):
    """A checkpoint with LAION's 200 names goes through the map; the values are those of LAION's own network."""
    from transformers import ClapAudioConfig
    from transformers.models.clap.modeling_clap import ClapAudioModel

    model = ClapAudioModel(ClapAudioConfig()).eval()
    full = {f"audio_model.{key}": value for key, value in model.state_dict().items()}
    prefix = "module.audio_branch."
    published = {
        key.removeprefix(prefix): value
        for key, value in _published_clap(full).items()
        if key.startswith(prefix) and "melW" not in key and "tscam" not in key
    }
    other = ["spectrogram_extractor.stft.conv_real.weight", "spectrogram_extractor.stft.conv_imag.weight"]
    other += ["logmel_extractor.melW", "tscam_conv.weight", "tscam_conv.bias", "head.weight", "head.bias"]
    other += [f"layers.{i}.blocks.{j}.attn_mask" for i, j in ((0, 1), (1, 1), (2, 1), (2, 3), (2, 5))]
    assert len(published) + len(other) == 200
    state = clap_state({f"audio_branch.{key}": value for key, value in published_fill(published, tuple(other)).items()})
    model.load_state_dict({key.removeprefix("audio_model."): value for key, value in state.items()}, strict=True)
    with torch.inference_mode():
        pooled = model(published_input(1, 1, 1001, 64, scale=40, offset=-40)).pooler_output[0]
    expected = torch.tensor([0.90189, -2.98066, -0.58491, -1.70010, -0.19244])
    torch.testing.assert_close(pooled[:5], expected, rtol=0, atol=1e-4)
    assert float(pooled.norm()) == pytest.approx(27.87726, rel=1e-5)


def test_windows_cover_the_whole_sound():
    for n, starts in ((1, [0]), (WINDOW, [0]), (WINDOW + 1, [0, 1]), (WINDOW + 2 * HOP, [0, HOP, 2 * HOP])):
        sound = np.arange(n, dtype=np.float32)
        assert [int(part[0]) for part in windows(sound)] == starts
        assert windows(sound)[-1][-1] == n - 1


def test_clap_features_are_always_the_same(clap_model, sound_clip):
    sound = np.random.default_rng(0).normal(0, 0.1, (2, 16 * 48000)).astype(np.float32)
    for seconds, count in ((3, 1), (10, 1), (16, 3)):
        clip = sound_clip(sound[:, : seconds * 48000], 48000)
        features = clap_model.features(clip)
        assert (features.shape, features.dtype) == ((count, 16), np.float32)
        assert np.array_equal(features, clap_model.features(clip))


def test_clip_tv_by_hand(clip_model, video_clip):
    clip = video_clip(_frames())
    prompt = _prompt(visual_text="A dog runs. It is red.")
    features = clip_model.features(clip)
    outcome = clip_tv(Subject(clip=clip, record=_RECORD, prompt=prompt), features, clip_model)
    cosines = features @ clip_model.text_features(["A dog runs.", "It is red."]).T
    assert outcome.value == pytest.approx(cosines.mean(), abs=1e-6)
    details = outcome.details
    assert (details["text"], details["num_sentences"]) == ("visual_text", 2)
    assert details["worst_frame"] == pytest.approx(cosines.mean(axis=1).min(), abs=1e-6)
    assert details["worst_sentence"] == pytest.approx(cosines.mean(axis=0).min(), abs=1e-6)
    assert not outcome.warnings
    assert np.prod(clip_sides(features, prompt, clip_model), axis=0).sum() == pytest.approx(outcome.value, abs=1e-6)


def test_quoted_speech_is_not_looked_for(clip_model, video_clip):
    clip = video_clip(_frames())
    features = clip_model.features(clip)
    values = [
        clip_tv(Subject(clip=clip, record=_RECORD, prompt=_prompt(text)), features, clip_model).value
        for text in ('She smiles. "Good evening, all." A lamp glows.', "She smiles.  A lamp glows.", "She smiles.")
    ]
    assert values[0] == pytest.approx(values[1], abs=1e-6)
    assert values[0] != pytest.approx(values[2], abs=1e-6)


def test_clap_ta_by_hand(clap_model, sound_clip):
    clip = sound_clip(np.random.default_rng(1).normal(0, 0.1, 16 * 48000), 48000)
    prompt = _prompt(audio_text="Rain falls.")
    features = clap_model.features(clip)
    outcome = clap_ta(Subject(clip=clip, record=_RECORD, prompt=prompt), features, clap_model)
    sound = features.mean(axis=0) / np.linalg.norm(features.mean(axis=0))
    own, whole = clap_model.text_features(["Rain falls.", prompt.text]) @ sound
    assert outcome.value == pytest.approx(own, abs=1e-5)
    assert outcome.details["full_prompt"] == pytest.approx(whole, abs=1e-5)
    assert outcome.details["num_windows"] == 3
    assert np.prod(clap_sides(features, prompt, clap_model), axis=0).sum() == pytest.approx(outcome.value, abs=1e-6)


@pytest.mark.parametrize(("metric", "model"), [(clip_tv, "clip_model"), (clap_ta, "clap_model")])
def test_no_prompt_is_not_applicable_and_bad_features_are_refused(request, metric, model, sound_clip):
    extractor = request.getfixturevalue(model)
    subject = Subject(clip=sound_clip(np.zeros(100), 100), record=_RECORD, prompt=None)
    width = extractor.text_features(["a"]).shape[1]
    good = np.ones((3, width), np.float32)
    with pytest.raises(NotApplicable, match="no prompt"):
        metric(subject, good, extractor)
    for row in range(3):
        for value in (np.nan, np.inf, -np.inf):
            bad = good.copy()
            bad[row, 0] = value
            with pytest.raises(ValueError, match="not finite"):
                metric(subject, bad, extractor)
    with pytest.raises(ValueError, match="of no length"):
        metric(subject, 0 * good, extractor)


def test_long_texts_are_told(clip_model, clap_model, video_clip, sound_clip):
    clip, sound = video_clip(_frames()), sound_clip(np.ones(48000), 48000)
    prompt = _prompt("word " * 100)
    found = clip_tv(Subject(clip=clip, record=_RECORD, prompt=prompt), clip_model.features(clip), clip_model)
    assert found.warnings == ("1 of 1 sentences cut at 77 tokens",)
    found = clap_ta(Subject(clip=sound, record=_RECORD, prompt=prompt), clap_model.features(sound), clap_model)
    assert found.warnings == ("text cut at 77 tokens",)


def test_a_model_that_gives_all_texts_one_embedding_is_refused(clip_folder, tmp_path):
    """Its configuration looks for an end-of-text token that its tokenizer never writes."""
    for path in clip_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 99_999
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="one embedding"):
        ClipExtractor.load(EXTRACTORS["clip-vit-l14"], tmp_path, "cpu")


def test_the_way_back_to_the_released_names(clap_folder):
    state = load_file(clap_folder / "model.safetensors")
    expected = _published_clap(load_file(clap_folder / "original/w.safetensors"))
    found = released_clap_state(state)
    released = {key.removeprefix("module."): value for key, value in expected.items()}
    assert set(found) == {key for key in released if not is_left_out(key)}
    assert all(torch.equal(found[key], released[key]) for key in found)


class _Missing(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]


def _laion_clap(clap_model, more=()):
    """A package with the calls of laion-clap that are used, around transformers' model."""

    class Model:
        def load_state_dict(self, state, strict):
            assert not strict
            self.ours = copy.deepcopy(clap_model.model)
            found = self.ours.load_state_dict(clap_state(state), strict=False)
            assert not found.unexpected_keys
            assert all(key.endswith(("position_ids", "token_type_ids")) for key in found.missing_keys)
            return _Missing(["audio_branch.logmel_extractor.melW", "text_transform.sequential.0.weight"], list(more))

        def eval(self):
            pass

        def get_text_embedding(self, inputs):
            return 3 * unit(self.ours.get_text_features(**inputs))

    class Module:
        def __init__(self, enable_fusion, device, amodel):
            assert (enable_fusion, device, amodel) == (False, "cpu", "HTSAT-tiny")
            self.model = Model()

        def get_audio_embedding_from_data(self, x, use_tensor):
            assert (x.ndim, len(x), use_tensor) == (2, 1, False)
            mels = clap_front_end()([x[0]], sampling_rate=48_000, return_tensors="pt")["input_features"]
            return unit(self.model.ours.get_audio_features(input_features=mels)).numpy()

    return SimpleNamespace(CLAP_Module=Module)


def test_the_authors_package_runs_the_same_extractor(clap_folder, clap_model, sound_clip, monkeypatch):
    spec = EXTRACTORS["clap-music-speech-upstream"]
    assert (spec.weights, spec.dimension) == (clap_model.spec.weights, clap_model.spec.dimension)
    assert BUILT_IN["clap_ta_upstream"].extractor == spec.id
    monkeypatch.setattr(clap_upstream, "_WIDTHS", {64: "HTSAT-tiny"})
    monkeypatch.setitem(sys.modules, "laion_clap", _laion_clap(clap_model))
    upstream = clap_upstream.ClapUpstreamExtractor.load(spec, clap_folder, "cpu")
    clip = sound_clip(np.random.default_rng(0).normal(0, 0.1, 12 * 48_000), 48_000)
    found = upstream.features(clip)
    assert (found.dtype, len(found)) == (np.float32, 2)
    np.testing.assert_allclose(found, clap_model.features(clip), rtol=1e-5, atol=1e-6)
    texts = ["a dog barks", "rain"]
    np.testing.assert_allclose(upstream.text_features(texts), clap_model.text_features(texts), rtol=1e-5, atol=1e-6)
    monkeypatch.setitem(sys.modules, "laion_clap", _laion_clap(clap_model, ["audio_branch.other"]))
    with pytest.raises(DamagedError, match=r"audio_branch\.other"):
        clap_upstream.ClapUpstreamExtractor.load(spec, clap_folder, "cpu")


def test_without_the_authors_package_it_is_said_how_to_get_it(clap_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "laion_clap", None)
    with pytest.raises(NotAvailable, match=r"needs a working laion-clap .*: `pip install laion-clap==1\.1\.7"):
        clap_upstream.ClapUpstreamExtractor.load(EXTRACTORS["clap-music-speech-upstream"], clap_folder, "cpu")
