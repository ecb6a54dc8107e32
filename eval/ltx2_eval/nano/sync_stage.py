"""Training of the offset classifier: how much later than the picture the sound was made to come."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_eval.nano.audio_stage import in_batches
from ltx2_eval.nano.loop import batch_indices
from ltx2_eval.nano.towers import AUDIO_STEPS_HZ, MAX_LAG, RATE_HZ, SyncTower
from ltx2_eval.nano.world_pool import WorldPool

_SOFT_STEPS = 1.0
"""Standard deviation, in columns of 10.4 ms, of the target around the true offset."""


class SyncStage:
    """Cross entropy of the true offset, for clips whose sound is moved by up to half a second; clips without events
    are left out.

    Args:
        tower: The network.
        pool: Training clips.
        held_out: Clips of another split.
        batch: Clips per step.
        seed: Of batches and offsets.
        device: Where it is trained.
    """

    name = "sync"

    def __init__(
        self,
        tower: SyncTower,
        pool: WorldPool,
        held_out: WorldPool,
        *,
        batch: int = 16,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.model: nn.Module = tower
        self.pool, self.held_out = pool, held_out
        self.batch, self.seed, self.device = batch, seed, device

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss on a step's clips."""
        indices, generator = batch_indices(self.seed, step, 2 * self.batch, self.pool.clips)
        indices = _eventful(self.pool, indices)[: self.batch]
        scores, lags = self._scores(self.model, self.pool, indices, generator)
        loss = F.cross_entropy(scores, soft_targets(lags))
        error = (scores.argmax(dim=1) - MAX_LAG - lags).abs().median() * 1000 / AUDIO_STEPS_HZ
        return loss, {"median_ms": error.item()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Median and 90th percentile of the absolute error on held-out clips, in milliseconds."""
        generator = torch.Generator().manual_seed(self.seed)
        indices = _eventful(self.held_out, torch.arange(min(128, self.held_out.clips)))
        errors = []
        for rows in in_batches(len(indices), 16):
            scores, lags = self._scores(model, self.held_out, indices[rows], generator)
            errors.append((scores.argmax(dim=1) - MAX_LAG - lags).abs() * 1000 / AUDIO_STEPS_HZ)
        both = torch.cat(errors).quantile(torch.tensor([0.5, 0.9], device=errors[0].device))
        return {"median_ms": both[0].item(), "p90_ms": both[1].item()}

    def _scores(
        self, model: nn.Module, pool: WorldPool, indices: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Scores (b, 2 * MAX_LAG + 1) and the true offsets (b,) in columns, not rounded."""
        limit = (MAX_LAG - 2) * RATE_HZ // AUDIO_STEPS_HZ
        samples = torch.randint(-limit, limit + 1, (len(indices),), generator=generator)
        moved = torch.stack(
            [shifted(wave, count) for wave, count in zip(pool.audio(indices), samples.tolist(), strict=True)]
        )
        scores: Tensor = model(pool.video(indices).to(self.device), moved.to(self.device))
        return scores, (samples * (AUDIO_STEPS_HZ / RATE_HZ)).to(self.device)


def shifted(waveform: Tensor, samples: int) -> Tensor:
    """A waveform (c, n) that comes later by so many samples (earlier if negative), silence in the gap."""
    empty = torch.zeros_like(waveform[:, : abs(samples)])
    if samples >= 0:
        return torch.cat([empty, waveform[:, : waveform.shape[1] - samples]], dim=1)
    return torch.cat([waveform[:, -samples:], empty], dim=1)


def soft_targets(lags: Tensor) -> Tensor:
    """A narrow bell over the offsets (b, 2 * MAX_LAG + 1) around true offsets (b,) in columns."""
    places = torch.arange(-MAX_LAG, MAX_LAG + 1, device=lags.device)
    return torch.softmax(-((places - lags[:, None]) ** 2) / (2 * _SOFT_STEPS**2), dim=1)


def _eventful(pool: WorldPool, indices: Tensor) -> Tensor:
    """Those of the clips in which something is heard and seen to happen."""
    kept = [i for i in indices.tolist() if any(event.kind != "start" for event in pool.scene(i).events)]
    return torch.tensor(kept, dtype=torch.long)
