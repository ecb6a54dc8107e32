"""Word and character errors: what was said against what was meant, after a normalisation that both sides get."""

import unicodedata
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

WITHOUT_SPACES = frozenset({"zh", "ja", "th", "yue", "lo", "km", "my", "bo"})
"""Languages written without spaces between words: only their characters can be compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Errors:
    """The fewest edits that make the expected words of the found ones."""

    substitutions: int
    deletions: int
    insertions: int
    expected: int
    """Number of expected words (or characters)."""

    @property
    def total(self) -> int:
        """All edits."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Edits per expected word; above 1 where more was said than expected. Raises ValueError without any."""
        if self.expected == 0:
            raise ValueError("no expected words; there is no error rate")
        return self.total / self.expected


class _Cell(NamedTuple):
    edits: int
    substitutions: int
    deletions: int
    insertions: int


_REPLACED, _LEFT_OUT, _PUT_IN = _Cell(1, 1, 0, 0), _Cell(1, 0, 1, 0), _Cell(1, 0, 0, 1)


def errors(expected: Sequence[Hashable], found: Sequence[Hashable]) -> Errors:
    """Levenshtein's edits, told apart; where several ways are shortest, one that replaces comes first.

    >>> errors("the cat sat".split(), "the bat sat down".split())
    Errors(substitutions=1, deletions=0, insertions=1, expected=3)
    """
    row = [_Cell(j, 0, 0, j) for j in range(len(found) + 1)]
    for i, word in enumerate(expected, start=1):
        above, row = row, [_Cell(i, 0, i, 0)]
        for j, other in enumerate(found, start=1):
            if word == other:
                row.append(above[j - 1])
                continue
            steps = ((above[j - 1], _REPLACED), (above[j], _LEFT_OUT), (row[j - 1], _PUT_IN))
            cell, step = min(steps, key=lambda pair: pair[0].edits)
            row.append(_Cell(*(a + b for a, b in zip(cell, step, strict=True))))
    _, substitutions, deletions, insertions = row[-1]
    return Errors(substitutions=substitutions, deletions=deletions, insertions=insertions, expected=len(expected))


def permuted_errors(expected: Sequence[Sequence[Hashable]], found: Sequence[Sequence[Hashable]]) -> int:
    """Fewest edits over all ways to say which found speaker is which expected one (cpWER: Watanabe et al. 2020).

    A speaker without a partner is compared with silence, so that all of his words are errors.
    """
    size = max(len(expected), len(found))
    table = np.zeros((size, size), np.int64)
    for i in range(size):
        for j in range(size):
            mine = expected[i] if i < len(expected) else ()
            table[i, j] = errors(mine, found[j] if j < len(found) else ()).total
    return int(table[linear_sum_assignment(table)].sum())


def words(text: str, language: str, spelling: Mapping[str, str]) -> list[str]:
    """Words of a normalised text, as Whisper's authors normalise English, and more plainly other languages.

    Args:
        text: as it is written or was heard.
        language: code.
        spelling: British words and their American spelling, for English.
    """
    return normalised(text, language, spelling).split()


def characters(text: str, language: str, spelling: Mapping[str, str]) -> list[str]:
    """Characters of a normalised text; the spaces count, but not in languages written without them."""
    plain = normalised(text, language, spelling)
    return list(plain.replace(" ", "") if language in WITHOUT_SPACES else plain)


def normalised(text: str, language: str, spelling: Mapping[str, str]) -> str:
    """Lower case, compatibility forms, no punctuation; for English also numbers, contractions, titles and spelling."""
    united = tuple(spelling.items()) if language == "en" else None
    plain = _normaliser(united)(unicodedata.normalize("NFKC", text))
    return " ".join(word for word in plain.split() if any(map(str.isalnum, word)))


@cache
def _normaliser(spelling: tuple[tuple[str, str], ...] | None) -> Any:
    """Of English with that spelling, or without one of any language."""
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

    return BasicTextNormalizer() if spelling is None else EnglishTextNormalizer(dict(spelling))
