"""LoRA files: layouts, exact arithmetic, strengths, the original bits afterwards, and refusals."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ltx2.checkpoint import BrokenFileError, KeyMismatchError, Modules
from ltx2.fp8 import Fp8Linear
from ltx2.lora import LoraFusion, load_lora
from ltx2.nano import untrained_modules

BLOCK = "transformer_blocks.0.attn1.to_q"
FULL = f"model.diffusion_model.{BLOCK}"


@pytest.fixture(scope="module")
def shared() -> Modules:
    return untrained_modules(seed=5)


@pytest.fixture
def modules(shared: Modules) -> Modules:
    """A model whose tests must leave its weights as they were."""
    before = {key: value.clone() for key, value in shared.state().items()}
    yield shared
    assert all(torch.equal(value, before[key]) for key, value in shared.state().items())


def factors(modules: Modules, name: str, rank: int = 3, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rows, columns = modules.linears()[name].weight.shape
    a, b = torch.randn(rank, columns, generator=generator), torch.randn(rows, rank, generator=generator)
    return {"lora_A.weight": a, "lora_B.weight": b}


def written(folder: Path, tensors: dict[str, torch.Tensor], name: str = "lora", **metadata: str) -> Path:
    path = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in tensors.items()}, path, metadata=metadata or None)
    return path


def one_layer(
    modules: Modules, folder: Path, *, prefix: str = "diffusion_model.", seed: int = 0, **metadata: str
) -> Path:
    pair = factors(modules, FULL, seed=seed)
    return written(folder, {f"{prefix}{BLOCK}.{key}": x for key, x in pair.items()}, f"{seed}{len(prefix)}", **metadata)


def test_a_case_worked_by_hand(modules: Modules, tmp_path: Path) -> None:
    rows, columns = modules.linears()[FULL].weight.shape
    down, up = torch.zeros(2, columns), torch.zeros(rows, 2)
    down[0, 4], down[1, 4], up[7, 0], up[7, 1] = 3.0, 5.0, 2.0, -1.0  # at (7, 4): 2 x 3 - 1 x 5 = 1
    tensors = {f"diffusion_model.{BLOCK}.lora_A.weight": down, f"diffusion_model.{BLOCK}.lora_B.weight": up}
    fusion, weight = LoraFusion(modules), modules.linears()[FULL].weight
    before = weight.clone()
    fusion.set((load_lora(written(tmp_path, tensors)), 0.5))
    expected = before.clone()
    expected[7, 4] += 0.5
    assert torch.equal(weight, expected)
    fusion.set()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_strengths_add_up_and_the_bits_come_back(tmp_path: Path, dtype: torch.dtype) -> None:
    modules = untrained_modules(seed=5)
    for module in modules.named().values():
        module.to(dtype)
    before = {key: value.clone() for key, value in modules.state().items()}
    first, second = (load_lora(one_layer(modules, tmp_path, seed=i)) for i in (1, 2))
    fusion = LoraFusion(modules)
    for strengths in ((0.25, 0.0), (0.6, -0.3), (1.0, 1.0)):
        fusion.set((first, strengths[0]), (second, strengths[1]))
        delta = sum(
            s * lora.layers[FULL].up.double() @ lora.layers[FULL].down.double()
            for lora, s in zip((first, second), strengths, strict=True)
        )
        found = modules.linears()[FULL].weight
        assert found.dtype == dtype
        resolution = torch.finfo(dtype).eps
        torch.testing.assert_close(
            found.double(), before[f"{FULL}.weight"].double() + delta, atol=8 * resolution, rtol=resolution
        )
    fusion.set()
    assert all(torch.equal(value, before[key]) for key, value in modules.state().items())


def test_subtracting_would_not_bring_the_bits_back(modules: Modules, tmp_path: Path) -> None:
    """Why originals are kept: the rounding of the sum cannot be undone."""
    change = load_lora(one_layer(modules, tmp_path)).layers[FULL]
    weight, delta = modules.linears()[FULL].weight, change.up @ change.down
    assert not torch.equal((weight + delta) - delta, weight)


def test_a_fused_model_differs_only_where_the_file_says(modules: Modules, tmp_path: Path) -> None:
    before = {key: value.clone() for key, value in modules.state().items()}
    fusion = LoraFusion(modules)
    fusion.set((load_lora(one_layer(modules, tmp_path)), 1.0))
    assert [key for key, value in modules.state().items() if not torch.equal(value, before[key])] == [f"{FULL}.weight"]
    fusion.set()


@pytest.mark.parametrize("prefix", ["diffusion_model.", "model.diffusion_model.", "transformer."])
def test_prefixes(modules: Modules, tmp_path: Path, prefix: str) -> None:
    assert list(load_lora(one_layer(modules, tmp_path, prefix=prefix)).layers) == [FULL]


@pytest.mark.parametrize(
    ("theirs", "published"),
    [
        ("transformer.proj_in", "model.diffusion_model.patchify_proj"),
        ("transformer.audio_time_embed.linear", "model.diffusion_model.audio_adaln_single.linear"),
        (
            "transformer.av_cross_attn_video_a2v_gate.linear",
            "model.diffusion_model.av_ca_a2v_gate_adaln_single.linear",
        ),
        ("connectors.text_proj_in", "text_embedding_projection.aggregate_embed"),
        (
            "connectors.audio_connector.transformer_blocks.0.attn1.to_v",
            "model.diffusion_model.audio_embeddings_connector.transformer_1d_blocks.0.attn1.to_v",
        ),
        ("text_embedding_projection.aggregate_embed", "text_embedding_projection.aggregate_embed"),
    ],
)
def test_names_of_layers(modules: Modules, tmp_path: Path, theirs: str, published: str) -> None:
    tensors = {f"{theirs}.{key}": value for key, value in factors(modules, published).items()}
    lora = load_lora(written(tmp_path, tensors))
    assert list(lora.layers) == [published]
    fusion = LoraFusion(modules)
    fusion.set((lora, 1.0))
    fusion.set()


def test_alpha_in_the_file_or_its_metadata(modules: Modules, tmp_path: Path) -> None:
    pair = {f"diffusion_model.{BLOCK}.{key}": value for key, value in factors(modules, FULL).items()}
    assert load_lora(written(tmp_path, pair)).layers[FULL].scale == 1.0
    with_alpha = {**pair, f"diffusion_model.{BLOCK}.alpha": torch.tensor(6.0)}
    assert load_lora(written(tmp_path, with_alpha)).layers[FULL].scale == 2.0  # alpha 6, rank 3
    noted = json.dumps({"transformer.lora_alpha": 1.5, "transformer.r": 3})
    assert load_lora(written(tmp_path, pair, lora_adapter_metadata=noted)).layers[FULL].scale == 0.5
    noted = json.dumps({"transformer.lora_alpha": 1.5, "transformer.use_rslora": True})
    with pytest.raises(KeyMismatchError, match=r"not implemented: transformer\.use_rslora"):
        load_lora(written(tmp_path, pair, lora_adapter_metadata=noted))
    with pytest.raises(BrokenFileError, match="lora_adapter_metadata cannot be read"):
        load_lora(written(tmp_path, pair, lora_adapter_metadata="["))


def test_eight_bit_layers_add_the_change_when_used(modules: Modules, tmp_path: Path) -> None:
    layer = modules.linears()[FULL]
    small = Fp8Linear.quantize(layer.weight, layer.bias)
    attention, bits = modules.transformer.transformer_blocks[0].attn1, small.weight.clone()
    lora = load_lora(one_layer(modules, tmp_path))
    attention.to_q = small
    try:
        fusion, plain = LoraFusion(modules), small.upcast(torch.float32)
        fusion.set((lora, 0.5))
        change = lora.layers[FULL]
        torch.testing.assert_close(small.upcast(torch.float32), plain + 0.5 * change.up @ change.down)
        fusion.set()
        assert torch.equal(small.upcast(torch.float32), plain)
        assert torch.equal(small.weight.view(torch.uint8), bits.view(torch.uint8))
    finally:
        attention.to_q = layer


def test_other_layers_and_shapes_are_listed_and_nothing_changes(modules: Modules, tmp_path: Path) -> None:
    pair = factors(modules, FULL)
    tensors = {f"diffusion_model.{BLOCK}.{key}": value for key, value in pair.items()}
    for i in range(12):
        tensors |= {f"diffusion_model.transformer_blocks.{90 + i}.attn1.to_q.{key}": x + 0 for key, x in pair.items()}
    wide = "transformer_blocks.1.attn1.to_q"
    tensors |= {f"diffusion_model.{wide}.lora_A.weight": torch.ones(3, 7)}
    tensors |= {f"diffusion_model.{wide}.lora_B.weight": torch.ones(128, 3)}
    with pytest.raises(KeyMismatchError) as caught:
        LoraFusion(modules).set((load_lora(written(tmp_path, tensors)), 1.0))
    message = str(caught.value)
    assert "12 for layers the model does not have: model.diffusion_model.transformer_blocks.100.attn1.to_q" in message
    assert "and 4 more" in message
    assert "1 of another shape: model.diffusion_model.transformer_blocks.1.attn1.to_q [128, 7] instead of" in message


def test_files_that_are_no_lora(modules: Modules, tmp_path: Path) -> None:
    pair = {f"diffusion_model.{BLOCK}.{key}": value for key, value in factors(modules, FULL).items()}
    with pytest.raises(KeyMismatchError, match=r"is not a LoRA for LTX-2.*found unet\.x\.lora_A\.weight"):
        load_lora(written(tmp_path, {**pair, "unet.x.lora_A.weight": torch.ones(1, 1)}))
    with pytest.raises(KeyMismatchError, match=r"found diffusion_model\..*dora_scale"):
        load_lora(written(tmp_path, {**pair, f"diffusion_model.{BLOCK}.dora_scale": torch.ones(1)}))
    with pytest.raises(KeyMismatchError, match="found no tensors"):
        load_lora(written(tmp_path, {}))
    del pair[f"diffusion_model.{BLOCK}.lora_B.weight"]
    with pytest.raises(KeyMismatchError, match=r"no matching pair of factors for model\.diffusion_model"):
        load_lora(written(tmp_path, pair))
    (tmp_path / "lora.pt").write_bytes(b"PK\x03\x04" + bytes(60))
    with pytest.raises(BrokenFileError, match="zip archive"):
        load_lora(tmp_path / "lora.pt")
    with pytest.raises(FileNotFoundError, match="LoRA"):
        load_lora(tmp_path / "absent")


def test_a_strength_that_is_no_number(modules: Modules, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"strength of .* is nan"):
        LoraFusion(modules).set((load_lora(one_layer(modules, tmp_path)), float("nan")))
