"""The models by their sizes, against the counter and diffusers' class; random weights of every storage."""

import dataclasses
from fractions import Fraction

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ltx2 import NANO
from ltx2.flops import total
from ltx2_benchmarks.hardware import load_gpu
from ltx2_eval.bench import wan22
from ltx2_eval.bench.case import Case
from ltx2_eval.bench.devices import CpuDevice
from ltx2_eval.bench.gpu_watch import throttling_words
from ltx2_eval.bench.int8 import Int8Linear
from ltx2_eval.bench.models import bench_model
from ltx2_eval.bench.outputs import all_finite, distance
from ltx2_eval.bench.random_weights import materialise

TERA = 1e12


def case(model, size, frames=121, dtype="bfloat16", **fields):
    width, height = size
    return Case(model=model, measure="step", width=width, height=height, frames=frames, dtype=dtype, **fields)


def estimate(model, size, frames=121, gpu=None):
    return bench_model(model).estimate(case(model, size, frames), gpu)


@pytest.mark.parametrize(
    ("model", "size", "frames", "tflop"),
    [
        ("ltx2:19b", (1280, 704), 121, 536.7),
        ("ltx2:19b", (768, 512), 121, 198.8),
        ("ltx2:19b", (1920, 1088), 121, 1713.7),
        ("ltx2:19b", (832, 480), 81, 133.6),
        ("wan22:a14b", (1280, 720), 121, 12920),
        ("wan22:a14b", (832, 480), 81, 1678.4),
        ("wan22:a14b", (1280, 720), 481, 166040.6),
        ("wan22:a14b", (1920, 1088), 121, 58575.9),
    ],
)
def test_tflop_per_forward(model, size, frames, tflop):
    assert estimate(model, size, frames).flops_per_forward / TERA == pytest.approx(tflop, rel=0.005)


def test_parameters():
    assert estimate("ltx2:19b", (1280, 704)).parameters == 18_876_174_592
    assert estimate("wan22:a14b", (1280, 720)).parameters == 14_288_491_584
    assert estimate("ltx2:19b@layers=4", (1280, 704)).parameters < 2.2e9


@pytest.mark.parametrize("config", [wan22.TINY, wan22.A14B], ids=["tiny", "a14b"])
def test_wan_is_what_diffusers_builds(config):
    diffusers = pytest.importorskip("diffusers")
    with torch.device("meta"):
        model = diffusers.WanTransformer3DModel(
            num_attention_heads=config.num_attention_heads,
            attention_head_dim=config.attention_head_dim,
            text_dim=config.text_dim,
            ffn_dim=config.ffn_dim,
            num_layers=config.num_layers,
        )
    assert sum(parameter.numel() for parameter in model.parameters()) == wan22.parameter_count(config)
    latent = torch.empty(1, 16, *wan22.latent_shape(96, 64, 9), device="meta")
    text = torch.empty(1, config.text_tokens, config.text_dim, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(latent, torch.empty(1, device="meta"), text)
    assert counter.get_total_flops() == total(wan22.forward(config, wan22.token_count(96, 64, 9))).total


def test_the_roofline_is_the_larger_of_two_times():
    gpu = load_gpu("h100-sxm")
    found = estimate("ltx2:19b", (1280, 704), gpu=gpu)
    assert found.roofline_bound == "compute"
    assert found.roofline_seconds == pytest.approx(found.flops / 989.4e12)
    assert found.roofline_fits
    assert not estimate("ltx2:19b", (1280, 704), gpu=load_gpu("rtx-4090")).roofline_fits
    small = estimate("ltx2:19b", (64, 64), 9, gpu)
    assert small.roofline_bound == "memory"
    assert small.roofline_seconds == pytest.approx(small.traffic_bytes / 3350e9)
    with pytest.raises(ValueError, match="unknown gpu 'h100'"):
        load_gpu("h100")


@pytest.mark.parametrize("storage", [None, "fp8", "int8"])
def test_stored_bytes_are_those_of_what_is_built(storage):
    name = "ltx2:nano" + (f"@weights={storage}" if storage else "")
    workload = bench_model(name).workload(case(name, (64, 64), 9), CpuDevice())
    held = sum(parameter.nbytes for parameter in workload._transformer.parameters())
    assert bench_model(name).estimate(case(name, (64, 64), 9)).weight_bytes == held


def test_eight_bits_halve_the_blocks_only():
    wide, narrow = estimate("ltx2:19b", (768, 512)), estimate("ltx2:19b@weights=fp8", (768, 512))
    assert narrow.weight_bytes == pytest.approx(19.23e9, rel=0.001)
    assert wide.weight_bytes - narrow.weight_bytes == 48 * 385_875_968
    assert narrow.flops == wide.flops


def clip(model, size=(1280, 704), **fields):
    width, height = size
    made = Case(
        model=model, measure="clip", width=width, height=height, frames=121, steps=1, dtype="bfloat16", **fields
    )
    return bench_model(model).estimate(made)


def test_a_clip_needs_the_memory_of_all_its_models():
    """Transformer 35.2 GiB, language model 21.9, connectors 2.7, autoencoders and vocoder 2.5; then activations."""
    step, whole, ready = (
        estimate("ltx2:19b", (1280, 704)),
        clip("ltx2:19b"),
        clip("ltx2:19b@text_encoder=none"),
    )
    assert (whole.memory_bytes - ready.memory_bytes) / 2**30 == pytest.approx(21.9, rel=0.005)
    assert 40 < ready.memory_bytes / 2**30 < 45
    assert step.memory_bytes < ready.memory_bytes


def test_each_way_to_need_less_does():
    modes = ("weights=fp8", "offload=true", "weights=fp8,offload=true", "weights=fp8,offload=true,tiles=8x12x12")
    needs = [clip(f"ltx2:19b@text_encoder=none,{mode}", (2560, 1408)).memory_bytes for mode in modes]
    assert needs == sorted(needs, reverse=True)
    assert needs[-1] < 12 * 2**30


@pytest.mark.parametrize("mode", ["offload=true", "weights=fp8,offload=true", "tiles=2x3x3", "text_encoder=none"])
def test_clips_run_in_every_mode(mode):
    side = 4 * NANO.video_vae.spatial_factor
    whole = Case(model="ltx2:nano", measure="clip", width=side, height=side, frames=9, steps=1)
    name = f"ltx2:nano@{mode}"
    video, waveform = bench_model(name).workload(dataclasses.replace(whole, model=name), CpuDevice()).run(0)
    assert video.shape == (9, side, side, 3)
    assert waveform.isfinite().all()


@pytest.mark.parametrize("storage", ["fp8", "int8"])
def test_trained_weights_show_what_eight_bits_cost(storage):
    whole = Case(model="a", measure="clip", width=64, height=64, frames=9, steps=2)
    names = ("ltx2:nano-trained", f"ltx2:nano-trained@weights={storage}")
    exact, stored = (bench_model(name).workload(whole, CpuDevice()).run(0) for name in names)
    assert bench_model(names[1]).has_checkpoint
    assert 0 < distance(stored, exact) < 0.3


def test_wan_keeps_in_float32_what_diffusers_keeps():
    pytest.importorskip("diffusers")
    small = case("wan22:tiny", (64, 64), 9)
    transformer = bench_model("wan22:tiny").workload(small, CpuDevice())._transformer
    dtypes = {name: tensor.dtype for name, tensor in (*transformer.named_parameters(), *transformer.named_buffers())}
    wide = {name for name, dtype in dtypes.items() if dtype == torch.float32}
    parts = ("rope", "time_embedder", "scale_shift_table", "norm2")
    assert all(any(part in name for name in wide) for part in parts)
    assert {
        name for name in dtypes if any(part in name.split(".") for part in transformer._keep_in_fp32_modules)
    } == wide
    assert dtypes["blocks.0.ffn.net.0.proj.weight"] == torch.bfloat16


def test_guidance_and_batch_multiply_the_work():
    one = estimate("ltx2:nano", (96, 96), 49)
    three = estimate("ltx2:nano@guidance=text-and-modality", (96, 96), 49)
    assert 2 < three.flops / one.flops < 3
    two = bench_model("ltx2:nano").estimate(case("ltx2:nano", (96, 96), 49, batch=2))
    assert two.flops == 2 * one.flops


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        ("ltx2:nano", {"size": (100, 96)}, f"width is 100; it must be a multiple of {NANO.video_vae.spatial_factor}"),
        ("ltx2:nano", {"size": (96, 96), "frames": 50}, "num_frames is 50"),
        ("wan22:a14b", {"size": (1280, 704 + 8)}, "height is 712; for Wan 2.2"),
        ("wan22:a14b", {"size": (1280, 720), "frames": 50}, "frames is 50; for Wan 2.2 it must be 4k"),
        ("ltx2:nano@guidance=paper", {"size": (96, 96), "batch": 2, "frames": 49}, "batch is 2"),
        ("ltx2:nano@guidance=ltx2-default", {"size": (96, 96), "frames": 49}, "block 29"),
    ],
)
def test_impossible_cases_are_refused(model, fields, message):
    with pytest.raises(ValueError, match=message):
        bench_model(model).check(case(model, **fields))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ovi:1", "unknown bench model 'ovi'"),
        ("wan22:14b", "unknown wan22 model '14b'"),
        ("ltx2:nano@layers=7", "layers is '7'; expected a whole number from 1 to 4"),
        ("ltx2:nano@weights=int4", "unknown weights 'int4'"),
        ("ltx2:nano@guidance=much", "unknown guidance 'much'"),
        ("ltx2:nano@colour=red", "unknown ltx2 setting 'colour'"),
        ("ltx2:none.safetensors", "there is no such file"),
        ("wan22:tiny@guidance=stg", "unknown guidance of wan22"),
        ("ltx2:nano@offload=yes", "offload is 'yes'; expected true or false"),
        ("ltx2:nano@tiles=8x8", "tiles is '8x8'; expected latent frames, rows and columns"),
        ("ltx2:nano@offload=true,weights=int8", "offload goes with weights=fp8"),
        ("ltx2:nano-trained@layers=2", "layers is a setting of random weights"),
        ("ltx2:nano-trained@text_encoder=none", "a checkpoint reads prompts"),
    ],
)
def test_unknown_models_and_settings_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        bench_model(name)


@pytest.mark.parametrize(
    "name",
    [
        "ltx2:nano@layers=2",
        "ltx2:nano@layers=2,guidance=text-and-modality",
        "ltx2:nano@layers=2,weights=fp8",
        "wan22:tiny@guidance=cfg",
    ],
)
def test_a_step_with_random_weights_is_finite_and_repeats_itself(name):
    small = case(name, (64, 64), 9, "float32")
    workload = bench_model(name).workload(small, CpuDevice())
    first, again, other = workload.run(0), workload.run(0), workload.run(1)
    assert all_finite(first)
    assert distance(first, again) == 0
    assert distance(first, other) > 0.1
    assert float(first[0].std()) > 0.01


def test_a_batch_is_several_samples():
    small = case("ltx2:nano@layers=2", (64, 64), 9, "float32", batch=2)
    video, audio = bench_model("ltx2:nano@layers=2").workload(small, CpuDevice()).run(0)
    assert (video.shape[0], audio.shape[0]) == (2, 2)


def test_quantised_weights_change_the_output_a_little():
    outputs = {}
    for setting in ("", ",weights=fp8", ",weights=int8"):
        name = f"ltx2:nano@layers=2{setting}"
        outputs[setting] = bench_model(name).workload(case(name, (64, 64), 9, "float32"), CpuDevice()).run(0)
    errors = {setting: distance(found, outputs[""]) for setting, found in outputs.items()}
    assert 0 < errors[",weights=int8"] < errors[",weights=fp8"] < 0.05


def test_eight_bit_integers_by_hand():
    layer = Int8Linear.quantize(torch.tensor([[127.0, -63.6], [0.0, 0.0]]), torch.tensor([1.0, 2.0]))
    assert layer.weight.tolist() == [[127, -64], [0, 0]]
    assert layer(torch.tensor([[1.0, 1.0]])).tolist() == [[64.0, 2.0]]


def test_random_weights_keep_activations_finite_through_depth():
    with torch.device("meta"):
        deep = nn.Sequential(*(nn.Linear(64, 64) for _ in range(100)))
    materialise(deep, torch.device("cpu"), torch.bfloat16)
    out = deep(torch.randn(8, 64, dtype=torch.bfloat16))
    assert out.isfinite().all()
    assert 0.05 < float(out.float().std()) < 20
    assert not any(parameter.requires_grad for parameter in deep.parameters())


def test_a_clip_with_random_weights_has_stages():
    whole = Case(model="ltx2:nano", measure="clip", width=64, height=64, frames=9, fps=Fraction(24), steps=2)
    workload = bench_model("ltx2:nano").workload(whole, CpuDevice())
    video, waveform = workload.run(0)
    assert video.shape == (9, 64, 64, 3)
    assert waveform.isfinite().all()
    assert {"text_encoding", "denoise", "vocoder"} <= workload.stages().keys()
    assert bench_model("ltx2:nano").estimate(whole).flops > 2 * estimate("ltx2:nano", (64, 64), 9).flops


def test_the_drivers_reasons_in_words():
    assert throttling_words(0) == ""
    assert throttling_words(0x4 | 0x40) == "power limit, heat (hardware)"
