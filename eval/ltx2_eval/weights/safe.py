"""Read safetensors, refuse everything else, and load it into a module strictly."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ltx2_reports.store import DamagedError


def check_header(path: Path) -> None:
    """Check that a file is safetensors: its header is read and validated, no tensor is.

    Raises:
        DamagedError: it is not.
    """
    try:
        with safe_open(path, framework="pt") as file:
            file.keys()
    except SafetensorError as error:
        raise DamagedError(
            f"{path}: not a safetensors file ({error}); other formats are converted by `ltx2-eval weights pull`"
        ) from error


def read_state(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """Read all tensors of a safetensors file.

    Raises:
        ValueError: another ending; nothing else is ever opened.
        DamagedError: the file does not hold what its ending says.
    """
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: found the ending '{path.suffix}', expected .safetensors; other formats are not read")
    check_header(path)
    with safe_open(path, framework="pt", device=device) as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dictionary


def load_strict(module: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Load a state dict; every parameter must be there in its shape, and nothing else.

    Counters and index tables (integer buffers), which older files lack, keep the value the module made.

    Raises:
        DamagedError: tensors are missing, unknown, misshaped or not of floating point; names them.
    """
    own = module.state_dict()
    missing = [key for key, value in own.items() if key not in state and value.is_floating_point()]
    unknown = [key for key in state if key not in own]
    shapes = [
        f"{key} is {tuple(state[key].shape)}, expected {tuple(value.shape)}"
        for key, value in own.items()
        if key in state and state[key].shape != value.shape
    ]
    kinds = [
        f"{key} is {state[key].dtype}"
        for key, value in own.items()
        if key in state and value.is_floating_point() != state[key].is_floating_point()
    ]
    if missing or unknown or shapes or kinds:
        problems = {"missing": missing, "unknown": unknown, "of another shape": shapes, "of another type": kinds}
        told = "; ".join(
            f"{len(keys)} tensors {what}: {', '.join(keys[:3])}" for what, keys in problems.items() if keys
        )
        raise DamagedError(f"{where}: not the weights of this network: {told}")
    with torch.no_grad():
        module.load_state_dict(dict(state), strict=False)
