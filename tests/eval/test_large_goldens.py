"""Forward values of the largest networks on the published fill: minutes and gigabytes, so only on request.

With LTX2_EVAL_LARGE_GOLDENS=1 they run (about 7 minutes on one core, 5 GB). Each network is also compared with an
independent implementation at a small size, in the test of its extractor, always.
"""

import os

import pytest
import torch

from ltx2_eval.extractors.imagebind_net import ImageBind
from ltx2_eval.extractors.synchformer_net import Synchformer
from ltx2_eval.extractors.videomae import VideoMae

pytestmark = pytest.mark.skipif(
    os.environ.get("LTX2_EVAL_LARGE_GOLDENS") != "1", reason="minutes of work; set LTX2_EVAL_LARGE_GOLDENS=1"
)


def _check(output, first, mean, norm):
    values = output.flatten().double()
    torch.testing.assert_close(values[:5], torch.tensor(first, dtype=torch.float64), rtol=0, atol=5e-5)
    assert float(values.mean()) == pytest.approx(mean, abs=5e-6)
    assert float(values.norm()) == pytest.approx(norm, rel=1e-5)


def _filled(make, published_fill):
    """The network with the published fill; made without memory, so that there is one copy of it."""
    with torch.device("meta"):
        network = make()
    state = published_fill(network.state_dict())
    masks = {
        key: torch.full(value.shape, float("-inf")).triu(1) for key, value in state.items() if key.endswith(".mask")
    }
    network.load_state_dict({**state, **masks}, assign=True)
    return network.eval().requires_grad_(False)


def test_synchformer_towers(published_fill, published_input):
    network = _filled(Synchformer, published_fill)
    assert sum(value.numel() for value in network.state_dict().values()) == 237_460_245
    frames = published_input(1, 16, 3, 224, 224, scale=2).permute(0, 2, 1, 3, 4)
    with torch.inference_mode():
        visual = network.vfeat_extractor(frames)
        sound = network.afeat_extractor(published_input(1, 128, 66, scale=2))
    assert (visual.shape, sound.shape) == ((1, 8, 768), (1, 6, 768))
    _check(visual, [0.98002, -0.58420, -0.04400, 2.06304, 1.43608], -0.000923, 91.90719)
    _check(sound, [0.30934, 1.11439, 0.56701, -1.33966, -3.75350], -0.004728, 70.74628)


def test_imagebind(published_fill, published_input):
    network = _filled(ImageBind, published_fill)
    assert len(network.state_dict()) == 864
    ids = torch.zeros(1, 77, dtype=torch.long)
    ids[0, :6] = torch.tensor([49406, 320, 1125, 539, 320, 49407])
    with torch.inference_mode():
        vision = network.vision(published_input(1, 3, 2, 224, 224, scale=2))
        sound = network.sound(published_input(1, 1, 128, 204, scale=2))
        text = network.text(ids)
    _check(vision, [0.07765, 0.01967, -0.02825, -0.02830, -0.01110], 0.000301, 1)
    _check(sound, [0.00678, -0.00565, -0.00177, 0.03350, -0.00055], -0.001110, 1)
    _check(text, [0.04103, -0.05142, -0.02379, -0.00208, -0.00880], -0.001495, 1)


def test_videomae(published_fill, published_input):
    network = _filled(VideoMae, published_fill)
    assert len(network.state_dict()) == 526
    with torch.inference_mode():
        features = network(published_input(1, 3, 16, 224, 224, scale=1, offset=0.5))
    _check(features, [1.16566, 0.93262, 1.26765, -0.26970, -1.03951], 0.001027, 37.62567)
