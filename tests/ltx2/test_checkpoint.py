"""The published layout: key set and sizes of the 19B model, round trips, and strict loading."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ltx2.checkpoint import (
    BrokenFileError,
    KeyMismatchError,
    Modules,
    UnsupportedConfigError,
    build,
    load,
    read_config,
    save,
)
from ltx2.config import LTX2_19B, NANO
from ltx2.nano import untrained_modules
from ltx2.published_config import dump_config
from ltx2.vocoder import Vocoder


@pytest.fixture(scope="module")
def modules() -> Modules:
    return untrained_modules(seed=3)


@pytest.fixture(scope="module")
def stored(modules: Modules, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "model.safetensors"
    save(path, modules)
    return path


def rewritten(stored: Path, folder: Path, change) -> Path:
    tensors = load_file(stored)
    metadata = {"config": dump_config(NANO)}
    change(tensors, metadata)
    save_file(tensors, folder / "changed.safetensors", metadata=metadata)
    return folder / "changed.safetensors"


def test_full_size_keys_and_parameters() -> None:
    sizes = {key: value.numel() for key, value in build(LTX2_19B, device="meta").state().items()}
    diffusion = "model.diffusion_model."
    groups = {
        f"{diffusion}video_embeddings_connector.": (29, 354_470_400),
        f"{diffusion}audio_embeddings_connector.": (29, 354_470_400),
        diffusion: (3510, 18_876_174_592),
        "text_embedding_projection.": (1, 722_534_400),
        "vae.encoder.": (92, 694_098_881),
        "vae.decoder.": (90, 528_380_720),
        "vae.per_channel_statistics.": (2, 256),
        "audio_vae.encoder.": (44, 21_333_008),
        "audio_vae.decoder.": (56, 31_915_138),
        "audio_vae.per_channel_statistics.": (2, 256),
        "vocoder.": (194, 55_592_802),
    }
    for prefix, expected in groups.items():
        keys = [key for key in sizes if key.startswith(prefix)]
        assert (len(keys), sum(sizes.pop(key) for key in keys)) == expected, prefix
    assert sizes == {}


def test_round_trip(modules: Modules, stored: Path) -> None:
    loaded = load(stored)
    assert loaded.config == NANO
    state = loaded.state()
    for key, value in modules.state().items():
        assert torch.equal(state[key], value.bfloat16().float()), key
    for module in loaded.named().values():
        assert not module.training
        assert not any(p.requires_grad for p in module.parameters())


def test_same_tensors_same_bytes_readable_by_all(modules: Modules, stored: Path, tmp_path: Path) -> None:
    save(tmp_path / "again.safetensors", modules)
    assert (tmp_path / "again.safetensors").read_bytes() == stored.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.safetensors"]
    assert stored.stat().st_mode & 0o444 == 0o444


def test_a_file_is_on_disk_before_it_has_its_name(modules: Modules, tmp_path: Path, monkeypatch) -> None:
    path, synced = tmp_path / "model.safetensors", []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        fsync(descriptor)
        synced.append((os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size, path.exists()))

    monkeypatch.setattr(os, "fsync", note)
    save(path, modules)
    assert synced == [(path.stat().st_ino, path.stat().st_size, False)]


def test_the_config_is_read_from_headers_only(stored: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("ltx2.weights_file.WeightsFile.read", lambda self: pytest.fail("a tensor was read"))
    assert read_config(stored) == NANO
    with pytest.raises(FileNotFoundError):
        read_config(tmp_path / "absent")


def test_loaded_dtype(stored: Path) -> None:
    assert {value.dtype for value in load(stored, dtype=torch.float16).state().values()} == {torch.float16}


def test_published_file_details(stored: Path) -> None:
    with safe_open(stored, framework="pt") as file:
        keys = set(file.keys())
        assert json.loads(file.metadata()["config"])["transformer"]["rope_type"] == "split"
        assert {file.get_slice(key).get_dtype() for key in keys} == {"BF16"}
    for key in (
        "model.diffusion_model.transformer_blocks.0.audio_to_video_attn.to_out.0.weight",
        "model.diffusion_model.video_embeddings_connector.learnable_registers",
        "text_embedding_projection.aggregate_embed.weight",
        "vae.per_channel_statistics.mean-of-means",
        "audio_vae.encoder.mid.block_1.conv1.conv.weight",
        "vocoder.ups.0.weight",
    ):
        assert key in keys


def test_unused_statistics_may_be_there(stored: Path, tmp_path: Path) -> None:
    def change(tensors, metadata):
        for name in ("mean-of-stds", "mean-of-stds_over_std-of-means", "channel"):
            tensors[f"vae.per_channel_statistics.{name}"] = torch.zeros(64)

    load(rewritten(stored, tmp_path, change))


def test_all_key_problems_are_listed_together(stored: Path, tmp_path: Path) -> None:
    def change(tensors, metadata):
        del tensors["vocoder.conv_pre.bias"]
        tensors["vocoder.conv_middle.bias"] = torch.zeros(1)
        tensors["vae.decoder.conv_in.conv.bias"] = torch.zeros(3)
        key = "model.diffusion_model.transformer_blocks.0.attn1.to_q.weight"
        tensors[key] = tensors[key].to(torch.float8_e5m2)

    with pytest.raises(KeyMismatchError) as caught:
        load(rewritten(stored, tmp_path, change))
    message = str(caught.value)
    assert "1 missing: vocoder.conv_pre.bias" in message
    assert "1 unexpected: vocoder.conv_middle.bias" in message
    assert "1 of another shape: vae.decoder.conv_in.conv.bias [3] instead of [128]" in message
    assert "attn1.to_q.weight F8_E5M2" in message


def test_long_lists_are_shortened(stored: Path, tmp_path: Path) -> None:
    def change(tensors, metadata):
        for key in [key for key in tensors if key.startswith("vocoder.")]:
            del tensors[key]

    keys = len(Vocoder(NANO.vocoder).state_dict())
    with pytest.raises(KeyMismatchError, match=rf"{keys} missing: .* and {keys - 8} more"):
        load(rewritten(stored, tmp_path, change))


def test_config_is_needed_and_checked(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedConfigError, match="no config entries"):
        load(rewritten(stored, tmp_path, lambda tensors, metadata: metadata.pop("config")))

    def interleave(tensors, metadata):
        metadata["config"] = metadata["config"].replace('"rope_type": "split"', '"rope_type": "interleaved"')

    with pytest.raises(UnsupportedConfigError, match=r"transformer.rope_type is 'interleaved'"):
        load(rewritten(stored, tmp_path, interleave))


def test_shards(stored: Path, modules: Modules, tmp_path: Path) -> None:
    tensors = load_file(stored)
    names = sorted(tensors)
    for i, part in enumerate((names[:100], names[100:]), start=1):
        metadata = {"config": dump_config(NANO)} if i == 1 else {}
        save_file({k: tensors[k] for k in part}, tmp_path / f"m-0000{i}-of-00002.safetensors", metadata=metadata)
    loaded = load(tmp_path)
    assert torch.equal(loaded.vocoder.conv_post.weight, modules.vocoder.conv_post.weight.bfloat16().float())


def test_truncated_file(stored: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(stored.read_bytes()[:-1000])
    with pytest.raises(BrokenFileError, match="truncated"):
        load(path)
