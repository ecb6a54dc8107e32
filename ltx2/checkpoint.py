"""The published checkpoint layout to modules and back: one safetensors file for everything but the language model.

Source: Lightricks/LTX-2, `ltx_core/loader/`; prefixes and keys as published.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ltx2.audio_vae import AudioVAE
from ltx2.config import LTX2Config
from ltx2.fp8 import Fp8Linear
from ltx2.published_config import UnsupportedConfigError, dump_config, parse_config
from ltx2.text import TextConnectors
from ltx2.transformer import LTX2Transformer
from ltx2.video_vae import VideoVAE
from ltx2.vocoder import Vocoder
from ltx2.weights_file import BrokenFileError, NotSafetensorsError, TensorInfo, open_weights

__all__ = [
    "BrokenFileError",
    "KeyMismatchError",
    "Modules",
    "NotSafetensorsError",
    "UnsupportedConfigError",
    "build",
    "load",
    "read_config",
    "save",
]

_DIFFUSION = "model.diffusion_model."
_PREFIXES = {"transformer": _DIFFUSION, "video_vae": "vae.", "audio_vae": "audio_vae.", "vocoder": "vocoder."}
_UNUSED = {
    f"vae.per_channel_statistics.{name}" for name in ("mean-of-stds", "mean-of-stds_over_std-of-means", "channel")
}
"""Registered by the official code but never read; files may have them or not."""
_DTYPES = ("F64", "F32", "F16", "BF16")
_LISTED = 8


class KeyMismatchError(ValueError):
    """Tensors that are missing, unexpected or of another shape or type than the configuration asks for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Modules:
    """All modules of one LTX-2 model except its language model."""

    config: LTX2Config
    transformer: LTX2Transformer
    connectors: TextConnectors
    video_vae: VideoVAE
    audio_vae: AudioVAE
    vocoder: Vocoder

    def named(self) -> dict[str, nn.Module]:
        """The modules by name."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "config"}

    def state(self) -> dict[str, Tensor]:
        """All tensors under their published keys, sorted."""
        named = ((f"{_prefix(name, key)}{key}", value) for name, key, value in self._tensors())
        return dict(sorted(named))

    def linears(self) -> dict[str, nn.Linear | Fp8Linear]:
        """The linear layers of the transformer and the connectors by their published names."""
        return {
            f"{_prefix(name, key)}{key}": layer
            for name in ("transformer", "connectors")
            for key, layer in self.named()[name].named_modules()
            if isinstance(layer, nn.Linear | Fp8Linear)
        }

    def _tensors(self) -> Iterable[tuple[str, str, Tensor]]:
        for name, module in self.named().items():
            for key, value in module.state_dict().items():
                yield name, key, value


def build(config: LTX2Config, *, device: torch.device | str = "cpu") -> Modules:
    """All modules with PyTorch's default initialisation; on device "meta", without memory."""
    with torch.device(device):
        return Modules(
            config=config,
            transformer=LTX2Transformer(config.transformer),
            connectors=TextConnectors(config.text),
            video_vae=VideoVAE(config.video_vae),
            audio_vae=AudioVAE(config.audio_vae),
            vocoder=Vocoder(config.vocoder),
        )


def read_config(path: str | Path) -> LTX2Config:
    """The configuration of a published checkpoint, from the headers of its files; no tensor is read.

    Raises:
        FileNotFoundError: Nothing at that path.
        BrokenFileError: A damaged file; NotSafetensorsError if it is of another format.
        UnsupportedConfigError: A configuration this version does not implement.
    """
    return _config(path, [file.metadata for file in open_weights(Path(path))])


def load(path: str | Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Modules:
    """Load a published checkpoint; the modules come in evaluation mode, without gradients.

    Everything is checked against the headers before any tensor is read. Tensors that already have the dtype stay
    memory-mapped on the CPU.

    Args:
        path: A safetensors file, or a folder with one (or with one set of shards).
        device: Where the modules go.
        dtype: What all tensors are cast to.

    Raises:
        FileNotFoundError: Nothing at that path.
        BrokenFileError: A damaged file; NotSafetensorsError if it is of another format.
        UnsupportedConfigError: A configuration this version does not implement.
        KeyMismatchError: Tensors that do not fit the configuration.
    """
    files = open_weights(Path(path))
    modules = build(_config(path, [file.metadata for file in files]), device="meta")
    expected = modules.state()
    found = {name: info for file in files for name, info in file.tensors.items()}
    check_keys(path, expected, found, unused=_UNUSED)
    tensors = {
        name: tensor.to(device=device, dtype=dtype)
        for file in files
        for name, tensor in file.read()
        if name in expected
    }
    for name, module in modules.named().items():
        keys = {key: f"{_prefix(name, key)}{key}" for key in module.state_dict()}
        module.load_state_dict({key: tensors.pop(full) for key, full in keys.items()}, strict=True, assign=True)
        module.eval().requires_grad_(False)
        assert not any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))
    return modules


def save(path: str | Path, modules: Modules, *, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write the modules in the published layout, with their configuration in the metadata.

    The same tensors give the same bytes. The file is complete, and on disk, when it appears under its name.
    """
    write_weights(path, modules.state(), dump_config(modules.config), dtype=dtype)


def write_weights(path: str | Path, state: Mapping[str, Tensor], config: str, *, dtype: torch.dtype) -> None:
    """Write tensors and a `config` string as one safetensors file, complete and on disk when it appears."""
    path = Path(path)
    tensors = {key: value.detach().to("cpu", dtype).contiguous() for key, value in state.items()}
    partial = path.with_name(f".{path.name}.partial")
    save_file(tensors, partial, metadata={"config": config})
    partial.chmod(0o644)  # the writer makes files that only their owner may read
    with partial.open("r+b") as file:
        os.fsync(file.fileno())  # else a power cut can leave the name in front of bytes that were never written
    partial.replace(path)


def _prefix(module: str, key: str) -> str:
    """What a module's key is preceded by in the file: the projection's keys stand alone, the connectors' do not."""
    if module == "connectors":
        return "" if key.startswith("text_embedding_projection.") else _DIFFUSION
    return _PREFIXES[module]


def _config(path: str | Path, metadata: Sequence[Mapping[str, str]]) -> LTX2Config:
    texts = {m["config"] for m in metadata if "config" in m}
    if len(texts) != 1:
        raise UnsupportedConfigError(
            f"{path} has {len(texts) or 'no'} config entries in its metadata; a complete LTX-2 checkpoint has one"
        )
    return parse_config(texts.pop())


def check_keys(
    path: str | Path,
    expected: Mapping[str, Tensor],
    found: Mapping[str, TensorInfo],
    *,
    unused: Collection[str] = (),
) -> None:
    """Hold the tensors of a file to those of its modules.

    Raises:
        KeyMismatchError: Missing, extra (but for the `unused`), misshaped or mistyped tensors; the message lists them.
    """
    shared = expected.keys() & found.keys()
    problems = {
        "missing": sorted(expected.keys() - found.keys()),
        "unexpected": sorted(found.keys() - expected.keys() - set(unused)),
        "of another shape": [
            f"{key} {list(found[key].shape)} instead of {list(expected[key].shape)}"
            for key in sorted(shared)
            if found[key].shape != tuple(expected[key].shape)
        ],
        "of a type this version does not load": [
            f"{key} {found[key].dtype}" for key in sorted(shared) if found[key].dtype not in _DTYPES
        ],
    }
    if any(problems.values()):
        listed = "; ".join(f"{len(keys)} {kind}: {shortened(keys)}" for kind, keys in problems.items() if keys)
        raise KeyMismatchError(f"{path} does not fit its own config: {listed}")


def shortened(keys: Sequence[str]) -> str:
    """The first few names of a list, and how many more there are."""
    more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
    return ", ".join(keys[:_LISTED]) + more
