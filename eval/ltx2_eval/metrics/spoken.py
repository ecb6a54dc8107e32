"""What a prompt wants to be said."""

import re
from dataclasses import dataclass

from ltx2_benchmarks.suite import Prompt

QUOTED = re.compile(r"[\"“]([^\"“”]*)[\"”]|«([^»]*)»|「([^」]*)」")
"""Text between double quotation marks."""
_LETTER = re.compile(r"\w")
_UNKNOWN = ("und", "mul", "zxx")
SPEECH_FIELD, QUOTED_TEXT = "expectations.speech", "quoted text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One spoken line."""

    text: str
    speaker: str | None
    """None where the prompt does not say who."""
    language: str | None
    """Two or three letters; None where not stated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """The lines of a prompt in order, and where they came from."""

    lines: tuple[Line, ...]
    origin: str

    @property
    def text(self) -> str:
        """All lines."""
        return " ".join(line.text for line in self.lines)

    @property
    def language(self) -> str | None:
        """The language of all lines; None where they differ or none is stated."""
        found = {line.language for line in self.lines}
        return found.pop() if len(found) == 1 else None


def script_of(prompt: Prompt) -> Script:
    """The lines in `expectations.speech`; without any, what stands in quotation marks in the prompt.

    Quoted text counts as spoken unless it is one of `expectations.on_screen_text`, and unless `num_speakers` is 0.
    Quotation marks are "…", “…”, «…» and 「…」; single ones are not read, since apostrophes look the same.
    """
    expected = prompt.expectations
    if expected.speech:
        lines = tuple(
            Line(text=line.text, speaker=line.speaker, language=_primary(line.language)) for line in expected.speech
        )
        return Script(lines=lines, origin=SPEECH_FIELD)
    if expected.num_speakers == 0:
        return Script(lines=(), origin=SPEECH_FIELD)
    shown = {text.strip().casefold() for text in expected.on_screen_text}
    spans = ["".join(match.groups(default="")).strip() for match in QUOTED.finditer(prompt.text)]
    spoken = [span for span in spans if _LETTER.search(span) and span.casefold() not in shown]
    language = _primary(prompt.language)
    return Script(lines=tuple(Line(text=text, speaker=None, language=language) for text in spoken), origin=QUOTED_TEXT)


def asks_for_speech(prompt: Prompt) -> bool:
    """Whether anybody should speak."""
    return bool(script_of(prompt).lines) or bool(prompt.expectations.num_speakers)


def _primary(tag: str | None) -> str | None:
    """`pt` of `pt-BR`; None where no language is stated."""
    language = (tag or "und").partition("-")[0]
    return None if language in _UNKNOWN else language
