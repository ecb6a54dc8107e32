"""`report`."""

from pathlib import Path

from ltx2_eval.commands.options import Given
from ltx2_eval.commands.show import show_report
from ltx2_eval.runner import is_run
from ltx2_reports.records import read_run


def report_command(given: Given) -> None:
    """Table and HTML of several runs."""
    runs = [read_run(folder) for path in given.runs for folder in runs_in(Path(path).expanduser())]
    show_report(runs, Path(given.out).expanduser(), given)


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
