"""The whole nano recipe as one command: every stage in order, its share of the time, resumed, with a seed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from ltx2_eval.nano import schedule
from ltx2_eval.nano.__main__ import app
from ltx2_eval.nano.assemble import assemble_model
from ltx2_eval.nano.loop import TrainOptions
from ltx2_eval.nano.origin import StaleStage, is_untold, weights_file
from ltx2_eval.nano.schedule import PLANS, TOTAL_MINUTES, TOTAL_STEPS, run_all
from ltx2_eval.nano.stages import STAGES, Recipe, run_stage
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


def test_steps_are_shared_out_and_are_the_default(
    calls: list[tuple[Recipe, str, TrainOptions]], tmp_path: Path
) -> None:
    for asked in ({}, {"steps": TOTAL_STEPS // 5, "minutes": TOTAL_MINUTES}, {"minutes": 1.0}):
        run_all(Recipe(out=tmp_path), TrainOptions(out=tmp_path, lr=0.1), **asked)
    planned, both, timed = ({stage: options for _, stage, options in calls[k : k + 7]} for k in (0, 7, 14))
    assert {stage: options.steps for stage, options in planned.items()} == {s: plan.steps for s, plan in PLANS.items()}
    assert both["sync"].steps == round(PLANS["sync"].steps / 5)
    assert both["sync"].minutes == pytest.approx(PLANS["sync"].minutes)
    assert {options.steps for options in timed.values()} == {None}


def test_one_run_trains_all_and_the_next_has_nothing_to_do(tmp_path: Path) -> None:
    """By steps two runs have the same bits; what is built on other weights than lie there is refused, then anew."""
    torch.set_num_threads(1)
    first, second = tmp_path / "a", tmp_path / "b"
    said: list[str] = []
    for folder in (first, second):
        options = TrainOptions(out=folder, lr=0.0, validate_every=100)
        run_all(toy(folder), options, steps=1, say=said.append)
        (second / "data").parent.mkdir(exist_ok=True)
        if folder == first:
            (second / "data").symlink_to(first / "data")  # the clips are the same
    assert said[:2] == ["video_vae: 1 steps", "audio_vae: 1 steps"]
    for stage in PLANS:
        assert weights_file(first, stage).read_bytes() == weights_file(second, stage).read_bytes()
    before = {stage: weights_file(second, stage).stat().st_mtime_ns for stage in PLANS}
    again: list[str] = []
    run_all(toy(second), options, steps=1, say=again.append)
    assert again == [f"{stage}: trained already" for stage in PLANS]
    assert before == {stage: weights_file(second, stage).stat().st_mtime_ns for stage in PLANS}
    with pytest.raises(ValueError, match="begun with seed 0, and seed 1 was asked for"):
        run_all(toy(second, seed=1), options, steps=1)
    with pytest.raises(ValueError, match="begun with clips 6, and clips 5 was asked for"):
        run_all(replace(toy(second), clips=5), options, steps=1)
    assert not is_untold(second, "diffusion")
    replaced = weights_file(second, "audio_vae")
    save_file({key: value + 1 for key, value in load_file(replaced).items()}, replaced)
    with pytest.raises(StaleStage, match="trained on other weights of audio_vae than lie there now"):
        run_stage(toy(second), "vocoder", replace(options, steps=2))
    with pytest.raises(StaleStage, match="train stage 'diffusion' again"):
        assemble_model(toy(second), tmp_path / "model")
    anew: list[str] = []
    run_all(toy(second), options, steps=1, say=anew.append)
    assert [line for line in anew if line.endswith("trained already")] == [
        f"{stage}: trained already" for stage in PLANS if stage not in ("vocoder", "diffusion")
    ]
    assert (second / "vocoder-before-1" / "weights.safetensors").exists()


def test_an_older_run_that_does_not_say_what_it_was_built_on_is_told(tmp_path: Path) -> None:
    (tmp_path / "vocoder").mkdir()
    save_file({"model.x": torch.ones(1)}, tmp_path / "vocoder" / "state.safetensors", {"step": "3", "seconds": "1.0"})
    save_file({"x": torch.ones(1)}, weights_file(tmp_path, "vocoder"))
    assert is_untold(tmp_path, "vocoder")
    assert not is_untold(tmp_path, "audio_vae")
    warned: list[str] = []
    with pytest.raises(ValueError, match="train stage 'diffusion' first"):
        assemble_model(toy(tmp_path), tmp_path / "model", warn=warned.append)
    assert warned == ["vocoder: nothing tells which audio_vae it was trained on; see that they fit"]
    result = CliRunner().invoke(app, ["assemble", "--out", str(tmp_path), "--to", str(tmp_path / "model")])
    assert result.exit_code == 2
    assert "train stage 'diffusion' first" in " ".join(result.output.replace("│", " ").split())


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
        (["--stage", "text", "--seed", "2147483648"], "should be less than or equal to 2147483647"),
    ],
)
def test_wrong_input_is_refused(arguments: list[str], said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--out", str(tmp_path), *arguments])
    assert result.exit_code == 2
    assert said in " ".join(result.output.replace("│", " ").split())
