"""A language model of the size that LTX-2 asks for, with random weights and made-up tokens."""

from typing import Any, cast

import torch
from torch import Tensor
from transformers import Gemma3TextConfig, Gemma3TextModel

from ltx2.config import TextConfig
from ltx2.gemma import GemmaEncoder
from ltx2.offload import offload_layers
from ltx2_eval.bench.random_weights import materialise

_PROMPT_TOKENS = 60
_GEMMA_12B: dict[str, Any] = {
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 256,
    "intermediate_size": 15360,
    "sliding_window": 1024,
    "vocab_size": 262_208,
}
"""Gemma 3 12B; its width and depth stand in LTX-2's own configuration."""
_WIDTH_12B = 3840
_THIN: dict[str, Any] = {
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "intermediate_size": 16,
    "sliding_window": 1024,
    "vocab_size": 1024,
}
"""Hidden states of the right shape for next to nothing, where the prompt is taken to be encoded elsewhere."""


def text_model(config: TextConfig, *, is_thin: bool = False) -> Gemma3TextModel:
    """On the meta device."""
    heads = config.connector_num_attention_heads
    narrow: dict[str, Any] = {
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "head_dim": config.hidden_size // heads,
        "intermediate_size": 2 * config.hidden_size,
        "sliding_window": 1024,
        "vocab_size": 1024,
    }
    settings = Gemma3TextConfig(
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_states - 1,
        query_pre_attn_scalar=256,
        **(_THIN if is_thin else _GEMMA_12B if config.hidden_size == _WIDTH_12B else narrow),
    )
    with torch.device("meta"):
        return Gemma3TextModel(settings)


def random_encoder(
    config: TextConfig, device: torch.device, dtype: torch.dtype, *, is_thin: bool = False, offload: bool = False
) -> GemmaEncoder:
    """Ready to encode.

    Args:
        config: Of the text path, which says width and depth.
        device: Where it computes.
        dtype: Of its weights.
        is_thin: One that takes no time and memory to speak of.
        offload: Its layers wait in CPU memory.
    """
    model = text_model(config, is_thin=is_thin)
    materialise(model, torch.device("cpu") if offload else device, dtype)
    if offload:
        offload_layers(list(model.layers), model, device)
    # Its tables of rotation are computed when it is built, so this part is built again where it has memory.
    model.rotary_emb = type(model.rotary_emb)(model.config).to(device)
    return GemmaEncoder(cast(Any, _MadeUpTokens(model.config.vocab_size)), model, max_tokens=config.max_tokens)


class _MadeUpTokens:
    """Stands in for a tokenizer where there is no vocabulary: numbers drawn from the text."""

    pad_token = "<pad>"

    def __init__(self, vocabulary: int) -> None:
        self._vocabulary = vocabulary
        self.padding_side = "left"

    def __call__(self, texts: str | list[str], *, max_length: int | None = None, **_: object) -> dict[str, Any]:
        """Of one text its numbers; of several a batch, padded on the left."""
        if isinstance(texts, str):
            return {"input_ids": self._draw(texts, _PROMPT_TOKENS).tolist()}
        width = max_length or _PROMPT_TOKENS
        length = min(_PROMPT_TOKENS, width)
        ids = torch.zeros(len(texts), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        mask[:, -length:] = 1
        for row, text in enumerate(texts):
            ids[row, -length:] = self._draw(text, length)
        return {"input_ids": ids, "attention_mask": mask}

    def _draw(self, text: str, length: int) -> Tensor:
        generator = torch.Generator().manual_seed(sum(text.encode()))
        return torch.randint(4, self._vocabulary, (length,), generator=generator)
