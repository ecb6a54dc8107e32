"""`command:LINE`: any program that writes a media file when asked.

The line is split like a shell would, but no shell runs; `{output}` (must be there), `{prompt}`, `{seed}`, `{frames}`,
`{height}`, `{width}`, `{fps}`, `{duration_s}` inside its words are replaced; `{seed}` is that of the noise, another one
for every prompt. Example:
`command:python generate.py --prompt {prompt} --seed {seed} --out {output}`.
"""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from pathlib import Path
from typing import IO

from ltx2_benchmarks.nearest import unknown
from ltx2_eval.models.base import Generated, GenerationRequest, NoisePlan
from ltx2_eval.noise import NOISE_PLAN
from ltx2_reports.records import ClipShape, Scalar, Stage

_FIELDS = ("output", "prompt", "seed", "frames", "height", "width", "fps", "duration_s")
_TIMEOUT_S = 3600.0
_ERROR_TAIL = 300


class CommandModel:
    """Runs one process per sample; what it writes to `{output}` is the clip."""

    def __init__(self, line: str, *, timeout_s: float = _TIMEOUT_S, suffix: str = ".mp4") -> None:
        self._line, self._timeout_s, self._suffix = line, timeout_s, suffix
        self._words = _words(line)
        self.noise: NoisePlan = NOISE_PLAN if any("{seed}" in word for word in self._words) else None
        self._folder = Path(tempfile.mkdtemp(prefix="ltx2-eval-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def identity(self) -> dict[str, Scalar]:
        """The line itself; what the program does is its own affair."""
        return {"command": self._line}

    def preferred_shape(self) -> ClipShape | None:
        """None: takes whatever is asked for."""
        return None

    def check(self, request: GenerationRequest) -> None:
        """Accept anything: what the program can do only the program knows."""

    def generate(self, request: GenerationRequest) -> Generated:
        """Run the program for one sample.

        Raises:
            ValueError: it cannot be started, fails, takes too long or writes no file.
        """
        output = self._folder / f"{request.sample}{self._suffix}"
        output.unlink(missing_ok=True)
        words = [_filled(word, _values(request, output)) for word in self._words]
        began = time.perf_counter()
        self._run(words)
        seconds = time.perf_counter() - began
        if not output.is_file():
            raise ValueError(f"{self._words[0]} ended well but wrote no file at {{output}}")
        return Generated(file=output, stages=(Stage(name="command", seconds=seconds, peak_bytes=None),))

    def _run(self, words: list[str]) -> None:
        program = self._words[0]
        with tempfile.TemporaryFile(dir=self._folder) as errors:
            try:
                code = _finished(words, errors, self._timeout_s)
            except subprocess.TimeoutExpired:
                raise ValueError(f"{program} took longer than {self._timeout_s:g} s and was stopped") from None
            except OSError as error:
                raise ValueError(f"{program} cannot be started: {error.strerror}") from None
            if code:
                raise ValueError(f"{program} ended with exit code {code}: {_tail(errors) or 'no message'}")


def _finished(words: list[str], errors: IO[bytes], timeout_s: float) -> int:
    """Run a program to its end; return its exit code. It has a process group of its own, which dies with the wait.

    Its output goes to a file and not through a pipe, which a forgotten grandchild could hold open.
    """
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
    ) as process:
        try:
            return process.wait(timeout_s)
        except BaseException:  # too long, or Ctrl-C, which a group of its own does not get from the terminal
            _kill_group(process)
            process.wait()
            raise


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if os.name != "posix":
        process.kill()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)  # the leader is not reaped yet, so the group is still its own
    except ProcessLookupError:
        return  # it ended by itself in this moment


def _tail(errors: IO[bytes]) -> str:
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - 4 * _ERROR_TAIL))
    return errors.read().decode(errors="replace").strip()[-_ERROR_TAIL:]


def _words(line: str) -> list[str]:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ValueError(f"command line {line!r}: {error}") from None
    if not words or not any("{output}" in word for word in words):
        raise ValueError(f"command line {line!r}: expected a program and {{output}} among its arguments")
    for word in words:
        _filled(word, dict.fromkeys(_FIELDS, ""))
    return words


def _filled(word: str, values: dict[str, str]) -> str:
    """Replace `{field}`; what a prompt contains is never read as a field again."""
    head, *rest = word.split("{")
    pieces = [head]
    for piece in rest:
        name, brace, tail = piece.partition("}")
        if not brace or name not in values:
            raise ValueError(f"command line: {unknown('field', name, values)}")
        pieces += [values[name], tail]
    return "".join(pieces)


def _values(request: GenerationRequest, output: Path) -> dict[str, str]:
    return {
        "output": str(output),
        "prompt": request.prompt,
        "seed": str(request.seed),
        "frames": str(request.num_frames),
        "height": str(request.height),
        "width": str(request.width),
        "fps": str(request.fps),
        "duration_s": f"{request.duration_s:.6g}",
    }
