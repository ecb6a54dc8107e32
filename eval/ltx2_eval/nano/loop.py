"""The training loop of every stage: schedule, moving average, checkpoints that resume to the same bits, CSV log."""

import csv
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ltx2_eval.nano.muon import Muon
from ltx2_eval.nano.origin import CHECKPOINT, require_same

_WARMUP_STEPS = 50
_DECAY_FROM = 0.4
"""Share of the training after which the learning rate falls linearly to zero."""
_CLIP_NORM = 1.0
_LONGEST = 4.0
MAX_SEED = 2**31 - 1


class Task(Protocol):
    """One stage: what is trained and on what."""

    name: str
    model: nn.Module
    seed: int
    """Of the first weights and of every batch; a checkpoint is continued with its own alone."""

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss on the batch of a step, which depends on nothing but the step; and figures for the log."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Figures of the averaged model on held-out clips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainOptions:
    """How long and how a stage is trained. The first of `steps` and `minutes` that is reached ends it."""

    out: Path
    """Folder of the run; a stage keeps its files in a subfolder of its name."""
    lr: float
    steps: int | None = None
    """Planned steps: the learning rate falls by them. None: by the share of `minutes` that is over."""
    minutes: float = 1e9
    device: str = "cpu"
    bf16: bool = False
    """Compute in bfloat16 where autocast does; parameters, moments and averages stay float32."""
    ema_decay: float = 0.998
    validate_every: int = 400
    save_every: int = 400
    save_seconds: float = 60.0
    """A checkpoint is due after so many steps or seconds of training, whichever comes first."""
    log_every: int = 20
    origin: Mapping[str, str] = field(default_factory=dict)
    """What the stage is trained on (`origin.origin_of`): kept in the checkpoint, which is continued with that alone."""


class Progress:
    """Where a stage is: what a checkpoint holds."""

    def __init__(self, task: Task, options: TrainOptions) -> None:
        self.task, self.options = task, options
        self.model = task.model.to(options.device)
        self.optimizer = Muon(self.model, lr=options.lr)
        self.average = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        self.step = 0
        self.seconds = 0.0
        self._usual_s = 0.0
        self._saved_s = 0.0

    @property
    def is_save_due(self) -> bool:
        """Whether enough steps or seconds have passed since the last checkpoint."""
        waited = self.seconds - self._saved_s >= self.options.save_seconds
        return waited or self.step % self.options.save_every == 0

    def count_time(self, seconds: float) -> None:
        """Add a step's duration; one far longer than usual is a pause of the machine and counts as four steps."""
        if self._usual_s:
            seconds = min(seconds, _LONGEST * self._usual_s)
        self._usual_s = 0.9 * self._usual_s + 0.1 * seconds if self._usual_s else seconds
        self.seconds += seconds

    @property
    def folder(self) -> Path:
        """Where the stage keeps its files."""
        return self.options.out / self.task.name

    @property
    def share(self) -> float:
        """How much of the stage is done, 0..1."""
        return _share(self.step, self.seconds, self.options)

    @property
    def planned_share(self) -> float:
        """How far the learning rate is, 0..1: by steps alone where they are planned, so that no clock moves it."""
        return self.share if self.options.steps is None else self.step / self.options.steps

    def save(self) -> None:
        """Write the checkpoint, replacing the old one in one move."""
        self._saved_s = self.seconds
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"model.{key}": value for key, value in self.model.state_dict().items()}
        tensors |= {f"average.{key}": value for key, value in self.average.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items()}
        where = {"step": str(self.step), "seconds": repr(self.seconds), "seed": str(self.task.seed)}
        where |= self.options.origin
        save_file({key: value.contiguous() for key, value in tensors.items()}, self.folder / "state.part", where)
        (self.folder / "state.part").replace(self._checkpoint)

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one.

        Raises:
            StaleStage: An earlier stage that it was trained on was replaced since.
            ValueError: It was begun with another seed, number of clips or batch.
        """
        if not self._checkpoint.exists():
            return
        where = _where(self._checkpoint, self.task.seed, self.options.origin)
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
        for key, value in load_file(self._checkpoint, device=self.options.device).items():
            part, _, name = key.partition(".")
            parts[part][name] = value
        self.model.load_state_dict(parts["model"])
        self.average = parts["average"]
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in parts["optimizer"].items():
            index, _, name = key.partition(".")
            moments.setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.step, self.seconds = int(where["step"]), float(where["seconds"])
        self._saved_s = self.seconds

    @property
    def _checkpoint(self) -> Path:
        return self.folder / CHECKPOINT

    def update_average(self) -> None:
        """Move the averaged weights towards the current ones; buffers are copied."""
        decay = min(self.options.ema_decay, (1 + self.step) / (10 + self.step))
        current = self.model.state_dict()
        trained = {name for name, parameter in self.model.named_parameters() if parameter.requires_grad}
        for name, tensor in self.average.items():
            if name in trained:
                tensor.lerp_(current[name], 1 - decay)
            else:
                tensor.copy_(current[name])

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The model with its averaged weights, in evaluation mode, for the time of the block."""
        current = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        self.model.eval()
        try:
            with torch.no_grad():
                yield self.model
        finally:
            self.model.load_state_dict(current)
            self.model.train()


def is_trained(name: str, options: TrainOptions, seed: int, *, before: Path) -> bool:
    """Whether a stage's checkpoint has had all that the options ask for, and was written before the file `before`.

    Raises:
        StaleStage: An earlier stage that it was trained on was replaced since.
        ValueError: The checkpoint was begun with another seed, number of clips or batch.
    """
    checkpoint = options.out / name / CHECKPOINT
    if not checkpoint.exists() or checkpoint.stat().st_mtime_ns > before.stat().st_mtime_ns:
        return False
    where = _where(checkpoint, seed, options.origin)
    return _share(int(where["step"]), float(where["seconds"]), options) >= 1


def _share(step: int, seconds: float, options: TrainOptions) -> float:
    by_time = seconds / (60 * options.minutes)
    return by_time if options.steps is None else max(step / options.steps, by_time)


def _where(checkpoint: Path, seed: int, origin: Mapping[str, str]) -> dict[str, str]:
    """Step, seconds and seed of a checkpoint; old ones that name no seed or no origin are taken as they are."""
    with safe_open(checkpoint, "pt") as file:
        where: dict[str, str] = file.metadata()
    if where.get("seed", str(seed)) != str(seed):
        raise ValueError(
            f"{checkpoint} was begun with seed {where['seed']}, and seed {seed} was asked for; use another --out"
        )
    require_same(checkpoint, where, origin)
    return where


def learning_rate(base: float, step: int, share: float) -> float:
    """A short linear warm-up, a plateau, and a linear fall to zero at the end of the stage."""
    warm = min(1.0, (step + 1) / _WARMUP_STEPS)
    return base * warm * min(1.0, max(0.0, (1 - share) / (1 - _DECAY_FROM)))


def train(task: Task, options: TrainOptions) -> Progress:
    """Train a stage to its end, continuing from its checkpoint where there is one.

    With `steps`, the same steps give the same bits on the same machine with as many threads, interrupted or not;
    `minutes` beside them may only end the stage early. With `minutes` alone the learning rate follows the clock, and no
    two runs are alike.

    Returns:
        The finished state; its `average` holds the weights to ship.

    Raises:
        StaleStage: An earlier stage that its checkpoint was trained on was replaced since.
        ValueError: The loss is not finite, or the checkpoint was begun with another seed, number of clips or batch.
    """
    progress = Progress(task, options)
    progress.resume()
    progress.model.train()
    while progress.share < 1:
        began = time.perf_counter()
        figures = _advance(progress)
        progress.count_time(time.perf_counter() - began)
        done = progress.share >= 1
        if progress.step % options.log_every == 0 or done:
            _log(progress, "train.csv", figures)
        if progress.step % options.validate_every == 0 or done:
            with progress.averaged() as model, _autocast(options):
                _log(progress, "validation.csv", task.validate(model))
        if done or progress.is_save_due:
            progress.save()
    return progress


def _advance(progress: Progress) -> dict[str, float]:
    options = progress.options
    lr = learning_rate(options.lr, progress.step, progress.planned_share)
    for group in progress.optimizer.param_groups:
        group["lr"] = lr
    with _autocast(options):
        loss, figures = progress.task.loss(progress.step)
    if not torch.isfinite(loss):
        raise ValueError(f"loss is {loss.item()} at step {progress.step} of {progress.task.name}; lower --lr")
    progress.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(progress.model.parameters(), _CLIP_NORM)
    progress.optimizer.step()
    progress.step += 1
    progress.update_average()
    return {"lr": lr, "loss": loss.item(), "gradient_norm": norm.item(), **figures}


def _autocast(options: TrainOptions) -> torch.autocast:
    return torch.autocast(torch.device(options.device).type, dtype=torch.bfloat16, enabled=options.bf16)


def _log(progress: Progress, name: str, figures: dict[str, float]) -> None:
    """Append one row; the first row's names are the columns."""
    path = progress.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {"step": progress.step, "seconds": round(progress.seconds, 1)}
    row |= {key: float(f"{value:.6g}") for key, value in figures.items()}
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)
    print(progress.task.name, " ".join(f"{key}={value}" for key, value in row.items()), flush=True)


def batch_indices(seed: int, step: int, size: int, clips: int, *, stream: int = 0) -> tuple[Tensor, torch.Generator]:
    """The clips of a step's batch, and a generator for whatever else is random in it.

    Args:
        seed: 0 to `MAX_SEED`.
        step: 0 to 2**31 - 1.
        size: Of the batch.
        clips: To choose from.
        stream: 1 for a stage that must not see the batches of another one of this seed; else 0.

    Raises:
        ValueError: The seed is out of range.
    """
    if not 0 <= seed <= MAX_SEED + 1:  # one more than a user may ask for: validation takes the next one
        raise ValueError(f"seed {seed}; expected 0 to {MAX_SEED}")
    # PyTorch's CPU generator takes the lower 32 bits of a seed alone: seed and stream move the row of steps as a whole.
    first = int(np.random.SeedSequence([seed, stream]).generate_state(1)[0])
    generator = torch.Generator().manual_seed((first + step) % 2**32)
    return torch.randint(clips, (size,), generator=generator), generator
