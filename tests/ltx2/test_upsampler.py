"""The latent upsamplers: golden numbers of the official code, diffusers on the same weights, and their files."""

import dataclasses
import json
import re
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ltx2.checkpoint import BrokenFileError, KeyMismatchError, NotSafetensorsError, UnsupportedConfigError
from ltx2.config import (
    NANO,
    NANO_SPATIAL_UPSAMPLER,
    NANO_TEMPORAL_UPSAMPLER,
    SPATIAL_UPSAMPLER_X2,
    TEMPORAL_UPSAMPLER_X2,
    UpsamplerConfig,
)
from ltx2.latent_statistics import PerChannelStatistics
from ltx2.upsampler import BlurDownsample, LatentUpsampler, upsample
from ltx2.upsampler_checkpoint import load_upsampler, save_upsampler

SIZES = {"in_channels": 8, "mid_channels": 32, "num_blocks_per_stage": 1}
TINY = {
    "x2": UpsamplerConfig(**SIZES, rational_resampler=True),
    "x1.5": UpsamplerConfig(**SIZES, rational_resampler=True, spatial_scale=1.5),
    "x0.75": UpsamplerConfig(**SIZES, rational_resampler=True, spatial_scale=0.75),
    "x4": UpsamplerConfig(**SIZES, rational_resampler=True, spatial_scale=4.0),
    "plain": UpsamplerConfig(**SIZES),
    "temporal": UpsamplerConfig(**SIZES, spatial_upsample=False, temporal_upsample=True),
    "both": UpsamplerConfig(**SIZES, temporal_upsample=True),
}
GOLDEN = {
    "x2": ((1, 8, 3, 8, 12), -37.879880, 0.554408, [-0.217506, 0.202216, -0.101067, -0.066181], -0.368484),
    "x1.5": ((1, 8, 3, 6, 9), -32.558483, 0.460594, [0.156656, 0.626186, 0.443412, 0.768343], -0.260145),
    "x0.75": ((1, 8, 3, 3, 5), -0.578673, 0.408554, [-0.074119, -0.647293, 0.401495, -0.129688], 0.137080),
    "x4": ((1, 8, 3, 16, 24), -366.455688, 0.561148, [-0.252938, 0.557182, 0.320711, 0.123383], -0.136915),
    "plain": ((1, 8, 3, 8, 12), -18.801407, 0.552567, [0.945231, 0.221945, 0.732511, 0.510373], -0.140624),
    "temporal": ((1, 8, 5, 4, 6), 33.374335, 0.514187, [0.244004, 0.540355, 0.631057, 0.868399], -0.525302),
    "both": ((1, 8, 5, 8, 12), -140.772361, 0.547366, [0.171251, -0.000409, 0.545286, -0.468233], -0.130299),
}
"""The rows "x2" and "temporal" are also those of the official code; all are those of diffusers 0.42.1."""


def filled(deterministic: ModuleType, config: UpsamplerConfig) -> LatentUpsampler:
    model = LatentUpsampler(config).eval().requires_grad_(False)
    incompatible = model.load_state_dict(deterministic.fill(deterministic.shapes_of(model.state_dict())), strict=False)
    assert set(incompatible.missing_keys) <= {"upsampler.blur_down.kernel"}
    assert not incompatible.unexpected_keys
    return model


@pytest.fixture
def latent(deterministic: ModuleType) -> Tensor:
    return deterministic.u(900050, (1, 8, 3, 4, 6)).float()


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_numbers(name: str, latent: Tensor, deterministic: ModuleType) -> None:
    deterministic.assert_golden(filled(deterministic, TINY[name])(latent), *GOLDEN[name])


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("shape", [(2, 8, 3, 4, 6), (1, 8, 1, 5, 3)])
def test_equals_diffusers(name: str, shape: tuple[int, ...], deterministic: ModuleType, diffusers: ModuleType) -> None:
    from diffusers.pipelines.ltx2.latent_upsampler import LTX2LatentUpsamplerModel

    config = TINY[name]
    ours = filled(deterministic, config)
    theirs = LTX2LatentUpsamplerModel(
        **SIZES,
        spatial_upsample=config.spatial_upsample,
        temporal_upsample=config.temporal_upsample,
        rational_spatial_scale=config.spatial_scale,
        use_rational_resampler=config.rational_resampler,
    ).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = deterministic.u(900051, shape).float()
    with torch.no_grad():
        expected = theirs(x)
    assert expected.shape[2:] == config.output_size(*shape[2:])
    torch.testing.assert_close(ours(x), expected, atol=1e-5, rtol=0)


def shapes_of_published(config: UpsamplerConfig) -> dict[str, tuple[int, ...]]:
    width, c = config.mid_channels, config.in_channels
    resampler = (
        {"upsampler.0": (2 * width, width, 3, 3, 3)}
        if config.temporal_upsample
        else {"upsampler.conv": (4 * width, width, 3, 3)}
    )
    convs = {"initial_conv": (width, c, 3, 3, 3), "final_conv": (c, width, 3, 3, 3), **resampler}
    norms = ["initial_norm"]
    for block in (f"{side}.{i}" for side in ("res_blocks", "post_upsample_res_blocks") for i in range(4)):
        convs |= {f"{block}.conv{i}": (width, width, 3, 3, 3) for i in (1, 2)}
        norms += [f"{block}.norm{i}" for i in (1, 2)]
    shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": shape for name, shape in convs.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in convs.items()}
    shapes |= {f"{name}.{kind}": (width,) for name in norms for kind in ("weight", "bias")}
    return shapes if config.temporal_upsample else {**shapes, "upsampler.blur_down.kernel": (1, 1, 5, 5)}


@pytest.mark.parametrize(
    ("config", "keys", "parameters"),
    [(SPATIAL_UPSAMPLER_X2, 73, 497_867_904), (TEMPORAL_UPSAMPLER_X2, 72, 130_968_192)],
)
def test_published_size_on_the_meta_device(
    config: UpsamplerConfig, keys: int, parameters: int, deterministic: ModuleType
) -> None:
    with torch.device("meta"):
        model = LatentUpsampler(config).requires_grad_(False)
        out = model(torch.empty(1, 128, 16, 11, 19))
    assert sum(p.numel() for p in model.parameters()) == parameters
    shapes = deterministic.shapes_of(model.state_dict())
    assert len(shapes) == keys
    assert shapes == shapes_of_published(config)
    assert out.shape == ((1, 128, 31, 11, 19) if config.temporal_upsample else (1, 128, 16, 22, 38))


def test_blur_by_hand() -> None:
    """A single one, seen through the kernel [1 4 6 4 1] / 16 in both directions at every second place."""
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 2] = 256
    assert BlurDownsample(2)(x)[0, 0].tolist() == [[1, 6, 1], [6, 36, 6], [1, 6, 1]]
    assert BlurDownsample(1)(x) is x


def test_normalised_latents_go_through_the_statistics(latent: Tensor, deterministic: ModuleType) -> None:
    model = filled(deterministic, TINY["x2"])
    statistics = PerChannelStatistics((8, 1, 1, 1))
    mean, std = torch.arange(8.0), 1 + torch.arange(8.0)
    statistics.load_state_dict({"mean-of-means": mean, "std-of-means": std})
    mean, std = mean[:, None, None, None], std[:, None, None, None]
    expected = (model(latent * std + mean) - mean) / std
    torch.testing.assert_close(upsample(model, latent, statistics), expected, atol=1e-6, rtol=1e-6)
    assert not torch.allclose(expected, model(latent), atol=0.1)


def test_gradients_equal_those_of_inference(latent: Tensor) -> None:
    model = LatentUpsampler(TINY["both"])
    out = model(latent)
    out.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    with torch.no_grad():
        torch.testing.assert_close(model(latent), out.detach(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("config", [NANO_SPATIAL_UPSAMPLER, NANO_TEMPORAL_UPSAMPLER])
def test_nano_fits_the_latents_of_nano(config: UpsamplerConfig) -> None:
    assert config.in_channels == NANO.video_vae.latent_channels
    out = LatentUpsampler(config).requires_grad_(False)(torch.zeros(1, config.in_channels, 2, 2, 3))
    assert out.shape == (1, config.in_channels, *config.output_size(2, 2, 3))


@pytest.mark.parametrize("name", TINY)
def test_file_and_back(name: str, tmp_path, deterministic: ModuleType, latent: Tensor) -> None:
    model, path = filled(deterministic, TINY[name]), tmp_path / "upsampler.safetensors"
    save_upsampler(path, model, dtype=torch.float32)
    loaded = load_upsampler(path)
    assert loaded.config == model.config
    assert torch.equal(loaded(latent), model(latent))
    again = tmp_path / "again.safetensors"
    save_upsampler(again, loaded, dtype=torch.float32)
    assert again.read_bytes() == path.read_bytes()


def rewrite(path, *, config: dict | str | None = None, drop: tuple[str, ...] = (), **tensors: Tensor) -> None:
    """Write the file again with another config or other tensors."""
    state = {key: value.clone() for key, value in load_file(path).items() if key not in drop} | tensors
    text = config if isinstance(config, str) else json.dumps(config)
    path.unlink()
    save_file(state, path, metadata={} if config is None else {"config": text})


PUBLISHED_KEYS = {"_class_name": "LatentUpsampler", **SIZES, "dims": 3, "spatial_scale": 2.0}
RATIONAL = {**PUBLISHED_KEYS, "spatial_upsample": True, "temporal_upsample": False, "rational_resampler": True}


@pytest.fixture
def file(tmp_path, deterministic: ModuleType):
    path = tmp_path / "upsampler.safetensors"
    save_upsampler(path, filled(deterministic, TINY["x2"]))
    return path


def test_reads_a_config_as_published(file) -> None:
    rewrite(file, config=RATIONAL)
    loaded = load_upsampler(file, dtype=torch.bfloat16)
    assert loaded.config == TINY["x2"]
    assert loaded.final_conv.weight.dtype == torch.bfloat16
    assert not loaded.training


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**RATIONAL, "dims": 2}, "config upsampler.dims is 2; this version implements 3 only"),
        ({**RATIONAL, "spatial_scale": 3.0}, "it must be 0.75, 1.5, 2.0, 4.0"),
        ({**RATIONAL, "rational_resampler": False, "spatial_scale": 1.5}, "without a rational resampler it must be 2"),
        ({**RATIONAL, "spatial_upsample": False}, "neither spatial_upsample nor temporal_upsample"),
        ({**RATIONAL, "mid_channels": 40}, "must be a multiple of 32"),
        ({**RATIONAL, "spatial_upsample": 1}, "config upsampler.spatial_upsample is 1; expected true or false"),
        ({**RATIONAL, "attention": True}, "config upsampler.attention is True"),
        ({"vae": {}, "transformer": {}}, "is not a latent upsampler"),
        ("not json", "is not a latent upsampler"),
        (None, "is not a latent upsampler"),
    ],
)
def test_refuses_other_configs(file, config, message: str) -> None:
    rewrite(file, config=config)
    with pytest.raises(UnsupportedConfigError, match=re.escape(message)):
        load_upsampler(file)


def test_refuses_other_tensors(file) -> None:
    extra = {"res_blocks.1.conv1.bias": torch.zeros(32), "initial_norm.weight": torch.zeros(31)}
    rewrite(file, config=RATIONAL, drop=("final_conv.bias",), **extra)
    with pytest.raises(KeyMismatchError) as refused:
        load_upsampler(file)
    for part in ("1 missing: final_conv.bias", "1 unexpected: res_blocks.1.conv1.bias", "[31] instead of [32]"):
        assert part in str(refused.value)


def test_refuses_broken_files(file) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    with pytest.raises(BrokenFileError, match="truncated"):
        load_upsampler(file)
    file.write_bytes(b"\x80\x02}q\x00." + b"\0" * 40)
    with pytest.raises(NotSafetensorsError, match="pickle"):
        load_upsampler(file)
    with pytest.raises(FileNotFoundError, match="is no file"):
        load_upsampler(file.parent)


def test_refuses_latents_of_wrong_shape() -> None:
    model = LatentUpsampler(TINY["x2"])
    for shape in ((1, 4, 3, 4, 6), (8, 3, 4, 6)):
        with pytest.raises(ValueError, match=re.escape("the upsampler takes (batch, 8, frames, height, width)")):
            model(torch.zeros(shape))
    with pytest.raises(ValueError, match="multiple of 32"):
        LatentUpsampler(dataclasses.replace(TINY["x2"], mid_channels=48))
