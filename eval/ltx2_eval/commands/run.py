"""`run` and `generate`."""

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
    runs = [_one(out, system, plan, scoring) for system in systems]
    show_report(runs, out, given)
    finish(runs, given.max_failed, given.metric or ())


def generate_command(given: Given) -> None:
    """Generate only."""
    check_words(given)
    suite = suite_of(given)
    systems = systems_of(given, suite)
    plan = generation_plan(given, suite, systems)
    out = _folder(given, plan, systems)
    runs = [_one(out, system, plan, None) for system in systems]
    if given.json:
        print(for_json({"runs": [str(run.folder) for run in runs]}))
    else:
        for run in runs:
            made = sum(clip.file is not None for clip in run.clips.values())
            note(f"{run.header.spec.system}: {made} of {len(run.clips)} clips in {run.folder}")
        note(f"next: ltx2-eval score {runs[0].folder}")
    finish(runs, given.max_failed)


def _one(out: Path, system: System, plan: GenerationPlan, scoring: ScoringPlan | None) -> Run:
    return generate_run(
        out / system.label,
        system=system.label,
        model_name=system.model_name,
        model=system.model,
        plan=plan,
        scoring=scoring,
        progress=progress_lines(system.label),
    )


def _folder(given: Given, plan: GenerationPlan, systems: list[System]) -> Path:
    names = [(system.label, system.model_name, sorted(system.model.identity().items())) for system in systems]
    return output_folder(
        given, plan.suite.name.split("[")[0], plan.suite.sha256, plan.seeds, plan.clip, plan.container, names
    )
