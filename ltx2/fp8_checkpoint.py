"""8-bit weights in checkpoint files: which there are, their scales, and what becomes of them while loading.

Layout: `LAYER.weight` in e4m3; in later files with `LAYER.weight_scale` (one float32 number that the stored values are
multiplied by) and `LAYER.input_scale` (for 8-bit arithmetic, which is not done here).
"""

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from ltx2.fp8 import Fp8Linear, upcast
from ltx2.weights_file import BrokenFileError, TensorInfo, WeightsFile

_WEIGHT, _WEIGHT_SCALE, _INPUT_SCALE = ".weight", ".weight_scale", ".input_scale"
_BLOCKS = (".transformer_blocks.", ".transformer_1d_blocks.")


def is_fp8(info: TensorInfo) -> bool:
    """Whether a tensor is stored in the 8-bit format that is loaded (e4m3)."""
    return info.dtype == "F8_E4M3"


def companions(layers: Collection[str]) -> set[str]:
    """Keys that a file may have for layers whose weights are stored in 8 bits."""
    return {f"{layer}{suffix}" for layer in layers for suffix in (_WEIGHT_SCALE, _INPUT_SCALE)}


def read_scales(files: Sequence[WeightsFile], layers: Collection[str]) -> dict[str, float]:
    """The scale of each layer whose weight is stored in 8 bits; 1 where the file has none.

    Raises:
        BrokenFileError: A scale that is not one positive number.
    """
    scales = dict.fromkeys(layers, 1.0)
    for file in files:
        for layer in layers:
            info = file.tensors.get(f"{layer}{_WEIGHT_SCALE}")
            if info is None:
                continue
            values = file.get(f"{layer}{_WEIGHT_SCALE}").flatten().tolist() if math.prod(info.shape) == 1 else []
            if len(values) != 1 or not 0 < values[0] < math.inf:
                found = values[0] if values else f"of shape {list(info.shape)}"
                raise BrokenFileError(f"{file.path}: {layer}{_WEIGHT_SCALE} is {found}; expected one positive number")
            scales[layer] = float(values[0])
    return scales


class Fp8Reader:
    """Converts the tensors of a file to what the modules hold, and notes which layers hold 8 bits.

    Args:
        scales: Of the layers that are stored in 8 bits.
        dtype: Of all other tensors.
        device: Where they go.
        quantize: Store all linear layers of blocks in 8 bits.
    """

    def __init__(
        self, scales: Mapping[str, float], *, dtype: torch.dtype, device: torch.device | str, quantize: bool
    ) -> None:
        self.layers: dict[str, float] = {}
        """Scale of each layer that holds 8 bits, as far as its weight was converted."""
        self._scales, self._dtype, self._device, self._quantize = scales, dtype, device, quantize

    def convert(self, key: str, tensor: Tensor) -> Tensor:
        """The tensor of a key as its module holds it."""
        layer = key.removesuffix(_WEIGHT)
        in_block = any(blocks in key for blocks in _BLOCKS) and key.endswith(_WEIGHT) and tensor.ndim == 2
        if layer in self._scales and in_block:
            self.layers[layer] = self._scales[layer]
            return tensor.to(self._device)
        if layer in self._scales:
            return upcast(tensor.to(self._device), self._scales[layer], self._dtype)
        if in_block and self._quantize:
            small = Fp8Linear.quantize(tensor.to(self._device), None)
            self.layers[layer] = small.scale
            return small.weight.data
        # a tensor that stays mapped keeps the pages around it, too, which the converted ones have touched
        return tensor.to(device=self._device, dtype=self._dtype, copy=self._quantize)
