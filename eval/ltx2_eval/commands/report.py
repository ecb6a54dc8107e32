"""`report` and `leaderboard`."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

from ltx2_eval.commands.options import Given
from ltx2_eval.commands.show import show_report
from ltx2_eval.console import note
from ltx2_eval.runner import is_run
from ltx2_reports.cells import clips_asked
from ltx2_reports.exports import known_formats
from ltx2_reports.media_links import Media
from ltx2_reports.published import chosen_baselines
from ltx2_reports.records import RECORDS_FILE, RUN_FILE, Run, ends_unfinished, read_run
from ltx2_reports.report import Page
from ltx2_reports.store import DamagedError

_NAMED = 3


def report_command(given: Given) -> None:
    """Table and HTML of several runs."""
    _show(given, _page(given, ()))


def leaderboard_command(given: Given) -> None:
    """The page over many runs and the published figures."""
    _show(given, replace(_page(given, ("all",)), title=given.title, is_board=True))


def _show(given: Given, made: Page) -> None:
    exports = known_formats(given.export or ())
    show_report(_read(given), Path(given.out).expanduser(), given, made, exports)


def _read(given: Given) -> list[Run]:
    runs = [whole_run(folder) for path in given.runs for folder in runs_in(Path(path).expanduser())]
    for run in runs:
        if not run.values:
            note(f"{run.folder}: no scores; `ltx2-eval score {run.folder}` makes them")
    return runs


def whole_run(folder: Path) -> Run:
    """Read a run whose journal ends in a whole record; what was cut off would be missing without a word.

    Raises:
        DamagedError: it does not, or something was changed.
        ValueError: not a run folder; names those below it.
    """
    if not is_run(folder) and (below := _runs_below(folder)):
        raise ValueError(f"{folder} is not a run folder; did you mean {_or(below)}?")
    run = read_run(folder)
    if ends_unfinished(folder):
        raise DamagedError(
            f"{folder / RECORDS_FILE}: ends in an unfinished record after {len(run.clips)} of {clips_asked(run)} clips "
            f"and {len(run.values)} scores; `ltx2-eval score {folder}` drops it and scores what is there, the command "
            "that made the run also makes the missing clips"
        )
    return run


def _runs_below(path: Path) -> list[Path]:
    """Run folders one or two levels down."""
    return sorted(item.parent for level in ("*", "*/*") for item in path.glob(f"{level}/{RUN_FILE}"))


def _or(paths: list[Path]) -> str:
    return " or ".join(map(str, paths[:_NAMED])) + (f" (and {len(paths) - _NAMED} more)" if len(paths) > _NAMED else "")


def _page(given: Given, default: tuple[str, ...]) -> Page:
    if given.media not in get_args(Media):
        raise ValueError(f"--media {given.media!r}: expected one of {', '.join(get_args(Media))}")
    names = tuple(given.published or default)
    return Page(
        media=given.media,
        media_prompts=given.media_prompts,
        published=chosen_baselines([name for name in names if name != "none"]),
    )


def runs_in(path: Path) -> list[Path]:
    """The run folder itself, or those directly in a folder, by name.

    Raises:
        ValueError: there is none.
    """
    if is_run(path):
        return [path]
    found = sorted(item for item in path.iterdir() if item.is_dir() and is_run(item)) if path.is_dir() else []
    if not found and (below := _runs_below(path)):
        raise ValueError(f"{path} is no run folder and holds none directly; did you mean {_or(below)}?")
    if not found:
        raise ValueError(
            f"{path} is no run folder and holds none; runs are made by `ltx2-eval run`, `generate` or `score`"
        )
    return found
