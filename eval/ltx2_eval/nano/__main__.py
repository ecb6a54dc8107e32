"""Trains, assembles and evaluates the bundled nano LTX-2: `python -m ltx2_eval.nano --help`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from ltx2_eval.nano.loop import MAX_SEED, TrainOptions
from ltx2_eval.nano.schedule import ALL, TOTAL_STEPS, learning_rate_of, run_all
from ltx2_eval.nano.stages import STAGES
from ltx2_eval.nano.world_pool import SHARD_CLIPS

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)

Out = Annotated[Path, typer.Option(help="Folder of the run: data, checkpoints, logs, finished weights.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]


@app.command()
def train(
    stage: Annotated[str, typer.Option(help=f"One of {', '.join(STAGES)}; {ALL}: all that a model needs, in order.")],
    out: Out,
    minutes: Annotated[
        float | None,
        typer.Option(
            help=f"End after so many minutes of training, counted over resumes; with {ALL}: of all stages together. "
            "Without --steps the learning rate then follows the clock, and no two runs are alike.",
            show_default="no limit",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help=f"End after so many steps; with {ALL}: of all stages together, shared out as planned. The same steps "
            "give the same weights on the same machine.",
            show_default=f"no limit; with {ALL} and no --minutes: {TOTAL_STEPS}",
            min=1,
        ),
    ] = None,
    clips: Annotated[int, typer.Option(help="Training clips that are rendered.", min=1)] = 4096,
    held_out: Annotated[int, typer.Option(help="Clips of the test split, for validation.", min=1)] = SHARD_CLIPS,
    batch: Annotated[int, typer.Option(help="Clips per step; 0: the stage's default.", min=0)] = 0,
    lr: Annotated[float | None, typer.Option(help="Learning rate.", show_default="the stage's own")] = None,
    seed: Annotated[int, typer.Option(help="Of weights and batches of every stage.", min=0, max=MAX_SEED)] = 0,
    device: Device = "cpu",
    bf16: Annotated[bool, typer.Option(help="Compute in bfloat16; worth it on CUDA and for convolutions.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that render.")] = 2,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Train a stage or all of them, or continue: python -m ltx2_eval.nano train --stage all --out run --seed 1."""
    from ltx2_eval.nano.stages import Recipe, run_stage

    torch.set_num_threads(threads)
    recipe = Recipe(
        out=out, clips=clips, held_out=held_out, batch=batch or None, seed=seed, device=device, workers=workers
    )
    options = TrainOptions(
        out=out, lr=learning_rate_of(stage) if lr is None else lr, steps=steps, device=device, bf16=bf16
    )
    try:
        if stage == ALL:
            run_all(recipe, options, steps=steps, minutes=minutes, lr=lr, say=typer.echo)
        else:
            run_stage(recipe, stage, options if minutes is None else replace(options, minutes=minutes))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@app.command()
def assemble(out: Out, to: Annotated[Path, typer.Option(help="Folder of the model to write.")]) -> None:
    """Write the finished stages in the published layout: python -m ltx2_eval.nano assemble --out run --to model."""
    from ltx2_eval.nano.assemble import assemble_extractors, assemble_model
    from ltx2_eval.nano.stages import Recipe

    recipe = Recipe(out=out)
    try:
        assemble_model(recipe, to, warn=lambda text: typer.echo(f"note: {text}", err=True))
        files = assemble_extractors(recipe, to)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    for file in files:
        typer.echo(file)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Option(help="Folder of the model.")],
    report: Annotated[Path, typer.Option(help="JSON file of the figures.")],
    prompts: Annotated[int, typer.Option(help="Prompts of suite nano; 0: all.", min=0)] = 0,
    distance_prompts: Annotated[int, typer.Option(help="Prompts for nano FVD and FAD; 0: all.", min=0)] = 0,
    clips: Annotated[int, typer.Option(help="Held-out clips of the round trips.")] = 64,
    steps: Annotated[int, typer.Option(help="Sampling steps.")] = 40,
    card: Annotated[Path | None, typer.Option(help="Model card whose table to replace.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Measure every bar: python -m ltx2_eval.nano evaluate --model ltx2/weights/nano --report figures.json."""
    from ltx2_eval.nano.card import write_figures
    from ltx2_eval.nano.evaluate import evaluate_model

    torch.set_num_threads(threads)
    try:
        figures = evaluate_model(
            model, report, prompts=prompts, distance_prompts=distance_prompts, clips=clips, steps=steps
        )
    except (FileNotFoundError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    for figure in figures:
        typer.echo(figure.line())
    if card is not None:
        write_figures(card, figures)


@app.command()
def curves(out: Out, to: Annotated[Path, typer.Option(help="Folder for one SVG per stage.")]) -> None:
    """Draw the loss of every trained stage: python -m ltx2_eval.nano curves --out run --to curves."""
    from ltx2_eval.nano.card import curve_svg

    to.mkdir(parents=True, exist_ok=True)
    for stage in STAGES:
        log = out / stage / "train.csv"
        if log.exists():
            (to / f"{stage}.svg").write_text(curve_svg(log, ["loss"], stage), encoding="utf-8")


if __name__ == "__main__":
    app()
