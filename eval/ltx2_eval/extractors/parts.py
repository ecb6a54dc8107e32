"""Small parts that published transformers share, under the names of their files."""

from torch import Tensor, nn
from torch.nn import functional as F


class Mlp(nn.Module):
    """Two layers with GELU between: `fc1`, `fc2`."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        return self.fc2(F.gelu(self.fc1(x)))


class PreNormBlock(nn.Module):
    """Transformer block that normalises before each part: `norm1`, `attn`, `norm2`, `mlp`."""

    def __init__(self, width: int, attention: nn.Module, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = attention
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """(b, n, width) -> (b, n, width)."""
        x = x + self.attn(self.norm1(x))
        mixed: Tensor = x + self.mlp(self.norm2(x))
        return mixed


class Dense(nn.Module):
    """One layer: `dense`."""

    def __init__(self, in_width: int, out_width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(in_width, out_width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_width) -> (..., out_width)."""
        return self.dense(x)


class Projection(nn.Module):
    """A part that leads into another space, as the convolution that cuts pictures into patches: `proj`."""

    def __init__(self, proj: nn.Module) -> None:
        super().__init__()
        self.proj = proj

    def forward(self, x: Tensor) -> Tensor:
        """What the part gives."""
        projected: Tensor = self.proj(x)
        return projected
