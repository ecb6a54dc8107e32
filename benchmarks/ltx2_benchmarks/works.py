"""What is known of the sources of published figures: titles and authors of papers, and why namesakes differ."""

import importlib.resources
import tomllib
from functools import cache
from typing import Any, NamedTuple


class Work(NamedTuple):
    """A paper."""

    title: str
    authors: str
    """In BibTeX's form: `Last, First and Last, First and others`."""


@cache
def works() -> dict[str, Work]:
    """Papers by arXiv number without version."""
    return {number: Work(**facts) for number, facts in _read("works.toml").items()}


@cache
def families() -> dict[str, str]:
    """For a name that several protocols share: why their figures differ."""
    return {name: str(reason) for name, reason in _read("families.toml").items()}


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((importlib.resources.files("ltx2_benchmarks") / name).read_text("utf-8"))
