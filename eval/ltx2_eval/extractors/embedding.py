"""What CLIP and CLAP share: a model and a tokenizer from a local folder, checked, and unit-length embeddings."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ltx2_reports.store import DamagedError

MAX_TOKENS = 77
_LEAST_VOCABULARY = 0.9
_PROBES = ("a dog barks", "rain on a roof")


def load_model(
    model_class: Any,
    folder: Path,
    device: str,
    *,
    unused: tuple[str, ...] = (),
    **options: Any,
) -> Any:
    """Build a transformers model from `config.json` and `model.safetensors` of a local folder, float32.

    Args:
        model_class: of transformers.
        folder: with both files.
        device: as torch names it.
        unused: beginnings of names that the file may have and the model, as built here, has not.
        options: for the model's constructor.

    Raises:
        DamagedError: the weights do not fit the configuration (transformers alone would only warn and fill at random).
    """
    model, report = model_class.from_pretrained(
        folder,
        **options,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are refused below, by name
    )
    buffers = {name for name, _ in model.named_buffers()}
    problems = {
        "missing": [key for key in report["missing_keys"] if key not in buffers],
        "unknown": [
            key for key in report["unexpected_keys"] if not key.endswith("position_ids") and not key.startswith(unused)
        ],
        "of another shape": [str(key) for key, *_ in report["mismatched_keys"]],
    }
    if any(problems.values()):
        told = "; ".join(
            f"{len(keys)} {what}: {', '.join(sorted(keys)[:3])}" for what, keys in problems.items() if keys
        )
        raise DamagedError(f"{folder}: not the weights of a {model_class.__name__}: tensors {told}")
    return model.eval().to(device)


def load_tokenizer(folder: Path, vocabulary: int) -> Any:
    """Load the tokenizer of a local folder and make sure that it is whole.

    transformers makes a tokenizer of a few entries, without an error, where the vocabulary is absent; all texts would
    then look the same to the model.

    Raises:
        DamagedError: it has far fewer entries than the model, or does not tell two texts apart.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    first, second = (tokenizer(text)["input_ids"] for text in _PROBES)
    if not _LEAST_VOCABULARY * vocabulary <= len(tokenizer) <= vocabulary or first == second:
        raise DamagedError(
            f"{folder}: the tokenizer has {len(tokenizer)} entries, the model {vocabulary}; the vocabulary files are "
            "missing or of another model: pull the weights again"
        )
    return tokenizer


def check_texts(text_features: Callable[[Sequence[str]], NDArray[np.float32]], folder: Path) -> None:
    """Make sure that the loaded model tells two texts apart.

    Raises:
        DamagedError: it does not: its configuration names another end-of-text token than its tokenizer writes.
    """
    first, second = text_features(_PROBES)
    if np.allclose(first, second, atol=1e-6):
        raise DamagedError(f"{folder}: the model gives {_PROBES[0]!r} and {_PROBES[1]!r} one embedding; pull it again")


def tokenized(tokenizer: Any, texts: Sequence[str], device: str) -> dict[str, Tensor]:
    """Token ids of each text, cut and padded to 77, and which of them are text: (len(texts), 77) both."""
    batch = tokenizer(list(texts), padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    return {key: batch[key].to(device) for key in ("input_ids", "attention_mask")}


def unit(output: Any) -> Tensor:
    """Embeddings of unit length, from the tensor that transformers 4 gives or the object that 5 gives."""
    embedding = output if isinstance(output, Tensor) else output.pooler_output
    return F.normalize(embedding.float(), dim=-1)


class OncePerText:
    """Embeddings of texts, each encoded once and alone: neither its neighbours nor what was asked before change a bit.

    Several metrics and all seeds of a prompt ask for the same sentences.

    Args:
        encode: a text -> (d,).
        most: texts to remember, the last asked for.

    >>> calls = []
    >>> embedded = OncePerText(lambda text: calls.append(text) or np.full(2, len(text), np.float32))
    >>> embedded(["rain", "a dog", "rain"])[:, 0].tolist(), calls
    ([4.0, 5.0, 4.0], ['rain', 'a dog'])
    """

    def __init__(self, encode: Callable[[str], NDArray[np.float32]], most: int = 10_000) -> None:
        self._encoded = functools.lru_cache(most)(encode)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), d)."""
        return np.stack([self._encoded(text) for text in texts])


class TextTower:
    """The sentences' side of an extractor; a subclass brings the tokenizer, the device, and a model or `encode`."""

    model: Any
    tokenizer: Any
    device: str

    def text_features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), d) embeddings of unit length; texts are cut at 77 tokens."""
        return self._embedded(texts)

    def num_truncated(self, texts: Sequence[str]) -> int:
        """How many texts are longer than the 77 tokens that the network reads."""
        return sum(len(ids) > MAX_TOKENS for ids in self.tokenizer(list(texts))["input_ids"])

    def encode(self, inputs: dict[str, Tensor]) -> Tensor:
        """Token ids and attention mask, both (b, 77) -> (b, d) of unit length."""
        return unit(self.model.get_text_features(**inputs))

    @functools.cached_property
    def _embedded(self) -> OncePerText:
        return OncePerText(self._of_text)

    def _of_text(self, text: str) -> NDArray[np.float32]:
        with torch.inference_mode():
            row: NDArray[np.float32] = self.encode(tokenized(self.tokenizer, [text], self.device))[0].cpu().numpy()
        return row
