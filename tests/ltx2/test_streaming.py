"""Decoding and encoding in slices: the same values for the same work, in memory that does not grow with the clip."""

import dataclasses
import itertools

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ltx2.config import LTX2_19B, NANO, VideoVAEConfig
from ltx2.conv3d import Conv3d
from ltx2.streaming import Delay, Streaming, rechunk
from ltx2.types import VideoLatentShape
from ltx2.video_memory import decode_peak_bytes, plan_decode
from ltx2.video_vae import VideoVAE

TINY = VideoVAEConfig(
    latent_channels=8,
    encoder_base_channels=4,
    decoder_base_channels=8,
    encoder_blocks=(
        ("res_x", 1),
        ("compress_space_res", 2),
        ("res_x", 1),
        ("compress_time_res", 2),
        ("compress_all_res", 2),
        ("res_x", 2),
        ("compress_all_res", 2),
    ),
    decoder_blocks=(
        ("res_x", 2),
        ("compress_all", 2),
        ("res_x", 1),
        ("compress_all", 2),
        ("compress_all", 2),
        ("res_x", 1),
    ),
)
AXES = ("time", "height", "width")
ONE_AXIS = dataclasses.replace(
    TINY,
    encoder_blocks=(("compress_all_res", 2), ("compress_time_res", 2), ("compress_time_res", 2)),
    decoder_blocks=(
        ("res_x", 1),
        ("compress_time", 2),
        ("compress_space", 2),
        ("compress_time", 2),
        ("compress_time", 2),
    ),
)
"""Eight times smaller in space, by blocks for one axis at a time in the decoder."""
SIXTEENTH = dataclasses.replace(
    NANO.video_vae,
    encoder_blocks=(*NANO.video_vae.encoder_blocks[:-2], ("compress_time_res", 2), ("res_x", 1)),
    decoder_blocks=(*NANO.video_vae.decoder_blocks[:-2], ("compress_time", 2), ("res_x", 1)),
)


@pytest.fixture(scope="module")
def vae(deterministic):
    vae = VideoVAE(TINY).eval().requires_grad_(False)
    vae.load_state_dict(deterministic.fill(deterministic.shapes_of(vae.state_dict())))
    return vae


@pytest.mark.parametrize("shape", [(2, 8, 5, 3, 4), (1, 8, 1, 2, 2), (1, 8, 2, 5, 2)])
@pytest.mark.parametrize("axis", AXES)
def test_decodes_to_the_frames_of_the_whole(vae, deterministic, axis, shape):
    latent = deterministic.u(1, shape).float()
    whole = vae.decode(latent)
    for size in (1, 2, 3, 16):
        sliced = vae.decode(latent, streaming=Streaming(axis=axis, size=size))
        torch.testing.assert_close(sliced, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("axis", AXES)
def test_decodes_by_blocks_of_one_axis(deterministic, axis):
    vae = VideoVAE(ONE_AXIS).requires_grad_(False)
    vae.load_state_dict(deterministic.fill(deterministic.shapes_of(vae.state_dict())))
    latent = deterministic.u(2, (1, 8, 3, 4, 3)).float()
    whole = vae.decode(latent)
    assert whole.shape == (1, 3, 17, 32, 24)
    for size in (1, 2, 3):
        sliced = vae.decode(latent, streaming=Streaming(axis=axis, size=size))
        torch.testing.assert_close(sliced, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("latent_frames", [1, 2, 6])
def test_encodes_to_the_latent_of_the_whole(vae, deterministic, latent_frames):
    video = (0.5 * deterministic.u(2, (2, 3, 8 * latent_frames - 7, 64, 96))).float()
    whole = vae.encode(video)
    for size in (1, 3, 4, 64):
        sliced = vae.encode(video, streaming=Streaming(size=size))
        torch.testing.assert_close(sliced, whole, atol=1e-5, rtol=0)


def test_slices_come_one_by_one(vae, deterministic):
    latent = deterministic.u(3, (1, 8, 9, 2, 2)).float()
    slices = vae.decode_slices(latent, Streaming(size=4))
    first = next(slices)
    assert 0 < first.shape[2] <= 4
    frames = [first.shape[2], *(x.shape[2] for x in slices)]
    assert sum(frames) == 65
    assert max(frames) <= 4


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 2), (3, 1), (4,), (1, 3)])
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_convolution_of_any_slices(deterministic, causal, sizes, padding):
    conv = Conv3d(3, 5, causal=causal, spatial_padding=padding).requires_grad_(False)
    x = deterministic.u(4, (2, 3, 4, 4, 4)).float()
    for dim in (2, 3, 4) if padding == "reflect" else (2,):
        out = list(conv.stream(x.split(sizes, dim), dim))
        torch.testing.assert_close(torch.cat(out, dim), conv(x), atol=1e-5, rtol=0)


def test_small_convolutions_equal_those_of_pytorch(deterministic):
    """On a CPU without gradients we choose the kernel; the sizes lie on both sides of where PyTorch changes it."""
    for channels, side, padding in itertools.product((3, 40), (2, 24), ("zeros", "reflect")):
        conv = Conv3d(channels, 4, causal=False, spatial_padding=padding)
        x = deterministic.u(5, (1, channels, 3, side, side)).float()
        with torch.no_grad():
            torch.testing.assert_close(conv(x), conv(x.requires_grad_()).detach(), atol=1e-5, rtol=0)


def full_size(*shape):
    with torch.device("meta"):
        return VideoVAE(LTX2_19B.video_vae).requires_grad_(False), torch.empty(1, 128, *shape)


@pytest.mark.parametrize("axis", AXES)
def test_work_is_that_of_the_whole(axis):
    vae, latent = full_size(4, 3, 5)
    work = []
    for streaming in (None, Streaming(axis=axis, size=4)):
        with FlopCounterMode(display=False) as counter:
            for _ in vae.decode_slices(latent, streaming):
                pass
        work.append(counter.get_total_flops())
    assert work[1] == work[0] > 1e9


def test_memory_does_not_grow_with_the_length(live_bytes):
    """1216x704 at full size: 121 and 201 frames take the same, a quarter or less of what the whole clip takes."""
    peaks = []
    for latent_frames in (16, 26):
        vae, latent = full_size(latent_frames, 22, 38)
        with live_bytes() as memory:
            for x in vae.decode_slices(latent, Streaming(size=8)):
                del x
        peaks.append(memory.peak)
    whole = 4 * 4 * 128 * 121 * 176 * 304
    assert peaks[1] < 1.08 * peaks[0]
    assert peaks[0] < whole / 4


def test_encoding_memory_does_not_grow_with_the_length(live_bytes):
    vae, _ = full_size(1, 2, 2)
    peaks = []
    for frames in (57, 113):
        video = torch.empty(1, 3, frames, 64, 96, device="meta")
        with live_bytes() as memory:
            vae.encode(video, streaming=Streaming(size=8))
        peaks.append(memory.peak - video.nbytes)
    assert peaks[1] < 1.08 * peaks[0]


@pytest.mark.parametrize(
    ("config", "slack"),
    [(LTX2_19B.video_vae, 1.7), (NANO.video_vae, 1.7), (SIXTEENTH, 2.0)],
    ids=["19b", "nano", "sixteenth"],
)
@pytest.mark.parametrize(
    "streaming", [None, *(Streaming(axis=axis, size=size) for axis, size in zip(AXES, (8, 4, 16), strict=True))]
)
def test_estimate_is_no_less_than_what_is_alive(config, slack, streaming, live_bytes):
    with torch.device("meta"):
        vae = VideoVAE(config).requires_grad_(False)
        latent = torch.empty(1, config.latent_channels, 9, 6, 10)
    with live_bytes() as memory:
        for x in vae.decode_slices(latent, streaming):
            del x
    shape = VideoLatentShape(*latent.shape)
    estimate = decode_peak_bytes(config, shape, torch.float32, streaming)
    assert memory.peak < estimate < slack * memory.peak
    assert decode_peak_bytes(config, shape, torch.bfloat16, streaming) == estimate / 2


def test_plans():
    config, clip = LTX2_19B.video_vae, VideoLatentShape(1, 128, 16, 22, 38)

    def plan(shape, gib):
        return plan_decode(config, shape, torch.bfloat16, budget_bytes=int(gib * 2**30))

    assert plan(clip, 8) is None
    assert plan(clip, 4) == Streaming(axis="time", size=16)
    assert plan(clip._replace(frames=61), 4) == Streaming(axis="time", size=16)
    assert plan(clip, 2) == Streaming(axis="time", size=8)
    assert plan(clip, 0.7).axis == "width"
    assert plan(clip._replace(height=38, width=22), 0.7).axis == "height"
    least = plan(clip, 0)
    assert least == Streaming(axis="width", size=1)
    assert decode_peak_bytes(config, clip, torch.bfloat16, least) < 0.5 * 2**30


def test_delay_gives_back_in_order():
    delay = Delay(2)
    x = torch.arange(7.0).reshape(1, 1, 7, 1, 1)
    delay.put(x[:, :, :3])
    assert delay.take(2).flatten().tolist() == [0, 1]
    delay.put(x[:, :, 3:])
    assert delay.take(5).flatten().tolist() == [2, 3, 4, 5, 6]
    assert delay.held is None


@pytest.mark.parametrize("sizes", [(1,) * 7, (7,), (2, 5), (6, 1)])
def test_rechunk(sizes):
    x = torch.arange(7.0).reshape(1, 1, 7, 1, 1)
    out = list(rechunk(x.split(sizes, 2), 2, 3))
    assert [y.shape[2] for y in out] == [3, 3, 1]
    assert torch.equal(torch.cat(out, 2), x)


def test_refusals(vae):
    with pytest.raises(ValueError, match="streaming along 'depth'; the axis must be time, height, width"):
        Streaming(axis="depth")
    with pytest.raises(ValueError, match="slices of 0"):
        Streaming(size=0)
    with pytest.raises(ValueError, match="the encoder streams along 'time' only"):
        vae.encode(torch.zeros(1, 3, 9, 64, 64), streaming=Streaming(axis="width"))
    with pytest.raises(ValueError, match="needs at least 2x2"):
        vae.decode(torch.zeros(1, 8, 2, 1, 3), streaming=Streaming())
    assert dataclasses.astuple(Streaming()) == ("time", 8)
