"""Sample ids stay in their folder or are refused, and two ids never share a file."""

from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltx2_reports.names import distinct, folded, safe_name


def test_every_hostile_name_is_refused_with_a_reason(hostile: ModuleType) -> None:
    assert len(hostile.NAMES) >= 30
    for name in hostile.NAMES:
        with pytest.raises(ValueError, match=r"cannot be a file name: it|names a device"):
            safe_name(name)


@pytest.mark.parametrize(
    "name", ["p000-s0", "a.b", "猫", "été", "console", "com", "a b", "x" * 200, "0", "_", "naïve~1"]
)
def test_harmless_names_pass(name: str) -> None:
    assert safe_name(name) == name


def test_twins_are_told_apart(hostile: ModuleType) -> None:
    for first, second in hostile.TWINS:
        with pytest.raises(ValueError, match="are one file"):
            distinct(["other", first, "more", second])


def test_a_name_given_twice_is_one_name() -> None:
    distinct(["a", "b", "a"])


pieces = st.one_of(
    st.text(max_size=12),
    st.text(st.sampled_from("./\\~-: \0\n\rCONcon123éÉe\u0301\ufb01ßſ\u212a\u200b\u202e猫"), max_size=8),
    st.sampled_from(["..", "../", "/", "con", "aux.", "\\", "C:", "x" * 199, "é" * 101]),
)
names = st.lists(pieces, min_size=1, max_size=3).map("".join)


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(first=names, second=names)
def test_the_file_is_inside_or_the_name_is_refused_and_two_names_are_two_files(
    tmp_path_factory: pytest.TempPathFactory, first: str, second: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    accepted = []
    for name in (first, second):
        try:
            accepted.append(safe_name(name))
        except ValueError:
            continue
        path = Path(folder / f"{name}.mp4")
        assert path.resolve().parent == folder.resolve()
        assert path.name == f"{name}.mp4"
        assert len(path.name.encode()) < 255
        assert name.isprintable()
    if len(accepted) == 2 and first != second:
        try:
            distinct(accepted)
        except ValueError:
            assert folded(first) == folded(second)
        else:
            assert first.casefold() != second.casefold()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(names)
def test_folding_twice_changes_nothing(name: str) -> None:
    assert folded(folded(name)) == folded(name)
