"""The whole pipeline with what is meant for small GPUs: the same clip, and LoRAs as ever."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ltx2 import AudioVideo, Pipeline, SamplingSettings
from ltx2.memory import DoesNotFitError
from ltx2.nano import write_untrained

TARGET = "transformer_blocks.2.attn1.to_q"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_untrained(tmp_path_factory.mktemp("nano"))


def clip(pipeline: Pipeline, prompt: str = "a red ball", **settings: float) -> AudioVideo:
    return pipeline(prompt, seed=3, num_frames=9, height=64, width=64, settings=SamplingSettings(steps=2, **settings))


def same(a: AudioVideo, b: AudioVideo) -> bool:
    return torch.equal(a.video, b.video) and torch.equal(a.waveform, b.waveform)


@pytest.mark.parametrize("fp8", [False, True])
def test_offloading_and_freeing_change_no_bit(folder: Path, fp8: bool) -> None:
    plain = Pipeline.load(folder, fp8=fp8)
    small = Pipeline.load(folder, fp8=fp8, offload=True, keep_text_encoder=False)
    expected = clip(plain)
    for _ in range(2):
        small.prompts.forget()
        assert same(clip(small), expected)
        assert small.text_encoder.resident_bytes == 0
    assert plain.text_encoder.resident_bytes > 0


def test_eight_bits_are_close(folder: Path) -> None:
    exact, small = clip(Pipeline.load(folder)), clip(Pipeline.load(folder, fp8=True))
    difference = (exact.video.float() - small.video.float()).abs().mean()
    assert 0 < difference < 10  # of 255; two unrelated clips of this model differ by more than 30


@pytest.mark.parametrize("fp8", [False, True])
def test_a_lora_in_offloaded_blocks(folder: Path, tmp_path: Path, fp8: bool) -> None:
    weight = Pipeline.load(folder).modules.transformer.get_submodule(TARGET).weight
    generator = torch.Generator().manual_seed(0)
    pair = {"lora_A.weight": torch.randn(4, weight.shape[1], generator=generator)}
    pair["lora_B.weight"] = torch.randn(weight.shape[0], 4, generator=generator)
    save_file({f"diffusion_model.{TARGET}.{key}": value for key, value in pair.items()}, tmp_path / "l.safetensors")
    kinds = (Pipeline.load(folder, fp8=fp8, lora=tmp_path / "l.safetensors", offload=offload) for offload in (0, 1))
    without, results = clip(Pipeline.load(folder, fp8=fp8)), []
    for pipeline in kinds:
        results.append(clip(pipeline, lora_strength=0.5))
        assert same(clip(pipeline, lora_strength=0.0), without)
    assert same(*results)
    assert not same(results[0], without)


def test_running_out_of_memory_while_sampling(folder: Path) -> None:
    pipeline = Pipeline.load(folder)

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    pipeline.modules.transformer.transformer_blocks[3].register_forward_pre_hook(fail)
    with pytest.raises(DoesNotFitError, match=r"out of memory on cpu while sampling: about .* for 8 video tokens"):
        clip(pipeline)
