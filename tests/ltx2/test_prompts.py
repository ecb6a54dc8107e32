"""Prompts: each is encoded once, the language model is loaded when it is needed, and a cut is told."""

import warnings
from pathlib import Path
from unittest import mock

import pytest
import torch

from ltx2 import AudioVideo, Pipeline, SamplingSettings
from ltx2 import gemma as gemma_module
from ltx2.gemma import GemmaEncoder
from ltx2.nano import write_untrained
from ltx2.offload import BlockOffload
from ltx2.prompts import KEPT, TruncationWarning

ONE = SamplingSettings(steps=1)
LONG = "a red ball " * 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_untrained(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Pipeline:
    return Pipeline.load(folder)


def clip(pipeline: Pipeline, prompt: str = "a red ball", seed: int = 0, **more: str) -> AudioVideo:
    return pipeline(prompt, seed=seed, num_frames=9, height=64, width=64, settings=ONE, **more)


def same(a: AudioVideo, b: AudioVideo) -> bool:
    return torch.equal(a.video, b.video) and torch.equal(a.waveform, b.waveform)


def test_a_prompt_is_encoded_once_for_all_its_seeds(folder: Path) -> None:
    fresh = Pipeline.load(folder, keep_text_encoder=False)
    expected = [clip(Pipeline.load(folder), seed=seed) for seed in range(2)]
    fresh.prompts.forget()
    with mock.patch.object(gemma_module, "_load_model", wraps=gemma_module._load_model) as loads:
        made = [clip(fresh, seed=seed) for seed in range(2)]
        assert loads.call_count == 1
        assert [each.prompts_encoded for each in made] == [2, 0]
        assert clip(fresh, "a bell").prompts_encoded == 1  # the negative prompt is known
        assert loads.call_count == 2
    assert all(same(*pair) for pair in zip(made, expected, strict=True))
    assert fresh.text_encoder.resident_bytes == 0
    assert "text_encoding" not in [stage.name for stage in made[1].stages]


def test_loading_reads_no_language_model_before_it_is_needed(folder: Path) -> None:
    with mock.patch.object(gemma_module, "_load_model", side_effect=AssertionError("loaded")):
        Pipeline.load(folder, keep_text_encoder=False)


def test_few_prompts_are_kept_the_last_used_ones(pipeline: Pipeline) -> None:
    pipeline.prompts.forget()
    for number in range(KEPT + 2):
        clip(pipeline, f"a ball number {number}")
    assert len(pipeline.prompts._known) == KEPT
    assert clip(pipeline, f"a ball number {KEPT + 1}").prompts_encoded == 0
    assert clip(pipeline, "a ball number 0").prompts_encoded == 1


def test_a_cut_is_told(pipeline: Pipeline) -> None:
    with pytest.warns(
        TruncationWarning, match="the prompt has 181 tokens, the model reads 96: its last 85 are not used"
    ):
        made = clip(pipeline, LONG)
    assert (made.prompt_tokens, made.lost_tokens) == (181, (85, 0))
    with pytest.warns(TruncationWarning, match="the negative prompt has 181 tokens"):
        assert clip(pipeline, negative_prompt=LONG).lost_tokens == (0, 85)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert clip(pipeline).lost_tokens == (0, 0)


def test_layers_that_wait_in_cpu_memory_change_no_bit(folder: Path) -> None:
    plain = GemmaEncoder.load(folder / "text_encoder", max_tokens=96)
    calls = []
    with mock.patch.object(BlockOffload, "_enter_block", autospec=True, side_effect=BlockOffload._enter_block) as enter:
        small = GemmaEncoder.load(folder / "text_encoder", max_tokens=96, offload=True)
        found = small(["a red ball"])
        calls = [call.args[1] for call in enter.call_args_list]
    assert calls == list(range(len(small.model.layers)))
    assert torch.equal(found.states, plain(["a red ball"]).states)


def test_where_a_gpu_has_no_room_the_layers_wait(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = GemmaEncoder.load(folder / "text_encoder", max_tokens=96).model
    size = sum(weight.nbytes for weight in model.parameters())
    for free, has_room in ((2 * size, True), (size, False)):
        monkeypatch.setattr(gemma_module, "free_bytes", lambda device, free=free: free)
        assert gemma_module._has_room(model, torch.device("cuda")) is has_room
    assert gemma_module._has_room(model, torch.device("cpu"))
