"""The published upsampler files to modules and back: bare keys, and a `config` without sections in the metadata."""

import json
from dataclasses import asdict
from pathlib import Path

import torch

from ltx2.checkpoint import check_keys, write_weights
from ltx2.config import UpsamplerConfig
from ltx2.config_rules import UPSAMPLER
from ltx2.published_config import UnsupportedConfigError, read_section, write_section
from ltx2.upsampler import LatentUpsampler
from ltx2.weights_file import check_file


def load_upsampler(
    path: str | Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> LatentUpsampler:
    """Load a published spatial or temporal upsampler; it comes in evaluation mode, without gradients.

    Args:
        path: A safetensors file, such as `ltx-2-spatial-upscaler-x2-1.0.safetensors`.
        device: Where it goes.
        dtype: What all tensors are cast to.

    Raises:
        FileNotFoundError: No such file.
        BrokenFileError: A damaged file; NotSafetensorsError if it is of another format.
        UnsupportedConfigError: Not an upsampler, or one this version does not implement.
        KeyMismatchError: Tensors that do not fit the configuration.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file; give the safetensors file of a latent upsampler")
    file = check_file(path)
    config = parse_upsampler_config(path, file.metadata.get("config", ""))
    try:
        with torch.device("meta"):
            upsampler = LatentUpsampler(config)
    except ValueError as error:
        raise UnsupportedConfigError(f"{path}: {error}") from error
    check_keys(path, upsampler.state_dict(), file.tensors)
    tensors = {name: tensor.to(device=device, dtype=dtype) for name, tensor in file.read()}
    upsampler.load_state_dict(tensors, strict=True, assign=True)
    return upsampler.eval().requires_grad_(False)


def save_upsampler(path: str | Path, upsampler: LatentUpsampler, *, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write an upsampler in the published layout; the same tensors give the same bytes."""
    state = dict(sorted(upsampler.state_dict().items()))
    write_weights(path, state, dump_upsampler_config(upsampler.config), dtype=dtype)


def parse_upsampler_config(path: str | Path, text: str) -> UpsamplerConfig:
    """Read the metadata's `config` string of the file at `path`.

    Raises:
        UnsupportedConfigError: Not the configuration of an upsampler, or a key or value we do not implement.
    """
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "vae" in found or "transformer" in found:
        raise UnsupportedConfigError(f"{path} is not a latent upsampler: its metadata hold no config of one")
    values = read_section("upsampler", UPSAMPLER, {"upsampler": found})
    return UpsamplerConfig(**{name: values[name] for name in UpsamplerConfig.__slots__})


def dump_upsampler_config(config: UpsamplerConfig) -> str:
    """The metadata string of a configuration; `parse_upsampler_config` reads it."""
    return json.dumps(write_section(UPSAMPLER, asdict(config)), sort_keys=True)
