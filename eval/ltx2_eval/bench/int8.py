"""Linear layers whose weights are stored as 8-bit integers, one scale per output, and cast up when they are used."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LARGEST = 127


class Int8Linear(nn.Module):
    """A linear layer with half the memory of bfloat16; it computes in the dtype of its input.

    Args:
        weight: `(out, in)`, int8.
        scale: `(out, 1)`, what each row is multiplied by.
        bias: `(out,)`, or None.
    """

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.scale = nn.Parameter(scale, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    @classmethod
    def quantize(cls, weight: Tensor, bias: Tensor | None) -> "Int8Linear":
        """Store a wider weight, each row scaled so that its largest value is 127."""
        wide = weight.detach().float()
        scale = (wide.abs().amax(1, keepdim=True) / _LARGEST).clamp_min(torch.finfo(torch.float32).tiny)
        stored = (wide / scale).round().clamp(-_LARGEST, _LARGEST).to(torch.int8)
        return cls(stored, scale.to(weight.dtype), None if bias is None else bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Map `(..., in)` to `(..., out)`."""
        return F.linear(x, self.weight.to(x.dtype).mul_(self.scale), self.bias)
