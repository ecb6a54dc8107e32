"""Linear layers through oneDNN: the same as PyTorch's own, and out of the way where they must be."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ltx2 import linear
from ltx2.linear import Linear, linear_gelu

LARGE, SMALL = (300, 256, 512), (3, 16, 32)


def layer(rows: int, width_in: int, width_out: int) -> tuple[Linear, torch.Tensor]:
    torch.manual_seed(0)
    return Linear(width_in, width_out).requires_grad_(False), torch.randn(2, rows, width_in)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    if not linear._HAS_ONEDNN:
        pytest.skip("this PyTorch has no oneDNN for this processor")
    found = []
    original = linear._onednn

    def spy(layer, x, activation, algorithm):
        found.append(activation)
        return original(layer, x, activation, algorithm)

    monkeypatch.setattr(linear, "_onednn", spy)
    return found


@pytest.mark.parametrize("size", [LARGE, SMALL])
def test_equals_pytorch(size) -> None:
    ours, x = layer(*size)
    expected = F.linear(x, ours.weight, ours.bias)
    torch.testing.assert_close(ours(x), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(linear_gelu(ours, x), F.gelu(expected, approximate="tanh"), atol=1e-5, rtol=1e-5)


def test_without_bias_and_from_a_view() -> None:
    ours = Linear(256, 512, bias=False).requires_grad_(False)
    x = torch.randn(256, 600).t()
    torch.testing.assert_close(ours(x), F.linear(x, ours.weight), atol=1e-5, rtol=1e-5)


def test_large_products_go_to_onednn(calls) -> None:
    large, x = layer(*LARGE)
    large(x)
    linear_gelu(large, x)
    small, x = layer(*SMALL)
    small(x)
    linear_gelu(small, x)
    assert calls == ["none", "gelu"]


def test_gradients_and_other_dtypes_take_the_plain_way(calls) -> None:
    ours, x = layer(*LARGE)
    ours.requires_grad_(True)
    linear_gelu(ours, x).sum().backward()
    assert ours.weight.grad is not None
    ours.requires_grad_(False)
    half = ours.to(torch.bfloat16)
    assert half(x.bfloat16()).dtype == torch.bfloat16
    assert ours.to("meta")(x.to("meta")).shape == (2, 300, 512)
    assert calls == []


def test_replaced_layers_and_hooks_are_called(calls) -> None:
    """A quantised layer or one with a hook (offloading) is not passed by."""

    class Doubled(nn.Linear):
        def forward(self, input):  # noqa: A002
            return 2 * super().forward(input)

    ours, x = layer(*LARGE)
    doubled = Doubled(256, 512).requires_grad_(False)
    doubled.load_state_dict(ours.state_dict())
    torch.testing.assert_close(
        linear_gelu(doubled, x), F.gelu(2 * F.linear(x, ours.weight, ours.bias), approximate="tanh")
    )
    seen = []
    ours.register_forward_pre_hook(lambda *_: seen.append(1))
    linear_gelu(ours, x)
    assert seen == [1]
    assert calls == ["none"]
