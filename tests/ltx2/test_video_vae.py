import dataclasses
import re

import pytest
import torch

from ltx2.config import LTX2_19B, NANO, VideoVAEConfig
from ltx2.video_vae import VideoVAE

TINY = VideoVAEConfig(
    latent_channels=16,
    encoder_base_channels=16,
    decoder_base_channels=16,
    encoder_blocks=(
        ("res_x", 1),
        ("compress_space_res", 2),
        ("res_x", 1),
        ("compress_time_res", 2),
        ("res_x", 1),
        ("compress_all_res", 2),
        ("res_x", 1),
        ("compress_all_res", 2),
        ("res_x", 1),
    ),
    decoder_blocks=(
        ("res_x", 1),
        ("compress_all", 2),
        ("res_x", 1),
        ("compress_all", 2),
        ("res_x", 1),
        ("compress_all", 2),
        ("res_x", 1),
    ),
)


@pytest.fixture(scope="module")
def vae(deterministic):
    """The tiny autoencoder of the golden numbers, filled by its published key names."""
    vae = VideoVAE(TINY).eval().requires_grad_(False)
    vae.load_state_dict(deterministic.fill(deterministic.shapes_of(vae.state_dict())))
    return vae


@pytest.fixture(scope="module")
def video(deterministic):
    return (0.5 * deterministic.u(900010, (1, 3, 9, 64, 96))).float()


def test_encode_matches_the_official_code(vae, video, deterministic):
    first = [0.833928, -0.563857, 0.291703, 0.573207]
    deterministic.assert_golden(vae.encode(video), (1, 16, 2, 2, 3), -2.161090, 0.429443, first, -0.156264)


def test_moments_match_the_official_code(vae, video, deterministic):
    mean, logvar = vae.encoder.moments(video)
    first = [0.383228, -0.792724, -0.072943, 0.163885]
    deterministic.assert_golden(mean, (1, 16, 2, 2, 3), -7.098402, 0.344405, first, -0.096862)
    assert logvar.shape == mean.shape
    assert torch.equal(logvar[:, 0], logvar[:, -1])


def test_decode_matches_the_official_code(vae, video, deterministic):
    first = [-0.395692, 0.101295, -0.067726, 0.293231]
    decoded = vae.decode(vae.encode(video))
    deterministic.assert_golden(decoded, (1, 3, 9, 64, 96), 2427.963824, 0.471645, first, 0.332054, atol=1e-4)


def test_tiny_key_set(vae):
    assert len(vae.state_dict()) == 60
    assert sum(p.numel() for p in vae.parameters()) == 8_597_737


def test_published_size_on_the_meta_device(deterministic):
    with torch.device("meta"):
        vae = VideoVAE(LTX2_19B.video_vae)
    assert sum(p.numel() for p in vae.encoder.parameters()) == 694_098_881
    assert sum(p.numel() for p in vae.decoder.parameters()) == 528_380_720
    assert deterministic.shapes_of(vae.state_dict()) == _published_shapes()


def _published_shapes():
    """Keys and shapes in the published 19B file, without the prefix `vae.` and its three unused statistics."""
    shapes = {f"per_channel_statistics.{name}": (128,) for name in ("mean-of-means", "std-of-means")}

    def conv(name, out_channels, in_channels):
        shapes[f"{name}.conv.weight"] = (out_channels, in_channels, 3, 3, 3)
        shapes[f"{name}.conv.bias"] = (out_channels,)

    def stack(name, n, channels):
        for j in range(n):
            conv(f"{name}.res_blocks.{j}.conv1", channels, channels)
            conv(f"{name}.res_blocks.{j}.conv2", channels, channels)

    conv("encoder.conv_in", 128, 48)
    for i, (n, channels) in enumerate(zip((4, 6, 6, 2, 2), (128, 256, 512, 1024, 2048), strict=True)):
        stack(f"encoder.down_blocks.{2 * i}", n, channels)
    for i, (out_channels, in_channels) in enumerate(((64, 128), (256, 256), (128, 512), (256, 1024))):
        conv(f"encoder.down_blocks.{2 * i + 1}.conv", out_channels, in_channels)
    conv("encoder.conv_out", 129, 2048)
    conv("decoder.conv_in", 1024, 128)
    for i, channels in enumerate((1024, 512, 256, 128)):
        stack(f"decoder.up_blocks.{2 * i}", 5, channels)
    for i, (out_channels, in_channels) in enumerate(((4096, 1024), (2048, 512), (1024, 256))):
        conv(f"decoder.up_blocks.{2 * i + 1}.conv", out_channels, in_channels)
    conv("decoder.conv_out", 48, 128)
    return shapes


def test_published_size_shapes_of_a_five_second_clip():
    with torch.device("meta"):
        vae = VideoVAE(LTX2_19B.video_vae).requires_grad_(False)
        latent = vae.encode(torch.empty(1, 3, 121, 704, 1216))
        assert latent.shape == (1, 128, 16, 22, 38)
        assert vae.decode(latent).shape == (1, 3, 121, 704, 1216)


def test_inference_keeps_four_activations_alive(live_bytes):
    """At the widest stage: a block's input, its activation, the padded copy and the result, and nothing older."""
    with torch.device("meta"):
        vae = VideoVAE(LTX2_19B.video_vae).requires_grad_(False)
        latent, video = torch.empty(1, 128, 16, 22, 38), torch.empty(1, 3, 121, 704, 1216)
    widest = 4 * 128 * 121 * 176 * 304
    with live_bytes() as memory:
        vae.decode(latent)
    assert memory.peak < 4.1 * widest
    with live_bytes() as memory:
        vae.encode(video)
    assert memory.peak - video.nbytes < 4.1 * widest


def test_encoder_sees_no_later_frame(vae, deterministic):
    video = (0.5 * deterministic.u(1, (1, 3, 17, 64, 64))).float()
    changed = video.clone()
    changed[:, :, 9:] += 0.3
    before, after = vae.encode(video), vae.encode(changed)
    assert torch.equal(before[:, :, :2], after[:, :, :2])
    assert (before[:, :, 2] - after[:, :, 2]).abs().max() > 1e-3


def test_image_is_the_first_latent_of_a_video(vae, video):
    torch.testing.assert_close(vae.encode(video[:, :, :1]), vae.encode(video)[:, :, :1], atol=1e-5, rtol=0)


def test_every_decoded_frame_sees_the_last_latent(vae, deterministic):
    latent = deterministic.u(2, (1, 16, 3, 2, 2)).float()
    changed = latent.clone()
    changed[:, :, -1] += 0.5
    difference = (vae.decode(latent) - vae.decode(changed)).abs().amax(dim=(0, 1, 3, 4))
    assert difference.shape == (17,)
    assert (difference > 0).all()


def test_batch_rows_are_independent(vae, deterministic):
    latent = deterministic.u(3, (2, 16, 2, 2, 3)).float()
    both = vae.decode(latent)
    torch.testing.assert_close(both[1:], vae.decode(latent[1:]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("frames", [1, 9, 25])
def test_round_trip_shapes_of_nano(frames):
    vae = VideoVAE(NANO.video_vae).eval().requires_grad_(False)
    cell_px = NANO.video_vae.spatial_factor
    latent = vae.encode(torch.zeros(2, 3, frames, 64, 96))
    assert latent.shape == (2, NANO.video_vae.latent_channels, (frames - 1) // 8 + 1, 64 // cell_px, 96 // cell_px)
    assert vae.decode(latent).shape == (2, 3, frames, 64, 96)


def test_gradients_reach_every_parameter_and_equal_those_of_inference(deterministic):
    vae = VideoVAE(NANO.video_vae)
    video = (0.5 * deterministic.u(4, (1, 3, 9, 64, 64))).float()
    mean, logvar = vae.encoder.moments(video)
    decoded = vae.decoder(mean)
    ((decoded - video).square().mean() + logvar.square().mean()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in vae.parameters())
    with torch.no_grad():
        torch.testing.assert_close(vae.decoder(vae.encoder.moments(video)[0]), decoded.detach(), atol=1e-5, rtol=0)


def test_bfloat16_keeps_its_dtype_and_stays_close(vae, video):
    half = VideoVAE(TINY).requires_grad_(False)
    half.load_state_dict(vae.state_dict())
    half.to(torch.bfloat16)
    latent, expected = half.encode(video.bfloat16()), vae.encode(video)
    assert latent.dtype == torch.bfloat16
    torch.testing.assert_close(latent.float(), expected, atol=0.05, rtol=0.05)
    assert half.decode(latent).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 10, 64, 64), "10 frames; the encoder takes 8k + 1: cut to 9 or extend to 17"),
        ((1, 3, 0, 64, 64), "0 frames"),
        ((1, 3, 9, 72, 64), "frames of 64x72 pixels; width and height must be multiples of 32"),
        ((1, 4, 9, 64, 64), "the encoder takes (batch, 3, frames, height, width)"),
        ((3, 9, 64, 64), "the encoder takes (batch, 3, frames, height, width)"),
    ],
)
def test_refuses_video_of_wrong_shape(vae, shape, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        vae.encode(torch.zeros(shape))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 16, 2, 1, 3), "video latent of 3x1 cells; the decoder needs at least 2x2"),
        ((1, 16, 2, 3, 1), "video latent of 1x3 cells; the decoder needs at least 2x2"),
        ((1, 8, 2, 2, 2), "the decoder takes (batch, 16, frames, height, width)"),
    ],
)
def test_refuses_latent_of_wrong_shape(vae, shape, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        vae.decode(torch.zeros(shape))


def test_refuses_a_block_of_the_other_half():
    with pytest.raises(ValueError, match="block 'compress_all' in the video encoder"):
        VideoVAE(dataclasses.replace(TINY, encoder_blocks=(("compress_all", 2),)))
    with pytest.raises(ValueError, match="block 'compress_time_res' in the video decoder"):
        VideoVAE(dataclasses.replace(TINY, decoder_blocks=(("compress_time_res", 2),)))


def _peer_key(key):
    """Published key -> the key of diffusers' AutoencoderKLLTX2Video."""
    renamed = {
        "per_channel_statistics.mean-of-means": "latents_mean",
        "per_channel_statistics.std-of-means": "latents_std",
    }
    if key in renamed:
        return renamed[key]
    key = key.replace("res_blocks", "resnets")
    match = re.fullmatch(r"(encoder\.down|decoder\.up)_blocks\.(\d+)\.(.*)", key)
    if match is None:
        return key
    half, index, rest = match[1], int(match[2]), match[3]
    encoder = half.startswith("encoder")
    if index == (8 if encoder else 0):
        return f"{half.split('.')[0]}.mid_block.{rest}"
    block, resample = divmod(index if encoder else index - 1, 2)
    if resample == (1 if encoder else 0):
        rest = f"{'downsamplers' if encoder else 'upsamplers'}.0.{rest}"
    return f"{half}_blocks.{block}.{rest}"


def _peer(diffusers, vae, upsample_type=("spatiotemporal",) * 3):
    """The other library's autoencoder of the tiny sizes, with our weights."""
    peer = diffusers.AutoencoderKLLTX2Video(
        latent_channels=16,
        block_out_channels=(32, 64, 128, 256),
        down_block_types=("LTX2VideoDownBlock3D",) * 4,
        decoder_block_out_channels=(32, 64, 128),
        layers_per_block=(1,) * 5,
        decoder_layers_per_block=(1,) * 4,
        spatio_temporal_scaling=(True,) * 4,
        decoder_spatio_temporal_scaling=(True,) * 3,
        decoder_inject_noise=(False,) * 4,
        downsample_type=("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
        upsample_type=upsample_type,
        upsample_residual=(True,) * 3,
        upsample_factor=(2, 2, 2),
        timestep_conditioning=False,
        encoder_causal=True,
        decoder_causal=False,
        encoder_spatial_padding_mode="zeros",
        decoder_spatial_padding_mode="reflect",
    ).eval()
    peer.load_state_dict({_peer_key(key): value for key, value in vae.state_dict().items()}, strict=True)
    return peer


def test_parity_with_diffusers(vae, deterministic, diffusers):
    peer = _peer(diffusers, vae)
    video = (0.5 * deterministic.u(5, (2, 3, 17, 96, 64))).float()
    with torch.no_grad():
        raw = peer.encode(video).latent_dist
        decoded = peer.decode(raw.mode()).sample
    mean, logvar = vae.encoder.moments(video)
    torch.testing.assert_close(mean, raw.mode(), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cat([mean, logvar], dim=1), raw.parameters, atol=1e-5, rtol=0)
    torch.testing.assert_close(vae.decoder(mean), decoded, atol=1e-5, rtol=0)
    torch.testing.assert_close(vae.decode(vae.encode(video)), decoded, atol=1e-5, rtol=0)


def test_decoder_blocks_of_one_axis_match_diffusers(deterministic, diffusers):
    kinds = ("compress_all", "compress_time", "compress_space")
    blocks = tuple(block for kind in kinds for block in (("res_x", 1), (kind, 2)))
    vae = VideoVAE(dataclasses.replace(TINY, decoder_blocks=(*blocks, ("res_x", 1)))).eval().requires_grad_(False)
    vae.load_state_dict(deterministic.fill(deterministic.shapes_of(vae.state_dict())))
    peer = _peer(diffusers, vae, ("spatial", "temporal", "spatiotemporal"))
    latent = deterministic.u(6, (2, 16, 3, 3, 2)).float()
    with torch.no_grad():
        expected = peer.decoder(latent)
    assert expected.shape == (2, 3, 9, 48, 32)
    torch.testing.assert_close(vae.decoder(latent), expected, atol=1e-5, rtol=0)
