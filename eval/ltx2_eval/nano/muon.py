"""Muon: momentum whose matrix updates are orthogonalised, with AdamW for everything that is no matrix.

Sources: Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), and arXiv 2502.16982 for the
scale that lets both optimisers share one learning rate.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_UPDATE_RMS = 0.2
_LEAST_SIDE = 8
_BLOCK_ROWS = 128
_NOT_MATRICES = ("embed_tokens", "registers", "table")


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    """A matrix with the singular vectors of `(m, n)` and singular values near 1, by a quintic Newton-Schulz iteration.

    The shorter side is cut into blocks of 128, each orthogonalised by itself: nearly as good, and the work does not
    grow with the cube of the width. The iteration runs in bfloat16.

    Args:
        matrix: Any float dtype.
        steps: Iterations.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    wide = (matrix.T if tall else matrix).bfloat16()
    blocks = [_orthogonal_rows(block, steps) for block in wide.split(_BLOCK_ROWS)]
    result = torch.cat(blocks).to(matrix.dtype)
    return result.T if tall else result


def _orthogonal_rows(x: Tensor, steps: int) -> Tensor:
    a, b, c = _COEFFICIENTS
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


class Muon(torch.optim.Optimizer):
    """Muon for matrices and convolution kernels (seen as `(out, in * taps)`), AdamW without decay for the rest.

    Args:
        model: Parameters that require gradients are trained.
        lr: Learning rate of both parts.
        momentum: Of the matrix part (Nesterov).
        betas: Of the AdamW part.
        decay: Weight decay of the matrix part, times `lr`.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        lr: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        decay: float = 0.0,
    ) -> None:
        matrices, rest = split_parameters(model.named_parameters())
        defaults = {"lr": lr, "momentum": momentum, "betas": betas, "decay": decay}
        groups = [{"params": matrices, "matrix": True}, {"params": rest, "matrix": False}]
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all parameters from their gradients."""
        for group in self.param_groups:
            update = self._matrix if group["matrix"] else self._adam
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update(parameter, group)

    def _matrix(self, parameter: Tensor, group: dict[str, Any]) -> None:
        lr, momentum, decay = (group[name] for name in ("lr", "momentum", "decay"))
        state = self.state[parameter]
        gradient = parameter.grad
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        average = state["momentum"].lerp_(gradient, 1 - momentum)
        update = orthogonalize(gradient.lerp(average, momentum).flatten(1))
        parameter.mul_(1 - lr * decay)
        scale = _UPDATE_RMS * max(update.shape) ** 0.5
        parameter.add_(update.reshape(parameter.shape), alpha=-lr * scale)

    def _adam(self, parameter: Tensor, group: dict[str, Any]) -> None:
        lr = group["lr"]
        first, second = group["betas"]
        state = self.state[parameter]
        gradient = parameter.grad
        assert gradient is not None
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
        state["step"] += 1
        count = int(state["step"])
        mean = state["mean"].lerp_(gradient, 1 - first)
        square = state["square"].lerp_(gradient.square(), 1 - second)
        deviation = (square / (1 - second**count)).sqrt_().add_(1e-8)
        parameter.addcdiv_(mean, deviation, value=-lr / (1 - first**count))


def split_parameters(named: Iterable[tuple[str, nn.Parameter]]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters that are matrices to Muon, and the others (vectors, embeddings, tables, very thin matrices)."""
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in named:
        if not parameter.requires_grad:
            continue
        is_matrix = parameter.ndim >= 2 and min(parameter.shape[0], parameter[0].numel()) >= _LEAST_SIDE
        chosen = matrices if is_matrix and not any(word in name for word in _NOT_MATRICES) else rest
        chosen.append(parameter)
    return matrices, rest
