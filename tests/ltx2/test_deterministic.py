import torch


def test_u_is_the_published_sequence(deterministic):
    expected = torch.tensor([1.012114, -1.177704, -0.712216, 1.086686], dtype=torch.float64)
    torch.testing.assert_close(deterministic.u(1, (4,)), expected, atol=1e-6, rtol=0)


def test_u_has_unit_variance_and_depends_on_the_index(deterministic):
    first, second = deterministic.u(1, (100, 100)), deterministic.u(2, (100, 100))
    assert abs(first.var().item() - 1) < 0.02
    assert abs(first.mean().item()) < 0.02
    assert not torch.equal(first, second)


def test_fill_ranks_sorted_keys_and_scales_by_name(deterministic):
    shapes = {"b.weight": (4, 2), "a.kernel": (3,), "b.bias": (4,), "c.weight": (4,), "s.std-of-means": (4,), "t": (4,)}
    state = deterministic.fill(shapes)
    assert set(state) == set(shapes) - {"a.kernel"}
    torch.testing.assert_close(state["b.bias"], (0.1 * deterministic.u(2, (4,))).float())
    torch.testing.assert_close(state["b.weight"], (deterministic.u(3, (4, 2)) / 2**0.5).float())
    torch.testing.assert_close(state["c.weight"], (1 + 0.1 * deterministic.u(4, (4,))).float())
    torch.testing.assert_close(state["s.std-of-means"], (1 + 0.3 * deterministic.u(5, (4,))).float())
    torch.testing.assert_close(state["t"], (0.3 * deterministic.u(6, (4,))).float())
