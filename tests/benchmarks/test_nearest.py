import pytest

from ltx2_benchmarks.nearest import nearest, shown, unknown


@pytest.mark.parametrize(
    ("name", "expected"),
    [("smok", "smoke"), ("SMOKE", "smoke"), ("fdv", "fvd"), ("zzz", None), ("", None), ("s" * 10**6, None)],
)
def test_nearest_name(name, expected):
    assert nearest(name, ["ci", "smoke", "fvd"]) == expected


def test_message_names_the_nearest_and_the_rest():
    assert (
        unknown("suite", "smok", ["smoke", "ci"]) == "unknown suite 'smok'. Did you mean 'smoke'? Available: ci, smoke"
    )


def test_message_without_anything_near_or_there():
    assert unknown("metric", "x", []) == "unknown metric 'x'. Available: none"


def test_message_stays_short_and_printable():
    message = unknown("suite", "\x1b[31m\u202e" * 1000, [f"name-{n:03d}" for n in range(500)])
    assert len(message) < 1000
    assert message.isprintable()
    assert message.endswith("and 480 more")


def test_shown_cuts_values_of_any_type():
    assert shown([1, 2]) == "[1, 2]"
    assert len(shown(list(range(1000)))) < 100
    assert shown("x" * 100) == f"'{'x' * 80}'... (100 characters)"
