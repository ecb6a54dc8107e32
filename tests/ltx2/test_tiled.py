"""Tiles of a latent: how an axis is cut, weights that sum to one, and tiled against untiled denoising."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltx2.config import NANO
from ltx2.denoise import GuidedDenoiser
from ltx2.guidance import TEXT_AND_MODALITY, UNGUIDED
from ltx2.nano import untrained_modules
from ltx2.rope import audio_positions, video_positions
from ltx2.sample import Latents, NoiseSource
from ltx2.settings import Tiles
from ltx2.stage import guide_positions
from ltx2.text import TextEmbeddings
from ltx2.tiled import Span, TiledDenoiser, axis_weights, cut_tiles, rope_at, split_axis
from ltx2.types import AudioLatentShape, VideoLatentShape

FPS = 24
VIDEO = VideoLatentShape(1, 64, 4, 6, 8)
AUDIO = AudioLatentShape(1, 2, 26, 16)
VIDEO_PLACES = video_positions(VIDEO, FPS)
AUDIO_PLACES = audio_positions(AUDIO, NANO.audio_vae)
SIZES = Tiles(frames=3, height=4, width=4, overlap_frames=1, overlap=2)


def test_axes_by_hand() -> None:
    assert split_axis(5, 5, 2) == (Span(0, 5),)
    assert split_axis(3, 5, 2) == (Span(0, 3),)
    assert split_axis(6, 5, 2) == (Span(0, 5), Span(1, 6))
    assert split_axis(11, 5, 2) == (Span(0, 5), Span(3, 8), Span(6, 11))
    weights = axis_weights(split_axis(8, 5, 2), 8)
    assert weights[0].tolist() == pytest.approx([1, 1, 1, 2 / 3, 1 / 3, 0, 0, 0])
    assert weights[1].tolist() == pytest.approx([0, 0, 0, 1 / 3, 2 / 3, 1, 1, 1])


@given(st.integers(1, 60), st.integers(1, 20), st.data())
def test_any_axis_is_covered_with_the_overlap_asked_for(length: int, size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    spans = split_axis(length, size, overlap)
    assert (spans[0].start, spans[-1].end) == (0, length)
    assert all(end - start == min(size, length) for start, end in spans)
    shared = [a.end - b.start for a, b in itertools.pairwise(spans)]
    assert all(overlap <= cells < size for cells in shared)
    assert len(spans) == 1 or (len(spans) - 2) * (size - overlap) + size < length  # one span less would not do
    weights = axis_weights(spans, length)
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(0), torch.ones(length, dtype=torch.float64))
    for i, (start, end) in enumerate(spans):
        assert weights[i, start:end].min() > 0


def test_weights_of_all_tokens_sum_to_one_and_guides_go_where_they_overlap() -> None:
    places = torch.cat((VIDEO_PLACES, guide_positions(VIDEO, 24, FPS)), 2)
    tiles = cut_tiles(VIDEO, SIZES, places, AUDIO_PLACES)
    assert len(tiles) == 2 * 2 * 3
    total, sound = torch.zeros(1, places.shape[2], 1), torch.zeros(1, AUDIO.frames, 1)
    for tile in tiles:
        total.index_add_(1, tile.tokens, tile.video_weights)
        sound += tile.audio_weights
        grid = tile.tokens[tile.tokens < VIDEO.token_count]
        last_frame = (grid // (6 * 8)).max() == 3
        guides = tile.tokens[len(grid) :] - VIDEO.token_count
        assert guides.tolist() == (sorted({int(i) % (6 * 8) for i in grid}) if last_frame else [])
    torch.testing.assert_close(total, torch.ones_like(total))
    torch.testing.assert_close(sound, torch.ones_like(sound))


def test_sound_is_weighted_by_the_time_of_the_tile() -> None:
    """Latent frames [0, 3) and [1, 4): frame 0 is of the first tile only, frame 3, from 17/24 s on, of the last."""
    tiles = cut_tiles(
        VIDEO, Tiles(frames=3, height=9, width=9, overlap_frames=1, overlap=0), VIDEO_PLACES, AUDIO_PLACES
    )
    first, last = (tile.audio_weights.flatten() for tile in tiles)
    middle = AUDIO_PLACES[0, 0].mean(-1)
    assert first[middle < 1 / 24].unique().tolist() == [1.0]
    assert last[middle > 17 / 24].unique().tolist() == [1.0]
    between = (middle > 1 / 24) & (middle < 17 / 24)
    assert first[between].unique().tolist() == pytest.approx([1 / 3, 2 / 3])


@pytest.fixture(scope="module")
def modules():
    return untrained_modules()


def denoiser(modules, guidance, tokens: torch.Tensor | None = None, masks=(None, None)) -> GuidedDenoiser:
    transformer = modules.transformer
    video_rope = transformer.video_rope(VIDEO_PLACES)
    generator = torch.Generator().manual_seed(0)
    text = TextEmbeddings(*(torch.randn(2, 8, 96, generator=generator) for _ in range(2)))
    return GuidedDenoiser(
        transformer,
        text,
        video_rope=video_rope if tokens is None else rope_at(video_rope, tokens),
        audio_rope=transformer.audio_rope(AUDIO_PLACES),
        guidance=guidance,
        masks=masks,
    )


def tiled(modules, guidance, sizes: Tiles, masks=(None, None)) -> TiledDenoiser:
    tiles = cut_tiles(VIDEO, sizes, VIDEO_PLACES, AUDIO_PLACES)
    return TiledDenoiser(
        denoiser(modules, guidance, tiles[0].tokens),
        video_rope=modules.transformer.video_rope(VIDEO_PLACES),
        audio_rope=modules.transformer.audio_rope(AUDIO_PLACES),
        tiles=tiles,
        masks=masks,
    )


NOISE = NoiseSource(0).latents(VIDEO.token_shape, AUDIO.token_shape)
MASKS = (torch.linspace(0, 1, VIDEO.token_count)[None], torch.zeros(1, AUDIO.frames))


@pytest.mark.parametrize("masks", [(None, None), MASKS])
def test_one_tile_is_the_untiled_denoiser_to_the_bit(modules, masks) -> None:
    with torch.no_grad():
        whole = denoiser(modules, TEXT_AND_MODALITY, masks=masks)(NOISE, 0.9)
        one = tiled(modules, TEXT_AND_MODALITY, Tiles(), masks)(NOISE, 0.9)
    assert torch.equal(one.video, whole.video)
    assert torch.equal(one.audio, whole.audio)


def test_a_tile_sees_its_own_places_masks_and_noise(modules) -> None:
    """Tiles without overlap: each part of the result is the denoiser's for these tokens alone."""
    sizes = Tiles(frames=2, height=6, width=8, overlap_frames=0, overlap=0)
    with torch.no_grad():
        model = tiled(modules, UNGUIDED, sizes, MASKS)
        out = model(NOISE, 0.8)
        for half in (slice(0, 96), slice(96, 192)):
            tokens = torch.arange(192)[half]
            alone = denoiser(modules, UNGUIDED, tokens, (MASKS[0][:, half], MASKS[1]))
            expected = alone(Latents(NOISE.video[:, half], NOISE.audio), 0.8)
            torch.testing.assert_close(out.video[:, half], expected.video, atol=1e-5, rtol=1e-5)
    assert model.nfe == 2


def test_overlap_brings_the_tiled_estimate_nearer_to_the_untiled_one_and_softens_its_seams(modules) -> None:
    with torch.no_grad():
        whole = denoiser(modules, UNGUIDED)(NOISE, 0.9).video
        hard, soft = (
            tiled(modules, UNGUIDED, Tiles(frames=4, height=6, width=width, overlap_frames=0, overlap=overlap))(
                NOISE, 0.9
            ).video
            for width, overlap in ((4, 0), (6, 4))
        )

    def error(x: torch.Tensor) -> torch.Tensor:
        return (x - whole).reshape(4, 6, 8, 64)

    def jump(x: torch.Tensor, column: int) -> float:
        return float((error(x)[:, :, column] - error(x)[:, :, column - 1]).square().mean())

    assert 0 < error(soft).square().mean() < error(hard).square().mean()
    hard_seams = max(jump(hard, column) for column in range(1, 8))
    soft_seams = max(jump(soft, column) for column in range(1, 8))
    assert soft_seams < 0.5 * hard_seams


@pytest.mark.parametrize(("sizes", "message"), [({"width": 0}, "0 latent width"), ({"overlap": 24}, "overlap by 24")])
def test_refusals(sizes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Tiles(**sizes)
