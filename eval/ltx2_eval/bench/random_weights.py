"""Random weights for a model of any size: speed does not depend on the values, so no checkpoint is needed.

Values are scaled so that activations stay finite through any depth (each matrix by the root of its inputs, norms at
one), and they are no zeros, which would draw less power. Modules come from the meta device and are filled one by one,
so that memory never holds more than the finished model and one layer.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ltx2.fp8 import Fp8Linear
from ltx2_eval.bench.int8 import Int8Linear

SEED = 20_260_106
_BIAS_SCALE = 0.02


def materialise(
    module: nn.Module,
    device: torch.device,
    dtype: torch.dtype,
    *,
    storage: str | None = None,
    within: str = "",
    in_float32: Sequence[str] = (),
) -> nn.Module:
    """Give a module on the meta device memory and random values, in place.

    Args:
        module: Built on the meta device.
        device: Where it goes.
        dtype: Of floating-point tensors.
        storage: `fp8` or `int8`: how the weights of linear layers are kept; None: in `dtype`.
        within: Only linear layers below the child of this name are stored like that.
        in_float32: Parts of names; tensors whose name has one of them as a whole step are float32.
    """
    generator = torch.Generator(device).manual_seed(SEED)
    for name, child in list(module.named_modules()):
        for key, tensor in list(child._parameters.items()):
            if tensor is not None:
                kept = _dtype_of(f"{name}.{key}", dtype, in_float32)
                child._parameters[key] = nn.Parameter(_parameter(key, tensor, device, kept, generator), False)
        for key, buffer in list(child._buffers.items()):
            if buffer is not None:
                child._buffers[key] = _buffer(buffer, device, _dtype_of(f"{name}.{key}", dtype, in_float32))
        if storage is not None and isinstance(child, nn.Linear) and name.startswith(within):
            _replace(module, name, _quantised(child, storage))
    return module.eval()


def _parameter(
    key: str, tensor: Tensor, device: torch.device, dtype: torch.dtype, generator: torch.Generator
) -> Tensor:
    if tensor.ndim < 2:
        if key == "bias":
            return torch.empty(tensor.shape, device=device, dtype=dtype).normal_(0, _BIAS_SCALE, generator=generator)
        return torch.ones(tensor.shape, device=device, dtype=dtype)
    scale = 1 / math.sqrt(tensor[0].numel())
    return torch.empty(tensor.shape, device=device, dtype=dtype).normal_(0, scale, generator=generator)


def _dtype_of(name: str, dtype: torch.dtype, in_float32: Sequence[str]) -> torch.dtype:
    return torch.float32 if any(part in name.split(".") for part in in_float32) else dtype


def _buffer(buffer: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Statistics of latents, filters, tables: ones keep whatever is divided by them finite."""
    kept = dtype if buffer.is_floating_point() else buffer.dtype
    return torch.ones(buffer.shape, device=device, dtype=kept) if buffer.is_meta else buffer.to(device)


def _quantised(layer: nn.Linear, storage: str) -> nn.Module:
    kind = Fp8Linear if storage == "fp8" else Int8Linear
    return kind.quantize(layer.weight, layer.bias)


def _replace(module: nn.Module, name: str, child: nn.Module) -> None:
    parent, _, key = name.rpartition(".")
    setattr(module.get_submodule(parent), key, child)
