"""What CLIP and CLAP share: a model and a tokenizer from a local folder, checked, and unit-length embeddings."""

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


def tokenized(tokenizer: Any, texts: Sequence[str], device: str) -> tuple[dict[str, Tensor], int]:
    """Token ids of each text padded to 77, and how many texts were cut at that length."""
    lengths = [len(ids) for ids in tokenizer(list(texts))["input_ids"]]
    batch = tokenizer(list(texts), padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    inputs = {key: batch[key].to(device) for key in ("input_ids", "attention_mask")}
    return inputs, sum(length > MAX_TOKENS for length in lengths)


def unit(output: Any) -> Tensor:
    """Embeddings of unit length, from the tensor that transformers 4 gives or the object that 5 gives."""
    embedding = output if isinstance(output, Tensor) else output.pooler_output
    return F.normalize(embedding.float(), dim=-1)


class TextTower:
    """The sentences' side of CLIP and CLAP; a subclass brings the model, its tokenizer and the device."""

    model: Any
    tokenizer: Any
    device: str

    def text_features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), d) embeddings of unit length; texts are cut at 77 tokens."""
        inputs, _ = tokenized(self.tokenizer, texts, self.device)
        with torch.inference_mode():
            return unit(self.model.get_text_features(**inputs)).cpu().numpy()

    def num_truncated(self, texts: Sequence[str]) -> int:
        """How many texts are longer than the 77 tokens that the network reads."""
        return tokenized(self.tokenizer, texts, "cpu")[1]
