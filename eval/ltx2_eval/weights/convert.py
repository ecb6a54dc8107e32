"""Turn a published weight file into safetensors, in a process of its own: the one place that reads other formats.

Usage (made by `ltx2_eval.weights.fetch`, after the file's hash was checked):

    python convert.py CONVERTER SOURCE FOLDER

writes `FOLDER/model.safetensors`, and `FOLDER/config.json` where the network's sizes vary. Pickles of arrays are read
by an unpickler that knows three names of NumPy and refuses every other; `.pt` files by torch's own restricted reader.
"""

import importlib
import json
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from einops import rearrange
from numpy.lib import format as npy
from numpy.typing import NDArray

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"

Arrays = dict[str, NDArray[Any]]

_ALLOWED = {("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}
_STATE_NAMES = ("state_dict", "model_state", "model", "module")
_FLAX_BRANCH = re.compile(r"Branch_(\d)/Conv3d_0([ab])_\dx\d")


class ArrayUnpickler(pickle.Unpickler):
    """Reads nested containers of NumPy arrays; any other object in the stream is refused before it is made."""

    def find_class(self, module: str, name: str) -> Any:
        """Resolve one of the three allowed names.

        Raises:
            ValueError: any other name.
        """
        module = module.replace("numpy.core.", "numpy._core.")
        if (module, name) not in _ALLOWED:
            raise ValueError(f"the file asks for {module}.{name}, only NumPy arrays are read: it is not what it claims")
        return getattr(importlib.import_module(module), name)


def read_arrays(file: IO[bytes]) -> dict[str, Any]:
    """Read a pickle of nested dictionaries of arrays.

    Raises:
        ValueError: anything else is in it.
    """
    content = _restricted(file)
    for path, leaf in _leaves(content):
        if not isinstance(leaf, np.ndarray) or leaf.dtype.kind != "f":
            raise ValueError(f"{path}: found {type(leaf).__name__}, expected an array of floating-point numbers")
    return content


def read_object_npy(file: IO[bytes]) -> dict[str, Any]:
    """Read a `.npy` file that holds one dictionary of dictionaries of arrays (written by Python 2: Latin-1 strings).

    Raises:
        ValueError: not such a file.
    """
    npy.read_magic(file)
    shape, _, dtype = npy.read_array_header_1_0(file)
    if shape != () or dtype != np.dtype(object):
        raise ValueError(f"found an array {dtype} {shape}, expected one object")
    content = _restricted(file, encoding="latin1")
    if not isinstance(content, np.ndarray) or not isinstance(content.item(), dict):
        raise ValueError("expected one dictionary of arrays")
    return content.item()


def _restricted(file: IO[bytes], encoding: str = "ASCII") -> Any:
    try:
        return ArrayUnpickler(file, encoding=encoding).load()
    except ValueError:
        raise
    except Exception as error:  # the unpickler raises whatever a broken stream makes it trip over
        raise ValueError(f"not a pickle of arrays: {type(error).__name__}: {error}") from error


def _leaves(content: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _leaves(value, f"{path}/{key}")
    else:
        yield path or "top level", content


def i3d(source: Path) -> tuple[Arrays, None]:
    """I3D in Flax's layout -> the names of `i3d_pretrained_400.pt`, kernels (out, in, t, h, w)."""
    with source.open("rb") as file:
        tree = read_arrays(file)
    arrays: Arrays = {}
    for name, params in _units(tree["params"]):
        kernel = params["Conv_0"]["kernel"]
        arrays[f"{name}.conv3d.weight"] = rearrange(kernel, "t h w i o -> o i t h w")
        if "bias" in params["Conv_0"]:
            arrays[f"{name}.conv3d.bias"] = params["Conv_0"]["bias"]
        if "BatchNorm_0" in params:
            arrays[f"{name}.bn.weight"] = np.ones(kernel.shape[-1], np.float32)
            arrays[f"{name}.bn.bias"] = params["BatchNorm_0"]["bias"]
    for name, statistics in _units(tree["batch_stats"]):
        for key, value in (("running_mean", "mean"), ("running_var", "var")):
            arrays[f"{name}.bn.{key}"] = statistics["BatchNorm_0"][value].reshape(-1)
    return arrays, None


def _units(tree: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each convolution with its name in our layout."""
    for top, content in tree.items():
        if top == "Logits/Conv3d_0c_1x1":
            yield "logits", content
        elif top.startswith("Mixed_"):
            for branch, unit in content.items():
                match = _FLAX_BRANCH.fullmatch(branch)
                if match is None:
                    raise ValueError(f"{top}/{branch}: not a branch of an inception block")
                yield f"{top}.b{match[1]}{match[2] if match[1] != '0' else ''}", unit
        else:
            yield top, content


def soundnet(source: Path) -> tuple[Arrays, None]:
    """SoundNet 8 -> `conv{i}` and `bn{i}` in torch's layout, kernels (out, in, k)."""
    with source.open("rb") as file:
        layers = read_object_npy(file)
    arrays: Arrays = {}
    for name, layer in layers.items():
        arrays[f"{name}.weight"] = rearrange(layer["weights"], "k 1 i o -> o i k")
        arrays[f"{name}.bias"] = layer["biases"]
        if "gamma" in layer:
            norm = name.replace("conv", "bn")
            names = {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "var"}
            arrays.update({f"{norm}.{ours}": layer[theirs] for ours, theirs in names.items()})
    return arrays, None


def laion_clap(source: Path) -> tuple[Arrays, dict[str, Any]]:
    """A released LAION-CLAP `.pt` -> the names of transformers' ClapModel, and its configuration."""
    from ltx2_eval.weights.clap_layout import clap_config, clap_state

    published = _torch_file(source)
    state = clap_state(published.get("state_dict", published))
    return {key: np.asarray(value) for key, value in state.items()}, clap_config(state)


def torch_state(source: Path) -> tuple[Arrays, None]:
    """A `.pt` or `.pth` file of tensors -> the same names; training files keep them under a name of their own."""
    content = _torch_file(source)
    while isinstance(content, dict) and (inner := [content[name] for name in _STATE_NAMES if name in content]):
        content = inner[0]
    if not isinstance(content, dict) or not all(hasattr(value, "is_floating_point") for value in content.values()):
        raise ValueError("expected tensors by name, as a state dict has them")
    return {key: np.asarray(value) for key, value in content.items()}, None


def panns(source: Path) -> tuple[Arrays, None]:
    """A released PANNs checkpoint -> the same names, without the tables of its Fourier transform."""
    arrays, _ = torch_state(source)
    return {key: value for key, value in arrays.items() if not key.startswith("spectrogram_extractor.")}, None


def imagebind(source: Path) -> tuple[Arrays, None]:
    """The released ImageBind checkpoint -> the same names of the parts for pictures, text and sound."""
    arrays, _ = torch_state(source)
    kept = ("vision", "text", "audio")
    return {key: value for key, value in arrays.items() if key.split(".")[1] in kept}, None


def lpips(source: Path) -> tuple[Arrays, None]:
    """LPIPS in Flax's layout -> `convs.{i}` in torch's layout, kernels (out, in, h, w), and `heads.{i}`."""
    with source.open("rb") as file:
        tree = read_arrays(file)
    arrays: Arrays = {}
    (backbone,) = (content for name, content in tree.items() if not name.startswith("NetLinLayer_"))
    for name, layer in backbone.items():
        index = name.removeprefix("Conv_")
        arrays[f"convs.{index}.weight"] = rearrange(layer["kernel"], "h w i o -> o i h w")
        arrays[f"convs.{index}.bias"] = layer["bias"]
    for index in range(len(tree) - 1):
        arrays[f"heads.{index}"] = tree[f"NetLinLayer_{index}"]["Conv_0"]["kernel"].reshape(-1)
    return arrays, None


def fad_statistics(source: Path) -> tuple[Arrays, None]:
    """Reference statistics of fadtk, `NAME.mu` and `NAME.cov` -> `NAME.mean` and `NAME.covariance`, in float64."""
    names = {"mu": "mean", "cov": "covariance"}
    with np.load(source) as file:
        parts = [(*key.rpartition(".")[::2], file[key]) for key in file.files]
    return {f"{name}.{names[kind]}": array.astype(np.float64) for name, kind, array in parts}, None


def onnx(source: Path) -> tuple[Arrays, None]:
    """An ONNX model -> its float32 tensors by name; whoever loads them writes the network."""
    from ltx2_eval.weights.onnx_layout import onnx_weights

    return onnx_weights(source.read_bytes()), None


def whisper(source: Path) -> tuple[Arrays, None]:
    """Whisper for CTranslate2 -> the names of transformers' Whisper."""
    from ltx2_eval.weights.ctranslate2_layout import whisper_state

    return whisper_state(source.read_bytes()), None


def _torch_file(source: Path) -> dict[str, Any]:
    """Read a `.pt` file by torch's restricted reader; NumPy's scalars stand beside the weights in training files."""
    import torch

    scalar: Any = importlib.import_module("numpy._core.multiarray").scalar
    known: list[Any] = [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar"), np.dtype]
    kinds = [type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "?")]
    with torch.serialization.safe_globals([*known, *kinds]):
        return torch.load(source, map_location="cpu", weights_only=True)  # noqa: TID251 - the one permitted call


CONVERTERS: dict[str, Callable[[Path], tuple[Arrays, dict[str, Any] | None]]] = {
    "i3d-flax": i3d,
    "soundnet-npy": soundnet,
    "laion-clap": laion_clap,
    "torch": torch_state,
    "panns": panns,
    "onnx": onnx,
    "whisper-ctranslate2": whisper,
    "imagebind": imagebind,
    "lpips-flax": lpips,
    "fad-statistics": fad_statistics,
}


def convert(converter: str, source: Path, folder: Path) -> None:
    """Write `folder/model.safetensors` (and `config.json`) from a file in the published format.

    Raises:
        ValueError: the file is not what the converter reads.
    """
    from safetensors.numpy import save_file

    arrays, config = CONVERTERS[converter](source)
    save_file({key: np.asarray(value, order="C") for key, value in arrays.items()}, folder / WEIGHTS_FILE)
    if config is not None:
        (folder / CONFIG_FILE).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run one conversion; a refusal is one line on standard error and exit code 1."""
    converter, source, folder = arguments
    try:
        convert(converter, Path(source), Path(folder))
    except Exception as error:  # whatever a hostile file provokes is a refusal
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
