"""What a diffusers pipeline would do silently wrong, read from its folder before any work."""

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from ltx2_eval.models.base import GenerationRequest

_DEFAULT_FPS = 24
_NATIVE_FPS = {
    "WanPipeline": 16,
    "CogVideoXPipeline": 8,
    "AnimateDiffPipeline": 8,
    "MochiPipeline": 30,
}
"""Frames per second of what such pipelines were trained on, where it is not 24 (their model cards)."""
_WAN_5B_CHANNELS = 48
"""Latent channels of Wan 2.2 TI2V-5B, which makes 24 frames per second under the same class as the others."""
_TIME_FACTORS = ("scale_factor_temporal", "temporal_compression_ratio")


def native_fps(folder: Path, class_name: str) -> int:
    """Frames per second that a pipeline makes if its call takes no rate."""
    if class_name == "WanPipeline" and _config(folder, "vae").get("z_dim") == _WAN_5B_CHANNELS:
        return _DEFAULT_FPS
    return _NATIVE_FPS.get(class_name, _DEFAULT_FPS)


def check_fps(class_name: str, asked: Fraction, native: int) -> None:
    """Refuse a rate that a pipeline without an argument for it would only be stamped with.

    Raises:
        ValueError: another rate than its own.
    """
    if asked != native:
        raise ValueError(
            f"{class_name} makes {native} frames per second and its call takes no rate, {float(asked):.6g} are asked "
            f"for: use --fps {native}, or add native_fps={float(asked):.6g} to the model's name if this checkpoint does"
        )


def check_frames(folder: Path, request: GenerationRequest) -> None:
    """Refuse numbers of frames that the video autoencoder cannot make, where its configuration says so.

    Raises:
        ValueError: with the next ones that it can.
    """
    config = _config(folder, "vae")
    factor = next((config[key] for key in _TIME_FACTORS if isinstance(config.get(key), int)), 1)
    if factor > 1 and (request.num_frames - 1) % factor:
        below = (request.num_frames - 1) // factor * factor + 1
        raise ValueError(
            f"num_frames is {request.num_frames}; this pipeline makes {factor}k + 1: use {below} or {below + factor}"
        )


def check_stg(folder: Path, class_name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse spatio-temporal guidance of LTX-2 that would cost a pass and change nothing.

    Raises:
        ValueError: a transformer without `perturbed_attn`, or a scale of the sound that falls back to the picture's.
    """
    if not class_name.startswith("LTX2"):
        return
    if arguments.get("audio_stg_scale") == 0 and arguments.get("stg_scale"):
        raise ValueError(
            "arguments: audio_stg_scale is 0, which diffusers takes for stg_scale; use a small value such as 1e-6"
        )
    if arguments.get("stg_scale") and not _config(folder, "transformer").get("perturbed_attn"):
        raise ValueError(
            f"arguments: stg_scale is {arguments['stg_scale']}, and {folder / 'transformer/config.json'} does not set "
            '"perturbed_attn": true, without which diffusers runs the pass and changes nothing; set it there, or leave '
            "stg_scale out"
        )


def _config(folder: Path, component: str) -> dict[str, Any]:
    path = folder / component / "config.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON; fetch it again") from error
    return found if isinstance(found, dict) else {}
