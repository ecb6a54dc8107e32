"""VideoMAE-v2-g: the published layout, and its forward pass against transformers' VideoMAE at a small size.

`benchmarks/parity/video_networks.py` compares it with the network and the pixels of cd-fvd 0.1.1.
"""

import numpy as np
import pytest
import torch

from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.network import blank
from ltx2_eval.extractors.pixels import squashed
from ltx2_eval.extractors.videomae import VideoMae, VideoMaeExtractor, published_pixels, sine_positions
from ltx2_eval.weights.convert import main
from ltx2_eval.weights.safe import load_strict, read_state
from ltx2_reports.store import DamagedError

_SMALL = {"width": 24, "depth": 2, "heads": 2, "hidden": 48, "classes": 5}


def test_the_layout_is_the_published_one():
    with torch.device("meta"):
        state = VideoMae().state_dict()
    assert (len(state), sum(value.numel() for value in state.values())) == (526, 1_011_855_918)
    assert tuple(state["patch_embed.proj.weight"].shape) == (1408, 3, 2, 14, 14)
    assert tuple(state["blocks.39.attn.q_bias"].shape) == (1408,)
    assert "blocks.0.attn.qkv.bias" not in state


def test_positions_have_the_published_values():
    found = sine_positions(2, 1408)[1, :4]
    torch.testing.assert_close(found, torch.tensor([0.84147, 0.54030, 0.83438, 0.55119]), rtol=0, atol=1e-5)


_TO_TRANSFORMERS = (
    ("patch_embed.proj", "videomae.embeddings.patch_embeddings.projection"),
    ("blocks.", "videomae.encoder.layer."),
    ("attn.proj", "attention.output.dense"),
    ("norm1", "layernorm_before"),
    ("norm2", "layernorm_after"),
    ("mlp.fc1", "intermediate.dense"),
    ("mlp.fc2", "output.dense"),
    ("head.", "classifier."),
)


def test_forward_equals_transformers():
    """Independent source: VideoMAEForVideoClassification of transformers, whose parameters are filled from ours."""
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

    torch.manual_seed(0)
    ours = VideoMae(**_SMALL).eval()
    with torch.no_grad():
        for value in ours.state_dict().values():
            value.normal_(0, 0.2)
    config = VideoMAEConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        patch_size=14,
        layer_norm_eps=1e-6,
        num_labels=5,
        attn_implementation="eager",
    )
    theirs = VideoMAEForVideoClassification(config).eval()
    targets = dict(theirs.named_parameters())
    sources = {name: value for name, value in ours.named_parameters() if "qkv" not in name and "_bias" not in name}
    with torch.no_grad():
        for name, value in sources.items():
            for one, other in _TO_TRANSFORMERS:
                name = name.replace(one, other)
            targets.pop(_found(targets, name)).copy_(value)
        for index, block in enumerate(ours.blocks):
            for part, weight in zip("qkv", block.attn.qkv.weight.chunk(3), strict=True):
                (name,) = (key for key in targets if f".{index}." in key and _is(key, part) and key.endswith("weight"))
                targets.pop(name).copy_(weight)
            for part, bias in (("q", block.attn.q_bias), ("v", block.attn.v_bias)):
                (name,) = (key for key in targets if f".{index}." in key and _is(key, part) and "bias" in key)
                targets.pop(name).copy_(bias)
    assert not targets, sorted(targets)
    video = torch.rand(2, 3, 16, 224, 224)
    with torch.inference_mode():
        expected = theirs(video.transpose(1, 2)).logits
        torch.testing.assert_close(ours.head(ours(video)), expected, rtol=1e-4, atol=1e-5)


_PARTS = {"q": ("query", "q_proj", "q_bias"), "k": ("key", "k_proj"), "v": ("value", "v_proj", "v_bias")}


def _is(key, part):
    return any(name in key for name in _PARTS[part])


def _found(targets, name):
    """The name itself, or as later versions shortened it."""
    short = (
        name.replace("attention.output.dense", "attention.o_proj")
        .replace("intermediate.dense", "mlp.fc1")
        .replace("output.dense", "mlp.fc2")
        .replace("encoder.layer", "layers")
    )
    return next(key for key in targets if key in (name, short, name.replace("encoder.layer", "layers")))


@pytest.mark.parametrize("key", ["module", "model"])
def test_a_published_file_of_half_floats_loads_strictly(tmp_path, key):
    network = blank(lambda: VideoMae(**_SMALL))
    state = {name: torch.randn(value.shape).half() for name, value in network.state_dict().items()}
    torch.save({key: state}, tmp_path / "w.pth")
    assert main(["torch", str(tmp_path / "w.pth"), str(tmp_path)]) == 0
    load_strict(network, read_state(tmp_path / "model.safetensors"), "here")
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}
    torch.testing.assert_close(network.head.weight, state["head.weight"].float(), rtol=0, atol=0)
    del state["fc_norm.bias"]
    with pytest.raises(DamagedError, match=r"missing: fc_norm\.bias"):
        load_strict(network, state, "here")


class _Mean(torch.nn.Module):
    def forward(self, video):
        assert video.shape == (1, 3, 16, 224, 224)
        return video[:, 0, :, 0, 0]


def test_sixteen_neighbouring_frames_of_the_middle_between_0_and_1(video_clip):
    """Each frame one grey; the published way through bytes may cut a level off."""
    frames = np.broadcast_to(np.arange(41, dtype=np.uint8)[:, None, None, None], (41, 20, 30, 3)).copy()
    rows = VideoMaeExtractor(spec=None, network=_Mean(), device="cpu").features(video_clip(frames))
    assert rows[0] * 255 == pytest.approx(np.arange(12, 28), abs=1.001)
    assert (np.diff(np.round(rows[0] * 255)) >= 0).all()
    with pytest.raises(NotApplicable, match="15 frames of video, 16 are needed"):
        VideoMaeExtractor(spec=None, network=_Mean(), device="cpu").features(video_clip(frames[:15]))


def _pattern(height, width):
    frame, row, column, channel = np.meshgrid(
        np.arange(16), np.arange(height), np.arange(width), np.arange(3), indexing="ij"
    )
    return ((frame * 11 + row * 7 + column * 5 + channel * 29 + (row * column) % 23 * 6) % 256).astype(np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "mean", "expected"),
    [
        (300, 533, 0.4980606548417987, (0.281373, 0.559985, 0.322769, 0.619509, 0.27521, 0.25168)),
        (90, 61, 0.4982125578468302, (0.388515, 0.295798, 0.418207, 0.787675, 0.406583, 0.757763)),
    ],
)
def test_frames_are_those_that_the_publishers_package_feeds(height, width, mean, expected):
    """Values of cd-fvd 0.1.1: `preprocess` at resolution 256, to bytes, then `preprocess_videomae`."""
    video = published_pixels(_pattern(height, width))
    assert video.shape == (3, 16, 224, 224)
    assert float(video.double().mean()) == pytest.approx(mean, abs=1e-5)
    found = [float(video[i % 3, i, (i * 37) % 224, (i * 53) % 224]) for i in (0, 3, 7, 10, 13, 15)]
    assert found == pytest.approx(expected, abs=1e-5)


def test_squashing_keeps_no_aspect_ratio():
    ramp = np.broadcast_to(np.arange(448)[None, :, None] / 2, (112, 448, 3)).astype(np.uint8)[None]
    pixels = squashed(ramp, 224, "bilinear")
    assert pixels.shape == (1, 3, 224, 224)
    expected = torch.from_numpy(ramp[0, 0, :, 0].reshape(224, 2).mean(axis=1).astype(np.float32))
    torch.testing.assert_close(pixels[0, 0, 0], expected)


def test_another_shape_is_named():
    with pytest.raises(ValueError, match=r"found \(1, 3, 8, 224, 224\), expected"):
        VideoMae(**_SMALL)(torch.zeros(1, 3, 8, 224, 224))
