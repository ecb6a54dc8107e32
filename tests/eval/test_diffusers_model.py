"""Pipelines of diffusers as models of the harness, on small random ones that the test writes to disk."""

import dataclasses
import importlib.metadata
import importlib.util
import json
import shutil
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from ltx2_benchmarks.suite import load_suite
from ltx2_eval.models.base import GenerationRequest
from ltx2_eval.models.diffusers import DiffusersModel
from ltx2_eval.models.diffusers_limits import native_fps
from ltx2_eval.models.registry import KINDS, ModelContext, load_model

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its imports warn about third parties, which is not what is tested
    pytest.importorskip("diffusers", reason="needs the extra 'diffusers'")

REQUEST = GenerationRequest(
    sample="p-s0", prompt_id="p", prompt="A red ball.", seed=0, num_frames=9, height=64, width=64, fps=Fraction(24)
)
ARGUMENTS = 'num_inference_steps = 2\nnegative_prompt = "blurred"\n'


@pytest.fixture(scope="module")
def tiny():
    """The module that writes the pipelines (test folders are no packages)."""
    spec = importlib.util.spec_from_file_location("tiny_pipelines", Path(__file__).with_name("tiny_pipelines.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def ltx2(tiny, tmp_path_factory):
    return tiny.write_ltx2(tmp_path_factory.mktemp("pipelines") / "ltx2")


@pytest.fixture(scope="module")
def wan(tiny, tmp_path_factory):
    return tiny.write_wan(tmp_path_factory.mktemp("pipelines") / "wan")


@pytest.fixture
def arguments(tmp_path):
    path = tmp_path / "arguments.toml"
    path.write_text(ARGUMENTS)
    return path


@pytest.fixture
def copy(wan, tmp_path):
    return shutil.copytree(wan, tmp_path / "copy")


def model_of(folder, arguments, **settings):
    text = ",".join(f"{key}={value}" for key, value in {"arguments": arguments, "dtype": "float32", **settings}.items())
    return DiffusersModel(f"{folder}@{text}")


def test_a_pipeline_with_sound(ltx2, arguments):
    model = model_of(ltx2, arguments)
    model.check(REQUEST)
    made = model.generate(REQUEST)
    assert made.clip.video.shape == (9, 64, 64, 3)
    assert made.clip.fps == 24
    assert made.clip.audio.shape == (2, 240 * (4 * 9 - 3))  # 9 latents for 9 frames at 24 fps
    assert made.clip.rate_hz == 24000
    assert [stage.name for stage in made.stages] == [
        "text_encoding",
        "connectors",
        "denoise",
        "video_decode",
        "audio_decode",
        "vocoder",
    ]
    assert all(stage.seconds > 0 and stage.peak_bytes > 0 for stage in made.stages)
    assert made.details == {"nfe": 8}  # prompt, negative prompt, STG, isolated; twice


def test_the_clip_is_what_the_library_makes(ltx2, arguments):
    """The same call, made by hand."""
    import diffusers

    made = model_of(ltx2, arguments).generate(REQUEST)
    pipeline = diffusers.LTX2Pipeline.from_pretrained(ltx2, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    by_hand = pipeline(
        prompt=REQUEST.prompt,
        negative_prompt="blurred",
        num_frames=9,
        height=64,
        width=64,
        frame_rate=24.0,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    )
    assert np.array_equal(made.clip.video, (by_hand.frames[0] * 255).astype(np.uint8))
    assert np.array_equal(made.clip.audio, by_hand.audio[0].clamp(-1, 1).numpy())


def test_a_pipeline_without_sound(wan, arguments):
    model = model_of(wan, arguments)
    request = dataclasses.replace(REQUEST, num_frames=5, fps=Fraction(16))
    model.check(request)
    made = model.generate(request)
    assert made.clip.video.shape == (5, 64, 64, 3)
    assert (made.clip.fps, made.clip.audio, made.clip.rate_hz) == (16, None, None)
    assert [stage.name for stage in made.stages] == ["text_encoding", "denoise", "video_decode"]
    assert made.details == {"nfe": 4}  # prompt and negative prompt; twice


def test_seeds_and_prompts_decide_the_sample(wan, arguments):
    model = model_of(wan, arguments)
    request = dataclasses.replace(REQUEST, num_frames=5)
    first = model.generate(request).clip.video
    assert np.array_equal(model.generate(request).clip.video, first)
    assert not np.array_equal(model.generate(dataclasses.replace(request, seed=1)).clip.video, first)
    assert not np.array_equal(model.generate(dataclasses.replace(request, prompt="A bell.")).clip.video, first)


def test_the_pipeline_is_left_as_it_was(wan, arguments):
    """Nothing that measures stays on the components."""
    pipeline = model_of(wan, arguments).pipeline
    model = model_of(wan, arguments)
    model.__dict__["pipeline"] = pipeline
    parts = (pipeline, pipeline.vae, pipeline.transformer, pipeline.video_processor)
    model.generate(dataclasses.replace(REQUEST, num_frames=5))
    for part, method in zip(parts, ("encode_prompt", "decode", "forward", "postprocess_video"), strict=True):
        assert method not in vars(part)
    assert not pipeline.transformer._forward_pre_hooks


def test_the_shape_a_pipeline_prefers(ltx2, wan, arguments):
    shape = model_of(wan, arguments).preferred_shape()
    assert (shape.num_frames, shape.height, shape.width, shape.fps) == (81, 480, 832, "16")
    shape = model_of(ltx2, arguments).preferred_shape()
    assert (shape.num_frames, shape.height, shape.width, shape.fps) == (None, 512, 768, "24")


def test_the_identity(copy, arguments):
    first = model_of(copy, arguments).identity()
    assert first == model_of(copy, arguments).identity()
    assert first["pipeline"] == "WanPipeline"
    assert first["diffusers"] == importlib.metadata.version("diffusers")
    assert json.loads(first["arguments"]) == {"num_inference_steps": 2, "negative_prompt": "blurred"}
    assert first["revision"] is None
    for path in (copy / "scheduler/scheduler_config.json", copy / "transformer/diffusion_pytorch_model.safetensors"):
        path.write_bytes(path.read_bytes() + b" ")
        after = model_of(copy, arguments).identity()
        assert {key for key in first if first[key] != after[key]} == {"folder_sha256"}
        first = after
    (copy / "README.md").write_text("not loaded")
    assert model_of(copy, arguments).identity() == first
    arguments.write_text("num_inference_steps = 3\n")
    after = model_of(copy, arguments).identity()
    assert {key for key in first if first[key] != after[key]} == {"arguments"}


def test_a_snapshot_in_the_hubs_cache_is_found_without_a_network(wan, arguments, tmp_path, monkeypatch):
    commit = "0123456789abcdef" * 2 + "01234567"
    cached = tmp_path / "hub/models--maker--tiny"
    shutil.copytree(wan, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs/main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    model = model_of("maker/tiny", arguments)
    assert model.identity()["revision"] == commit
    assert model.identity()["folder_sha256"] == model_of(wan, arguments).identity()["folder_sha256"]
    with pytest.raises(ValueError, match="hf download maker/tiny --revision v2"):
        model_of("maker/tiny", arguments, revision="v2")
    with pytest.raises(
        ValueError, match=r"does not have it; nothing is fetched unasked: run `hf download maker/other`"
    ):
        model_of("maker/other", arguments)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step": "3"}, "diffusers setting 'step'"),
        ({"dtype": "float8"}, "dtype 'float8'"),
        ({"offload": "disk"}, "offload 'disk'"),
        ({"offload": "model"}, "moves weights to a GPU; the device is cpu"),
        ({"rate_hz": "48k"}, "rate_hz is '48k'; expected a whole number"),
        ({"revision": "main"}, "is a local folder, which has no revisions"),
    ],
)
def test_settings_that_are_refused(wan, arguments, settings, message):
    with pytest.raises(ValueError, match=message):
        model_of(wan, arguments, **settings)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("steps = ", "is not TOML"),
        ("height = 64", "sets height, which the run decides"),
        ("guidance_scale = nan", "has a value that no call takes"),
        ("guidance_scale = 2026-01-01", "has a value that no call takes"),
        ("guidance_scal = 3.0", "argument of WanPipeline 'guidance_scal'.*guidance_scale"),
    ],
)
def test_arguments_that_are_refused(wan, arguments, content, message):
    arguments.write_text(content)
    with pytest.raises(ValueError, match=message):
        model_of(wan, arguments).check(REQUEST)
    with pytest.raises(ValueError, match=r"absent\.toml cannot be read: No such file"):
        model_of(wan, arguments.with_name("absent.toml"))


def test_folders_that_are_refused(tiny, copy, arguments, tmp_path):
    with pytest.raises(ValueError, match="there is no such folder; expected a folder or ORGANISATION/NAME"):
        model_of(tmp_path / "absent", arguments)
    with pytest.raises(ValueError, match=r"has no model_index\.json"):
        model_of(tmp_path, arguments)
    tiny.rewrite_index(copy, _class_name="NoPipeline")
    with pytest.raises(ValueError, match=r"holds a NoPipeline, which diffusers .* does not have"):
        model_of(copy, arguments).check(REQUEST)
    tiny.rewrite_index(copy, _class_name="FluxPipeline")
    with pytest.raises(ValueError, match="FluxPipeline is no text-to-video pipeline: its call takes no num_frames"):
        model_of(copy, arguments).check(REQUEST)
    tiny.rewrite_index(copy, vae2=["diffusers", "AutoencoderKLWan"])
    with pytest.raises(ValueError, match=r"lacks vae2, which model_index\.json names; fetch .* again"):
        model_of(copy, arguments)
    (copy / "model_index.json").write_text("{")
    with pytest.raises(ValueError, match="does not say which pipeline it is"):
        model_of(copy, arguments)


def test_pickled_weights_are_not_loaded(copy, arguments):
    for path in copy.glob("*/*.safetensors"):
        path.rename(path.with_suffix(".bin"))
    with pytest.raises(ValueError, match="no weights in safetensors files, and no others are loaded"):
        model_of(copy, arguments)


def test_a_number_of_frames_that_it_cannot_make(wan, arguments):
    with pytest.raises(ValueError, match=r"made frames of shape \[5, 64, 64, 3\], \[6, 64, 64, 3\] were asked for"):
        model_of(wan, arguments).generate(dataclasses.replace(REQUEST, num_frames=6))


def test_frames_and_rates_that_it_does_not_make_are_refused_before_work(wan, arguments):
    at_16 = dataclasses.replace(REQUEST, fps=Fraction(16))
    model_of(wan, arguments).check(at_16)
    with pytest.raises(ValueError, match=r"num_frames is 24; this pipeline makes 4k \+ 1: use 21 or 25"):
        model_of(wan, arguments).check(dataclasses.replace(at_16, num_frames=24))
    with pytest.raises(ValueError, match="makes 16 frames per second and its call takes no rate, 24 are asked for"):
        model_of(wan, arguments).check(REQUEST)
    model_of(wan, arguments, native_fps=24).check(REQUEST)
    with pytest.raises(ValueError, match="native_fps is '24p'; expected a whole number"):
        model_of(wan, arguments, native_fps="24p")


def test_a_wan_of_the_5b_kind_makes_24_frames_per_second(copy):
    config = json.loads((copy / "vae/config.json").read_text())
    assert native_fps(copy, "WanPipeline") == 16
    (copy / "vae/config.json").write_text(json.dumps({**config, "z_dim": 48}))
    assert native_fps(copy, "WanPipeline") == 24


def test_guidance_that_would_change_nothing_is_refused(ltx2, arguments, tmp_path):
    arguments.write_text(ARGUMENTS + "stg_scale = 1.0\n")
    model_of(ltx2, arguments).check(REQUEST)
    folder = shutil.copytree(ltx2, tmp_path / "ltx2")
    path = folder / "transformer/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "perturbed_attn": False}))
    with pytest.raises(ValueError, match=r'does not set "perturbed_attn": true'):
        model_of(folder, arguments).check(REQUEST)
    arguments.write_text(ARGUMENTS + "stg_scale = 1.0\naudio_stg_scale = 0\n")
    with pytest.raises(ValueError, match="audio_stg_scale is 0, which diffusers takes for stg_scale"):
        model_of(ltx2, arguments).check(REQUEST)


def test_a_rate_that_the_pipeline_does_not_say(ltx2, arguments, monkeypatch):
    model = model_of(ltx2, arguments)
    monkeypatch.setattr(type(model.pipeline.vocoder), "config", {})
    monkeypatch.setattr(type(model.pipeline.audio_vae), "config", {})
    with pytest.raises(ValueError, match=r"gives sound but does not say at which rate; .*@rate_hz=48000"):
        model._rate_hz()
    assert model_of(ltx2, arguments, rate_hz=48000)._rate_hz() == 48000


def test_without_the_extra(wan, arguments, monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(ValueError, match=r"need diffusers; install it with pip install 'ltx2-eval\[diffusers\]'"):
        model_of(wan, arguments)


def test_its_name_on_the_command_line(wan, arguments):
    context = ModelContext(device="cpu", suite=load_suite("nano"), container="mp4")
    name, model = load_model(f"mine=diffusers:{wan}@arguments={arguments}", context)
    assert (name.label, name.kind) == ("mine", "diffusers")
    assert isinstance(model, DiffusersModel)
    with pytest.raises(ValueError, match=r"lacks its target; write diffusers:FOLDER"):
        load_model("diffusers", context)
    assert "nothing is fetched" in KINDS["diffusers"].title
