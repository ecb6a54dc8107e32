"""The whole nano recipe as one command: every stage in order, its share of the time, resumed, with a seed."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from ltx2_eval.nano import schedule
from ltx2_eval.nano.__main__ import app
from ltx2_eval.nano.loop import TrainOptions
from ltx2_eval.nano.schedule import PLANS, TOTAL_MINUTES, run_all
from ltx2_eval.nano.stages import STAGES, Recipe, run_stage, weights_file
from tests.eval.test_nano_recipe import TOY


def toy(folder: Path, seed: int = 0) -> Recipe:
    return Recipe(out=folder, config=TOY, clips=6, held_out=4, batch=4, seed=seed)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Recipe, str, TrainOptions]]:
    """What `run_all` asks for, in order; nothing is trained."""
    asked: list[tuple[Recipe, str, TrainOptions]] = []
    monkeypatch.setattr(schedule, "run_stage", lambda *args: asked.append(args))
    return asked


def test_stages_run_in_order_with_their_share_of_the_minutes(
    calls: list[tuple[Recipe, str, TrainOptions]], tmp_path: Path
) -> None:
    run_all(Recipe(out=tmp_path, seed=3), TrainOptions(out=tmp_path, lr=0.1, bf16=True), minutes=TOTAL_MINUTES / 10)
    names = [stage for _, stage, _ in calls]
    assert names == [stage for stage in STAGES if stage != "video_decoder"]
    given = {stage: options for _, stage, options in calls}
    assert given["diffusion"].minutes == pytest.approx(PLANS["diffusion"].minutes / 10)
    assert sum(options.minutes for options in given.values()) == pytest.approx(TOTAL_MINUTES / 10)
    assert (given["video_vae"].bf16, given["diffusion"].bf16) == (True, False)
    assert (given["sync"].lr, given["towers"].lr) == (2e-3, 3e-3)
    assert [recipe.batch for recipe, stage, _ in calls if stage in ("diffusion", "text")] == [None, 16]
    assert {recipe.seed for recipe, _, _ in calls} == {3}


def test_what_is_asked_for_goes_before_the_plan(calls: list[tuple[Recipe, str, TrainOptions]], tmp_path: Path) -> None:
    recipe = Recipe(out=tmp_path, batch=5, device="cuda")
    run_all(recipe, TrainOptions(out=tmp_path, lr=0.0, device="cuda", bf16=True), lr=7e-4)
    assert {(recipe.batch, options.lr, options.bf16) for recipe, _, options in calls} == {(5, 7e-4, True)}


def test_one_run_trains_all_and_the_next_has_nothing_to_do(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    options = TrainOptions(out=tmp_path, lr=0.0, steps=1, validate_every=100)
    said: list[str] = []
    run_all(toy(tmp_path), options, say=said.append)
    before = {stage: weights_file(tmp_path, stage).stat().st_mtime_ns for stage in PLANS}
    again: list[str] = []
    run_all(toy(tmp_path), options, say=again.append)
    assert again == [f"{stage}: trained already" for stage in PLANS]
    assert before == {stage: weights_file(tmp_path, stage).stat().st_mtime_ns for stage in PLANS}
    with pytest.raises(ValueError, match="begun with seed 0, and seed 1 was asked for"):
        run_all(toy(tmp_path, seed=1), options, say=said.append)


@pytest.mark.parametrize("stage", ["video_vae", "audio_vae", "text", "towers", "sync"])
def test_a_seed_reaches_weights_and_batches(stage: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    (tmp_path / "data").mkdir()
    made = []
    for run, seed in (("a", 0), ("b", 0), ("c", 1)):
        recipe = toy(tmp_path / run, seed)
        recipe.out.mkdir()
        (recipe.out / "data").symlink_to(tmp_path / "data")  # the clips are the same for all seeds
        progress = run_stage(recipe, stage, TrainOptions(out=recipe.out, lr=1e-3, steps=1))
        made.append((load_file(weights_file(recipe.out, stage)), progress.task.loss(9)[0].item()))
    first, same, other = made
    assert all(torch.equal(value, same[0][key]) for key, value in first[0].items())
    assert any(not torch.equal(value, other[0][key]) for key, value in first[0].items())
    assert first[1] == same[1] != other[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stage", "all", "--minutes", "0"], "0 minutes for all stages; expected more than 0"),
        (["--stage", "vae"], "stage 'vae'; expected one of video_vae"),
        (["--stage", "text", "--seed", "-1"], "should be greater than or equal to 0"),
    ],
)
def test_wrong_input_is_refused(arguments: list[str], said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--out", str(tmp_path), *arguments])
    assert result.exit_code == 2
    assert said in " ".join(result.output.replace("│", " ").split())
