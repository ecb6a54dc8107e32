"""Linear layers whose weights are stored as 8-bit floats and cast up when they are used.

Source: Lightricks/LTX-2, `ltx_core/quantization/fp8_cast.py`; the scale of the later published files (`weight_scale`,
one number per weight, which the stored values are multiplied by) as described in that project's issue 172.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FP8 = torch.float8_e4m3fn
_LARGEST = torch.finfo(FP8).max
_CHUNK = 2**18
"""Values converted at a time. Wide temporaries between the narrow results would leave holes all over the heap."""


class Fp8Linear(nn.Module):
    """A linear layer with half the memory of bfloat16; it computes in the dtype of its input.

    Args:
        weight: `(out, in)`, float8_e4m3fn.
        scale: What the stored values are multiplied by.
        bias: `(out,)` in the dtype of the activations, or None.
    """

    def __init__(self, weight: Tensor, scale: float, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.scale = scale
        self.low_rank: tuple[Tensor, Tensor] | None = None
        """Factors `(out, r)` and `(r, in)` whose product is added to the weight after the cast. A LoRA stays apart
        like this because eight bits would round most of it away."""

    @classmethod
    def like(cls, layer: "nn.Linear | Fp8Linear", scale: float) -> "Fp8Linear":
        """A layer of the same shape and device without values yet."""
        return cls(torch.empty_like(layer.weight, dtype=FP8), scale, None if layer.bias is None else layer.bias.data)

    @classmethod
    def quantize(cls, weight: Tensor, bias: Tensor | None) -> "Fp8Linear":
        """Store a wider weight, scaled so that its largest value is the largest of the 8-bit format."""
        weight = weight.detach()
        low, high = weight.aminmax()
        largest = max(float(high), -float(low))
        scale = largest / _LARGEST if largest else 1.0
        stored = torch.empty_like(weight, dtype=FP8, memory_format=torch.contiguous_format)
        rows = max(1, _CHUNK // weight.shape[1])
        for part, values in zip(stored.split(rows), weight.split(rows), strict=True):
            part.copy_((values.float() / scale).clamp_(-_LARGEST, _LARGEST))
        return cls(stored, scale, bias)

    def upcast(self, dtype: torch.dtype) -> Tensor:
        """The weight `(out, in)` as it is used."""
        weight = upcast(self.weight, self.scale, dtype)
        if self.low_rank is not None:
            up, down = (factor.to(weight) for factor in self.low_rank)
            weight.addmm_(up, down)
        return weight

    def forward(self, x: Tensor) -> Tensor:
        """Map `(..., in)` to `(..., out)`."""
        return F.linear(x, self.upcast(x.dtype), self.bias)


def upcast(weight: Tensor, scale: float, dtype: torch.dtype) -> Tensor:
    """Scaled copy in a wider dtype. The cast is exact (the format has 3 bits of mantissa), the product rounds once."""
    return weight.to(dtype).mul_(scale)
