import re

import pytest
import torch

from ltx2.audio_vae import AudioVAE
from ltx2.config import LTX2_19B, NANO, AudioVAEConfig

TINY = AudioVAEConfig(base_channels=16, channel_multipliers=(1, 2, 4), num_res_blocks=2, latent_channels=4, mel_bins=16)


@pytest.fixture(scope="module")
def vae(deterministic):
    """The tiny autoencoder of the golden numbers, filled by its published key names."""
    vae = AudioVAE(TINY).eval().requires_grad_(False)
    vae.load_state_dict(deterministic.fill(deterministic.shapes_of(vae.state_dict())))
    return vae


@pytest.fixture(scope="module")
def log_mel(deterministic):
    return deterministic.u(900020, (1, 2, 37, 16)).float()


def test_encode_matches_the_official_code(vae, log_mel, deterministic):
    first = [-1.025674, -0.514072, -0.135872, -0.393945]
    deterministic.assert_golden(vae.encode(log_mel), (1, 4, 10, 4), 3.129407, 0.405145, first, 0.426224)


def test_moments_match_the_official_code(vae, log_mel, deterministic):
    mean, logvar = vae.encoder.moments(log_mel)
    first = [-0.608018, -0.490356, -0.119052, -0.345784]
    deterministic.assert_golden(mean, (1, 4, 10, 4), 7.874648, 0.365060, first, 0.420053)
    assert logvar.shape == mean.shape


def test_decode_matches_the_official_code(vae, log_mel, deterministic):
    first = [0.092299, 0.042933, 0.145154, 0.331437]
    decoded = vae.decode(vae.encode(log_mel))
    deterministic.assert_golden(decoded, (1, 2, 37, 16), -467.662035, 0.480242, first, -0.148462, atol=1e-4)


def test_tiny_key_set(vae):
    assert len(vae.state_dict()) == 102
    assert sum(p.numel() for p in vae.parameters()) == 839_450


def test_published_size_on_the_meta_device(deterministic):
    with torch.device("meta"):
        vae = AudioVAE(LTX2_19B.audio_vae)
    assert sum(p.numel() for p in vae.encoder.parameters()) == 21_333_008
    assert sum(p.numel() for p in vae.decoder.parameters()) == 31_915_138
    assert deterministic.shapes_of(vae.state_dict()) == _published_shapes()


def _published_shapes():
    """Keys and shapes in the published 19B file, without the prefix `audio_vae.`."""
    shapes = {f"per_channel_statistics.{name}": (128,) for name in ("mean-of-means", "std-of-means")}

    def conv(name, out_channels, in_channels, size=3):
        shapes[f"{name}.weight"] = (out_channels, in_channels, size, size)
        shapes[f"{name}.bias"] = (out_channels,)

    def block(name, out_channels, in_channels):
        conv(f"{name}.conv1.conv", out_channels, in_channels)
        conv(f"{name}.conv2.conv", out_channels, out_channels)
        if in_channels != out_channels:
            conv(f"{name}.nin_shortcut.conv", out_channels, in_channels, 1)

    for half in ("encoder", "decoder"):
        block(f"{half}.mid.block_1", 512, 512)
        block(f"{half}.mid.block_2", 512, 512)
    conv("encoder.conv_in.conv", 128, 2)
    for level, (before, width) in enumerate(((128, 128), (128, 256), (256, 512))):
        block(f"encoder.down.{level}.block.0", width, before)
        block(f"encoder.down.{level}.block.1", width, width)
    conv("encoder.down.0.downsample.conv", 128, 128)
    conv("encoder.down.1.downsample.conv", 256, 256)
    conv("encoder.conv_out.conv", 16, 512)
    conv("decoder.conv_in.conv", 512, 8)
    for level, (before, width) in enumerate(((256, 128), (512, 256), (512, 512))):
        block(f"decoder.up.{level}.block.0", width, before)
        block(f"decoder.up.{level}.block.1", width, width)
        block(f"decoder.up.{level}.block.2", width, width)
    conv("decoder.up.1.upsample.conv.conv", 256, 256)
    conv("decoder.up.2.upsample.conv.conv", 512, 512)
    conv("decoder.conv_out.conv", 2, 128)
    return shapes


@pytest.mark.parametrize(("frames", "latents"), [(1, 1), (4, 1), (5, 2), (37, 10), (481, 121), (484, 121), (485, 122)])
def test_latent_lengths(frames, latents):
    with torch.device("meta"):
        vae = AudioVAE(LTX2_19B.audio_vae).requires_grad_(False)
        latent = vae.encode(torch.empty(1, 2, frames, 64))
        assert latent.shape == (1, 8, latents, 16)
        assert vae.decode(latent).shape == (1, 2, 4 * latents - 3, 64)


def test_causal_in_time(vae, deterministic):
    log_mel = deterministic.u(1, (1, 2, 37, 16)).float()
    changed = log_mel.clone()
    changed[:, :, 17:] += 1
    latent, after = vae.encode(log_mel), vae.encode(changed)
    assert torch.equal(latent[:, :, :5], after[:, :, :5])
    assert not torch.equal(latent[:, :, 5], after[:, :, 5])
    decoded, after = vae.decode(latent), vae.decode(after)
    assert torch.equal(decoded[:, :, :17], after[:, :, :17])
    assert not torch.equal(decoded[:, :, 17], after[:, :, 17])


def test_statistics_are_per_channel_and_mel_bin():
    vae = AudioVAE(TINY)
    mean = torch.arange(16.0)
    vae.load_state_dict({"per_channel_statistics.mean-of-means": mean}, strict=False)
    normalised = vae.per_channel_statistics.normalize(torch.zeros(1, 4, 3, 4))
    assert torch.equal(normalised[0, :, 1], -mean.reshape(4, 4))
    assert torch.equal(vae.per_channel_statistics.denormalize(normalised), torch.zeros(1, 4, 3, 4))


def test_batch_rows_are_independent(vae, deterministic):
    log_mel = deterministic.u(2, (3, 2, 21, 16)).float()
    torch.testing.assert_close(vae.encode(log_mel)[1:2], vae.encode(log_mel[1:2]), atol=1e-5, rtol=0)


def test_gradients_reach_every_parameter_and_equal_those_of_inference(deterministic):
    vae = AudioVAE(NANO.audio_vae)
    log_mel = deterministic.u(3, (1, 2, 13, 64)).float()
    mean, logvar = vae.encoder.moments(log_mel)
    decoded = vae.decoder(mean)
    ((decoded - log_mel).square().mean() + logvar.square().mean()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in vae.parameters())
    with torch.no_grad():
        torch.testing.assert_close(vae.decoder(vae.encoder.moments(log_mel)[0]), decoded.detach(), atol=1e-5, rtol=0)


def test_bfloat16_keeps_its_dtype_and_stays_close(vae, log_mel):
    half = AudioVAE(TINY).requires_grad_(False)
    half.load_state_dict(vae.state_dict())
    half.to(torch.bfloat16)
    latent = half.encode(log_mel.bfloat16())
    assert latent.dtype == torch.bfloat16
    torch.testing.assert_close(latent.float(), vae.encode(log_mel), atol=0.05, rtol=0.05)
    assert half.decode(latent).dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(1, 1, 37, 16), (1, 2, 37, 64), (2, 37, 16)])
def test_refuses_log_mel_of_wrong_shape(vae, shape):
    with pytest.raises(ValueError, match=re.escape("the encoder takes (batch, 2, frames, 16)")):
        vae.encode(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 8, 10, 4), (1, 4, 10, 16), (1, 10, 16)])
def test_refuses_latent_of_wrong_shape(vae, shape):
    with pytest.raises(ValueError, match=re.escape("the decoder takes (batch, 4, frames, 4)")):
        vae.decode(torch.zeros(shape))


def test_refuses_nothing(vae):
    with pytest.raises(ValueError, match="log-mel without frames"):
        vae.encode(torch.zeros(1, 2, 0, 16))
    with pytest.raises(ValueError, match="audio latent without frames"):
        vae.decode(torch.zeros(1, 4, 0, 4))


def test_parity_with_diffusers(vae, deterministic, diffusers):
    peer = diffusers.AutoencoderKLLTX2Audio(
        base_channels=16,
        output_channels=2,
        ch_mult=(1, 2, 4),
        num_res_blocks=2,
        attn_resolutions=None,
        in_channels=2,
        resolution=256,
        latent_channels=4,
        norm_type="pixel",
        causality_axis="height",
        dropout=0.0,
        mid_block_add_attention=False,
        sample_rate=16000,
        mel_hop_length=160,
        is_causal=True,
        mel_bins=16,
        double_z=True,
    ).eval()
    renamed = {
        "per_channel_statistics.mean-of-means": "latents_mean",
        "per_channel_statistics.std-of-means": "latents_std",
    }
    peer.load_state_dict({renamed.get(key, key): value for key, value in vae.state_dict().items()}, strict=True)
    log_mel = deterministic.u(4, (2, 2, 50, 16)).float()
    with torch.no_grad():
        raw = peer.encode(log_mel).latent_dist
        decoded = peer.decode(raw.mode()).sample
    mean, logvar = vae.encoder.moments(log_mel)
    torch.testing.assert_close(mean, raw.mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(logvar, raw.logvar, atol=1e-5, rtol=0)
    torch.testing.assert_close(vae.decoder(mean), decoded, atol=1e-5, rtol=0)
    torch.testing.assert_close(vae.decode(vae.encode(log_mel)), decoded, atol=1e-5, rtol=0)
