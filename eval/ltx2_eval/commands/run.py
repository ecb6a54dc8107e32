"""`run` and `generate`."""

from collections.abc import Sequence
from pathlib import Path

from ltx2_eval.commands.options import Given
from ltx2_eval.commands.resolve import (
    System,
    check_words,
    generation_plan,
    output_folder,
    profile_of,
    scoring_plan,
    suite_of,
    systems_of,
)
from ltx2_eval.commands.show import finish, show_report
from ltx2_eval.console import note, progress_lines
from ltx2_eval.generate import check_plan
from ltx2_eval.plan import samples
from ltx2_eval.runner import GenerationPlan, ScoringPlan, generate_run
from ltx2_reports.escape import for_json
from ltx2_reports.records import Run


def run_command(given: Given) -> None:
    """Generate, score, report."""
    check_words(given)
    suite = suite_of(given)
    systems = systems_of(given, suite)
    plan = generation_plan(given, suite, systems)
    for system in systems:
        check_plan(samples(suite, plan.seeds), system.model, plan.clip)
    scoring = scoring_plan(given, plan.container, profile_of(given, suite))
    out = _folder(given, plan, systems)
    runs = [_one(out, system, plan, scoring, after_others=place > 0) for place, system in enumerate(systems)]
    show_report(runs, out, given)
    _tell(runs)
    finish(runs, given.max_failed, given.metric or ())


def generate_command(given: Given) -> None:
    """Generate only."""
    check_words(given)
    suite = suite_of(given)
    systems = systems_of(given, suite)
    plan = generation_plan(given, suite, systems)
    out = _folder(given, plan, systems)
    runs = [_one(out, system, plan, None, after_others=place > 0) for place, system in enumerate(systems)]
    if given.json:
        print(for_json({"runs": [str(run.folder) for run in runs]}))
    else:
        for run in runs:
            made = sum(clip.file is not None for clip in run.clips.values())
            note(f"{run.header.spec.system}: {made} of {len(run.clips)} clips in {run.folder}")
        scorable = next((run for run in runs if any(clip.file for clip in run.clips.values())), None)
        if scorable is not None:
            note(f"next: ltx2-eval score {scorable.folder}")
    _tell(runs)
    finish(runs, given.max_failed)


def _tell(runs: Sequence[Run]) -> None:
    """What a run's records say of its making and nobody would look for there: prompts cut short, the first failure."""
    for run in runs:
        name, clips = run.header.spec.system, run.clips.values()
        lost = {clip.prompt_id: int(found) for clip in clips if (found := clip.details.get("prompt_tokens_lost"))}
        if lost:
            note(
                f"{name}: {len(lost)} of {len(run.header.spec.prompts)} prompts are longer than the model reads; up to "
                f"{max(lost.values())} tokens at the end were cut off"
            )
        failed = next(((clip.sample, clip.reason) for clip in clips if clip.reason is not None), None)
        if failed is not None:
            note(f"{name}: {failed[0]}: {failed[1].message}")


def _one(out: Path, system: System, plan: GenerationPlan, scoring: ScoringPlan | None, *, after_others: bool) -> Run:
    return generate_run(
        out / system.label,
        system=system.label,
        model_name=system.model_name,
        model=system.model,
        plan=plan,
        scoring=scoring,
        progress=progress_lines(system.label),
        after_others=after_others,
    )


def _folder(given: Given, plan: GenerationPlan, systems: list[System]) -> Path:
    names = [(system.label, system.model_name, sorted(system.model.identity().items())) for system in systems]
    return output_folder(
        given, plan.suite.name.split("[")[0], plan.suite.sha256, plan.seeds, plan.clip, plan.container, names
    )
