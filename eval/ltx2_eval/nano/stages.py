"""Which stages there are, what each needs of the others, and where their finished weights lie in a run's folder."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ltx2.audio_vae import AudioVAE
from ltx2.config import NANO, LTX2Config
from ltx2.video_vae import VideoVAE
from ltx2.vocoder import Vocoder
from ltx2_eval.nano.audio_stage import AudioStage, measure_audio_statistics
from ltx2_eval.nano.diffusion_stage import DiffusionModel, DiffusionStage
from ltx2_eval.nano.latent_pool import LatentPool, encode_pool
from ltx2_eval.nano.loop import Progress, Task, TrainOptions, train
from ltx2_eval.nano.origin import origin_of, require_current, weights_file
from ltx2_eval.nano.sync_stage import SyncStage, SyncTower
from ltx2_eval.nano.text_stage import FactReader, TextStage
from ltx2_eval.nano.towers import Towers
from ltx2_eval.nano.towers_stage import TowersStage
from ltx2_eval.nano.video_stage import VideoDecoderStage, VideoStage, measure_statistics
from ltx2_eval.nano.vocoder_stage import VocoderStage
from ltx2_eval.nano.world_pool import SHARD_CLIPS, WorldPool

STAGES = ("video_vae", "audio_vae", "video_decoder", "vocoder", "text", "diffusion", "towers", "sync")
"""In an order in which they can run. `video_decoder` and `text` may be left out; the last two need no other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """All that a run of the recipe depends on besides time.

    The defaults are those of a GPU; the batches of the shipped weights are in their model card.
    """

    out: Path
    config: LTX2Config = NANO
    clips: int = 4096
    """Training clips that are rendered."""
    held_out: int = SHARD_CLIPS
    """Clips of the test split, rendered for validation."""
    batch: int | None = None
    """Clips (or cuts, or captions) per step; None: the stage's own default."""
    seed: int = 0
    device: str = "cpu"
    workers: int = 1

    @property
    def pool(self) -> WorldPool:
        """The training clips."""
        return WorldPool(folder=self.out / "data", clips=self.clips)

    @property
    def held_out_pool(self) -> WorldPool:
        """Clips of combinations that training never shows."""
        return WorldPool(folder=self.out / "data", clips=self.held_out, split="test")


def run_stage(recipe: Recipe, stage: str, options: TrainOptions) -> Progress:
    """Prepare what a stage needs, train it, and keep its averaged weights.

    Raises:
        StaleStage: A stage before it was replaced since its checkpoint, or since that stage's own.
        ValueError: No such stage, one before it has not been trained, or its checkpoint was begun with another seed,
            number of clips or batch.
    """
    if stage not in STAGES:
        raise ValueError(f"stage {stage!r}; expected one of {', '.join(STAGES)}")
    if stage != "text":
        recipe.pool.prepare(recipe.workers)
        recipe.held_out_pool.prepare(recipe.workers)
    task = _TASKS[stage](recipe)
    origin = origin_of(recipe.out, stage, clips=recipe.clips, batch=recipe.batch)
    progress = train(task, replace(options, origin=origin))
    _finish(recipe, stage, progress)
    return progress


def load_finished(out: Path, stage: str, module: nn.Module) -> None:
    """Load a finished stage's weights.

    Raises:
        StaleStage: A stage that it was trained on was replaced since.
        ValueError: The stage has not been trained to its end.
    """
    file = weights_file(out, stage)
    if not file.exists():
        raise ValueError(f"{file} does not exist; train stage {stage!r} first")
    require_current(out, stage)
    module.load_state_dict(load_file(file))
    module.eval()


def finished_video_vae(recipe: Recipe) -> VideoVAE:
    """The trained video autoencoder, statistics included, with the refined decoder where there is one."""
    vae = VideoVAE(recipe.config.video_vae).to(recipe.device)
    refined = weights_file(recipe.out, "video_decoder").exists()
    load_finished(recipe.out, "video_decoder" if refined else "video_vae", vae)
    return vae


def finished_audio_vae(recipe: Recipe) -> AudioVAE:
    """The trained audio autoencoder, statistics included."""
    vae = AudioVAE(recipe.config.audio_vae).to(recipe.device)
    load_finished(recipe.out, "audio_vae", vae)
    return vae


def finished_vocoder(recipe: Recipe) -> Vocoder:
    """The trained vocoder."""
    vocoder = Vocoder(recipe.config.vocoder).to(recipe.device)
    load_finished(recipe.out, "vocoder", vocoder)
    return vocoder


def finished_diffusion(recipe: Recipe) -> DiffusionModel:
    """The trained transformer with its text path."""
    model = DiffusionModel(recipe.config, recipe.seed).to(recipe.device)
    load_finished(recipe.out, "diffusion", model)
    return model


def latents(recipe: Recipe) -> tuple[LatentPool, LatentPool]:
    """Latents of the training clips and of the held-out ones, encoded on first use."""
    video_vae, audio_vae = finished_video_vae(recipe), finished_audio_vae(recipe)
    pools = (recipe.pool, recipe.held_out_pool)
    names = ("train", "held-out")
    encoders = _encoders(recipe)
    files = [
        recipe.out / "latents" / f"{name}-{pool.clips}-{encoders}.safetensors"
        for name, pool in zip(names, pools, strict=True)
    ]
    first, second = (
        encode_pool(pool, video_vae, audio_vae, file, device=recipe.device)
        for pool, file in zip(pools, files, strict=True)
    )
    return first, second


def _encoders(recipe: Recipe) -> str:
    """What tells latents of these autoencoders from those of others, in ten digits: they may be trained further."""
    digest = hashlib.sha256()
    for stage in ("video_vae", "audio_vae"):
        digest.update(weights_file(recipe.out, stage).read_bytes())
    return digest.hexdigest()[:10]


def _finish(recipe: Recipe, stage: str, progress: Progress) -> None:
    """Write the averaged weights; autoencoders get their latents' statistics first."""
    with progress.averaged() as model:
        clips = min(512, recipe.pool.clips)
        if isinstance(model, VideoVAE) and stage == "video_vae":
            measure_statistics(model, recipe.pool, clips=clips, device=recipe.device)
        if isinstance(model, AudioVAE):
            measure_audio_statistics(model, recipe.pool, clips=clips, device=recipe.device)
        state: dict[str, Tensor] = {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}
    file = weights_file(recipe.out, stage)
    save_file(state, file.with_suffix(".part"))
    file.with_suffix(".part").replace(file)


def _batch(recipe: Recipe) -> dict[str, int]:
    return {} if recipe.batch is None else {"batch": recipe.batch}


def _video(recipe: Recipe) -> Task:
    return VideoStage(
        recipe.config.video_vae,
        recipe.pool,
        recipe.held_out_pool,
        seed=recipe.seed,
        device=recipe.device,
        **_batch(recipe),
    )


def _video_decoder(recipe: Recipe) -> Task:
    vae = VideoVAE(recipe.config.video_vae).to(recipe.device)
    load_finished(recipe.out, "video_vae", vae)
    return VideoDecoderStage(
        vae, recipe.pool, recipe.held_out_pool, seed=recipe.seed, device=recipe.device, **_batch(recipe)
    )


def _audio(recipe: Recipe) -> Task:
    return AudioStage(
        recipe.config.audio_vae,
        recipe.pool,
        recipe.held_out_pool,
        seed=recipe.seed,
        device=recipe.device,
        **_batch(recipe),
    )


def _vocoder(recipe: Recipe) -> Task:
    return VocoderStage(
        recipe.config.vocoder,
        finished_audio_vae(recipe),
        recipe.pool,
        recipe.held_out_pool,
        seed=recipe.seed,
        device=recipe.device,
        **_batch(recipe),
    )


def _text(recipe: Recipe) -> Task:
    return TextStage(
        recipe.config, recipe.pool, recipe.held_out_pool, seed=recipe.seed, device=recipe.device, **_batch(recipe)
    )


def _diffusion(recipe: Recipe) -> Task:
    train_pool, held_out = latents(recipe)
    task = DiffusionStage(recipe.config, train_pool, held_out, seed=recipe.seed, device=recipe.device, **_batch(recipe))
    model = task.model
    assert isinstance(model, DiffusionModel)
    if weights_file(recipe.out, "text").exists():
        load_finished(recipe.out, "text", FactReader(model))
    return task


def _towers(recipe: Recipe) -> Task:
    torch.manual_seed(recipe.seed)
    return TowersStage(
        Towers(), recipe.pool, recipe.held_out_pool, seed=recipe.seed, device=recipe.device, **_batch(recipe)
    )


def _sync(recipe: Recipe) -> Task:
    torch.manual_seed(recipe.seed)
    return SyncStage(
        SyncTower(), recipe.pool, recipe.held_out_pool, seed=recipe.seed, device=recipe.device, **_batch(recipe)
    )


_TASKS: dict[str, Callable[[Recipe], Task]] = {
    "video_vae": _video,
    "audio_vae": _audio,
    "video_decoder": _video_decoder,
    "vocoder": _vocoder,
    "text": _text,
    "diffusion": _diffusion,
    "towers": _towers,
    "sync": _sync,
}
