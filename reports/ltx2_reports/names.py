"""Ids that become file names: what may, and which two would meet in one file."""

import re
import unicodedata
from collections.abc import Iterable

MOST_BYTES = 200
_FORBIDDEN = re.compile(r'[/\\:*?"<>|]')
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)", re.IGNORECASE)


def safe_name(name: str, *, cure: str = "give the clip another id") -> str:
    """Return `name` if a file of that name stays in its folder and can exist on every common system.

    Letters of all scripts are allowed. Refused: what names another folder, a hidden or a temporary file, an option, a
    device or a stream; what some system cuts off, rewrites or does not show.

    Raises:
        ValueError: with the reason, and `cure`: what to do.
    """
    trouble = _trouble(name)
    if trouble:
        raise ValueError(f"{name[:80]!r} cannot be a file name: {trouble}; {cure}")
    return name


def _trouble(name: str) -> str | None:
    if not name:
        return "it is empty"
    if name[0] in ".-~ " or name[-1] in ". ":
        return "it begins with one of '.', '-', '~' or a blank, or ends with a dot or a blank"
    hidden = next((letter for letter in name if not letter.isprintable()), None)
    if hidden is not None:
        return f"it holds the invisible character U+{ord(hidden):04X}"
    forbidden = _FORBIDDEN.search(name)
    if forbidden:
        return f"it holds {forbidden.group()!r}"
    if _DEVICE.fullmatch(name.split(".")[0].rstrip()):
        return f"{name.split('.')[0]!r} names a device on Windows"
    if unicodedata.normalize("NFC", name) != name:
        return "its accents are separate characters (it is not in Unicode form NFC)"
    size = len(name.encode())
    return f"it has {size} bytes, {MOST_BYTES} are allowed" if size > MOST_BYTES else None


def folded(name: str) -> str:
    """The form under which two names meet on file systems that ignore case or Unicode form."""
    once = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFKC", once).casefold()


def distinct(names: Iterable[str]) -> None:
    """Check that no two names share a file on any common system.

    Raises:
        ValueError: naming the first two that do.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(folded(name), name)
        if other != name:
            raise ValueError(f"{other!r} and {name!r} are one file where case or Unicode form is ignored; rename one")
