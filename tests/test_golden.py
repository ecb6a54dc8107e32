"""Stored files are there because a test reads them."""

from pathlib import Path

TESTS = Path(__file__).parent


def test_every_golden_file_is_read_by_a_test() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py") if path != Path(__file__)}
    for entry in sorted((TESTS / "golden").iterdir()):
        assert any(f'"{entry.name}"' in source for source in sources.values()), f"no test names {entry.name}"
