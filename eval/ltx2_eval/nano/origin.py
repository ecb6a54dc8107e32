"""What a stage was trained on, kept in its checkpoint: hashes of the stages before it, number of clips, batch."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open

CHECKPOINT = "state.safetensors"
BUILT_ON: Mapping[str, tuple[str, ...]] = {
    "video_decoder": ("video_vae",),
    "vocoder": ("audio_vae",),
    "diffusion": ("video_vae", "audio_vae", "text"),
}
"""Stages whose weights fit only those of the stages named."""
_ON = "on."


class StaleStage(ValueError):
    """A stage was trained on weights of an earlier stage that have been replaced since."""


def weights_file(out: Path, stage: str) -> Path:
    """Where a stage's finished weights lie."""
    return out / stage / "weights.safetensors"


def origin_of(out: Path, stage: str, *, clips: int, batch: int | None) -> dict[str, str]:
    """What a stage that is trained now is trained on, as a checkpoint keeps it.

    Args:
        out: Folder of the run.
        stage: Which one.
        clips: Training clips.
        batch: Clips per step; None for the stage's own default.
    """
    return {
        "clips": str(clips),
        "batch": "default" if batch is None else str(batch),
        **{f"{_ON}{name}": digest for name, digest in _digests(out, stage).items()},
    }


def require_same(checkpoint: Path, found: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Refuse to go on from a checkpoint of something else; what either side does not name is taken as it is.

    Raises:
        StaleStage: An earlier stage was trained anew or further since.
        ValueError: It was begun with another number of clips or another batch.
    """
    differing = [key for key in expected if found.get(key, expected[key]) != expected[key]]
    replaced = [key.removeprefix(_ON) for key in differing if key.startswith(_ON)]
    if replaced:
        stage = checkpoint.parent.name
        raise StaleStage(
            f"{checkpoint} was trained on other weights of {', '.join(replaced)} than lie there now; "
            f"move {checkpoint.parent} away and train stage {stage!r} again"
        )
    if differing:
        key = differing[0]
        raise ValueError(
            f"{checkpoint} was begun with {key} {found[key]}, and {key} {expected[key]} was asked for; "
            f"ask for the same or use another --out"
        )


def require_current(out: Path, stage: str) -> None:
    """Refuse a finished stage whose earlier stages were replaced since; one that does not name them passes.

    Raises:
        StaleStage: An earlier stage was trained anew or further since.
    """
    expected = {f"{_ON}{name}": digest for name, digest in _digests(out, stage).items()}
    require_same(out / stage / CHECKPOINT, _kept(out, stage), expected)


def is_untold(out: Path, stage: str) -> bool:
    """Whether a stage needs others and its checkpoint, of an older recipe or missing, does not say which it had."""
    return stage in BUILT_ON and not any(key.startswith(_ON) for key in _kept(out, stage))


def _digests(out: Path, stage: str) -> dict[str, str]:
    """SHA-256 of the finished weights that a stage builds on; of those that are there, since `text` may be left out."""
    files = {name: weights_file(out, name) for name in BUILT_ON.get(stage, ())}
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items() if file.exists()}


def _kept(out: Path, stage: str) -> dict[str, str]:
    checkpoint = out / stage / CHECKPOINT
    if not checkpoint.exists():
        return {}
    with safe_open(checkpoint, "pt") as file:
        kept: dict[str, str] | None = file.metadata()
    return kept or {}
