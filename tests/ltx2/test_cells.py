"""A model whose video latents are not 32 times smaller: everything follows from the sizes in its file."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from ltx2 import Conditions, ImageCondition, Pipeline, RefineSettings, SamplingSettings, Tiles
from ltx2.checkpoint import build, save
from ltx2.config import LTX2_19B, NANO, LTX2Config
from ltx2.nano import CHECKPOINT_NAME, write_untrained
from ltx2.plan import plan_stages
from ltx2.rope import video_positions
from ltx2.types import VideoLatentShape, VideoPixelShape


def with_cells(cell_px: int) -> LTX2Config:
    """The small model with larger or smaller patches."""
    vae = NANO.video_vae
    return replace(NANO, video_vae=replace(vae, patch_size=vae.patch_size * cell_px // vae.spatial_factor))


COARSE, FINE = with_cells(32), with_cells(16)
SIDE, FRAMES = 64, 9
KEY = ImageCondition(image=torch.full((50, 70, 3), 200, dtype=torch.uint8), frame=8)
TILED = SamplingSettings(
    steps=2,
    refine=RefineSettings(lora_strength=0.0, tiles=Tiles(frames=2, height=3, width=3, overlap_frames=1, overlap=1)),
)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Read from a file that says 16, in place of one that says 32."""
    folder: Path = write_untrained(tmp_path_factory.mktemp("fine"))
    torch.manual_seed(0)
    save(folder / CHECKPOINT_NAME, build(FINE))
    return Pipeline.load(folder)


def plan(config, side, settings):
    pixels = VideoPixelShape(1, FRAMES, side, side, Fraction(24))
    return plan_stages(config, pixels, seed=0, settings=settings, conditions=Conditions())


@pytest.mark.parametrize(("config", "cells"), [(LTX2_19B, 2), (COARSE, 2), (FINE, 4)])
def test_cells_of_a_plan(config, cells) -> None:
    (stage,) = plan(config, SIDE, SamplingSettings(steps=2))
    channels = config.video_vae.latent_channels
    assert stage.video == (1, channels, 2, cells, cells, config.video_vae.spatial_factor)


def test_places_are_in_pixels() -> None:
    """The last cell ends where the clip does, however large a cell is."""
    for cells, cell_px in ((2, 32), (4, 16), (8, 8)):
        places = video_positions(VideoLatentShape(1, 4, 2, cells, cells, cell_px), 24)
        assert places[0, 1:, -1].tolist() == [[SIDE - cell_px, SIDE]] * 2
        assert places[0, 0, -1].tolist() == pytest.approx([1 / 24, 9 / 24])


@pytest.mark.parametrize(
    ("config", "side", "settings", "message"),
    [
        (COARSE, 48, SamplingSettings(), "height is 48; it must be a multiple of 32 and at least 64: use 64"),
        (FINE, 40, SamplingSettings(), "height is 40; it must be a multiple of 16 and at least 32: use 32"),
        (FINE, 48, TILED, "height is 48; with two stages it must be a multiple of 32 and at least 64: use 64"),
    ],
)
def test_sizes_between_cells_are_refused(config, side, settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        plan(config, side, settings)


def test_cells_halve_between_two_stages() -> None:
    first, second = plan(FINE, SIDE, TILED)
    assert (first.video.height, second.video.height) == (2, 4)


def test_a_clip_of_one_stage_and_of_two_in_tiles_with_a_key_frame(pipeline: Pipeline) -> None:
    assert pipeline.config == FINE
    for settings in (SamplingSettings(steps=2), TILED):
        clip = pipeline(
            "A red ball.",
            seed=0,
            num_frames=FRAMES,
            height=SIDE,
            width=SIDE,
            settings=settings,
            conditions=Conditions(images=(KEY,)),
        )
        assert clip.video.shape == (FRAMES, SIDE, SIDE, 3)


def test_a_clip_as_small_as_two_cells(pipeline: Pipeline) -> None:
    clip = pipeline("A red ball.", seed=0, num_frames=1, height=32, width=48, settings=SamplingSettings(steps=2))
    assert clip.video.shape == (1, 32, 48, 3)
