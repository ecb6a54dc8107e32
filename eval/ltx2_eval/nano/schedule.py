"""The whole recipe as one run: how long and how fast every stage is trained, one after the other, resumable."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ltx2_eval.nano.loop import TrainOptions, is_trained
from ltx2_eval.nano.stages import Recipe, run_stage, weights_file

ALL = "all"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What one stage gets."""

    minutes: float
    """On one CPU core; a run of another length shares its minutes out in the same proportions."""
    lr: float = 2e-3
    batch: int | None = None
    """Clips per step; None: the stage's own default."""
    bf16_pays: bool = True
    """Whether bfloat16 is worth it on a CPU: for convolutions it is, for short sequences it is not."""


PLANS: Mapping[str, Plan] = {
    "video_vae": Plan(minutes=115, lr=1.7e-3),
    "audio_vae": Plan(minutes=15),
    "vocoder": Plan(minutes=25),
    "text": Plan(minutes=7, bf16_pays=False),
    "diffusion": Plan(minutes=90, lr=3e-3, batch=16, bf16_pays=False),
    "towers": Plan(minutes=45, lr=3e-3),
    "sync": Plan(minutes=3),
}
"""The stages that a complete model and its extractors need, in their order. `video_decoder` is an extra."""
TOTAL_MINUTES = sum(plan.minutes for plan in PLANS.values())
_EXTRA = Plan(minutes=0)


def learning_rate_of(stage: str) -> float:
    """The learning rate of a stage when no other is asked for."""
    return PLANS.get(stage, _EXTRA).lr


def run_all(
    recipe: Recipe,
    options: TrainOptions,
    *,
    minutes: float = TOTAL_MINUTES,
    lr: float | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Train every stage of `PLANS` in order; those that have had their share already are left as they are.

    Args:
        recipe: What is trained; its seed reaches the weights and the batches of every stage.
        options: For every stage alike; `steps` ends each stage, `minutes` and `lr` are set here.
        minutes: Of training altogether, counted over resumes. A larger number than before continues every stage.
        lr: Learning rate of all stages; None: each its own.
        say: Told what each stage does.

    Raises:
        ValueError: `minutes` is not positive, or a stage was begun with another seed.
    """
    if minutes <= 0:
        raise ValueError(f"{minutes:g} minutes for all stages; expected more than 0")
    for stage, plan in PLANS.items():
        budget = plan.minutes * minutes / TOTAL_MINUTES
        bf16 = options.bf16 and (options.device != "cpu" or plan.bf16_pays)
        chosen = replace(options, minutes=budget, lr=plan.lr if lr is None else lr, bf16=bf16)
        file = weights_file(recipe.out, stage)
        if file.exists() and is_trained(stage, chosen, recipe.seed, before=file):
            say(f"{stage}: trained already")
            continue
        say(f"{stage}: {budget:.3g} minutes")
        run_stage(replace(recipe, batch=recipe.batch or plan.batch), stage, chosen)
