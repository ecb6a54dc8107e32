"""The untrained small model: reproducible to the byte, with a tokenizer that loses nothing."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2.config import NANO
from ltx2.nano import write_untrained
from ltx2.nano_vocabulary import SPECIAL_TOKENS, build_tokenizer, vocabulary

TOKENIZER = build_tokenizer()


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_seed_same_bytes_in_another_process(tmp_path: Path) -> None:
    write_untrained(tmp_path / "a")
    code = f"from ltx2.nano import write_untrained; write_untrained({str(tmp_path / 'b')!r})"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert set(digests(tmp_path / "a")) == {
        "ltx2-nano.safetensors",
        "spatial_upsampler/ltx2-nano-spatial-upscaler-x2.safetensors",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "text_encoder/tokenizer.json",
        "text_encoder/tokenizer_config.json",
    }


def test_another_seed_gives_other_weights_and_the_same_tokenizer(tmp_path: Path) -> None:
    a, b = digests(write_untrained(tmp_path / "a")), digests(write_untrained(tmp_path / "b", seed=1))
    same = {name for name in a if a[name] == b[name]}
    assert same == {f"text_encoder/{name}.json" for name in ("config", "tokenizer", "tokenizer_config")}


def test_vocabulary() -> None:
    tokens = [token for token, _ in vocabulary()]
    assert 512 <= len(tokens) == len(set(tokens)) <= 1024
    assert tuple(tokens[:4]) == SPECIAL_TOKENS
    assert NANO.text.max_tokens % NANO.text.connector_num_learnable_registers == 0


@pytest.mark.parametrize(
    "text",
    [
        "a red circle bounces twice on the left",
        "first a large glass cube slides to the right then a small metal ball hits the wall",
        "one two three blue wooden squares collide with a thud while a low hum plays",
        "the striped orange star spins slowly in the centre of a dark grey background",
        "a teal triangle blinks with a beep before the camera pans left",
    ],
)
def test_words_of_the_world_are_single_tokens(text: str) -> None:
    assert len(TOKENIZER.encode(text).ids) == 1 + len(text.split())


def test_case_and_punctuation() -> None:
    tokens = TOKENIZER.encode("A red ball, bounces.").tokens
    assert tokens == ["<bos>", "▁a", "▁red", "▁ball", ",", "▁bounces", "."]


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=60))
def test_any_text_comes_back(text: str) -> None:
    encoded = TOKENIZER.encode(text)
    assert SPECIAL_TOKENS.index("<unk>") not in encoded.ids
    if "▁" not in text and "<" not in text:
        assert TOKENIZER.decode(encoded.ids) == text.lower()
