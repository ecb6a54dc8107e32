"""From prompts to text contexts; what was computed for a prompt is kept for the next clip of it.

In a suite each prompt is sampled with several seeds and all share one negative prompt, so that the language model,
which a GPU mostly cannot keep beside the transformer, would be loaded and run again and again for the same texts.
"""

import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch

from ltx2.cost import CostLog
from ltx2.gemma import GemmaEncoder, HiddenStates
from ltx2.text import TextConnectors, TextEmbeddings

KEPT = 8
"""Prompts whose contexts are kept in CPU memory: 16 MB each for the published model in bfloat16."""

Variant = float
"""Strength of a LoRA that changes how prompts are read; 0 where there is none."""
Prepare = Callable[[Variant], None]
"""Brings the connectors' weights to a variant."""


class TruncationWarning(UserWarning):
    """A prompt is longer than the model reads; its end was not used."""


class Encoded(NamedTuple):
    """Prompts as the transformer reads them."""

    embeddings: dict[Variant, TextEmbeddings]
    """Row 0 the prompt, row 1 the negative prompt where there is one; by variant."""
    tokens: tuple[int, ...]
    """Of each prompt, `<bos>` included, before it is cut."""
    lost: tuple[int, ...]
    """Tokens of each prompt that were cut off."""
    computed: int
    """Prompts that were encoded for this clip; the others were known."""


class PromptEncoder:
    """Language model and connectors.

    Args:
        encoder: The language model.
        connectors: What turns its hidden states into contexts.
        device: Where contexts are wanted.
    """

    def __init__(self, encoder: GemmaEncoder, connectors: TextConnectors, device: torch.device) -> None:
        self.encoder = encoder
        self.kept = KEPT
        self._connectors = connectors
        self._device = device
        self._known: OrderedDict[tuple[str, Variant], TextEmbeddings] = OrderedDict()

    def __call__(
        self,
        prompts: Sequence[str],
        variants: Sequence[Variant],
        *,
        prepare: Prepare,
        log: CostLog,
        explaining: AbstractContextManager[None],
    ) -> Encoded:
        """Contexts of prompts, each encoded alone so that the bits of one do not depend on the other.

        Args:
            prompts: The prompt, then the negative prompt where it is needed.
            variants: In which variants of the connectors.
            prepare: Called with a variant before the connectors run in it.
            log: Gets the stages `text_encoding` and `connectors`, if anything is computed.
            explaining: Entered while anything is computed.

        Raises:
            TruncationWarning: As a warning, where a prompt is longer than the model reads.
        """
        tokens = [self.encoder.count_tokens(prompt) for prompt in prompts]
        lost = [max(0, count - self.encoder.max_tokens) for count in tokens]
        for name, count, cut in zip(("prompt", "negative prompt"), tokens, lost, strict=False):
            if cut:
                warnings.warn(
                    f"the {name} has {count} tokens, the model reads {self.encoder.max_tokens}: its last {cut} are "
                    "not used",
                    TruncationWarning,
                    stacklevel=4,
                )
        found = {key: self._known[key] for text in prompts for v in variants if (key := (text, v)) in self._known}
        new = [text for text in dict.fromkeys(prompts) if any((text, v) not in found for v in variants)]
        if new:
            with explaining:
                found |= self._compute(new, variants, prepare, log)
        self._keep(found)
        rows = {v: [found[text, v] for text in prompts] for v in variants}
        embeddings = {
            v: TextEmbeddings(*(self._batch(parts) for parts in zip(*row, strict=True))) for v, row in rows.items()
        }
        return Encoded(embeddings, tuple(tokens), tuple(lost), len(new))

    def forget(self) -> None:
        """Drop what was kept."""
        self._known.clear()

    def _compute(
        self, texts: Sequence[str], variants: Sequence[Variant], prepare: Prepare, log: CostLog
    ) -> dict[tuple[str, Variant], TextEmbeddings]:
        with log.stage("text_encoding"):
            states = {text: self.encoder([text]) for text in texts}
            self.encoder.release()
        with log.stage("connectors"):
            found: dict[tuple[str, Variant], TextEmbeddings] = {}
            for variant in reversed(variants):  # so that the first stage finds the weights as it needs them
                prepare(variant)
                found |= {(text, variant): self._contexts(state) for text, state in states.items()}
        return found

    def _contexts(self, states: HiddenStates) -> TextEmbeddings:
        return TextEmbeddings(*(context.cpu() for context in self._connectors(*states)))

    def _keep(self, found: dict[tuple[str, Variant], TextEmbeddings]) -> None:
        for key, contexts in found.items():
            self._known[key] = contexts
            self._known.move_to_end(key)
        while len(self._known) > self.kept:
            self._known.popitem(last=False)

    def _batch(self, rows: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat(list(rows)).to(self._device)
