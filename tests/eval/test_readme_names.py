"""What README's commands name exists: commands, options, metrics, profiles and suites."""

import itertools
import re
import shlex
from pathlib import Path

import pytest
import typer

from ltx2_benchmarks.suite import list_suites
from ltx2_eval.cli import app
from ltx2_eval.metrics.catalogue import catalogue
from ltx2_eval.metrics.profiles import TITLES

README = (Path(__file__).parents[2] / "README.md").read_text()
LINES = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("ltx2-eval")
]
COMMAND = typer.main.get_command(app)


def _steps(line):
    """The words of each command of a line, without what follows #."""
    steps = [[]]
    for word in shlex.split(line, comments=True):
        steps[-1].append(word) if word != "&&" else steps.append([])
    return steps


def _command(words):
    found, rest = COMMAND, words[1:]
    while rest and rest[0] in getattr(found, "commands", {}):
        found, rest = found.commands[rest[0]], rest[1:]
    assert found is not COMMAND, words
    return found, rest


def test_there_are_commands_to_check():
    assert len(LINES) > 15


@pytest.mark.parametrize("line", LINES)
def test_what_a_command_names_exists(line):
    named = {"--metric": set(catalogue()), "--profile": set(TITLES), "--primary": set(catalogue())}
    for words in _steps(line):
        command, rest = _command(words)
        options = {name for option in command.params for name in option.opts}
        for option, value in itertools.pairwise([*rest, ""]):
            if option.startswith("-"):
                assert option in options, f"{words[1]} has no {option}"
            if option in named:
                assert value in named[option], f"{option} {value}"
            if option == "--margin":
                assert value.partition("=")[0] in catalogue()
            if option == "--suite" and not value.endswith(".jsonl"):
                assert value in list_suites()
