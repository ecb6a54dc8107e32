"""Where a stage starts and what of it stays: by hand, against diffusers' positions, and in both samplers."""

from fractions import Fraction
from types import SimpleNamespace

import pytest
import torch

from ltx2.rope import video_positions
from ltx2.sample import Latents, NoiseSource
from ltx2.stage import StageState, StreamState, guide_positions, run_stage
from ltx2.types import VideoLatentShape

SHAPE = VideoLatentShape(1, 4, 2, 2, 3)
GENERATED = SHAPE.token_count
FPS = Fraction(25)


def stream(value: float = 0.0) -> StreamState:
    return StreamState(torch.full(SHAPE.token_shape, value), video_positions(SHAPE, FPS))


def sound(value: float = 0.0) -> StreamState:
    return StreamState(torch.full((1, 5, 2), value), torch.zeros(1, 1, 5, 2))


def test_noise_by_hand() -> None:
    noise = torch.full(SHAPE.token_shape, 10.0)
    assert torch.equal(stream(2.0).noised(noise, 0.25), torch.full(SHAPE.token_shape, 0.75 * 2 + 0.25 * 10))
    state = stream(2.0).at_first_frame(torch.full((1, 6, 4), 4.0), strength=0.5)
    noised = state.noised(noise, 0.5)
    assert torch.equal(noised[:, :6], torch.full((1, 6, 4), 0.75 * 4 + 0.25 * 10))
    assert torch.equal(noised[:, 6:], torch.full((1, 6, 4), 0.5 * 2 + 0.5 * 10))
    kept = state.keep(torch.full(SHAPE.token_shape, 8.0))
    assert torch.equal(kept[:, :6], torch.full((1, 6, 4), 0.5 * 8 + 0.5 * 4))
    assert torch.equal(kept[:, 6:], torch.full((1, 6, 4), 8.0))


def test_given_tokens_stay_to_the_bit() -> None:
    state = sound(0.3).given()
    noise = torch.randn(state.clean.shape)
    for sigma in (1.0, 0.909375):
        assert torch.equal(state.noised(noise, sigma), state.clean)
    assert torch.equal(state.keep(noise), state.clean)


@pytest.mark.parametrize("frame", [0, 7, 12])
def test_positions_of_guides_equal_those_of_diffusers(diffusers, frame: int) -> None:
    pipeline = SimpleNamespace(
        transformer_spatial_patch_size=1,
        transformer_temporal_patch_size=1,
        vae_temporal_compression_ratio=8,
        vae_spatial_compression_ratio=32,
    )
    method = diffusers.LTX2ConditionPipeline._prepare_keyframe_coords
    theirs = method(pipeline, 1, SHAPE.height, SHAPE.width, frame, 1, float(FPS), torch.device("cpu"))
    assert torch.equal(guide_positions(SHAPE, frame, FPS), theirs)


def test_a_guide_is_appended_with_its_place_and_share() -> None:
    tokens = torch.full((1, 6, 4), 4.0)
    state = stream().with_guide(tokens, guide_positions(SHAPE, 12, FPS), strength=0.75)
    assert state.clean.shape == (1, GENERATED + 6, 4)
    assert state.mask.tolist() == [[1.0] * GENERATED + [0.25] * 6]
    assert torch.equal(state.positions[:, :, :GENERATED], video_positions(SHAPE, FPS))
    assert state.positions[0, 0, GENERATED:].tolist() == [pytest.approx([12 / 25, 13 / 25])] * 6


@pytest.mark.parametrize("sampler", ["euler", "res_2s"])
def test_the_noise_of_generated_tokens_does_not_depend_on_what_is_given(sampler) -> None:
    def starts(state: StageState) -> tuple[list[Latents], Latents]:
        seen = []

        def model(x: Latents, sigma: float) -> Latents:
            seen.append(x)
            return Latents(*(y * 0.1 for y in x))

        out = run_stage(model, state, (1.0, 0.5, 0.0), sampler=sampler, noise=NoiseSource(4), generated=GENERATED)
        return seen, out

    tokens = torch.full((1, 6, 4), 4.0)
    free, free_out = starts(StageState(stream(), sound()))
    guided, out = starts(
        StageState(stream().with_guide(tokens, guide_positions(SHAPE, 12, FPS), 1.0), sound(0.3).given())
    )
    assert len(free) == len(guided) == (2 if sampler == "euler" else 5)
    assert torch.equal(guided[0].video[:, :GENERATED], free[0].video)
    for x in guided:
        assert torch.equal(x.video[:, GENERATED:], tokens)
        assert torch.equal(x.audio, torch.full((1, 5, 2), 0.3))
    assert out.video.shape == free_out.video.shape == SHAPE.token_shape
    if sampler == "euler":
        assert torch.equal(out.video, free_out.video)
