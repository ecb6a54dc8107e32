"""The language model: folders of both kinds, padding, and the traps of loading."""

import gc
import json
import shutil
import weakref
from pathlib import Path

import pytest
import torch
from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3TextModel, SiglipVisionConfig
from transformers.utils import logging as transformers_logging

from ltx2.config import NANO
from ltx2.gemma import GemmaEncoder
from ltx2.nano import write_text_encoder

TOKENS = NANO.text.max_tokens


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gemma")
    write_text_encoder(folder, NANO.text, seed=0)
    return folder


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "copy")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> GemmaEncoder:
    return GemmaEncoder.load(folder, max_tokens=TOKENS)


def test_left_padding_and_bos(encoder: GemmaEncoder) -> None:
    states, mask = encoder(["  a red ball ", ""])
    assert states.shape == (2, TOKENS, NANO.text.hidden_size, NANO.text.num_hidden_states)
    assert mask.sum(1).tolist() == [4, 1]
    assert mask[0, -4:].all()
    assert encoder.count_tokens("a red ball") == 4
    embedded = encoder.model.embed_tokens(torch.tensor([2]))[0]
    torch.testing.assert_close(states[1, -1, :, 0], embedded)


def test_padding_does_not_change_the_states(encoder: GemmaEncoder) -> None:
    states, _ = encoder(["a red ball bounces on the left"])
    ids = encoder.tokenizer("a red ball bounces on the left", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        bare = encoder.model(ids, output_hidden_states=True).hidden_states
    for layer, alone in enumerate(bare):
        torch.testing.assert_close(states[0, -ids.shape[1] :, :, layer], alone[0], atol=1e-5, rtol=1e-5)


def test_last_state_is_normalised_and_the_others_are_not(encoder: GemmaEncoder) -> None:
    states, mask = encoder(["a red ball bounces on the left"])
    size = states[mask].square().mean(1).sqrt()
    torch.testing.assert_close(size[:, -1], torch.ones_like(size[:, -1]), atol=1e-4, rtol=1e-4)
    assert (size[:, -2] - 1).abs().min() > 0.05


def test_long_prompts_lose_their_end(encoder: GemmaEncoder) -> None:
    long, cut = encoder(["red " * 500, "red " * (TOKENS - 1)])[0]
    torch.testing.assert_close(long, cut)


def test_folder_with_a_vision_tower(folder: Path, encoder: GemmaEncoder, tmp_path: Path) -> None:
    text = encoder.model.config
    vision = SiglipVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=5)
    with torch.random.fork_rng():
        whole = Gemma3ForConditionalGeneration(config)
    whole.model.language_model.load_state_dict(encoder.model.state_dict())
    whole.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, tmp_path / name)
    other = GemmaEncoder.load(tmp_path, max_tokens=TOKENS)
    assert type(other.model) is Gemma3TextModel
    prompt = ["a glass cube slides"]
    assert torch.equal(other(prompt).states, encoder(prompt).states)


def test_loading_leaves_no_trace(folder: Path) -> None:
    bar = transformers_logging.is_progress_bar_enabled()
    state, dtype = torch.random.get_rng_state(), torch.get_default_dtype()
    GemmaEncoder.load(folder, max_tokens=TOKENS, dtype=torch.bfloat16)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_default_dtype() == dtype
    assert transformers_logging.is_progress_bar_enabled() == bar


def test_a_model_that_is_freed_after_use(folder: Path, encoder: GemmaEncoder) -> None:
    freed = GemmaEncoder.load(folder, max_tokens=TOKENS, keep=False)
    assert freed._model is None
    assert freed.config.hidden_size == encoder.config.hidden_size
    for prompt in ("a red ball", "a bell"):
        assert torch.equal(freed([prompt]).states, encoder([prompt]).states)
        model = weakref.ref(freed.model)
        assert freed.model is model()
        assert not any(weight.requires_grad for weight in freed.model.parameters())
        freed.release()
        gc.collect()
        assert model() is None
    encoder.release()
    assert encoder._model is not None


def test_missing_tokenizer_is_noticed(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises((ValueError, OSError), match="tokenizer"):
        GemmaEncoder.load(copy, max_tokens=TOKENS)


def test_missing_weights_are_noticed(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    del tensors["model.layers.0.mlp.up_proj.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 tensors.*layers\.0\.mlp\.up_proj"):
        GemmaEncoder.load(copy, max_tokens=TOKENS)


@pytest.mark.parametrize(
    ("config", "message"), [({"model_type": "llama"}, "type 'llama'"), ([], "not a JSON object"), (None, "not a JSON")]
)
def test_other_folders(tmp_path: Path, config: object, message: str) -> None:
    (tmp_path / "config.json").write_text("{" if config is None else json.dumps(config))
    with pytest.raises(ValueError, match=message):
        GemmaEncoder.load(tmp_path, max_tokens=TOKENS)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Gemma 3"):
        GemmaEncoder.load(tmp_path / "nothing", max_tokens=TOKENS)
