"""Positions and rotary tables at full width, against check values of the official code."""

from fractions import Fraction
from types import ModuleType

import pytest
import torch

from ltx2.config import LTX2_19B
from ltx2.rope import audio_positions, frequencies, middle, rotary_table, rotate, video_positions
from ltx2.transformer import LTX2Transformer
from ltx2.types import AudioLatentShape, VideoLatentShape

TOKEN = 917  # latent frame 1, row 2, column 5 of a 16 x 22 x 38 grid


@pytest.fixture(scope="module")
def model() -> LTX2Transformer:
    with torch.device("meta"):
        return LTX2Transformer(LTX2_19B.transformer)


def test_video_positions() -> None:
    positions = video_positions(VideoLatentShape(1, 128, 16, 22, 38), Fraction(25))
    assert positions.shape == (1, 3, 13376, 2)
    assert positions[0, :, 0].tolist() == [[0, pytest.approx(0.04)], [0, 32], [0, 32]]
    assert middle(positions)[0, :, TOKEN].tolist() == pytest.approx([0.2, 80, 176])


def test_audio_positions() -> None:
    positions = audio_positions(AudioLatentShape(1, 8, 121, 16), LTX2_19B.audio_vae)
    assert positions.shape == (1, 1, 121, 2)
    assert positions[0, 0, 1].tolist() == pytest.approx([0.01, 0.05])
    assert positions[0, 0, -1].tolist() == pytest.approx([4.77, 4.81])


def test_video_table(model: LTX2Transformer) -> None:
    rope = model.video_rope(video_positions(VideoLatentShape(1, 128, 16, 22, 38), 25))
    cos, sin = (x[0, :, TOKEN] for x in rope.own)
    assert rope.own.cos.shape == (1, 32, 13376, 64)
    assert cos[0, :6].tolist() == pytest.approx([1, 1, 0.03141, 0.12241, 0.26671, 0.01045], abs=1e-5)
    assert sin[0, :6].tolist() == pytest.approx([0, 0, -0.99951, -0.99248, -0.96378, -0.99995], abs=1e-5)
    assert cos[31, -3:].tolist() == pytest.approx([1, -0.38298, -0.38282], abs=1e-5)
    assert sin[31, -3:].tolist() == pytest.approx([0.00029, 0.92376, -0.92382], abs=1e-5)
    assert rope.cross.cos.shape == (1, 32, 13376, 32)
    assert rope.cross.cos[0, 0, TOKEN, :3].tolist() == pytest.approx([0.03141, 0.01749, 0.00345], abs=1e-5)


def test_audio_table(model: LTX2Transformer) -> None:
    rope = model.audio_rope(audio_positions(AudioLatentShape(1, 8, 121, 16), LTX2_19B.audio_vae))
    assert rope.own.cos.shape == (1, 32, 121, 32)
    assert rope.own.cos[0, 0, 3, :3].tolist() == pytest.approx([0.01728, 0.00323, -0.01095], abs=1e-5)
    assert rope.own.sin[0, 0, 3, :3].tolist() == pytest.approx([-0.99985, -0.99999, -0.99994], abs=1e-5)


def test_connector_table() -> None:
    positions = torch.arange(11.0)[None, None]
    table = rotary_table(positions, width=3840, heads=30, max_pos=(4096,), theta=10000.0)
    assert table.cos.shape == (1, 30, 11, 64)
    assert table.cos[0, 0, 10, :3].tolist() == pytest.approx([0.00767, 0.00015, -0.00741], abs=1e-5)


def test_frequency_grid_is_rounded_once() -> None:
    grid = frequencies(682, 10000.0)
    exact = torch.tensor([10000.0 ** (j / 681) * torch.pi / 2 for j in range(682)], dtype=torch.float64)
    assert ((grid.double() - exact).abs() <= exact * 2**-24 * 1.001).all()
    assert grid[-1].item() == pytest.approx(15707.963, abs=1e-3)


def test_rotation_keeps_length_and_pairs_halves() -> None:
    table = rotary_table(
        torch.rand(1, 1, 5, generator=torch.Generator().manual_seed(0)), width=8, heads=2, max_pos=(20,), theta=1e4
    )
    x = torch.randn(1, 2, 5, 4, generator=torch.Generator().manual_seed(1))
    y = rotate(x, table)
    for i in range(2):
        torch.testing.assert_close(y[..., i] ** 2 + y[..., i + 2] ** 2, x[..., i] ** 2 + x[..., i + 2] ** 2)
    torch.testing.assert_close(y[..., :2], x[..., :2] * table.cos - x[..., 2:] * table.sin)
    assert rotate(x.bfloat16(), table).dtype == torch.bfloat16


def test_equals_diffusers_at_full_width(model: LTX2Transformer, diffusers: ModuleType) -> None:
    from diffusers.models.transformers.transformer_ltx2 import LTX2AudioVideoRotaryPosEmbed as Peer

    shape, audio_shape = VideoLatentShape(1, 128, 16, 3, 5), AudioLatentShape(1, 8, 121, 16)
    video, audio = video_positions(shape, 25), audio_positions(audio_shape, LTX2_19B.audio_vae)
    common = {"rope_type": "split", "double_precision": True}
    own = Peer(dim=4096, modality="video", **common)
    audio_own = Peer(dim=2048, modality="audio", scale_factors=[4], **common)
    cross = Peer(dim=2048, modality="video", **common)
    their_video = own.prepare_video_coords(1, 16, 3, 5, torch.device("cpu"), fps=25.0)
    their_audio = audio_own.prepare_audio_coords(1, 121, torch.device("cpu"))
    torch.testing.assert_close(video, their_video, atol=1e-6, rtol=0)
    torch.testing.assert_close(audio, their_audio, atol=1e-6, rtol=0)
    ours = (model.video_rope(video), model.audio_rope(audio))
    for table, theirs in (
        (ours[0].own, own(their_video)),
        (ours[0].cross, cross(their_video[:, :1])),
        (ours[1].own, audio_own(their_audio)),
    ):
        for x, y in zip(table, theirs, strict=True):
            torch.testing.assert_close(x, y, atol=1e-5, rtol=0)
