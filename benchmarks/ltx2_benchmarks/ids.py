"""Ids that are safe as file names on every system; prompts, suites and samples carry them."""

import re

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_RESERVED = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}


def check_id(value: str, kind: str = "id") -> str:
    """Return `value` if it may be used as a file name anywhere, else say why not.

    Lowercase ASCII only, so that two ids that differ still differ on file systems that fold case or normalise
    Unicode. Windows opens devices for names such as `con` or `com1.mp4` and drops a dot at the end.

    Raises:
        ValueError: where `value` is not of the form, holds `..`, ends with a dot or names a Windows device.
    """
    if not _ID.fullmatch(value):
        raise ValueError(
            f"{kind} {value[:80]!r}: expected 1 to 64 characters from a-z 0-9 . _ - that begin with a letter or digit"
        )
    if ".." in value or value.endswith("."):
        raise ValueError(f"{kind} {value!r}: two dots in a row or a dot at the end are refused; use - instead")
    if value.split(".")[0] in _RESERVED:
        raise ValueError(f"{kind} {value!r}: {value.split('.')[0]!r} names a device on Windows; add a letter")
    return value
