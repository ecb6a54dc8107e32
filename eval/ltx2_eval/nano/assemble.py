"""The finished stages as one model folder in the published layout, and the extractors' files."""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from ltx2.checkpoint import Modules, save
from ltx2.nano import CHECKPOINT_NAME, TEXT_ENCODER_NAME, UPSAMPLER_NAME, untrained_upsampler, write_text_encoder
from ltx2.upsampler_checkpoint import save_upsampler
from ltx2_eval.nano.origin import BUILT_ON, is_untold, weights_file
from ltx2_eval.nano.stages import (
    Recipe,
    finished_audio_vae,
    finished_diffusion,
    finished_video_vae,
    finished_vocoder,
    load_finished,
)
from ltx2_eval.nano.towers import SyncTower, Towers

EXTRACTOR_FILES = {"towers": "nano-towers.safetensors", "sync": "nano-sync.safetensors"}
_DTYPE = torch.bfloat16


def assemble_model(recipe: Recipe, folder: Path, warn: Callable[[str], None] = lambda text: None) -> Path:
    """Write `ltx2-nano.safetensors`, `text_encoder/` and `spatial_upsampler/`, which `ltx2.Pipeline.load` reads.

    The upsampler is no stage of the recipe: its weights are random, so that two stages run, and no more than that.

    Args:
        recipe: Whose stages.
        folder: To write to.
        warn: Told of stages of which it is not known what they were trained on.

    Raises:
        StaleStage: A stage was trained on others than lie there now.
        ValueError: A stage has not been trained to its end.
    """
    for stage in BUILT_ON:
        if weights_file(recipe.out, stage).exists() and is_untold(recipe.out, stage):
            warn(f"{stage}: nothing tells which {', '.join(BUILT_ON[stage])} it was trained on; see that they fit")
    diffusion = finished_diffusion(recipe)
    modules = Modules(
        config=recipe.config,
        transformer=diffusion.transformer,
        connectors=diffusion.connectors,
        video_vae=finished_video_vae(recipe),
        audio_vae=finished_audio_vae(recipe),
        vocoder=finished_vocoder(recipe),
    )
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / CHECKPOINT_NAME, modules, dtype=_DTYPE)
    (folder / UPSAMPLER_NAME).parent.mkdir(exist_ok=True)
    save_upsampler(folder / UPSAMPLER_NAME, untrained_upsampler(recipe.seed))
    text_encoder = folder / TEXT_ENCODER_NAME
    write_text_encoder(text_encoder, recipe.config.text, recipe.seed)
    tensors = {
        f"model.{key}": value.detach().to("cpu", _DTYPE).contiguous()
        for key, value in diffusion.gemma.state_dict().items()
    }
    save_file(tensors, text_encoder / "model.safetensors", metadata={"format": "pt"})
    (text_encoder / "model.safetensors").chmod(0o644)
    return folder


def assemble_extractors(recipe: Recipe, folder: Path) -> list[Path]:
    """Write the weights of those extractors that are trained, in float16; returns the files."""
    modules: dict[str, nn.Module] = {"towers": Towers(), "sync": SyncTower()}
    written = []
    for stage, module in modules.items():
        if not weights_file(recipe.out, stage).exists():
            continue
        load_finished(recipe.out, stage, module)
        file = folder / EXTRACTOR_FILES[stage]
        save_file({key: value.half().contiguous() for key, value in module.state_dict().items()}, file)
        file.chmod(0o644)
        written.append(file)
    return written
