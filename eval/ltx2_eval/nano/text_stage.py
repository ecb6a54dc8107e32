"""Pretraining of the language model and the connectors: name the facts of a scene from its caption.

It costs a hundredth of flow matching per caption and hands the transformer contexts in which every word is understood.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2.config import LTX2Config
from ltx2_benchmarks.synthetic import NUM_VARIANTS, caption, describe
from ltx2_benchmarks.synthetic.vocabulary import (
    AMBIENTS,
    BACKGROUNDS,
    CAMERAS,
    COLOURS,
    MOTIONS,
    PATTERNS,
    SHAPES,
    SIDES,
    SIZES,
    SOUNDS,
    TIMINGS,
)
from ltx2_eval.nano.diffusion_stage import DiffusionModel
from ltx2_eval.nano.loop import batch_indices
from ltx2_eval.nano.world_pool import WorldPool, scene_of

_MOST_IMPACTS = 6
_OBJECT = {"colour": COLOURS, "shape": SHAPES, "size": SIZES, "motion": MOTIONS, "side": SIDES}
_CLIP = {
    "background": BACKGROUNDS,
    "pattern": PATTERNS,
    "camera": CAMERAS,
    "ambient": AMBIENTS,
    "side": SIDES,
    "timing": TIMINGS,
    "direction": ("left", "right"),
}
FACTS: Mapping[str, tuple[str, ...]] = {
    **{f"{name}{k}": tuple(words) for k in (0, 1) for name, words in _OBJECT.items()},
    **{f"sound{k}": SOUNDS for k in (0, 1)},
    **{f"impacts{k}": tuple(map(str, range(_MOST_IMPACTS + 1))) for k in ("", "0", "1")},
    **{name: tuple(words) for name, words in _CLIP.items()},
}
"""Every fact and its words; a scene of which a fact does not hold has the label after the last word."""


def fact_labels(facts: Mapping[str, Any]) -> list[int]:
    """Labels of a scene, from what `describe` says of it, in the order of `FACTS`."""
    words: dict[str, str] = {name: str(facts[name]) for name in (*_CLIP, "impacts") if name in facts}
    for k, look in enumerate(facts["objects"][:2]):
        words |= {f"{name}{k}": str(look[name]) for name in (*_OBJECT, "impacts") if name in look}
    words |= {f"sound{k}": sound for k, sound in enumerate(facts["sounds"][:2])}
    return [
        options.index(words[name]) if words.get(name) in options else len(options) for name, options in FACTS.items()
    ]


class FactReader(nn.Module):
    """The text path with one linear head per fact and stream, on the mean of the contexts.

    Args:
        diffusion: The model whose language model and connectors are trained.
    """

    def __init__(self, diffusion: DiffusionModel) -> None:
        super().__init__()
        self.gemma, self.connectors = diffusion.gemma, diffusion.connectors
        self._embed = (diffusion.embed,)
        width = diffusion.config.text.hidden_size
        total = sum(len(options) + 1 for options in FACTS.values())
        self.video_head, self.audio_head = nn.Linear(width, total), nn.Linear(width, total)

    def forward(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Logits of all facts beside each other, from both contexts: `(b, total)` each."""
        embeddings = self._embed[0](prompts)
        return self.video_head(embeddings.video.mean(dim=1)), self.audio_head(embeddings.audio.mean(dim=1))


class TextStage:
    """Cross entropy of every fact, read from both contexts.

    Args:
        config: Sizes.
        pool: Names the scenes of training; nothing is rendered.
        held_out: Scenes of another split.
        batch: Captions per step.
        seed: Of weights and batches.
        device: Where it is trained.
    """

    name = "text"

    def __init__(
        self,
        config: LTX2Config,
        pool: WorldPool,
        held_out: WorldPool,
        *,
        batch: int = 64,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(seed)
        self.model: nn.Module = FactReader(DiffusionModel(config, seed))
        self.pool, self.held_out = pool, held_out
        self.batch, self.seed, self.device = batch, seed, device

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss on a step's captions."""
        indices, generator = batch_indices(self.seed, step, self.batch, self.pool.clips)
        variants = torch.randint(NUM_VARIANTS, (self.batch,), generator=generator).tolist()
        losses, correct = self._read(self.model, self.pool, indices.tolist(), variants)
        return losses.mean(), {"correct": correct.mean().item()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Share of facts named correctly on held-out captions, and the worst fact's."""
        indices = list(range(min(128, self.held_out.clips)))
        losses, correct = self._read(model, self.held_out, indices, [i % NUM_VARIANTS for i in indices])
        return {"loss": losses.mean().item(), "correct": correct.mean().item(), "worst": correct.min().item()}

    def _read(
        self, model: nn.Module, pool: WorldPool, indices: Sequence[int], variants: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Cross entropy and accuracy per fact, over both contexts."""
        scenes = [scene_of(pool.first_seed + i, pool.split, pool.size_px, pool.frames) for i in indices]
        prompts = [caption(scene, variant=variant) for scene, variant in zip(scenes, variants, strict=True)]
        labels = torch.tensor([fact_labels(describe(scene)) for scene in scenes], device=self.device)
        sizes = [len(options) + 1 for options in FACTS.values()]
        losses, correct = [], []
        for logits in model(prompts):
            for fact, part in enumerate(logits.float().split(sizes, dim=1)):
                losses.append(F.cross_entropy(part, labels[:, fact]))
                correct.append((part.argmax(dim=1) == labels[:, fact]).float().mean())
        return torch.stack(losses), torch.stack(correct)
