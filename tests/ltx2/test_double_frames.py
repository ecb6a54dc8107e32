"""The temporal upsampler in a pipeline: the first stage at half the frame rate, its frames doubled, then refined."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from einops import rearrange

from ltx2 import Conditions, ImageCondition, Latents, Pipeline, Progress, RefineSettings, SamplingSettings
from ltx2 import VideoPixelShape as Pixels
from ltx2.config import NANO_TEMPORAL_UPSAMPLER
from ltx2.nano import write_untrained
from ltx2.plan import plan_stages
from ltx2.upsampler import LatentUpsampler, upsample
from ltx2.upsampler_checkpoint import save_upsampler

FRAMES, SIDE = 17, 128
DOUBLED = SamplingSettings(steps=1, refine=RefineSettings(lora_strength=0.0, double_frames=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_untrained(tmp_path_factory.mktemp("nano"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_upsampler(folder / "temporal.safetensors", LatentUpsampler(NANO_TEMPORAL_UPSAMPLER), dtype=torch.float32)
    return folder


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Pipeline:
    return Pipeline.load(folder, temporal_upsampler=folder / "temporal.safetensors")


def run(pipeline: Pipeline, settings: SamplingSettings = DOUBLED, **more) -> tuple[list[Progress], torch.Tensor]:
    seen: list[Progress] = []
    given = {"seed": 1, "num_frames": FRAMES, "height": SIDE, "width": SIDE, "fps": 24, **more}
    clip = pipeline("a red ball", settings=settings, callback=seen.append, **given)
    return seen, clip.video


def test_both_stages_have_the_whole_sound_and_the_first_half_the_frames(pipeline: Pipeline) -> None:
    pixels = Pixels(1, FRAMES, SIDE, SIDE, Fraction(24))
    first, second = plan_stages(pipeline.config, pixels, seed=0, settings=DOUBLED, conditions=Conditions())
    assert (first.pixels.frames, first.pixels.fps, first.video.frames) == (9, 12, 2)
    assert (second.pixels.frames, second.pixels.fps, second.video.frames) == (17, 24, 3)
    assert first.audio == second.audio


def test_the_second_stage_starts_from_frames_that_are_doubled(pipeline: Pipeline, monkeypatch) -> None:
    from ltx2.generation import Generation

    starts: list[Latents | None] = []
    sample = Generation.sample
    monkeypatch.setattr(
        Generation,
        "sample",
        lambda self, plan, text, start=None: starts.append(start) or sample(self, plan, text, start),
    )
    seen, video = run(pipeline)
    assert video.shape == (FRAMES, SIDE, SIDE, 3)
    statistics = pipeline.modules.video_vae.per_channel_statistics
    cell_px = pipeline.config.video_vae.spatial_factor
    half = rearrange(seen[0].denoised.video, "b (f h w) c -> b c f h w", f=2, h=SIDE // 2 // cell_px)
    with torch.no_grad():
        large = upsample(pipeline.upsampler, upsample(pipeline.temporal_upsampler, half, statistics), statistics)
    torch.testing.assert_close(starts[1].video, rearrange(large, "b c f h w -> b (f h w) c"))
    assert torch.equal(starts[1].audio, seen[0].denoised.audio)


def test_keyframes_keep_their_time(pipeline: Pipeline) -> None:
    picture = torch.zeros(64, 64, 3, dtype=torch.uint8)
    images = (ImageCondition(image=picture, frame=16),)
    seen, video = run(pipeline, conditions=Conditions(images=images))
    assert video.shape == (FRAMES, SIDE, SIDE, 3)
    assert not torch.equal(seen[0].denoised.video, run(pipeline)[0][0].denoised.video)


def test_refusals(pipeline: Pipeline, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"num_frames is 25; with double_frames it must be 16k \+ 1: use 17 or 33"):
        run(pipeline, num_frames=25)
    with pytest.raises(ValueError, match="double_frames needs a temporal latent upsampler and none is loaded"):
        run(Pipeline(pipeline.modules, pipeline.text_encoder, upsampler=pipeline.upsampler))
    with pytest.raises(ValueError, match="double_frames needs the temporal one"):
        Pipeline(pipeline.modules, pipeline.text_encoder, temporal_upsampler=pipeline.upsampler)
    plain = replace(DOUBLED, refine=RefineSettings(lora_strength=0.0))
    assert run(pipeline, plain, num_frames=9)[1].shape == (9, SIDE, SIDE, 3)
