"""Trains, assembles and evaluates the bundled nano LTX-2: `python -m ltx2_eval.nano --help`."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from ltx2_eval.nano.stages import STAGES

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)

_LEARNING_RATE = 2e-3
Out = Annotated[Path, typer.Option(help="Folder of the run: data, checkpoints, logs, finished weights.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]


@app.command()
def train(
    stage: Annotated[str, typer.Option(help=f"One of {', '.join(STAGES)}.")],
    out: Out,
    minutes: Annotated[float, typer.Option(help="End after so many minutes of training, counted over resumes.")] = 1e9,
    steps: Annotated[int, typer.Option(help="End after so many steps.")] = 1_000_000,
    clips: Annotated[int, typer.Option(help="Training clips that are rendered.")] = 4096,
    batch: Annotated[int, typer.Option(help="Clips per step; 0: the stage's default.")] = 0,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = _LEARNING_RATE,
    seed: Annotated[int, typer.Option(help="Of weights and batches.")] = 0,
    device: Device = "cpu",
    bf16: Annotated[bool, typer.Option(help="Compute in bfloat16; worth it on CUDA and for convolutions.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that render.")] = 2,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Train one stage, or continue it: python -m ltx2_eval.nano train --stage text --out run --minutes 7."""
    from ltx2_eval.nano.loop import TrainOptions
    from ltx2_eval.nano.stages import Recipe, run_stage

    torch.set_num_threads(threads)
    recipe = Recipe(out=out, clips=clips, batch=batch or None, seed=seed, device=device, workers=workers)
    options = TrainOptions(out=out, lr=lr, steps=steps, minutes=minutes, device=device, bf16=bf16)
    try:
        run_stage(recipe, stage, options)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@app.command()
def assemble(out: Out, to: Annotated[Path, typer.Option(help="Folder of the model to write.")]) -> None:
    """Write the finished stages in the published layout: python -m ltx2_eval.nano assemble --out run --to model."""
    from ltx2_eval.nano.assemble import assemble_extractors, assemble_model
    from ltx2_eval.nano.stages import Recipe

    recipe = Recipe(out=out)
    assemble_model(recipe, to)
    for file in assemble_extractors(recipe, to):
        typer.echo(file)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Option(help="Folder of the model.")],
    report: Annotated[Path, typer.Option(help="JSON file of the figures.")],
    prompts: Annotated[int, typer.Option(help="Prompts of suite nano; 0: all.")] = 0,
    clips: Annotated[int, typer.Option(help="Held-out clips of the round trips.")] = 64,
    steps: Annotated[int, typer.Option(help="Sampling steps.")] = 40,
    card: Annotated[Path | None, typer.Option(help="Model card whose table to replace.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Measure every bar: python -m ltx2_eval.nano evaluate --model ltx2/weights/nano --report figures.json."""
    from ltx2_eval.nano.card import write_figures
    from ltx2_eval.nano.evaluate import evaluate_model

    torch.set_num_threads(threads)
    figures = evaluate_model(model, report, prompts=prompts, clips=clips, steps=steps)
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
