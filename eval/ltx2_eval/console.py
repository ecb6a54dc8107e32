"""What the commands print: progress, notes, errors; nothing of it reaches a program that reads standard output."""

import sys
import time
from collections.abc import Callable

from ltx2_reports.escape import for_terminal

_PLAIN_INTERVAL_S = 10.0


def note(text: str) -> None:
    """A line for people, on standard error."""
    print(for_terminal(text), file=sys.stderr, flush=True)


def progress_lines(label: str) -> Callable[[str, int, int], None]:
    """Progress for one system: a line that is rewritten on a terminal, a plain line now and then elsewhere."""
    return _Progress(label, terminal=sys.stderr.isatty())


class _Progress:
    def __init__(self, label: str, *, terminal: bool) -> None:
        self._label, self._terminal = for_terminal(label), terminal
        self._stage, self._began, self._start, self._printed = "", 0.0, 0, 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._began, self._start, self._printed = stage, now, done, 0.0
        last = done == total
        if not self._terminal and not last and now - self._printed < _PLAIN_INTERVAL_S:
            return
        self._printed = now
        line = f"{self._label}: {stage} {done}/{total}{self._remaining(now, done, total)}"
        if self._terminal:
            print(f"\r\033[K{line}", end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def _remaining(self, now: float, done: int, total: int) -> str:
        advanced = done - self._start
        if not advanced or done == total:
            return ""
        return f", about {(now - self._began) / advanced * (total - done):.0f} s left"
