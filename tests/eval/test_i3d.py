"""I3D is the published network: its values, its preprocessing, its frames.

Independent sources: the port in cd-fvd 0.1.1 on the published fill (`benchmarks/parity/video_networks.py`), and the
JAX original on its own weights (`packaged_vision.py`).
"""

import importlib

import numpy as np
import pytest
import torch
from einops import rearrange

from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.catalogue import EXTRACTORS, load_extractor
from ltx2_eval.extractors.frames import bin_centre_frames, centred_frames
from ltx2_eval.extractors.i3d import I3d, centre_crop_224, max_pool
from ltx2_eval.weights.convert import main
from ltx2_eval.weights.safe import load_strict


@pytest.fixture(scope="module")
def i3d(packaged_weights):
    packaged_weights("i3d-k400")
    return load_extractor("i3d-k400")


@pytest.mark.parametrize(
    ("eps", "first", "mean", "norm"),
    [
        (1e-3, [-0.08128, 0.08886, 0.02550, -0.11674, -0.04544], -0.010316, 1.96945),
        (1e-5, [-0.08132, 0.08891, 0.02553, -0.11689, -0.04547], -0.010319, 1.97041),
    ],
)
def test_forward_equals_the_reference_on_filled_weights(published_fill, published_input, eps, first, mean, norm):
    network = I3d(eps).eval()
    assert len(network.state_dict()) == 344
    load_strict(network, published_fill(network.state_dict()), "fill")
    with torch.inference_mode():
        logits = network(published_input(1, 3, 16, 224, 224, scale=2))[0]
    torch.testing.assert_close(logits[:5], torch.tensor(first), rtol=0, atol=2e-5)
    assert float(logits.mean()) == pytest.approx(mean, abs=2e-6)
    assert float(logits.norm()) == pytest.approx(norm, rel=1e-5)


@pytest.mark.parametrize(("extractor", "eps"), [("i3d-k400-torch", 1e-3), ("i3d-k400-eps1e-5", 1e-5)])
def test_the_torch_file_loads_strictly_under_either_epsilon(tmp_path, extractor, eps):
    """Random values in the published layout, without the counters that older files lack."""
    torch.manual_seed(0)
    state = {key: torch.rand(value.shape) for key, value in I3d().state_dict().items() if value.is_floating_point()}
    torch.save(state, tmp_path / "i3d_pretrained_400.pt")
    assert main(["torch", str(tmp_path / "i3d_pretrained_400.pt"), str(tmp_path)]) == 0
    spec = EXTRACTORS[extractor]
    module, _, kind = spec.implementation.partition(":")
    loaded = getattr(importlib.import_module(module), kind).load(spec, tmp_path / "model.safetensors", "cpu")
    assert {unit.bn.eps for unit in loaded.network.modules() if hasattr(unit, "bn")} == {eps}
    torch.testing.assert_close(loaded.network.logits.conv3d.bias, state["logits.conv3d.bias"], rtol=0, atol=0)


@pytest.mark.parametrize("stride", [(1, 1, 1), (1, 2, 2), (2, 2, 2), (3, 1, 2)])
@pytest.mark.parametrize("kernel", [(1, 3, 3), (3, 3, 3), (2, 2, 2)])
def test_pooling_by_axes_is_max_pooling_to_the_bit(kernel, stride):
    x = torch.randn(2, 3, 6, 9, 10, generator=torch.Generator().manual_seed(0))
    assert torch.equal(max_pool(x, kernel, stride), torch.nn.functional.max_pool3d(x, kernel, stride))


@pytest.mark.weights
def test_forward_equals_the_published_network(i3d):
    """Values of the JAX original on the packaged weights."""
    draw = np.random.default_rng(0).uniform(-1, 1, (1, 16, 224, 224, 3)).astype(np.float32)
    with torch.inference_mode():
        logits = i3d.network(rearrange(torch.from_numpy(draw), "b f h w c -> b c f h w"))[0]
    torch.testing.assert_close(logits[:4], torch.tensor([1.10208, 3.91514, 2.00849, 2.61936]), rtol=1e-4, atol=0)
    assert float(logits.abs().max()) == pytest.approx(8.79636, rel=1e-4)


@pytest.mark.weights
def test_features_are_one_float32_vector_and_always_the_same_bits(i3d, video_clip):
    video = np.random.default_rng(1).integers(0, 256, (50, 64, 96, 3), dtype=np.uint8)
    features = i3d.features(video_clip(video))
    assert (features.shape, features.dtype) == ((1, 400), np.float32)
    assert np.array_equal(features, i3d.features(video_clip(video.copy())))
    assert {parameter.dtype for parameter in i3d.network.parameters()} == {torch.float32}


@pytest.mark.parametrize(("frames", "side"), [(8, 224), (16, 112), (1, 224)])
def test_inputs_that_the_network_cannot_take_are_named(frames, side):
    with pytest.raises(ValueError, match="expected"):
        I3d()(torch.zeros(1, 3, frames, side, side))


def test_preprocessing_by_hand():
    ramp = np.broadcast_to(np.arange(448, dtype=np.float64)[None, :, None] / 448 * 255, (224, 448, 3))
    frames = np.round(ramp)[None].astype(np.uint8)
    pixels = centre_crop_224(frames)
    assert pixels.shape == (3, 1, 224, 224)
    expected = torch.from_numpy(frames[0, 0, 112:336, 0].astype(np.float32)) / 127.5 - 1
    torch.testing.assert_close(pixels[0, 0, 0], expected)


@pytest.mark.parametrize("size", [(90, 160), (160, 90), (225, 401), (30, 30)])
def test_any_size_becomes_a_square_in_range(size):
    frames = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    pixels = centre_crop_224(frames)
    assert pixels.shape == (3, 2, 224, 224)
    assert -1 <= pixels.min() < pixels.max() <= 1


def _numbered(frames):
    return np.broadcast_to(np.arange(frames, dtype=np.uint8)[:, None, None, None], (frames, 4, 4, 3)).copy()


@pytest.mark.parametrize(
    ("fps", "frames", "expected"),
    [
        ("8", 16, list(range(16))),
        ("24", 121, [38 + 3 * j for j in range(16)]),
        ("16", 48, [9 + 2 * j for j in range(16)]),
    ],
)
def test_frames_are_the_ones_on_screen_about_the_middle(video_clip, fps, frames, expected):
    assert centred_frames(video_clip(_numbered(frames), fps), 16, 8.0)[:, 0, 0, 0].tolist() == expected


def test_times_decide_not_indices(video_clip):
    """A container that rounds to milliseconds, or starts late, shows the same frames."""
    video, exact = _numbered(121), np.arange(121) / 24
    expected = centred_frames(video_clip(video), 16, 8.0)
    for times in (np.round(exact, 3), exact + 1.5):
        found = centred_frames(video_clip(video, frame_times_s=times), 16, 8.0)
        assert np.array_equal(found, expected)


def test_bin_centres_leave_out_the_ends(video_clip):
    assert bin_centre_frames(video_clip(_numbered(64)), 16)[:, 0, 0, 0].tolist() == list(range(2, 64, 4))
    assert bin_centre_frames(video_clip(_numbered(2)), 4)[:, 0, 0, 0].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("fps", "frames"), [("24", 40), ("4", 100)])
def test_too_short_or_too_slow_is_not_applicable(video_clip, fps, frames):
    with pytest.raises(NotApplicable, match="need"):
        centred_frames(video_clip(_numbered(frames), fps), 16, 8.0)


def test_no_video_is_not_applicable(sound_clip):
    clip = sound_clip(np.zeros(8000), 8000)
    for call in (lambda: centred_frames(clip, 16, 8.0), lambda: bin_centre_frames(clip, 16)):
        with pytest.raises(NotApplicable, match="no video"):
            call()
