"""Calling something again and again in the background while other work runs."""

import threading
from collections.abc import Callable


class Ticker:
    """A thread that calls until it is stopped; an exception ends it and is kept.

    Args:
        call: What to call; short, and safe beside the work that is watched.
        every_s: Pause between two calls.
    """

    def __init__(self, call: Callable[[], None], every_s: float) -> None:
        self._call, self._every_s = call, every_s
        self._finished = threading.Event()
        self._thread: threading.Thread | None = None
        self.error: Exception | None = None

    def start(self) -> None:
        """Begin; one that still runs, after an exception between start and stop, is stopped first."""
        self.stop()
        self.error = None
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._finished,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the last call."""
        self._finished.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, finished: threading.Event) -> None:
        while not finished.wait(self._every_s):
            try:
                self._call()
            except Exception as error:  # nobody could catch it here
                self.error = error
                return
