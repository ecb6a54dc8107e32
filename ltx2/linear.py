"""Linear layers that use the quicker of the two matrix libraries that PyTorch carries on x86 processors.

PyTorch sends float32 products to MKL. oneDNN, which it carries too and which its compiler uses, takes 5 to 30 % less
time from a certain size on, and applies the GELU while the result is still in cache.
"""

import platform

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEAST_PRODUCTS = 16e6
_LEAST_PRODUCTS_GELU = 2e6
"""Below these numbers of multiplications oneDNN's own overhead, about 20 microseconds, is more than it saves; measured
on an AMD EPYC of the Zen 4 generation at 1 to 1212 rows and widths of 96 to 4096."""

_HAS_ONEDNN = (
    torch.backends.mkldnn.is_available()
    and platform.machine() in ("x86_64", "AMD64")
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)


class Linear(nn.Linear):
    """`torch.nn.Linear` with the same parameters and, up to rounding, the same result; quicker without gradients."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Map `(..., in_features)` to `(..., out_features)`."""
        if not _pays(self, input, _LEAST_PRODUCTS):
            return super().forward(input)
        return _onednn(self, input, "none", "")


def linear_gelu(layer: nn.Linear, x: Tensor) -> Tensor:
    """The tanh-approximated GELU of a linear layer's result, in one go where `layer` is a plain `Linear`."""
    is_plain = type(layer) is Linear and not layer._forward_hooks and not layer._forward_pre_hooks
    if is_plain and _pays(layer, x, _LEAST_PRODUCTS_GELU):
        return _onednn(layer, x, "gelu", "tanh")
    return F.gelu(layer(x), approximate="tanh")


def _pays(layer: nn.Linear, x: Tensor, least_products: float) -> bool:
    weight = layer.weight
    return (
        _HAS_ONEDNN
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.numel() * layer.out_features >= least_products
        and not (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad))
        and not torch.compiler.is_compiling()
    )


def _onednn(layer: nn.Linear, x: Tensor, activation: str, algorithm: str) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, layer.weight, layer.bias, activation, [], algorithm)
    return out
