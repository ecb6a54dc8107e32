"""The page in a real browser: no request beyond itself and its clips, no dialog, no error, nothing cut off."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest

from ltx2_reports.records import Reason, read_run
from ltx2_reports.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
REQUIRED = os.environ.get("LTX2_EVAL_REQUIRE_BROWSER") == "1"
"""Whether a missing browser is a failure instead of a skip."""
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
MakeRun = Callable[..., Path]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not REQUIRED and CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(
        not REQUIRED and importlib.util.find_spec("playwright") is None, reason="playwright is in the extra 'dev'"
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    assert CHROMIUM is not None, "LTX2_EVAL_REQUIRE_BROWSER is set and there is no Chromium"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


def _write_clip(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=Fraction(12))
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for shade in range(0, 240, 40):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), shade, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _report(make_run: MakeRun, tmp_path: Path, payloads: list[str]) -> Path:
    """Systems that say every payload in some field; all but the first lack a clip."""
    runs = []
    for place, payload in enumerate(payloads):
        failed = Reason(kind="failed", message=payload, stage="metric")
        metrics = {
            "sharpness": {"spec": {"title": payload[:200]}},
            "offset": {"values": lambda i, s, failed=failed: failed if i == 0 else i / 3, "spec": {"unit": "ms"}},
        }
        said = dict.fromkeys(("prompt", "model", "suite", "platform"), payload)
        said |= {"system": payload}
        folder = f"run-{place}"
        runs.append(make_run(folder, prompts=2, metrics=metrics, failed=("p000-s1",), warnings=(payload,), **said))
    for folder in runs:
        for clip in read_run(folder).clips.values():
            if clip.file is not None:
                _write_clip(folder / clip.file)
    return write_report(runs, tmp_path / "out").html


def _open(browser: Any, page_file: Path, width: int, scheme: str) -> tuple[Any, list[str], list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    requests: list[str] = []
    trouble: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("requestfailed", lambda request: trouble.append(f"request {request.url} {request.failure}"))
    page.on("dialog", lambda dialog: (trouble.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("pageerror", lambda error: trouble.append(f"error {error}"))
    page.on("console", lambda message: trouble.append(f"console {message.text}"))
    page.goto(page_file.as_uri())
    page.wait_for_function("[...document.querySelectorAll('video')].every(v => v.readyState > 0)", timeout=20_000)
    return page, requests, trouble


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_a_hostile_report_does_nothing(
    browser: Any, make_run: MakeRun, tmp_path: Path, hostile: ModuleType, width: int, scheme: str
) -> None:
    names = ["script", "close-script", "attribute", "image", "svg", "javascript-url", "bidi", "long"]
    report = _report(make_run, tmp_path, [hostile.PAYLOADS[name] for name in names])
    page, requests, trouble = _open(browser, report, width, scheme)
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    page.wait_for_timeout(200)
    assert trouble == []
    assert requests[0] == report.as_uri()
    assert all(url.startswith(tmp_path.as_uri()) and url.endswith(".mp4") for url in requests[1:])
    assert len(requests) > 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.scripts.length + document.images.length + document.forms.length") == 0
    page.close()


def test_the_page_is_styled_readable_and_works_by_keyboard(browser: Any, make_run: MakeRun, tmp_path: Path) -> None:
    report = _report(make_run, tmp_path, ["nano", "nano, no guidance", "synthetic world"])
    page, _, trouble = _open(browser, report, 1440, "light")
    assert trouble == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(251, 251, 249)"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#results"
    summary = page.locator("#protocols summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('#protocols details').open")
    assert page.locator("video").first.evaluate("v => v.videoWidth") == 96
    assert page.locator("video").first.get_attribute("aria-label") == "nano, prompt p000, seed 0"
    page.close()


def test_dark_and_light_follow_the_reader(browser: Any, make_run: MakeRun, tmp_path: Path) -> None:
    report = _report(make_run, tmp_path, ["nano"])
    page, _, _ = _open(browser, report, 800, "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 20, 23)"
    page.close()
