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
from transformers import (
    AutoConfig,
    AutoTokenizer,
    Gemma3ForConditionalGeneration,
    Gemma3TextConfig,
    Gemma3TextModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from ltx2.free_memory import free_bytes
from ltx2.offload import offload_layers

_PROBE = "a red ball"
_MIN_VOCABULARY = 256
_ROOM = 1.1
"""Of the weights: what the model needs with its activations, 1024 tokens at a time."""


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
        model: The text model, without a language-model head; None to load it for the first prompt.
        max_tokens: Prompts are cut and padded to this length.
        config: Of the model, where it is None.
        reload: Loads the model, at first and again after `release`; None to keep it.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        model: Gemma3TextModel | None,
        *,
        max_tokens: int,
        config: Gemma3TextConfig | None = None,
        reload: Callable[[], Gemma3TextModel] | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.config: Any = config if model is None else model.config
        self.max_tokens = max_tokens
        self._model = model
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
        offload: bool = False,
    ) -> "GemmaEncoder":
        """Load from a folder with `config.json`, weights and tokenizer; nothing is fetched.

        Args:
            folder: A text-only Gemma 3 (`gemma3_text`), or one with a vision tower (`gemma3`), which is left out.
            max_tokens: Prompts are cut and padded to this length.
            device: Where the model goes.
            dtype: Of its weights.
            keep: Keep the model in memory. If false, it is loaded for the first prompt, `release` frees it and the next
                prompt loads it again: from the files, which the operating system mostly still has in memory.
            offload: Keep the layers in CPU memory and bring each to the device while it runs. So they do, too, where a
                GPU has no room for the model.

        Raises:
            FileNotFoundError: No such folder, or no `config.json` in it.
            ValueError: Another kind of model, missing weights, or a tokenizer that does not work.
        """
        folder = Path(folder)
        kind = _model_type(folder)
        config = AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config()
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        _check_tokenizer(folder, tokenizer, config.vocab_size)
        device = torch.device(device)

        def load() -> Gemma3TextModel:
            return _placed(_load_model(folder, kind, dtype), device, offload=offload)

        if keep:
            return cls(tokenizer, load(), max_tokens=max_tokens)
        if not any(folder.glob("*.safetensors")):
            raise ValueError(f"{folder} has no .safetensors file; fetch the weights of the text encoder")
        return cls(tokenizer, None, max_tokens=max_tokens, config=config, reload=load)

    @property
    def model(self) -> Gemma3TextModel:
        """The text model; loaded if it is not there."""
        if self._model is None:
            assert self._reload is not None
            self._model = self._reload()
        return self._model

    @property
    def resident_bytes(self) -> int:
        """Of the model's weights, 0 while it is released; on a GPU those that lie there."""
        if self._model is None:
            return 0
        device = self._model.device
        return sum(weight.nbytes for weight in self._model.parameters() if weight.device == device)

    def needed_bytes(self, dtype: torch.dtype) -> int:
        """Of the least that has to lie on the device while a prompt is read: the embeddings and two layers."""
        config = self.config
        attention = 2 * config.head_dim * (config.num_attention_heads + config.num_key_value_heads)
        layer = config.hidden_size * (attention + 3 * config.intermediate_size)
        return int(dtype.itemsize * (config.vocab_size * config.hidden_size + 2 * layer))

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
        device = self.model.embed_tokens.weight.device
        ids, mask = batch["input_ids"].to(device), batch["attention_mask"].to(device)
        output = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False)
        return HiddenStates(torch.stack(output.hidden_states, dim=-1), mask.bool())

    def count_tokens(self, prompt: str) -> int:
        """Tokens of a prompt with `<bos>`, before it is cut to `max_tokens`."""
        return len(self.tokenizer(prompt.strip(), verbose=False)["input_ids"])


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


def _placed(model: Gemma3TextModel, device: torch.device, *, offload: bool) -> Gemma3TextModel:
    """The model on the device; its layers in CPU memory if that is asked for or the rest does not fit."""
    if offload or not _has_room(model, device):
        offload_layers(list(model.layers), model, device)
        return model
    return nn.Module.to(model, device)


def _has_room(model: Gemma3TextModel, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    needed = sum(weight.nbytes for weight in model.parameters())
    return _ROOM * needed <= free_bytes(device)


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
