"""Names that a caller may have meant, for messages about unknown ones."""

import difflib
from collections.abc import Iterable

_LISTED = 20


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `name`, whatever its case, or None where none is like it.

    >>> nearest("smok", ["ci", "smoke"])
    'smoke'
    """
    by_folded = {candidate.casefold(): candidate for candidate in sorted(candidates)}
    # SequenceMatcher is quadratic: a name longer than any real one needs no full comparison.
    found = difflib.get_close_matches(name.casefold()[:100], by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def unknown(kind: str, name: str, candidates: Iterable[str]) -> str:
    """Message about a name that does not exist, with the nearest one and those there are.

    Args:
        kind: What the name should have been, in the singular, such as `suite`.
        name: What was found; printed as a Python literal, cut at 80 characters.
        candidates: The names that exist.

    >>> unknown("suite", "smok", ["smoke", "ci"])
    "unknown suite 'smok'. Did you mean 'smoke'? Available: ci, smoke"
    """
    names = sorted(set(candidates))
    meant = nearest(name, names)
    question = f" Did you mean {meant!r}?" if meant else ""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"unknown {kind} {shown(name)}.{question} Available: {', '.join(names[:_LISTED]) or 'none'}{more}"


def shown(value: object, limit: int = 80) -> str:
    """`value` as a Python literal of at most about `limit` characters; control characters come out escaped."""
    if isinstance(value, str):
        return repr(value) if len(value) <= limit else f"{value[:limit]!r}... ({len(value)} characters)"
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
