"""Shared by the tests of the reports: the factory of run folders and the hostile strings, loaded from their files."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"ltx2_tests_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOSTILE = _load(Path(__file__).parents[1] / "hostile.py")
FACTORY = _load(Path(__file__).with_name("factory.py"))
BROWSING = _load(Path(__file__).with_name("browsing.py"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "payload" in metafunc.fixturenames:
        metafunc.parametrize("payload", list(HOSTILE.PAYLOADS.values()), ids=list(HOSTILE.PAYLOADS))


@pytest.fixture(scope="session")
def hostile() -> ModuleType:
    return HOSTILE


@pytest.fixture(scope="session")
def factory() -> ModuleType:
    return FACTORY


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """`make_run("name", system=..., metrics=...)`: see `factory.write_run`."""

    def make(name: str = "run", **facts: Any) -> Path:
        return FACTORY.write_run(tmp_path / name, **facts)

    return make


@pytest.fixture(scope="session")
def browsing() -> ModuleType:
    return BROWSING


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; skips where there is none, unless one is required."""
    missing = BROWSING.why_not()
    if missing is not None and not BROWSING.REQUIRED:
        pytest.skip(missing)
    assert missing is None, f"LTX2_EVAL_REQUIRE_BROWSER is set: {missing}"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSING.CHROMIUM, args=BROWSING.ARGUMENTS)
        yield opened
        opened.close()
