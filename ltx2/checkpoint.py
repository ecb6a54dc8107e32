"""The published checkpoint layout to modules and back: one safetensors file for everything but the language model.

A folder may hold the same tensors in several files: shards, or one file per component.

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
from ltx2.fp8_checkpoint import Fp8Reader, companions, is_fp8, read_scales
from ltx2.later_versions import later_version
from ltx2.published_config import UnsupportedConfigError, dump_config, parse_config
from ltx2.text import TextConnectors
from ltx2.transformer import LTX2Transformer
from ltx2.video_vae import VideoVAE
from ltx2.vocoder import Vocoder
from ltx2.weights_file import BrokenFileError, NotSafetensorsError, TensorInfo, WeightsFile, open_weights

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
_OURS = (*_PREFIXES.values(), "text_embedding_projection.")
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

    def replace(self, name: str, layer: nn.Module) -> None:
        """Put another layer in the place of the linear layer with a published name."""
        parent, _, child = name.removeprefix(_DIFFUSION).rpartition(".")
        is_connector = parent.partition(".")[0] in dict(self.connectors.named_children())
        setattr((self.connectors if is_connector else self.transformer).get_submodule(parent), child, layer)

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
    return _config(path, checkpoint_files(path))


def checkpoint_files(path: str | Path) -> tuple[WeightsFile, ...]:
    """The files a checkpoint consists of: the one named, or those in a folder that hold tensors of a model.

    Files of other things that lie beside them (upsamplers, LoRAs) are left out.

    Raises:
        FileNotFoundError: Nothing at that path.
        ValueError: A folder with several checkpoints.
        BrokenFileError: A damaged file; NotSafetensorsError if it is of another format.
    """
    path = Path(path)
    if (path / "model_index.json").is_file():
        raise UnsupportedConfigError(f"{path} is a folder of diffusers; the model diffusers:{path} runs it")
    files = open_weights(path)
    if path.is_file():
        return files
    ours = tuple(file for file in files if any(name.startswith(_OURS) for name in file.tensors))
    homes: dict[str, Path] = {}
    for file in ours:
        twice = next((homes[name] for name in file.tensors if name in homes), None)
        if twice is not None:
            raise ValueError(
                f"{path} holds several checkpoints ({twice.name}, {file.path.name}); name one of the files"
            )
        homes |= dict.fromkeys(file.tensors, file.path)
    if not ours:
        names = ", ".join(file.path.name for file in files)
        raise FileNotFoundError(f"{path} holds no LTX-2 checkpoint, only {names}")
    return ours


def load(
    path: str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    fp8: bool = False,
) -> Modules:
    """Load a published checkpoint; the modules come in evaluation mode, without gradients.

    Everything is checked against the headers before any tensor is read. Tensors that already have the dtype stay
    memory-mapped on the CPU; others are cast one by one, so that no more than the result and a few tensors are in
    memory. Linear layers of the transformer's and the connectors' blocks that are stored in 8 bits stay so, and are
    cast up when they are used.

    Args:
        path: A safetensors file, or a folder with one, with one set of shards, or with a file per component.
        device: Where the modules go.
        dtype: What all other tensors are cast to, and what is computed in.
        fp8: Store the linear layers of the blocks in 8 bits, whatever the file does: half the memory of bfloat16.

    Raises:
        FileNotFoundError: Nothing at that path.
        BrokenFileError: A damaged file; NotSafetensorsError if it is of another format.
        UnsupportedConfigError: A configuration this version does not implement.
        KeyMismatchError: Tensors that do not fit the configuration.
    """
    files = checkpoint_files(path)
    modules = build(_config(path, files), device="meta")
    expected = modules.state()
    found = {name: info for file in files for name, info in file.tensors.items()}
    stored = {name for name in modules.linears() if name + ".weight" in found and is_fp8(found[name + ".weight"])}
    check_keys(path, expected, found, unused=_UNUSED | companions(stored), fp8={f"{name}.weight" for name in stored})
    reader = Fp8Reader(read_scales(files, stored), dtype=dtype, device=device, quantize=fp8)
    tensors = {name: reader.convert(name, tensor) for file in files for name, tensor in file.read() if name in expected}
    for name, layer in modules.linears().items():
        if name in reader.layers:
            modules.replace(name, Fp8Linear.like(layer, reader.layers[name]))
    for name, module in modules.named().items():
        keys = {key: f"{_prefix(name, key)}{key}" for key in module.state_dict()}
        module.load_state_dict({key: tensors.pop(full) for key, full in keys.items()}, strict=True, assign=True)
        module.eval().requires_grad_(False)
        assert not any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))
    return modules


def save(path: str | Path, modules: Modules, *, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write the modules in the published layout, with their configuration in the metadata.

    The same tensors give the same bytes. The file is complete, and on disk, when it appears under its name.

    Raises:
        ValueError: Modules with 8-bit layers: their weights were rounded, and are not what a checkpoint should hold.
    """
    if any(isinstance(layer, Fp8Linear) for layer in modules.linears().values()):
        raise ValueError(f"{path}: these modules hold 8-bit weights; load the checkpoint without fp8 to save it")
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


def _config(path: str | Path, files: Sequence[WeightsFile]) -> LTX2Config:
    for file in files:
        later = later_version(file.metadata, file.tensors)
        if later is not None:
            raise UnsupportedConfigError(
                f"{file.path} is of {later}; this version implements LTX-2 (19B), diffusers: models run later ones"
            )
    texts = {file.metadata["config"] for file in files if "config" in file.metadata}
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
    fp8: Collection[str] = (),
) -> None:
    """Hold the tensors of a file to those of its modules.

    Args:
        path: Of the file, for the message.
        expected: The modules' tensors by key.
        found: The file's.
        unused: Keys that the file may have and nobody reads.
        fp8: Keys whose tensors may be stored in 8 bits.

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
            f"{key} {found[key].dtype}" for key in sorted(shared) if found[key].dtype not in _DTYPES and key not in fp8
        ],
    }
    if any(problems.values()):
        listed = "; ".join(f"{len(keys)} {kind}: {shortened(keys)}" for kind, keys in problems.items() if keys)
        raise KeyMismatchError(f"{path} does not fit its own config: {listed}")


def shortened(keys: Sequence[str]) -> str:
    """The first few names of a list, and how many more there are."""
    more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
    return ", ".join(keys[:_LISTED]) + more
