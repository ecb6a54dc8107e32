"""`report` and `leaderboard`."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

from ltx2_eval.commands.options import Given
from ltx2_eval.commands.show import Extras, show_report
from ltx2_eval.runner import is_run
from ltx2_reports.exports import known_formats
from ltx2_reports.media_links import Media
from ltx2_reports.published import chosen_baselines
from ltx2_reports.records import Run, read_run


def report_command(given: Given) -> None:
    """Table and HTML of several runs."""
    show_report(_read(given), Path(given.out).expanduser(), given, _extras(given, ()))


def leaderboard_command(given: Given) -> None:
    """The page over many runs and the published figures."""
    extras = replace(_extras(given, ("all",)), title=given.title, is_board=True)
    show_report(_read(given), Path(given.out).expanduser(), given, extras)


def _read(given: Given) -> list[Run]:
    return [read_run(folder) for path in given.runs for folder in runs_in(Path(path).expanduser())]


def _extras(given: Given, default: tuple[str, ...]) -> Extras:
    if given.media not in get_args(Media):
        raise ValueError(f"--media {given.media!r}: expected one of {', '.join(get_args(Media))}")
    names = tuple(given.published or default)
    return Extras(
        media=given.media,
        media_prompts=given.media_prompts,
        published=chosen_baselines([name for name in names if name != "none"]),
        exports=known_formats(given.export or ()),
    )


def runs_in(path: Path) -> list[Path]:
    """The run folder itself, or those directly in a folder, by name.

    Raises:
        ValueError: there is none.
    """
    if is_run(path):
        return [path]
    found = sorted(item for item in path.iterdir() if item.is_dir() and is_run(item)) if path.is_dir() else []
    if not found:
        raise ValueError(
            f"{path} is no run folder and holds none; runs are made by `ltx2-eval run`, `generate` or `score`"
        )
    return found
