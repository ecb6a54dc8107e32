"""Every stage of the nano recipe at toy size: trains, finishes, is put together and generates."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ltx2 import Pipeline, SamplingSettings
from ltx2.config import NANO
from ltx2_eval.nano.assemble import assemble_extractors, assemble_model
from ltx2_eval.nano.loop import TrainOptions
from ltx2_eval.nano.origin import weights_file
from ltx2_eval.nano.stages import STAGES, Recipe, finished_video_vae, latents, run_stage
from ltx2_eval.nano.text_stage import FACTS

TOY = replace(
    NANO,
    transformer=replace(NANO.transformer, num_layers=2, attention_head_dim=16, audio_attention_head_dim=16),
    video_vae=replace(
        NANO.video_vae,
        encoder_base_channels=8,
        decoder_base_channels=8,
        encoder_blocks=tuple(block for block in NANO.video_vae.encoder_blocks if block[0] != "res_x"),
        decoder_blocks=tuple(block for block in NANO.video_vae.decoder_blocks if block[0] != "res_x"),
    ),
    audio_vae=replace(NANO.audio_vae, base_channels=8),
    vocoder=replace(
        NANO.vocoder, upsample_initial_channel=32, resblock_kernel_sizes=(3,), resblock_dilation_sizes=((1,),)
    ),
)
STEPS = {"video_vae": 16, "text": 30}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """All stages after a few steps each."""
    torch.set_num_threads(1)
    recipe = Recipe(out=tmp_path_factory.mktemp("nano"), config=TOY, clips=10, held_out=4, batch=4)
    for stage in STAGES:
        steps = STEPS.get(stage, 3)
        run_stage(recipe, stage, TrainOptions(out=recipe.out, lr=5e-3, steps=steps, log_every=1, validate_every=steps))
    return recipe


def losses(recipe: Recipe, stage: str) -> list[float]:
    rows = (recipe.out / stage / "train.csv").read_text().splitlines()
    column = rows[0].split(",").index("loss")
    return [float(row.split(",")[column]) for row in rows[1:]]


def test_every_stage_leaves_weights_and_logs(recipe: Recipe) -> None:
    for stage in STAGES:
        assert weights_file(recipe.out, stage).exists()
        assert len(losses(recipe, stage)) == STEPS.get(stage, 3)
        assert (recipe.out / stage / "validation.csv").exists()


@pytest.mark.parametrize("stage", sorted(STEPS))
def test_training_lowers_the_loss(recipe: Recipe, stage: str) -> None:
    found = losses(recipe, stage)
    # Batches of whole frames and of crops alternate in the video stage: as many of either on both sides.
    assert sum(found[-4:]) < 0.9 * sum(found[:4])


def test_latents_have_the_statistics_that_were_measured(recipe: Recipe) -> None:
    train, held_out = latents(recipe)
    cells = (64 // NANO.video_vae.spatial_factor) ** 2
    assert train.video.shape == (10, 7 * cells, 64)
    assert train.audio.shape == (10, 51, 32)
    assert held_out.clips == 4
    flat = train.video.float().flatten(0, 1)
    assert flat.mean(dim=0).abs().max() < 0.02
    assert (flat.std(dim=0, correction=0) - 1).abs().max() < 0.02


def test_the_refined_decoder_keeps_the_encoder(recipe: Recipe) -> None:
    from safetensors.torch import load_file

    first = load_file(weights_file(recipe.out, "video_vae"))
    refined = finished_video_vae(recipe).state_dict()
    assert all(torch.equal(first[key], refined[key]) for key in first if not key.startswith("decoder."))
    assert any(not torch.equal(first[key], refined[key]) for key in first)


def test_assembled_model_generates(recipe: Recipe, tmp_path: Path) -> None:
    folder = assemble_model(recipe, tmp_path / "model")
    pipeline = Pipeline.load(folder)
    assert pipeline.config == TOY
    settings = SamplingSettings(steps=2)
    made = pipeline("a red ball", seed=0, num_frames=9, height=64, width=64, settings=settings)
    assert made.video.shape == (9, 64, 64, 3)
    assert made.waveform.shape[0] == 2
    stored = recipe.out / "text" / "weights.safetensors"
    assert stored.exists()


def test_trained_text_is_what_the_pipeline_reads(recipe: Recipe, tmp_path: Path) -> None:
    from ltx2_eval.nano.stages import finished_diffusion

    pipeline = Pipeline.load(assemble_model(recipe, tmp_path / "model"))
    diffusion = finished_diffusion(recipe)
    prompt = "A small red circle blinks twice."
    with torch.no_grad():
        expected = diffusion.embed([prompt])
        found = pipeline.modules.connectors(*pipeline.text_encoder([prompt]))
    for a, b in zip(expected, found, strict=True):
        assert (a - b).norm() / a.norm() < 0.05  # the files are bfloat16


def test_extractors_are_written_small(recipe: Recipe, tmp_path: Path) -> None:
    files = assemble_extractors(recipe, tmp_path)
    assert len(files) == 2
    assert sum(file.stat().st_size for file in files) < 5e6


def test_stages_in_the_wrong_order_are_refused(tmp_path: Path) -> None:
    recipe = Recipe(out=tmp_path, config=TOY, clips=1, held_out=1)
    with pytest.raises(ValueError, match="train stage 'audio_vae' first"):
        run_stage(recipe, "vocoder", TrainOptions(out=tmp_path, lr=1e-3, steps=1))
    with pytest.raises(ValueError, match="stage 'vae'; expected one of video_vae"):
        run_stage(recipe, "vae", TrainOptions(out=tmp_path, lr=1e-3, steps=1))


def test_facts_cover_what_scenes_differ_in() -> None:
    assert {"colour0", "shape1", "impacts", "sound0", "timing", "camera"} <= FACTS.keys()
