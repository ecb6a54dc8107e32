"""VGGish, CNN14, PaSST, CLAP's audio branch and AudioBox are the published networks, front ends included.

Weights are the deterministic fill. Independent sources: the reference forwards of av-benchmark and LAION-CLAP (first
values of each), and runs of torchvggish 0.2, panns-inference 0.1.1, hear21passt 0.0.26 and audiobox-aesthetics 0.0.4 on
the same fill and the same test signal, in an environment of their own:
`benchmarks/parity/audio_taggers.py`, `audiobox.py` and `clap_imagebind.py` make the literals again.
"""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ltx2_eval.extractors.audiobox import Audiobox, AudioboxExtractor, renamed
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.catalogue import EXTRACTORS
from ltx2_eval.extractors.clap import clap_front_end
from ltx2_eval.extractors.panns import Cnn14, PannsClassesExtractor, PannsExtractor
from ltx2_eval.extractors.passt import PasstClassesExtractor, PasstExtractor, passt_mel
from ltx2_eval.extractors.spectrogram import centred_power, decibels, hann, slaney_filters
from ltx2_eval.extractors.vggish import VggishExtractor, VggishReluExtractor, vggish_examples
from ltx2_eval.weights.clap_layout import clap_state
from ltx2_eval.weights.convert import main
from ltx2_eval.weights.safe import load_strict
from ltx2_reports.store import DamagedError

_STFT = ("spectrogram_extractor.stft.conv_real.weight", "spectrogram_extractor.stft.conv_imag.weight")
_AXES = ("CE", "CU", "PC", "PQ")
_AUDIOBOX_CONFIG = {
    "proj_num_layer": 3,
    "proj_ln": True,
    "target_transform": {axis: {"mean": 5 + 0.5 * i, "std": 1 + 0.25 * i} for i, axis in enumerate(_AXES)},
}


def signal(rate_hz, duration_s):
    """A rising tone with a steady one."""
    t = np.arange(round(rate_hz * duration_s)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * (200 * t + 150 * t * t)) + 0.1 * np.sin(2 * np.pi * 3000 * t)).astype(np.float32)


def _close(found, expected, atol=2e-5):
    torch.testing.assert_close(found.flatten()[: len(expected)], torch.tensor(expected), rtol=1e-5, atol=atol)


@pytest.fixture(scope="module")
def vggish(published_fill):
    network = VggishExtractor.build()
    load_strict(network, published_fill(network.state_dict()), "fill")
    return VggishExtractor(EXTRACTORS["vggish"], network, "cpu")


@pytest.fixture(scope="module")
def cnn14(published_fill):
    network = Cnn14()
    state = network.state_dict()
    mel = state.pop("logmel_extractor.melW")  # left as constructed, but counted, as are the tables of the transform
    filled = published_fill(state, ("logmel_extractor.melW", *_STFT))
    load_strict(network, {**filled, "logmel_extractor.melW": mel}, "fill")
    return PannsExtractor(EXTRACTORS["panns-cnn14-16k"], network, "cpu")


@pytest.fixture(scope="module")
def passt(published_fill):
    network = PasstExtractor.build()
    load_strict(network, published_fill(network.state_dict()), "fill")
    return PasstExtractor(EXTRACTORS["passt-s"], network, "cpu")


def test_the_front_ends_give_the_published_values():
    mel = vggish_examples(signal(16_000, 2.0))
    found = [mel.mean(), mel.std(), mel.min(), mel.max(), mel[0, 0, 0], mel[0, 50, 20], mel[1, 95, 63]]
    assert mel.shape == (2, 96, 64)
    assert found == pytest.approx([-3.1710, 2.3006, -4.6041, 4.3039, 2.8467, -4.3777, -4.6028], abs=1e-4)
    power = centred_power(signal(16_000, 2.0), hann(512, periodic=True), 512, 160)
    mel = decibels(power @ slaney_filters(16_000, 512, 64, 50, 8000))
    assert mel.shape == (201, 64)
    assert [mel.mean(), mel.std()] == pytest.approx([-70.4093, 34.5873], abs=2e-3)
    mel = passt_mel(signal(32_000, 5.0))
    found = [mel.mean(), mel.std(), mel.min(), mel.max(), mel[0, 0], mel[40, 250], mel[127, 999]]
    assert mel.shape == (128, 1000)
    assert found == pytest.approx([-1.2277, 0.5874, -1.4026, 2.3483, 0.4456, -0.7359, -1.4026], abs=1e-4)
    mel = clap_front_end()(signal(48_000, 5.0), sampling_rate=48_000, return_tensors="np")["input_features"].squeeze()
    found = [mel.mean(), mel.std(), mel.min(), mel.max(), mel[0, 0], mel[500, 20], mel[1000, 63]]
    assert mel.shape == (1001, 64)
    assert found == pytest.approx([-67.5487, 35.4707, -100, 25.0149, 19.9693, -2.4195, -34.6174], abs=2e-3)


def test_vggish_equals_the_reference_forward(vggish, published_input):
    with torch.inference_mode():
        found = vggish.network(published_input(2, 96, 64, scale=4))
    _close(found, [0.02226, -0.22827, 0.32330, 0.06785, -0.33106])
    assert [float(found.mean()), float(found.norm())] == pytest.approx([0.010543, 3.13579], rel=1e-4)
    assert sum(tensor.numel() for tensor in vggish.network.state_dict().values()) == 72_141_184


def test_vggish_equals_torchvggish_from_the_sound_on(vggish, sound_clip):
    """torchvggish applies the last ReLU; without it the values below 0 differ, the others do not."""
    clip = sound_clip(signal(16_000, 5.04), 16_000)
    raw = vggish.features(clip)
    with_relu = VggishReluExtractor(EXTRACTORS["vggish-relu"], vggish.network, "cpu").features(clip)
    assert raw.shape == with_relu.shape == (5, 128)
    expected = [0.0855866, 0.0, 0.4771633, 0.0076670, 0.0, 0.0541001]
    assert with_relu[2, :6] == pytest.approx(expected, abs=1e-6)
    assert float(np.linalg.norm(with_relu)) == pytest.approx(6.041085, rel=1e-5)
    assert raw.min() < 0
    np.testing.assert_array_equal(np.maximum(raw, 0), with_relu)


def test_a_sound_shorter_than_an_example_is_continued_by_silence():
    assert vggish_examples(signal(16_000, 0.2)).shape == (1, 96, 64)
    assert vggish_examples(signal(16_000, 1.94)).shape == (2, 96, 64)
    assert vggish_examples(signal(16_000, 1.93)).shape == (1, 96, 64)


def test_cnn14_equals_the_reference_forward(cnn14):
    with torch.inference_mode():
        embedding, logits = cnn14.network(torch.from_numpy(signal(16_000, 2.0))[None])
    _close(embedding, [0.27661, 0, 0, 0.37324, 0])
    _close(logits.sigmoid(), [0.50884, 0.45488, 0.48567, 0.32539, 0.45880])
    found = [float(x) for x in (embedding.mean(), embedding.norm(), logits.sigmoid().norm())]
    assert found == pytest.approx([0.244678, 19.49228, 11.75027], rel=1e-5)
    floating = sum(tensor.numel() for tensor in cnn14.network.state_dict().values() if tensor.is_floating_point())
    assert floating + 2 * 257 * 512 == 81_049_500 - 13  # 13 counters of batches


def test_cnn14_equals_panns_inference_from_the_sound_on(cnn14, sound_clip):
    clip = sound_clip(signal(16_000, 5.04), 16_000)
    embedding = cnn14.features(clip)
    logits = PannsClassesExtractor(EXTRACTORS["panns-cnn14-16k-classes"], cnn14.network, "cpu").features(clip)
    assert (embedding.shape, logits.shape) == ((1, 2048), (1, 527))
    assert embedding[0, [0, 1, 3]] == pytest.approx([0.1828033, 0.0, 0.2209812], abs=2e-6)
    probabilities = 1 / (1 + np.exp(-logits[0]))
    assert probabilities[:5] == pytest.approx([0.5187288, 0.4577749, 0.4901546, 0.3240810, 0.4742588], abs=2e-6)
    assert float(np.linalg.norm(embedding)) == pytest.approx(20.172569, rel=1e-6)


def test_the_converter_of_panns_leaves_out_the_tables(tmp_path):
    state = {_STFT[0]: torch.ones(1), _STFT[1]: torch.ones(1), "fc1.weight": torch.ones(2, 2)}
    torch.save({"model": state, "iteration": 3}, tmp_path / "w.pth")
    assert main(["panns", str(tmp_path / "w.pth"), str(tmp_path)]) == 0
    with pytest.raises(DamagedError, match="missing"):
        PannsExtractor.load(EXTRACTORS["panns-cnn14-16k"], tmp_path / "model.safetensors", "cpu")


@pytest.mark.parametrize(
    ("frames", "features", "norm"),
    [
        (998, [0.35282, 0.23112, 2.09409, -0.92816, 0.95162], 27.46391),
        (1000, [0.50375, 0.06044, 2.03502, -0.76860, 0.88973], 27.41884),
    ],
)
def test_passt_equals_the_reference_forward(passt, published_input, frames, features, norm):
    with torch.inference_mode():
        found, logits = passt.network(published_input(1, 128, frames, scale=2))
    _close(found, features)
    assert float(found.norm()) == pytest.approx(norm, rel=1e-5)
    if frames == 998:
        _close(logits, [-1.60970, -0.60461, 1.20056, -1.22733, -0.00766])
        assert float(logits.norm()) == pytest.approx(22.41371, rel=1e-5)
    state = passt.network.state_dict()
    assert (len(state), sum(tensor.numel() for tensor in state.values())) == (159, 86_153_758)


def test_passt_equals_hear21passt_on_the_same_spectrogram(passt, sound_clip):
    clip = sound_clip(signal(32_000, 5.04), 32_000)
    features = passt.features(clip)
    logits = PasstClassesExtractor(EXTRACTORS["passt-s-classes"], passt.network, "cpu").features(clip)
    expected = [0.0314169, -0.6702766, 1.0566244, 0.3168921, 1.2323458, 0.1923078]
    assert features[0, :6] == pytest.approx(expected, abs=1e-5)
    assert logits[0, :5] == pytest.approx([0.5771218, 1.1804398, -1.4802316, 0.0113961, -1.3449023], abs=1e-5)
    longer = np.concatenate([signal(32_000, 10.0), np.ones(32_000, np.float32)])
    np.testing.assert_array_equal(passt_mel(longer), passt_mel(signal(32_000, 10.0)))


def _htsat(width, depths):
    """Names and shapes of the audio branch of a released LAION-CLAP checkpoint."""
    state = {"logmel_extractor.melW": (513, 64), **dict.fromkeys(_STFT, (513, 1, 1024))}
    state |= {f"bn0.{key}": (64,) for key in ("weight", "bias", "running_mean", "running_var")}
    state |= {"bn0.num_batches_tracked": (), "patch_embed.proj.weight": (width, 1, 4, 4)}
    state |= {f"patch_embed.{key}": (width,) for key in ("proj.bias", "norm.weight", "norm.bias")}
    for layer, depth in enumerate(depths):
        d, side = width << layer, 64 >> layer
        for block in range(depth):
            stem = f"layers.{layer}.blocks.{block}."
            state |= {f"{stem}norm{i}.{leaf}": (d,) for i in (1, 2) for leaf in ("weight", "bias")}
            state |= {f"{stem}attn.relative_position_bias_table": (225, 4 << layer)}
            state |= {f"{stem}attn.relative_position_index": (64, 64)}
            linears = {"attn.qkv": (3 * d, d), "attn.proj": (d, d), "mlp.fc1": (4 * d, d), "mlp.fc2": (d, 4 * d)}
            for name, shape in linears.items():
                state |= {f"{stem}{name}.weight": shape, f"{stem}{name}.bias": shape[:1]}
            if block % 2 and side > 8:
                state |= {f"{stem}attn_mask": ((side // 8) ** 2, 64, 64)}
        if layer < 3:
            stem = f"layers.{layer}.downsample."
            state |= {f"{stem}norm.weight": (4 * d,), f"{stem}norm.bias": (4 * d,)}
            state |= {f"{stem}reduction.weight": (2 * d, 4 * d)}
    state |= {"norm.weight": (8 * width,), "norm.bias": (8 * width,), "tscam_conv.weight": (527, 8 * width, 2, 3)}
    state |= {"tscam_conv.bias": (527,), "head.weight": (527, 527), "head.bias": (527,)}
    whole = ("relative_position_index", "num_batches_tracked")
    return {k: torch.zeros(s, dtype=torch.long if k.endswith(whole) else torch.float32) for k, s in state.items()}


@pytest.mark.parametrize(
    ("width", "depths", "elements", "first", "mean", "norm"),
    [
        (96, (2, 2, 6, 2), 31_751_256, [0.90189, -2.98066, -0.58491, -1.70010, -0.19244], 0.003368, 27.87726),
        (128, (2, 2, 12, 2), 72_924_376, [-0.98308, -2.37985, -0.18441, -1.79698, -0.09078], 0.002015, 32.08754),
    ],
    ids=["tiny", "base"],
)
def test_claps_audio_branch_equals_laions(published_fill, published_input, width, depths, elements, first, mean, norm):
    from transformers import ClapAudioConfig
    from transformers.models.clap.modeling_clap import ClapAudioModel

    published = _htsat(width, depths)
    assert sum(tensor.numel() for tensor in published.values()) == elements
    config = {"patch_embeds_hidden_size": width, "depths": list(depths), "num_attention_heads": [4, 8, 16, 32]}
    model = ClapAudioModel(ClapAudioConfig(**config, hidden_size=8 * width, enable_fusion=False)).eval()
    filled = clap_state({f"audio_branch.{key}": value for key, value in published_fill(published).items()})
    state = {key.removeprefix("audio_model."): value for key, value in filled.items()}
    own = {key: value for key, value in model.state_dict().items() if not value.is_floating_point()}
    load_strict(model, {**state, **own}, "fill")
    with torch.inference_mode():
        found = model(input_features=published_input(1, 1, 1001, 64, scale=40, offset=-40), is_longer=None)
    _close(found.pooler_output, first, atol=5e-5)
    assert float(found.pooler_output.mean()) == pytest.approx(mean, abs=5e-6)
    assert float(found.pooler_output.norm()) == pytest.approx(norm, rel=1e-5)


_HEAD = {**dict.fromkeys((0, 3, 6), "linear"), **dict.fromkeys((1, 4), "norm")}


def _audiobox():
    """Names and shapes of the published checkpoint, of the size that `_AUDIOBOX_CONFIG` describes."""
    stem, kernels = "wavlm_model.feature_extractor.conv_layers.", (10, 3, 3, 3, 3, 2, 2)
    state = {f"{stem}{i}.0.weight": (512, 512 if i else 1, kernel) for i, kernel in enumerate(kernels)}
    state |= {f"{stem}0.2.weight": (512,), f"{stem}0.2.bias": (512,), "wavlm_model.mask_emb": (768,)}
    state |= {"wavlm_model.post_extract_proj.weight": (768, 512), "wavlm_model.post_extract_proj.bias": (768,)}
    state |= {"wavlm_model.layer_norm.weight": (512,), "wavlm_model.layer_norm.bias": (512,)}
    state |= {f"wavlm_model.encoder.pos_conv.0.{k}": s for k, s in (("bias", (768,)), ("weight_g", (1, 1, 128)))}
    state |= {"wavlm_model.encoder.pos_conv.0.weight_v": (768, 48, 128)}
    state |= {f"wavlm_model.encoder.layer_norm.{leaf}": (768,) for leaf in ("weight", "bias")}
    for layer in range(12):
        stem = f"wavlm_model.encoder.layers.{layer}."
        shapes = {f"self_attn.{name}_proj": (768, 768) for name in ("q", "k", "v", "out")}
        shapes |= {"self_attn.grep_linear": (8, 64), "fc1": (3072, 768), "fc2": (768, 3072)}
        for name, shape in shapes.items():
            state |= {f"{stem}{name}.weight": shape, f"{stem}{name}.bias": shape[:1]}
        norms = ("self_attn_layer_norm", "final_layer_norm")
        state |= {f"{stem}{name}.{leaf}": (768,) for name in norms for leaf in ("weight", "bias")}
        state |= {f"{stem}self_attn.grep_a": (1, 12, 1, 1)}
    state |= {"wavlm_model.encoder.layers.0.self_attn.relative_attention_bias.weight": (320, 12)}
    for axis in _AXES:
        state |= {f"layer_weights.{axis}": (13,)}
        for index, kind in _HEAD.items():
            width = 1 if index == 6 else 768
            shape = (width, 768) if kind == "linear" else (768,)
            state |= {f"proj_layer.{axis}.{index}.weight": shape, f"proj_layer.{axis}.{index}.bias": shape[:1]}
    return {key: torch.zeros(shape) for key, shape in state.items()}


@pytest.fixture(scope="module")
def audiobox(published_fill, tmp_path_factory):
    folder = tmp_path_factory.mktemp("audiobox")
    published = _audiobox()
    assert (len(published), sum(tensor.numel() for tensor in published.values())) == (292, 99_122_088)
    (folder / "config.json").write_text(json.dumps(_AUDIOBOX_CONFIG))
    save_file(published_fill(published), folder / "model.safetensors")
    return AudioboxExtractor.load(EXTRACTORS["audiobox-aesthetics"], folder, "cpu")


def test_audiobox_equals_audiobox_aesthetics(audiobox, sound_clip):
    half = audiobox.features(sound_clip(signal(16_000, 5.04), 16_000))
    assert half.shape == (1, 4)
    assert half[0] == pytest.approx([5.1239347, 4.6040998, 5.8597870, 7.2119412], abs=1e-5)
    whole = audiobox.features(sound_clip(signal(16_000, 10.0), 16_000))
    assert whole[0] == pytest.approx([5.3162451, 4.4515753, 5.5092149, 7.1120167], abs=1e-5)


def test_audiobox_weighs_windows_by_their_sound(sound_clip):
    """A window of less than a frame of the network, which would have no value, is left out."""

    def network(waveform, length):
        assert waveform.shape == (1, 160_000)
        return torch.full((1, 4), length / 1000)

    extractor = AudioboxExtractor.__new__(AudioboxExtractor)
    extractor.network, extractor.device = network, "cpu"
    found = extractor.features(sound_clip(np.zeros(240_000), 16_000))
    assert found[0] == pytest.approx([(160 * 2 + 80) / 3] * 4)
    assert extractor.features(sound_clip(np.zeros(160_016), 16_000))[0] == pytest.approx([160.0] * 4)


def test_audiobox_refuses_another_configuration(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DamagedError, match=r"config\.json is not that of AudioBox"):
        AudioboxExtractor.load(EXTRACTORS["audiobox-aesthetics"], tmp_path, "cpu")
    state = renamed({"wavlm_model.mask_emb": torch.zeros(768)})
    with pytest.raises(DamagedError, match="missing"):
        load_strict(Audiobox(_AUDIOBOX_CONFIG), state, "here")


def test_too_short_is_not_applicable(vggish, cnn14, passt, sound_clip):
    for extractor in (vggish, cnn14, passt):
        with pytest.raises(NotApplicable, match="are needed"):
            extractor.features(sound_clip(np.zeros(800), 16_000))
