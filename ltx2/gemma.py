"""The language model: hidden states of a Gemma 3 that lies in a local folder in Hugging Face layout.

Source: Lightricks/LTX-2, `ltx_core/text_encoders/gemma/` (prompt only, no chat template, padded on the left).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, Gemma3ForConditionalGeneration, Gemma3TextModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

_PROBE = "a red ball"
_MIN_VOCABULARY = 256


class HiddenStates(NamedTuple):
    """All hidden states of a batch of prompts."""

    states: Tensor
    """`(b, s, d, layers + 1)`: the scaled embeddings, each layer's output, the last one after the final norm."""
    mask: Tensor
    """Boolean `(b, s)`: true for tokens of the prompt, false for padding (on the left)."""


class GemmaEncoder:
    """Tokeniser and text model of a Gemma 3.

    Args:
        tokenizer: Puts `<bos>` in front of every text.
        model: The text model, without a language-model head.
        max_tokens: Prompts are cut and padded to this length.
        reload: Loads the model again after `release`; None to keep it.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        model: Gemma3TextModel,
        *,
        max_tokens: int,
        reload: Callable[[], Gemma3TextModel] | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.config = model.config
        self.max_tokens = max_tokens
        self._model: Gemma3TextModel | None = model
        self._reload = reload
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.padding_side = "left"

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        max_tokens: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        keep: bool = True,
    ) -> "GemmaEncoder":
        """Load from a folder with `config.json`, weights and tokenizer; nothing is fetched.

        Args:
            folder: A text-only Gemma 3 (`gemma3_text`), or one with a vision tower (`gemma3`), which is left out.
            max_tokens: Prompts are cut and padded to this length.
            device: Where the model goes.
            dtype: Of its weights.
            keep: Keep the model in memory. If false, `release` frees it and the next prompt loads it again: from the
                files, which the operating system mostly still has in memory.

        Raises:
            FileNotFoundError: No such folder, or no `config.json` in it.
            ValueError: Another kind of model, missing weights, or a tokenizer that does not work.
        """
        folder = Path(folder)
        kind = _model_type(folder)
        model = _load_model(folder, kind, dtype)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        _check_tokenizer(folder, tokenizer, model.config.vocab_size)

        def load_again() -> Gemma3TextModel:
            return nn.Module.to(_load_model(folder, kind, dtype), device)

        if keep:
            return cls(tokenizer, nn.Module.to(model, device), max_tokens=max_tokens)
        encoder = cls(tokenizer, model, max_tokens=max_tokens, reload=load_again)
        encoder.release()
        return encoder

    @property
    def model(self) -> Gemma3TextModel:
        """The text model; loaded again if it was released."""
        if self._model is None:
            assert self._reload is not None
            self._model = self._reload()
        return self._model

    @property
    def resident_bytes(self) -> int:
        """Of the model's weights, 0 while it is released."""
        return 0 if self._model is None else sum(weight.nbytes for weight in self._model.parameters())

    def release(self) -> None:
        """Free the model until the next prompt, if it was loaded with `keep=False`."""
        if self._reload is None:
            return
        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str]) -> HiddenStates:
        """Hidden states of prompts, each padded to `max_tokens`; longer prompts lose their end."""
        batch = self.tokenizer(
            [prompt.strip() for prompt in prompts],
            max_length=self.max_tokens,
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        )
        device = self.model.device
        ids, mask = batch["input_ids"].to(device), batch["attention_mask"].to(device)
        output = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False)
        return HiddenStates(torch.stack(output.hidden_states, dim=-1), mask.bool())

    def count_tokens(self, prompt: str) -> int:
        """Tokens of a prompt with `<bos>`, before it is cut to `max_tokens`."""
        return len(self.tokenizer(prompt.strip())["input_ids"])


def _model_type(folder: Path) -> str:
    config = folder / "config.json"
    if not config.is_file():
        raise FileNotFoundError(f"{config} does not exist; give the folder of a Gemma 3 in Hugging Face layout")
    try:
        found = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{config} is not a JSON object; fetch it again") from error
    if found not in ("gemma3", "gemma3_text"):
        raise ValueError(f"{folder} holds a model of type {found!r}; LTX-2 reads Gemma 3 (gemma3 or gemma3_text)")
    return str(found)


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    was_enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            transformers_logging.enable_progress_bar()


def _load_model(folder: Path, kind: str, dtype: torch.dtype) -> Gemma3TextModel:
    """The text model on the CPU, for evaluation; leaves PyTorch's random state as it was."""
    loader: Any = Gemma3TextModel if kind == "gemma3_text" else Gemma3ForConditionalGeneration
    with torch.random.fork_rng(devices=[]), _without_progress_bar():
        model, report = loader.from_pretrained(folder, dtype=dtype, local_files_only=True, output_loading_info=True)
    missing = sorted(report["missing_keys"])
    if missing:
        raise ValueError(f"{folder} lacks {len(missing)} tensors, the first is {missing[0]}; fetch its weights again")
    text_model: Gemma3TextModel = model if kind == "gemma3_text" else model.model.language_model
    return text_model.eval().requires_grad_(False)


def _check_tokenizer(folder: Path, tokenizer: PreTrainedTokenizerBase, model_vocabulary: int) -> None:
    """Transformers returns an empty tokenizer without a word when its files are missing; prompts would be lost."""
    size = len(tokenizer)
    if not _MIN_VOCABULARY <= size <= model_vocabulary:
        raise ValueError(
            f"the tokenizer in {folder} has {size} entries, the model {model_vocabulary}; fetch tokenizer.json again"
        )
    ids = tokenizer(_PROBE)["input_ids"]
    if len(ids) < 2 or ids[0] != tokenizer.bos_token_id:
        raise ValueError(f"the tokenizer in {folder} turns {_PROBE!r} into {ids}; expected <bos> and the words' tokens")
