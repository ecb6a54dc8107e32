"""Names of models as written on the command line: `[LABEL=]KIND[:TARGET][@key=value,...]`."""

import re
from dataclasses import dataclass

_SETTINGS = re.compile(r"@(?=[a-z_]+=)")
_COMMA = re.compile(r"(?<!\\),")
COMMA_RULE = r"a comma inside a value is written \,"
"""For messages: a file name with a comma looks like two settings."""
_LABELLED = re.compile(r"(?P<label>[\w][\w.+ -]{0,60})=(?P<rest>[a-z][\w-]*(?::.*)?(?:@.*)?)$", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelName:
    """A parsed name."""

    given: str
    """The name without its label, as records keep it."""
    label: str | None
    kind: str
    target: str
    """What follows the colon; empty if nothing does."""


def parse_model(text: str) -> ModelName:
    """Split a model's name into label, kind and target.

    >>> parse_model("turbo=ltx2:nano@steps=8").label, parse_model("ltx2:nano@steps=8").target
    ('turbo', 'nano@steps=8')
    """
    match = _LABELLED.match(text)
    label, given = (match["label"], match["rest"]) if match else (None, text)
    kind, _, target = given.partition(":")
    if ":" not in given and "@" in given:
        kind, _, options = given.partition("@")
        target = f"@{options}"
    return ModelName(given=given, label=label, kind=kind, target=target)


def split_settings(target: str) -> tuple[str, dict[str, str]]:
    """Split `TARGET@key=value,...` at the last `@` that is followed by settings; values may be paths.

    A comma that belongs to a value is written `\\,`.

    Raises:
        ValueError: a setting without `=`, or given twice.

    >>> split_settings("nano@steps=8,guidance=none")
    ('nano', {'steps': '8', 'guidance': 'none'})
    """
    starts = [match.start() for match in _SETTINGS.finditer(target)] or [target.rfind("@")]
    head, tail = target[: starts[-1]], target[starts[-1] + 1 :]
    if starts[-1] < 0 or ("/" in tail and not _SETTINGS.match(target, starts[-1])):
        return target, {}
    settings: dict[str, str] = {}
    for part in _COMMA.split(tail):
        key, equals, value = part.partition("=")
        if not equals or not key or key in settings:
            raise ValueError(
                f"model setting {part!r}: expected key=value, each key once, as in ltx2:nano@steps=8; {COMMA_RULE}"
            )
        settings[key] = value.replace("\\,", ",")
    return head, settings
