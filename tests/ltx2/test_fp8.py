"""8-bit weights: exact against weights that were cast up while loading, scaled or not, and what is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ltx2.checkpoint import BrokenFileError, KeyMismatchError, Modules, load, save
from ltx2.config import NANO
from ltx2.fp8 import FP8, Fp8Linear, upcast
from ltx2.nano import untrained_modules
from ltx2.published_config import dump_config

SCALE = 0.0013
LAYERS = ("attn1.to_q", "attn1.to_out.0", "audio_to_video_attn.to_k", "ff.net.0.proj", "audio_ff.net.2")
PLAIN = "model.diffusion_model.patchify_proj"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fp8") / "model.safetensors"
    save(path, untrained_modules(seed=4), dtype=torch.float32)
    return path


def shrunk(stored: Path, folder: Path, scale: float | None) -> tuple[Path, Path]:
    """The file with some layers in 8 bits, and the file with the same values in float32."""
    small = load_file(stored)
    wide = dict(small)
    for layer in [
        f"model.diffusion_model.transformer_blocks.{i}.{name}"
        for i in range(NANO.transformer.num_layers)
        for name in LAYERS
    ] + [PLAIN]:
        stored_values = (small[f"{layer}.weight"] / (scale or 1)).clamp(-448, 448).to(FP8)
        small[f"{layer}.weight"] = stored_values
        wide[f"{layer}.weight"] = stored_values.float() * (scale or 1)
        if scale:
            small |= {f"{layer}.weight_scale": torch.tensor(scale), f"{layer}.input_scale": torch.tensor([0.02])}
    paths = folder / "small.safetensors", folder / "wide.safetensors"
    for path, tensors in zip(paths, (small, wide), strict=True):
        save_file(tensors, path, metadata={"config": dump_config(NANO)})
    return paths


def outputs(modules: Modules, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """What comes out of one block's layers of each kind, and of the connectors."""
    generator = torch.Generator().manual_seed(0)
    linears = modules.linears()
    results = []
    for name in sorted(linears):
        x = torch.randn(3, linears[name].in_features, generator=generator).to(dtype)
        results.append(linears[name](x))
    return tuple(results)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [None, SCALE])
def test_equals_weights_cast_up_while_loading(
    stored: Path, tmp_path: Path, scale: float | None, dtype: torch.dtype
) -> None:
    small, wide = (load(path, dtype=dtype) for path in shrunk(stored, tmp_path, scale))
    eight_bit = [name for name, layer in small.linears().items() if isinstance(layer, Fp8Linear)]
    assert len(eight_bit) == NANO.transformer.num_layers * len(LAYERS)
    assert not any(isinstance(layer, Fp8Linear) for layer in wide.linears().values())
    assert small.linears()[eight_bit[0]].weight.dtype == FP8
    assert small.transformer.patchify_proj.weight.dtype == dtype  # outside the blocks: cast up at once
    for a, b in zip(outputs(small, dtype), outputs(wide, dtype), strict=True):
        assert torch.equal(a, b)


def test_a_scale_is_not_lost(stored: Path, tmp_path: Path) -> None:
    small, _ = shrunk(stored, tmp_path, SCALE)
    layer = load(small).linears()["model.diffusion_model.transformer_blocks.0.attn1.to_q"]
    expected = load_file(stored)["model.diffusion_model.transformer_blocks.0.attn1.to_q.weight"]
    torch.testing.assert_close(layer.upcast(torch.float32), expected, rtol=2**-4, atol=SCALE * 2**-9)


def test_any_checkpoint_can_be_held_in_eight_bits(stored: Path) -> None:
    modules, exact = load(stored, fp8=True), load(stored)
    held = {name for name, layer in modules.linears().items() if isinstance(layer, Fp8Linear)}
    assert held == {name for name in exact.linears() if "_blocks." in name}
    for name in held:
        layer, weight = modules.linears()[name], exact.linears()[name].weight
        assert layer.weight.float().abs().max() == 448
        torch.testing.assert_close(
            layer.upcast(torch.float32), weight, rtol=2**-4, atol=float(weight.abs().max()) / 448
        )
        assert torch.equal(layer.bias, exact.linears()[name].bias)
    with pytest.raises(ValueError, match="hold 8-bit weights"):
        save(stored.with_name("again.safetensors"), modules)


def test_by_hand() -> None:
    """Values that eight bits hold exactly: 448 is the largest, 1.75 needs all three bits of mantissa."""
    weight = torch.tensor([[448.0, 1.75], [-0.5, 0.0]])
    layer = Fp8Linear.quantize(weight * 0.25, torch.tensor([1.0, 2.0]))
    assert layer.scale == 0.25
    assert torch.equal(layer(torch.tensor([[4.0, 8.0]])), torch.tensor([[448.0 + 3.5 + 1, -0.5 + 2]]))
    assert Fp8Linear.quantize(torch.zeros(2, 3), None).scale == 1.0


def test_the_product_with_the_scale_rounds_once() -> None:
    values = torch.arange(0, 448, 1.0).to(FP8)
    for scale in (SCALE, 0.37):
        exact = (values.double() * scale).to(torch.bfloat16)
        assert torch.equal(upcast(values, scale, torch.bfloat16), exact)


@pytest.mark.parametrize("value", [torch.tensor([0.1, 0.2]), torch.tensor(0.0), torch.tensor(float("nan"))])
def test_a_scale_that_is_none(stored: Path, tmp_path: Path, value: torch.Tensor) -> None:
    small, _ = shrunk(stored, tmp_path, SCALE)
    tensors = load_file(small)
    tensors[f"{PLAIN}.weight_scale"] = value
    save_file(tensors, small, metadata={"config": dump_config(NANO)})
    with pytest.raises(BrokenFileError, match=r"patchify_proj\.weight_scale is .*; expected one positive number"):
        load(small)


def test_eight_bits_elsewhere_and_scales_of_wide_layers_are_refused(stored: Path, tmp_path: Path) -> None:
    tensors = load_file(stored)
    tensors["vocoder.conv_pre.weight"] = tensors["vocoder.conv_pre.weight"].to(FP8)
    tensors[f"{PLAIN}.weight_scale"] = torch.tensor(0.1)
    save_file(tensors, tmp_path / "odd.safetensors", metadata={"config": dump_config(NANO)})
    with pytest.raises(KeyMismatchError) as caught:
        load(tmp_path / "odd.safetensors")
    assert f"1 unexpected: {PLAIN}.weight_scale" in str(caught.value)
    assert "vocoder.conv_pre.weight F8_E4M3" in str(caught.value)


def test_a_low_rank_change_is_added_after_the_cast() -> None:
    layer = Fp8Linear.quantize(torch.eye(3), None)
    layer.low_rank = (torch.tensor([[1.0], [0.0], [0.0]]), torch.tensor([[0.0, 0.0, 2.0]]))
    assert torch.equal(layer(torch.tensor([1.0, 1.0, 1.0])), torch.tensor([3.0, 1.0, 1.0]))
