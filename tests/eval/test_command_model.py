"""Models that are programs: arguments, failures, no shell."""

import os
import shlex
import signal
import sys
import threading
import time
from fractions import Fraction

import pytest

from ltx2_eval.models.base import GenerationRequest
from ltx2_eval.models.command import CommandModel

ECHO = "import sys; open(sys.argv[1], 'w').write('|'.join(sys.argv[2:]))"


def request(prompt="A door slams."):
    return GenerationRequest(
        sample="p-s7", prompt_id="p", prompt=prompt, seed=7, num_frames=49, height=64, width=96, fps=Fraction(24)
    )


def line(code, *words):
    return f"{sys.executable} -c {shlex.quote(code)} {' '.join(words)}"


def test_fields_are_filled_in_as_single_arguments():
    model = CommandModel(
        line(ECHO, "{output}", "--p={prompt}", "{seed}", "{width}x{height}", "{frames}", "{fps}", "{duration_s}")
    )
    made = model.generate(request('"; rm -rf {seed} $(x)'))
    assert made.file.read_text() == '--p="; rm -rf {seed} $(x)|7|96x64|49|24|2.04167'
    assert [stage.name for stage in made.stages] == ["command"]
    assert made.stages[0].seconds > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a program and {output}"),
        ("program --out file", "expected a program and {output}"),
        ("program {output} {promt}", "unknown field 'promt'. Did you mean 'prompt'?"),
        ("program {output} {", "unknown field"),
        ("program '{output}", "No closing quotation"),
    ],
)
def test_a_line_that_cannot_work_is_refused_at_once(text, message):
    with pytest.raises(ValueError) as caught:
        CommandModel(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit('out of memory')", "ended with exit code 1: out of memory"),
        ("pass", "ended well but wrote no file"),
        ("import os; os.abort()", "ended with exit code -6"),
    ],
)
def test_a_program_that_fails_is_an_error_of_this_sample(code, message):
    with pytest.raises(ValueError) as caught:
        CommandModel(line(code, "{output}")).generate(request())
    assert message in str(caught.value)


def test_a_program_that_hangs_is_stopped():
    model = CommandModel(line("import time; time.sleep(60)", "{output}"), timeout_s=0.5)
    with pytest.raises(ValueError, match="took longer than"):
        model.generate(request())


def test_a_program_that_does_not_exist():
    with pytest.raises(ValueError, match="cannot be started: No such file"):
        CommandModel("no-such-program-here {output}").generate(request())


FAMILY = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[2]).write_text(str(child.pid))
child.wait() if sys.argv[3] == "wait" else None
"""


def is_alive(pid):
    """Whether a process runs; a dead one that nobody has reaped yet does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def assert_dies(pid):
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(pid)


on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@on_linux
def test_the_children_of_a_program_that_hangs_are_stopped_too(tmp_path):
    model = CommandModel(line(FAMILY, "{output}", str(tmp_path / "pid"), "wait"), timeout_s=3)
    with pytest.raises(ValueError, match="took longer than 3 s and was stopped"):
        model.generate(request())
    assert_dies(int((tmp_path / "pid").read_text()))


@on_linux
def test_ctrl_c_stops_the_program_and_its_children(tmp_path):
    model = CommandModel(line(FAMILY, "{output}", str(tmp_path / "pid"), "wait"))

    def press():
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
    presser = threading.Thread(target=press)
    presser.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.generate(request())
    finally:
        presser.join()
        signal.signal(signal.SIGINT, before)
    assert_dies(int((tmp_path / "pid").read_text()))


@on_linux
def test_a_child_that_outlives_its_program_is_not_waited_for(tmp_path):
    model = CommandModel(line(FAMILY, "{output}", str(tmp_path / "pid"), "leave"), timeout_s=30)
    began = time.monotonic()
    with pytest.raises(ValueError, match="wrote no file"):
        model.generate(request())
    assert time.monotonic() - began < 30
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_only_the_end_of_a_long_message_is_kept():
    chatty = "import sys; print('x' * 10**6, file=sys.stderr); sys.exit('out of memory')"
    with pytest.raises(ValueError) as caught:
        CommandModel(line(chatty, "{output}")).generate(request())
    assert str(caught.value).endswith("out of memory")
    assert len(str(caught.value)) < 500
