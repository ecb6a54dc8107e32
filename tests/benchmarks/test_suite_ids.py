"""Reliability W5: an id is refused or is a file name of its own on every system."""

import string
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltx2_benchmarks.ids import check_id

HOSTILE = [
    "", ".", "..", "../x", "a/../b", "/etc/passwd", "a/b", "a\\b", "C:x", "c:\\x", "~", "~root", "a\0b", "a\nb", "a\n",
    "a\r", "\ta", " a", "a ", "a.", "a..b", "a...", "con", "prn", "aux", "nul", "con.txt", "nul.mp4", "com1", "com0.a",
    "lpt9", "lpt1.tar.gz", "A", "Door", "CON", "door\u0301", "\u00e9", "\uff41", "\u212a", "\u0131", "\u00df", "a" * 65,
    "a" * 300, "-rf", "-", "_a", ".hidden", "a*", "a?", "a:b", "a|b", 'a"b', "a<b", "$x", "a\u202eb", "\ud800",
    "%2e%2e",
]  # fmt: skip
RESERVED = {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))}
# Letters that fold or normalise to plain ones, what paths are made of, and names of devices.
PIECES = st.sampled_from([*"abAB01._-/\\~: \0\n", "..", "con", "com1", "nul", "é", "e\u0301", "K", "\u212a", "ﬁ", "ı"])
IDS = st.one_of(st.lists(PIECES, max_size=6).map("".join), st.text(max_size=70))


def accepted(value: str) -> bool:
    try:
        return check_id(value) == value
    except ValueError:
        return False


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_hostile_ids_are_refused_by_name(value):
    with pytest.raises(ValueError, match="prompt id"):
        check_id(value, "prompt id")


@pytest.mark.parametrize("value", ["a", "0", "a.b", "a-b_c.d", "console", "com10", "lpt", "auxiliary.x", "a" * 64])
def test_plain_ids_are_accepted(value):
    assert check_id(value) == value


@settings(max_examples=1000, derandomize=True, deadline=None)
@given(IDS)
def test_accepted_ids_are_file_names_on_every_system(value):
    if not accepted(value):
        return
    assert 1 <= len(value.encode()) <= 64
    assert set(value) <= set(string.ascii_lowercase + string.digits + "._-")
    assert value[0] not in ".-_"
    assert not value.endswith(".")
    assert ".." not in value
    assert value.partition(".")[0] not in RESERVED


@settings(max_examples=1000, derandomize=True, deadline=None)
@given(IDS, IDS)
def test_two_ids_never_share_a_file(first, second):
    def folded(value: str) -> str:
        return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold())

    for a, b in ((first, second), (first, first.upper()), (first, unicodedata.normalize("NFD", first))):
        if a != b and folded(a) == folded(b):
            assert not (accepted(a) and accepted(b))


def test_the_property_meets_accepted_ids():
    seen = []

    @settings(max_examples=1000, derandomize=True, deadline=None, database=None)
    @given(IDS)
    def count(value):
        seen.append(accepted(value))

    count()
    assert sum(seen) > 50
