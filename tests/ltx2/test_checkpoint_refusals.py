"""What is no LTX-2 checkpoint, or of another version: one clear sentence each; and folders of components."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ltx2.checkpoint import (
    BrokenFileError,
    NotSafetensorsError,
    UnsupportedConfigError,
    checkpoint_files,
    load,
    read_config,
    save,
)
from ltx2.config import NANO
from ltx2.later_versions import later_version
from ltx2.nano import untrained_modules
from ltx2.published_config import dump_config

CONFIG = json.loads(dump_config(NANO))
COMPONENTS = {
    "transformer": "model.diffusion_model.",
    "text_projection": "text_embedding_projection.",
    "vae": "vae.",
    "audio_vae": "audio_vae.",
    "vocoder": "vocoder.",
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "model.safetensors"
    save(path, untrained_modules(seed=4))
    return path


def changed(**sections: dict[str, object]) -> str:
    return json.dumps({name: {**CONFIG.get(name, {}), **sections.get(name, {})} for name in {*CONFIG, *sections}})


def refused(path: Path, error: type[Exception], *parts: str) -> None:
    """One sentence that holds all the parts, before any tensor is read."""
    with pytest.raises(error) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in parts), message
    with pytest.raises(error, match=re.escape(message)):
        read_config(path)


V23 = {"apply_gated_attention": True, "cross_attention_adaln": True, "caption_proj_before_connector": True}


@pytest.mark.parametrize(
    ("metadata", "version"),
    [
        ({"config": changed(transformer=V23)}, "LTX-2.3 (config transformer.apply_gated_attention is True)"),
        ({"config": changed(transformer={**V23, "ff_bias": False})}, "LTX-2.5 (config transformer.ff_bias is False)"),
        ({"config": changed(vae={"_class_name": "CausalDiffusionVAE"})}, "LTX-2.5 (config vae._class_name is"),
        ({"config": dump_config(NANO), "model_version": "2.3.1"}, "LTX-2.3 (model_version is '2.3.1')"),
        ({"config": dump_config(NANO), "model_version": "v2.5"}, "LTX-2.5 (model_version is '2.5')"),
        ({"config": json.dumps({"transformer": V23})}, "LTX-2.3 (config transformer.apply_gated_attention is True)"),
    ],
)
def test_later_versions(stored: Path, tmp_path: Path, metadata: dict[str, str], version: str) -> None:
    save_file(load_file(stored), tmp_path / "later.safetensors", metadata=metadata)
    refused(tmp_path / "later.safetensors", UnsupportedConfigError, f"is of {version}", "diffusers: models run later")


def test_a_later_version_without_its_config(tmp_path: Path) -> None:
    key = "model.diffusion_model.transformer_blocks.0.attn1.to_gate_logits.weight"
    save_file({key: torch.zeros(1)}, tmp_path / "later.safetensors")
    refused(tmp_path / "later.safetensors", UnsupportedConfigError, "is of LTX-2.3 or later", key)


@pytest.mark.parametrize("config", ["{", "[]", "null", json.dumps({"transformer": 3}), dump_config(NANO)])
def test_the_first_version_is_not_taken_for_a_later_one(config: str) -> None:
    tensors = ["model.diffusion_model.patchify_proj.weight"]
    assert later_version({"config": config}, tensors) is None
    assert later_version({"model_version": "2.0"}, tensors) is None


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("transformer", "qk_norm", "layer_norm", "config transformer.qk_norm is 'layer_norm'"),
        ("transformer", "rope_type", "interleaved", "config transformer.rope_type is 'interleaved'"),
        ("transformer", "num_layers", 0, "config transformer.num_layers is 0"),
        ("transformer", "new_thing", 1, "config transformer.new_thing is 1"),
        ("vae", "timestep_conditioning", True, "config vae.timestep_conditioning is True"),
    ],
)
def test_other_configurations_name_key_and_value(
    stored: Path, tmp_path: Path, section: str, key: str, value: object, message: str
) -> None:
    save_file(load_file(stored), tmp_path / "c.safetensors", metadata={"config": changed(**{section: {key: value}})})
    refused(tmp_path / "c.safetensors", UnsupportedConfigError, message)


@pytest.mark.parametrize(
    ("name", "content", "error", "part"),
    [
        ("m.pt", b"PK\x03\x04" + bytes(60), NotSafetensorsError, "a zip archive (a PyTorch .pt or .ckpt file?)"),
        ("m.ckpt", b"\x80\x04\x95" + bytes(60), NotSafetensorsError, "a Python pickle"),
        ("m.safetensors", b"\x80\x02}q\x00." + bytes(60), NotSafetensorsError, "a Python pickle"),
        ("m.gguf", b"GGUF" + bytes(60), NotSafetensorsError, "a GGUF file"),
        ("m.safetensors", b"", NotSafetensorsError, "is empty"),
    ],
)
def test_files_of_other_formats(tmp_path: Path, name: str, content: bytes, error: type[Exception], part: str) -> None:
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, error, part)


@pytest.mark.parametrize("keep", [9, 100, -1])
def test_truncated_files(stored: Path, tmp_path: Path, keep: int) -> None:
    (tmp_path / "cut.safetensors").write_bytes(stored.read_bytes()[:keep])
    refused(tmp_path / "cut.safetensors", BrokenFileError, "truncated")


def components(stored: Path, folder: Path) -> Path:
    tensors = load_file(stored)
    for i, (name, prefix) in enumerate(COMPONENTS.items()):
        part = {key: value for key, value in tensors.items() if key.startswith(prefix)}
        save_file(part, folder / f"{name}.safetensors", metadata={"config": dump_config(NANO)} if i < 2 else None)
    return folder


def test_a_folder_of_components(stored: Path, tmp_path: Path) -> None:
    whole, parts = load(stored).state(), load(components(stored, tmp_path)).state()
    assert whole.keys() == parts.keys()
    assert all(torch.equal(value, whole[key]) for key, value in parts.items())


def test_upsamplers_and_loras_beside_a_checkpoint_are_left_out(stored: Path, tmp_path: Path) -> None:
    components(stored, tmp_path)
    save_file({"initial_conv.weight": torch.ones(1)}, tmp_path / "spatial-upscaler.safetensors")
    save_file({"diffusion_model.x.lora_A.weight": torch.ones(1)}, tmp_path / "lora.safetensors")
    assert {file.path.stem for file in checkpoint_files(tmp_path)} == set(COMPONENTS)
    load(tmp_path)


def test_a_component_that_is_missing_or_there_twice(stored: Path, tmp_path: Path) -> None:
    components(stored, tmp_path)
    (tmp_path / "vocoder.safetensors").rename(tmp_path / "vocoder.away")
    with pytest.raises(ValueError, match=r"missing: vocoder\."):
        load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(stored.read_bytes())
    with pytest.raises(ValueError, match=r"several checkpoints \(audio_vae\.safetensors, model\.safetensors\)"):
        load(tmp_path)


def test_folders_of_other_things(tmp_path: Path) -> None:
    save_file({"initial_conv.weight": torch.ones(1)}, tmp_path / "spatial-upscaler.safetensors")
    with pytest.raises(FileNotFoundError, match=r"holds no LTX-2 checkpoint, only spatial-upscaler\.safetensors"):
        load(tmp_path)
    (tmp_path / "model_index.json").write_text("{}")
    refused(tmp_path, UnsupportedConfigError, "is a folder of diffusers; the model diffusers:")
