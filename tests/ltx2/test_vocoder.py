import pytest
import torch

from ltx2.config import LTX2_19B, NANO, VocoderConfig
from ltx2.vocoder import Vocoder

TINY = VocoderConfig(upsample_initial_channel=64)


@pytest.fixture(scope="module")
def vocoder(deterministic):
    """The tiny vocoder of the golden numbers, filled by its published key names."""
    vocoder = Vocoder(TINY).eval().requires_grad_(False)
    vocoder.load_state_dict(deterministic.fill(deterministic.shapes_of(vocoder.state_dict())))
    return vocoder


def test_waveform_matches_the_official_code(vocoder, deterministic):
    waveform = vocoder(deterministic.u(900030, (1, 2, 10, 64)).float())
    first = [0.001421, -0.045519, 0.048168, 0.108570]
    deterministic.assert_golden(waveform, (1, 2, 2400), -410.328702, 0.318545, first, -0.329483)


def test_tiny_key_set(vocoder):
    assert len(vocoder.state_dict()) == 194
    assert sum(p.numel() for p in vocoder.parameters()) == 272_112


def test_published_size_on_the_meta_device(deterministic):
    with torch.device("meta"):
        vocoder = Vocoder(LTX2_19B.vocoder).requires_grad_(False)
        assert vocoder(torch.empty(1, 2, 481, 64)).shape == (1, 2, 115_440)
    assert sum(p.numel() for p in vocoder.parameters()) == 55_592_802
    assert deterministic.shapes_of(vocoder.state_dict()) == _published_shapes()


def _published_shapes():
    """Keys and shapes in the published 19B file, without the prefix `vocoder.`."""
    shapes = {"conv_pre.weight": (1024, 128, 7), "conv_pre.bias": (1024,)}
    shapes |= {"conv_post.weight": (2, 32, 7), "conv_post.bias": (2,)}
    for stage, size in enumerate((16, 15, 8, 4, 4)):
        width = 512 >> stage
        shapes |= {f"ups.{stage}.weight": (2 * width, width, size), f"ups.{stage}.bias": (width,)}
        for j, kernel in enumerate((3, 7, 11)):
            for name in (f"resblocks.{3 * stage + j}.convs{half}.{k}" for half in (1, 2) for k in range(3)):
                shapes |= {f"{name}.weight": (width, width, kernel), f"{name}.bias": (width,)}
    return shapes


def test_sizes_in_samples(vocoder):
    assert TINY.samples_per_frame == 240
    assert vocoder(torch.zeros(3, 2, 1, 64)).shape == (3, 2, 240)


def test_range(vocoder, deterministic):
    waveform = vocoder(50 * deterministic.u(1, (1, 2, 6, 64)).float())
    assert waveform.abs().max() <= 1
    assert waveform.abs().max() > 0.9


def test_left_and_right_are_blocks_of_channels(deterministic):
    """A first convolution that reads only channels 64 and above must not see the left channel."""
    vocoder = Vocoder(TINY).requires_grad_(False)
    vocoder.conv_pre.weight[:, :64] = 0
    log_mel = deterministic.u(2, (1, 2, 5, 64)).float()
    left, right = log_mel.clone(), log_mel.clone()
    left[:, 0] += 1
    right[:, 1] += 1
    assert torch.equal(vocoder(log_mel), vocoder(left))
    assert not torch.equal(vocoder(log_mel), vocoder(right))


def test_gradients_reach_every_parameter_and_equal_those_of_inference(deterministic):
    vocoder = Vocoder(NANO.vocoder)
    log_mel = deterministic.u(3, (1, 2, 4, 64)).float()
    waveform = vocoder(log_mel)
    waveform.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in vocoder.parameters())
    with torch.no_grad():
        torch.testing.assert_close(vocoder(log_mel), waveform.detach(), atol=1e-6, rtol=0)


def test_input_is_left_as_it_was(vocoder, deterministic):
    log_mel = deterministic.u(4, (1, 2, 4, 64)).float()
    copy = log_mel.clone()
    vocoder(log_mel)
    assert torch.equal(log_mel, copy)


def test_bfloat16_keeps_its_dtype_and_stays_close(vocoder, deterministic):
    log_mel = deterministic.u(5, (1, 2, 4, 64)).float()
    half = Vocoder(TINY).requires_grad_(False)
    half.load_state_dict(vocoder.state_dict())
    waveform = half.to(torch.bfloat16)(log_mel.bfloat16())
    assert waveform.dtype == torch.bfloat16
    torch.testing.assert_close(waveform.float(), vocoder(log_mel), atol=0.05, rtol=0)


@pytest.mark.parametrize("shape", [(1, 1, 10, 64), (1, 2, 10, 32), (2, 10, 64)])
def test_refuses_log_mel_of_wrong_shape(vocoder, shape):
    with pytest.raises(ValueError, match=r"with channels \* mel bins = 128"):
        vocoder(torch.zeros(shape))


def _peer_key(key):
    """Published key -> the key of diffusers' LTX2Vocoder."""
    first, _, rest = key.partition(".")
    names = {"ups": "upsamplers", "resblocks": "resnets", "conv_pre": "conv_in", "conv_post": "conv_out"}
    return f"{names[first]}.{rest}"


def test_parity_with_diffusers(vocoder, deterministic, diffusers):
    from diffusers.pipelines.ltx2 import LTX2Vocoder

    peer = LTX2Vocoder(
        in_channels=128,
        hidden_channels=64,
        out_channels=2,
        upsample_kernel_sizes=[16, 15, 8, 4, 4],
        upsample_factors=[6, 5, 2, 2, 2],
        resnet_kernel_sizes=[3, 7, 11],
        resnet_dilations=[[1, 3, 5]] * 3,
        leaky_relu_negative_slope=0.1,
        output_sampling_rate=24000,
    ).eval()
    peer.load_state_dict({_peer_key(key): value for key, value in vocoder.state_dict().items()}, strict=True)
    log_mel = deterministic.u(6, (2, 2, 9, 64)).float()
    with torch.no_grad():
        torch.testing.assert_close(vocoder(log_mel), peer(log_mel), atol=1e-5, rtol=0)
