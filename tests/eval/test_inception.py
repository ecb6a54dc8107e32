"""The network of FID against torch-fidelity 0.4.0 on the published fill.

The values are those of its `FeatureExtractorInceptionV3` and of its resize, by `benchmarks/parity/fid_inception.py`.
"""

import numpy as np
import pytest
import torch
from einops import rearrange
from safetensors.torch import save_file

from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.catalogue import EXTRACTORS
from ltx2_eval.extractors.inception import FidExtractor, FidInception, inception_pixels, resized_as_tensorflow_1
from ltx2_eval.metrics.catalogue import BUILT_IN, implementation
from ltx2_eval.weights.safe import load_strict
from ltx2_reports.store import DamagedError


@pytest.fixture(scope="module")
def pictures(published_values_of):
    """(2, 120, 200, 3) bytes."""
    values = published_values_of(None, torch.empty(2, 3, 120, 200, dtype=torch.float64), 999).double()
    return rearrange(((values + 0.5) * 256).to(torch.uint8), "b c h w -> b h w c").numpy()


@pytest.fixture(scope="module")
def network(published_fill):
    network = FidInception().eval()
    load_strict(network, published_fill(network.state_dict()), "published fill")
    return network


def test_it_equals_torch_fidelity(network, pictures):
    with torch.inference_mode():
        features = network.embed(inception_pixels(pictures))
        logits = network.fc(features)
    expected = [0.14491717517375946, 0.0, 0.005130718927830458, 0.09128063917160034, 0.11537826061248779]
    assert features.shape == (2, 2048)
    assert features[1, :5].tolist() == pytest.approx(expected, rel=1e-5)
    assert float(features.double().norm()) == pytest.approx(4.993497395705154, rel=1e-5)
    assert float(features.double().mean()) == pytest.approx(0.04531950596249879, rel=1e-5)
    expected = [0.09773438, 0.08355922997951508, 0.20847105979919434, 0.023288056254386902, 0.016820639371871948]
    assert logits[1, :5].tolist() == pytest.approx(expected, rel=1e-5)


def test_pictures_are_resized_as_torch_fidelity_does(pictures):
    x = rearrange(torch.from_numpy(pictures), "b h w c -> b c h w").float()
    resized = resized_as_tensorflow_1(x, 299)
    assert resized[1, 2, [0, 150, 298], [0, 77, 298]].tolist() == [240.0, 116.34773254394531, 154.0]
    assert float(resized.double().mean()) == pytest.approx(127.50242602278273, rel=1e-7)
    assert torch.equal(inception_pixels(pictures), (resized - 128) / 128)


def test_the_resize_by_hand():
    """Four pixels from two: samples at 0, 1/2, 1 and 3/2, the last held at the edge."""
    x = torch.tensor([[0.0, 8.0], [16.0, 24.0]])[None, None]
    rows = [[0.0, 4.0, 8.0, 8.0], [8.0, 12.0, 16.0, 16.0], [16.0, 20.0, 24.0, 24.0], [16.0, 20.0, 24.0, 24.0]]
    assert resized_as_tensorflow_1(x, 4)[0, 0].tolist() == rows


def test_the_released_file_loads_strictly(network, tmp_path, video_clip):
    """Old files have no counters of batches; a tensor too few or too many is refused."""
    state = {key: value for key, value in network.state_dict().items() if value.is_floating_point()}
    assert sum(value.numel() for value in state.values()) == 23_885_392
    save_file(state, tmp_path / "model.safetensors")
    extractor = FidExtractor.load(EXTRACTORS["fid-inception-v3"], tmp_path / "model.safetensors", "cpu")
    video = np.random.default_rng(0).integers(0, 256, (8, 40, 60, 3), dtype=np.uint8)
    rows = extractor.features(video_clip(video))
    assert (rows.shape, rows.dtype) == ((2, extractor.spec.dimension), np.float32)
    with torch.inference_mode():
        halves = network.embed(inception_pixels(video[[2, 6]]))
    np.testing.assert_allclose(rows, halves.numpy(), rtol=1e-5, atol=1e-7)
    save_file({**state, "AuxLogits.fc.bias": torch.zeros(3)}, tmp_path / "more.safetensors")
    with pytest.raises(DamagedError, match=r"1 tensors unknown: AuxLogits\.fc\.bias"):
        FidExtractor.load(EXTRACTORS["fid-inception-v3"], tmp_path / "more.safetensors", "cpu")


def test_sound_alone_has_no_frames(network, sound_clip):
    with pytest.raises(NotApplicable, match="no video"):
        FidExtractor(EXTRACTORS["fid-inception-v3"], network, "cpu").features(sound_clip(np.zeros(800), 8000))


@pytest.mark.parametrize("name", ["fid", "kid"])
def test_the_metrics_take_two_frames_of_each_clip(name):
    """Equal sets are at distance 0 (FID) and below it (the unbiased KID); a shifted set is far from both."""
    random = np.random.default_rng(0)
    clips = [random.normal(size=(2, 2048)).astype(np.float32) for _ in range(6)]
    metric = implementation(BUILT_IN[name])(**BUILT_IN[name].settings)
    same, far = metric.distance(clips, clips), metric.distance(clips, [clip + 1 for clip in clips])
    assert same == pytest.approx(0, abs=1e-6) if name == "fid" else same < 0
    assert far > same + 1
