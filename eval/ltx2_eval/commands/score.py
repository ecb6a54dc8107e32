"""`score`."""

from pathlib import Path

from ltx2_eval.commands.options import Given
from ltx2_eval.commands.resolve import container_of, output_folder, scoring_plan
from ltx2_eval.commands.show import finish, show_report
from ltx2_eval.console import progress_lines
from ltx2_eval.folder_of_clips import clips_in, contents
from ltx2_eval.runner import is_run, score_folder, score_run
from ltx2_reports.records import Run, read_header


def score_command(given: Given) -> None:
    """Score a run, or a folder of clips into a run folder of its own."""
    target = Path(given.target).expanduser()
    run = _score_run(target, given) if is_run(target) else _score_folder(target, given)
    show_report([run], run.folder, given)
    finish([run], given.max_failed, given.metric or ())


def _score_run(target: Path, given: Given) -> Run:
    if given.out is not None or given.system:
        raise ValueError(f"{target} is a run: its scores go into it, under its own label; leave out --out and --system")
    header = read_header(target)
    scoring = scoring_plan(given, container_of(header.spec.container or "mp4"))
    return score_run(target, scoring, progress_lines(header.spec.system))


def _score_folder(target: Path, given: Given) -> Run:
    found = clips_in(target)
    system = given.system or target.resolve().name
    prompts = [(clip.path.name, clip.prompt_id, clip.text) for clip in found]
    out = output_folder(given, target.resolve().name, contents(found), prompts)
    scoring = scoring_plan(given, "mp4")
    return score_folder(found, out, system=system, scoring=scoring, progress=progress_lines(system))
