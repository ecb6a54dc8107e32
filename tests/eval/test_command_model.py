"""Models that are programs: arguments, failures, no shell."""

import shlex
import sys
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
