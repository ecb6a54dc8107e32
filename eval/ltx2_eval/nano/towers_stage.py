"""Contrastive training of the three towers: each clip's video, sound and caption find each other in a batch."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_benchmarks.synthetic import NUM_VARIANTS, caption
from ltx2_eval.nano.audio_stage import in_batches
from ltx2_eval.nano.loop import batch_indices
from ltx2_eval.nano.towers import Towers
from ltx2_eval.nano.world_pool import WorldPool

_MAX_SCALE = 50.0


class TowersStage:
    """Cross entropy of finding the other modality's embedding, for all pairs of modalities, both ways.

    Args:
        towers: The networks.
        pool: Training clips.
        held_out: Clips of another split.
        batch: Clips per step.
        seed: Of batches and wordings.
        device: Where they are trained.
    """

    name = "towers"

    def __init__(
        self,
        towers: Towers,
        pool: WorldPool,
        held_out: WorldPool,
        *,
        batch: int = 48,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.model: nn.Module = towers
        self.pool, self.held_out = pool, held_out
        self.batch, self.seed, self.device = batch, seed, device

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss on a step's clips."""
        indices, generator = batch_indices(self.seed, step, self.batch, self.pool.clips)
        indices = indices.unique()
        variants = torch.randint(NUM_VARIANTS, (len(indices),), generator=generator).tolist()
        rows = self._embed(_towers(self.model), self.pool, indices, variants)
        scale = _towers(self.model).log_scale.exp().clamp(max=_MAX_SCALE)
        labels = torch.arange(len(indices), device=self.device)
        losses = {}
        for (name_a, a), (name_b, b) in itertools.combinations(rows.items(), 2):
            logits = scale * a @ b.T
            losses[f"{name_a}_{name_b}"] = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
        return torch.stack(list(losses.values())).mean(), {name: loss.item() for name, loss in losses.items()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Top-1 retrieval among (up to) 100 held-out clips by their captions."""
        towers = _towers(model)
        parts = [
            self._embed(towers, self.held_out, indices, [0] * len(indices))
            for indices in in_batches(min(100, self.held_out.clips), 20)
        ]
        rows = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return {f"text_to_{name}": top_1(rows["text"], rows[name]) for name in ("video", "audio")}

    def _embed(self, towers: Towers, pool: WorldPool, indices: Tensor, variants: list[int]) -> dict[str, Tensor]:
        texts = [
            caption(pool.scene(index), variant=variant)
            for index, variant in zip(indices.tolist(), variants, strict=True)
        ]
        return {
            "text": towers.embed_text(texts),
            "video": towers.embed_video(pool.video(indices).to(self.device)),
            "audio": towers.embed_audio(pool.audio(indices).to(self.device)),
        }


def top_1(queries: Tensor, targets: Tensor) -> float:
    """Share of the queries (n, d) whose nearest target (n, d) is their own."""
    nearest = (queries @ targets.T).argmax(dim=1)
    return (nearest == torch.arange(len(queries), device=nearest.device)).float().mean().item()


def _towers(model: nn.Module) -> Towers:
    assert isinstance(model, Towers)
    return model
