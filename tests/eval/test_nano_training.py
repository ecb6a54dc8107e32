"""The training loop and the optimiser of the nano recipe: schedule, average, resuming to the same bits."""

import os
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ltx2_eval.nano.loop import MAX_SEED, Progress, TrainOptions, batch_indices, is_trained, learning_rate, train
from ltx2_eval.nano.muon import Muon, orthogonalize, split_parameters


class Line:
    """Fits a matrix; can be told to fail at a step, as a machine that is switched off."""

    name = "line"

    def __init__(self, fails_at: int | None = None, seed: int = 0) -> None:
        self.seed = seed
        torch.manual_seed(seed)
        self.model: nn.Module = nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 9))
        self.fails_at = fails_at

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        if step == self.fails_at:
            raise KeyboardInterrupt
        _, generator = batch_indices(0, step, 4, 10)
        x = torch.randn(32, 12, generator=generator)
        loss = (self.model(x) - x[:, :9].sin()).square().mean()
        return loss, {"square": loss.item()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        return {"weight": model[0].weight.mean().item()}


def options(folder: Path, **changes: object) -> TrainOptions:
    settings = {"steps": 12, "lr": 1e-2, "log_every": 3, "save_every": 5, "validate_every": 6, **changes}
    return TrainOptions(out=folder, **settings)


def test_orthogonalized_matrix_keeps_directions_and_evens_sizes() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((20, 50), (50, 20)):
        matrix = torch.randn(shape, generator=generator)
        u, sizes, v = torch.linalg.svd(matrix, full_matrices=False)
        made = orthogonalize(matrix)
        assert made.shape == shape
        assert (u.T @ made @ v.T).diagonal().min() > 0.5
        after = torch.linalg.svdvals(made)
        assert after.max() / after.min() < 2.5 < sizes.max() / sizes.min()


def test_wide_matrices_are_cut_into_blocks() -> None:
    matrix = torch.randn(300, 400, generator=torch.Generator().manual_seed(0))
    assert torch.equal(orthogonalize(matrix)[128:256], orthogonalize(matrix[128:256]))


def test_only_matrices_go_to_muon() -> None:
    model = nn.ModuleDict({"conv": nn.Conv2d(8, 8, 3), "embed_tokens": nn.Embedding(30, 16), "thin": nn.Linear(40, 2)})
    matrices, rest = split_parameters(model.named_parameters())
    assert [p.shape for p in matrices] == [(8, 8, 3, 3)]
    assert len(rest) == 4


def test_muon_and_adam_parts_both_descend() -> None:
    torch.manual_seed(0)
    model = nn.Linear(16, 16)
    target = torch.randn(16, 16)
    optimizer = Muon(model, lr=0.2)
    losses = []
    for _ in range(60):
        loss = (model.weight - target).square().mean() + (model.bias - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 5


def test_learning_rate_warms_up_stays_and_falls_to_zero() -> None:
    assert learning_rate(1.0, 0, 0.0) == pytest.approx(0.02)
    assert learning_rate(1.0, 100, 0.3) == 1.0
    assert learning_rate(1.0, 100, 0.7) == pytest.approx(0.5)
    assert learning_rate(1.0, 100, 1.0) == 0.0


def test_training_lowers_the_loss_and_logs(tmp_path: Path) -> None:
    progress = train(Line(), options(tmp_path, steps=60, lr=0.1))
    lines = (tmp_path / "line" / "train.csv").read_text().splitlines()
    assert lines[0] == "step,seconds,lr,loss,gradient_norm,square"
    first, last = (float(line.split(",")[3]) for line in (lines[1], lines[-1]))
    assert last < first / 2
    assert progress.step == 60
    assert (tmp_path / "line" / "validation.csv").read_text().startswith("step,seconds,weight\n6,")


def test_an_interrupted_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    straight = train(Line(), options(tmp_path / "straight"))
    with pytest.raises(KeyboardInterrupt):
        train(Line(fails_at=7), options(tmp_path / "broken"))
    resumed = train(Line(), options(tmp_path / "broken"))
    assert resumed.step == straight.step == 12
    for name, value in straight.average.items():
        assert torch.equal(value, resumed.average[name])
    current = resumed.model.state_dict()
    assert all(torch.equal(value, current[name]) for name, value in straight.model.state_dict().items())


def test_a_checkpoint_of_another_seed_is_refused(tmp_path: Path) -> None:
    train(Line(), options(tmp_path))
    with pytest.raises(ValueError, match="begun with seed 0, and seed 1 was asked for; use another --out"):
        train(Line(seed=1), options(tmp_path))


def test_a_stage_is_trained_when_it_had_its_share_and_its_weights_are_newer(tmp_path: Path) -> None:
    finished = tmp_path / "line" / "weights.safetensors"
    train(Line(), options(tmp_path))
    finished.touch()
    assert is_trained("line", options(tmp_path), 0, before=finished)
    assert not is_trained("line", options(tmp_path, steps=13), 0, before=finished)
    os.utime(finished, (0, 0))
    assert not is_trained("line", options(tmp_path), 0, before=finished)
    assert not is_trained("other", options(tmp_path), 0, before=finished)


def test_planned_steps_set_the_learning_rate_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step takes a second, and after 8 of 12 the minutes are over: the first 8 are those of an unhurried run."""
    train(Line(), options(tmp_path / "calm", log_every=1))
    clock = count()
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    assert train(Line(), options(tmp_path / "hurried", log_every=1, minutes=8 / 60)).step == 8
    calm, hurried = (
        [line.split(",")[2:] for line in (tmp_path / run / "line" / "train.csv").read_text().splitlines()]
        for run in ("calm", "hurried")
    )
    assert hurried[:9] == calm[:9]
    assert float(hurried[8][0]) < float(hurried[4][0]) * 2


def test_seeds_have_batches_of_their_own_and_a_range() -> None:
    drawn = {
        tuple(batch_indices(seed, step, 8, 10**6, stream=stream)[0].tolist())
        for seed in (0, 1, MAX_SEED)
        for step in (0, 1)
        for stream in (0, 1)
    }
    assert len(drawn) == 12
    for seed in (-1, 2**32):
        with pytest.raises(ValueError, match=f"seed {seed}; expected 0 to {MAX_SEED}"):
            batch_indices(seed, 0, 8, 10)


def test_minutes_end_a_stage(tmp_path: Path) -> None:
    progress = train(Line(), options(tmp_path, steps=10**6, minutes=1e-4))
    assert progress.share >= 1
    assert progress.step < 10**5


def test_pauses_of_the_machine_do_not_count(tmp_path: Path) -> None:
    progress = Progress(Line(), options(tmp_path))
    for seconds in (1.0, 1.0, 600.0):
        progress.count_time(seconds)
    assert progress.seconds == 6.0


def test_a_checkpoint_is_due_after_steps_or_seconds(tmp_path: Path) -> None:
    progress = Progress(Line(), options(tmp_path, save_every=100, save_seconds=5.0))
    progress.step = 3
    assert not progress.is_save_due
    progress.count_time(6.0)
    assert progress.is_save_due
    progress.save()
    assert not progress.is_save_due
    progress.step = 100
    assert progress.is_save_due


def test_a_loss_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    task = Line()
    nn.init.constant_(task.model[0].bias, torch.nan)
    with pytest.raises(ValueError, match="loss is nan at step 0 of line; lower --lr"):
        train(task, options(tmp_path))


def test_averaged_weights_are_there_for_the_block_only(tmp_path: Path) -> None:
    progress = Progress(Line(), options(tmp_path))
    with torch.no_grad():
        progress.model[0].weight.add_(1)
    before = progress.model[0].weight.clone()
    with progress.averaged() as model:
        assert torch.equal(model[0].weight, before - 1) or torch.allclose(model[0].weight, before - 1, atol=1e-6)
        assert not model.training
    assert torch.equal(progress.model[0].weight, before)
    assert progress.model.training
