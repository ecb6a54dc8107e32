"""The whole recipe as one run: how long and how fast every stage is trained, one after the other, resumable."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ltx2_eval.nano.loop import TrainOptions, is_trained
from ltx2_eval.nano.origin import StaleStage, origin_of, require_current, weights_file
from ltx2_eval.nano.stages import Recipe, run_stage

ALL = "all"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What one stage gets."""

    minutes: float
    """On one CPU core; a run of another length shares its minutes out in the same proportions."""
    steps: int
    """Of the longest run of the stage so far; a run of another length shares its steps out in the same proportions."""
    lr: float = 2e-3
    batch: int | None = None
    """Clips per step; None: the stage's own default."""
    bf16_pays: bool = True
    """Whether bfloat16 is worth it on a CPU: for convolutions it is, for short sequences it is not."""


PLANS: Mapping[str, Plan] = {
    "video_vae": Plan(minutes=115, steps=8915, lr=1.7e-3),
    "audio_vae": Plan(minutes=15, steps=521),
    "vocoder": Plan(minutes=25, steps=845),
    "text": Plan(minutes=7, steps=231, bf16_pays=False),
    "diffusion": Plan(minutes=90, steps=2368, lr=3e-3, batch=16, bf16_pays=False),
    "towers": Plan(minutes=45, steps=1235, lr=3e-3),
    "sync": Plan(minutes=3, steps=160),
}
"""The stages that a complete model and its extractors need, in their order. `video_decoder` is an extra."""
TOTAL_MINUTES = sum(plan.minutes for plan in PLANS.values())
TOTAL_STEPS = sum(plan.steps for plan in PLANS.values())
_EXTRA = Plan(minutes=0, steps=0)


def learning_rate_of(stage: str) -> float:
    """The learning rate of a stage when no other is asked for."""
    return PLANS.get(stage, _EXTRA).lr


def run_all(
    recipe: Recipe,
    options: TrainOptions,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    lr: float | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Train every stage of `PLANS` in order; those that have had their share already are left as they are.

    By steps, which is how it is done unless `minutes` alone are given, the same run gives the same bits on the same
    machine. A stage that was trained on others than lie there now is set aside, in a folder beside it, and begun anew.

    Args:
        recipe: What is trained; its seed reaches the weights and the batches of every stage.
        options: For every stage alike; `steps`, `minutes`, `lr` and `origin` are set here.
        steps: Of all stages together, shared out as planned, each at least one; None: the plan's own, if there are no
            `minutes`. A larger number than before continues the stages, but those that build on one that changes.
        minutes: Of training altogether, counted over resumes; beside `steps` they only end a stage early.
        lr: Learning rate of all stages; None: each its own.
        say: Told what each stage does.

    Raises:
        ValueError: `minutes` or `steps` is not positive, or a stage was begun with another seed, number of clips or
            batch.
    """
    if minutes is not None and minutes <= 0:
        raise ValueError(f"{minutes:g} minutes for all stages; expected more than 0")
    if steps is not None and steps <= 0:
        raise ValueError(f"{steps} steps for all stages; expected more than 0")
    for stage, plan in PLANS.items():
        chosen = _within_budget(replace(options, lr=plan.lr if lr is None else lr), plan, steps, minutes)
        mine = replace(recipe, batch=recipe.batch or plan.batch)
        if _is_done(mine, stage, chosen, say):
            say(f"{stage}: trained already")
            continue
        say(f"{stage}: {f'{chosen.minutes:.3g} minutes' if chosen.steps is None else f'{chosen.steps} steps'}")
        run_stage(mine, stage, chosen)


def _within_budget(options: TrainOptions, plan: Plan, steps: int | None, minutes: float | None) -> TrainOptions:
    bf16 = options.bf16 and (options.device != "cpu" or plan.bf16_pays)
    if steps is None and minutes is None:
        steps = TOTAL_STEPS
    return replace(
        options,
        bf16=bf16,
        steps=None if steps is None else max(1, round(plan.steps * steps / TOTAL_STEPS)),
        minutes=options.minutes if minutes is None else plan.minutes * minutes / TOTAL_MINUTES,
    )


def _is_done(recipe: Recipe, stage: str, options: TrainOptions, say: Callable[[str], None]) -> bool:
    """Whether a stage has had its share; one that was trained on others than lie there now is set aside."""
    try:
        require_current(recipe.out, stage)
    except StaleStage:
        aside = _set_aside(recipe.out / stage)
        say(f"{stage}: a stage that it was trained on was replaced since; moved to {aside} and begun anew")
        return False
    origin = origin_of(recipe.out, stage, clips=recipe.clips, batch=recipe.batch)
    file = weights_file(recipe.out, stage)
    return file.exists() and is_trained(stage, replace(options, origin=origin), recipe.seed, before=file)


def _set_aside(folder: Path) -> Path:
    """Rename a stage's folder, so that the stage begins anew and nothing is lost."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}-before-{number}")).exists():
        number += 1
    return folder.rename(aside)
