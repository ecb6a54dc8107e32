"""Normalisation, projection and connectors: against diffusers and golden numbers, and the rules of the registers."""

from types import ModuleType

import pytest
import torch
from torch import Tensor

from ltx2.config import LTX2_19B, TextConfig
from ltx2.text import TextConnectors, fill_registers, normalize_hidden_states

CONFIG = TextConfig(
    hidden_size=24,
    num_hidden_states=4,
    connector_num_attention_heads=3,
    connector_attention_head_dim=8,
    connector_num_layers=2,
    connector_num_learnable_registers=4,
    max_tokens=16,
)
PREFIX = "model.diffusion_model."


def published(key: str) -> str:
    return key if key.startswith("text_embedding_projection.") else PREFIX + key


@pytest.fixture(scope="module")
def model(deterministic: ModuleType) -> TextConnectors:
    model = TextConnectors(CONFIG).eval().requires_grad_(False)
    shapes = {published(key): shape for key, shape in deterministic.shapes_of(model.state_dict()).items()}
    filled = deterministic.fill(shapes)
    model.load_state_dict({key.removeprefix(PREFIX): value for key, value in filled.items()})
    return model


@pytest.fixture
def hidden_states(deterministic: ModuleType) -> Tensor:
    return deterministic.u(900040, (1, 16, 24, 4)).float()


def left_mask(*valid: int) -> Tensor:
    return torch.arange(16)[None] >= 16 - torch.tensor(valid)[:, None]


def test_official_golden_numbers(model: TextConnectors, hidden_states: Tensor) -> None:
    video, audio = model(hidden_states, left_mask(7))
    for x, total, size, head, last in (
        (video, -38.509041, 0.793955, (0.352294, -0.901056, 0.198062, -0.150570), -0.795165),
        (audio, -67.740983, 0.778908, (-0.061727, -0.097591, -0.046167, 0.138644), -0.325297),
    ):
        assert x.sum().item() == pytest.approx(total, abs=1e-3)
        assert x.abs().mean().item() == pytest.approx(size, abs=1e-5)
        assert x.flatten()[:4].tolist() == pytest.approx(head, abs=1e-5)
        assert x.flatten()[-1].item() == pytest.approx(last, abs=1e-5)


def test_equals_diffusers(model: TextConnectors, deterministic: ModuleType, diffusers: ModuleType) -> None:
    from diffusers.pipelines.ltx2 import LTX2TextConnectors

    attention = {"num_attention_heads": 3, "attention_head_dim": 8, "num_layers": 2, "num_learnable_registers": 4}
    peer = LTX2TextConnectors(
        caption_channels=24,
        text_proj_in_factor=4,
        **{f"{stream}_connector_{k}": v for stream in ("video", "audio") for k, v in attention.items()},
        video_gated_attn=False,
        audio_gated_attn=False,
        connector_rope_base_seq_len=4096,
        rope_theta=10000.0,
        rope_double_precision=True,
        causal_temporal_positioning=False,
        rope_type="split",
        per_modality_projections=False,
        proj_bias=False,
    ).eval()
    names = {
        "video_embeddings_connector": "video_connector",
        "audio_embeddings_connector": "audio_connector",
        "transformer_1d_blocks": "transformer_blocks",
        "q_norm": "norm_q",
        "k_norm": "norm_k",
    }
    state = {
        ".".join(names.get(part, part) for part in key.split(".")).replace(
            "text_embedding_projection.aggregate_embed", "text_proj_in"
        ): value
        for key, value in model.state_dict().items()
    }
    peer.load_state_dict(state, strict=True)
    states, mask = deterministic.u(5, (3, 16, 24, 4)).float(), left_mask(7, 16, 1)
    with torch.no_grad():
        theirs = peer(states, mask.long(), padding_side="left")
    for x, y in zip(model(states, mask), theirs, strict=False):
        assert ((x - y).abs() / y.abs().clamp(min=1)).max().item() <= 1e-5


def test_rows_do_not_influence_each_other_and_padding_is_ignored(model: TextConnectors, deterministic: ModuleType):
    states, mask = deterministic.u(5, (3, 16, 24, 4)).float(), left_mask(7, 16, 1)
    together = model(states, mask)
    spoiled = torch.where(mask[:, :, None, None], states, 1e4)
    for i in range(3):
        alone = model(spoiled[i : i + 1], mask[i : i + 1])
        for x, y in zip(together, alone, strict=True):
            torch.testing.assert_close(x[i], y[0], atol=1e-6, rtol=1e-6)


def test_right_padding_gives_the_same_context(model: TextConnectors, hidden_states: Tensor) -> None:
    left = model(hidden_states, left_mask(7))
    right = model(hidden_states.roll(7, dims=1), left_mask(7).roll(7, dims=1))
    torch.testing.assert_close(left.video, right.video, atol=1e-6, rtol=1e-6)


def test_registers_fill_by_absolute_position() -> None:
    features = torch.arange(8.0).reshape(1, 8, 1).repeat(2, 1, 1)
    mask = torch.tensor([[0, 0, 0, 0, 0, 1, 1, 1], [1] * 8], dtype=torch.bool)
    filled = fill_registers(features, mask, -torch.arange(1.0, 5.0)[:, None])
    assert filled[0, :, 0].tolist() == [5, 6, 7, -4, -1, -2, -3, -4]
    assert filled[1, :, 0].tolist() == list(range(8))


def test_each_layer_is_centred_and_scaled_over_valid_entries(hidden_states: Tensor) -> None:
    scaled = hidden_states * torch.tensor([1.0, 10, 100, 1000]) + 5
    out = normalize_hidden_states(scaled, left_mask(7)).reshape(16, 24, 4)
    assert out[:9].abs().max() == 0
    for layer in out[9:].unbind(-1):
        assert layer.mean().item() == pytest.approx(0, abs=1e-4)
        assert (layer.max() - layer.min()).item() == pytest.approx(8, abs=1e-4)


def test_full_size_parameters() -> None:
    with torch.device("meta"):
        state = TextConnectors(LTX2_19B.text).state_dict()
    sizes = {key: value.numel() for key, value in state.items()}
    by_part = {part: [n for key, n in sizes.items() if key.startswith(part)] for part in ("video", "audio", "text")}
    assert {part: (len(n), sum(n)) for part, n in by_part.items()} == {
        "video": (29, 354_470_400),
        "audio": (29, 354_470_400),
        "text": (1, 722_534_400),
    }
    assert state["text_embedding_projection.aggregate_embed.weight"].shape == (3840, 188160)


@pytest.mark.parametrize(("shape", "found"), [((1, 16, 24, 5), "5 layers"), ((1, 14, 24, 4), "14 text tokens")])
def test_wrong_shapes_are_refused(model: TextConnectors, shape: tuple[int, ...], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        model(torch.zeros(shape), torch.ones(shape[:2], dtype=torch.bool))
