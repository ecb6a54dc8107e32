"""The page in a real browser: no request beyond itself and its clips, no dialog, no error, nothing cut off."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest

from ltx2_reports.comparison import compare
from ltx2_reports.records import Reason, Run, read_run
from ltx2_reports.report import Page, render_html, write_report

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


def _write_clip(path: Path, frames: int, fps: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=Fraction(fps))
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for shade in range(0, 240, 240 // frames):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), shade, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _report(
    make_run: MakeRun, tmp_path: Path, payloads: list[str], frames: int = 6, fps: int = 12, shared: bool = False
) -> Path:
    """Systems that say every payload in some field; all but the first lack a clip."""
    runs = []
    for place, payload in enumerate(payloads):
        failed = Reason(kind="failed", message=payload, stage="metric")
        metrics = {
            "sharpness": {"spec": {"title": payload[:200]}},
            "offset": {"values": lambda i, s, failed=failed: failed if i == 0 else i / 3, "spec": {"unit": "ms"}},
        }
        said = dict.fromkeys(("prompt", "model", "suite", "platform"), payload)
        said |= {"system": payload} | ({"prompt": "A ball bounces."} if shared else {})
        folder = f"run-{place}"
        runs.append(make_run(folder, prompts=2, metrics=metrics, failed=("p000-s1",), warnings=(payload,), **said))
    for folder in runs:
        for clip in read_run(folder).clips.values():
            if clip.file is not None:
                _write_clip(folder / clip.file, frames, fps)
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
    page.wait_for_selector("article.prompt", state="attached")
    _wait(page, "[...document.querySelectorAll('video')].every(v => !v.hasAttribute('src') || v.readyState > 0)")
    return page, requests, trouble


def _wait(page: Any, expression: str) -> None:
    """Wait until it is true; Playwright's own waiting would need `eval`, which the page's policy forbids."""
    for _ in range(400):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_a_hostile_report_does_nothing(
    browser: Any, make_run: MakeRun, tmp_path: Path, hostile: ModuleType, width: int, scheme: str
) -> None:
    names = ["script", "close-script", "attribute", "image", "svg", "javascript-url", "bidi", "long"]
    report = _report(make_run, tmp_path, [hostile.PAYLOADS[name] for name in names])
    page, requests, trouble = _open(browser, report, width, scheme)
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    while page.locator("#more-prompts").is_visible():
        page.locator("#more-prompts").click()
    page.wait_for_timeout(200)
    assert trouble == []
    assert requests[0] == report.as_uri()
    assert all(url.startswith(tmp_path.as_uri()) and url.endswith(".mp4") for url in requests[1:])
    assert len(requests) > 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.images.length + document.forms.length") == 0
    assert page.evaluate("document.scripts.length") == 5
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
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#board"
    summary = page.locator("#protocols summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('#protocols details').open")
    page.locator("video").first.scroll_into_view_if_needed()
    _wait(page, "document.querySelector('video').videoWidth === 96")
    assert page.locator("video").first.get_attribute("aria-label") == "nano, prompt p000, seed 0"
    page.close()


def test_dark_and_light_follow_the_reader(browser: Any, make_run: MakeRun, tmp_path: Path) -> None:
    report = _report(make_run, tmp_path, ["nano"])
    page, _, _ = _open(browser, report, 800, "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 20, 23)"
    page.close()


def test_a_column_head_sorts_by_click_and_by_key_and_says_so(browser: Any, make_run: MakeRun, tmp_path: Path) -> None:
    values = {"low": 1, "high": 3, "middle": 2, "none": None}
    nothing = Reason(kind="abstained", message="nothing to see", stage="metric")
    runs = [
        make_run(
            name, system=name, metrics={"m": {"values": lambda i, s, v=value: nothing if v is None else v + i / 9}}
        )
        for name, value in values.items()
    ]
    page, _, trouble = _open(browser, write_report(runs, tmp_path / "out", media="none").html, 1440, "light")
    names = "[...document.querySelectorAll('#board-table tbody th')].map(cell => cell.textContent.trim())"
    head = page.locator("#board-table thead th").nth(1)
    head.locator("button").click()
    assert page.evaluate(names) == ["high", "middle", "low", "none"]
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert page.evaluate(names) == ["low", "middle", "high", "none"]
    assert head.get_attribute("aria-sort") == "ascending"
    assert page.locator("#status").text_content() == "Sorted by M ↑, ascending"
    page.locator("#board-table thead th button").first.click()
    assert page.evaluate(names) == ["high", "low", "middle", "none"]
    assert trouble == []
    page.close()


def test_filters_hide_rows_and_prompts(browser: Any, make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run(name, system=name, prompts=12) for name in ("nano", "world")]
    page, _, trouble = _open(browser, write_report(runs, tmp_path / "out", media="none").html, 1440, "light")
    page.locator("input[data-filters='#board-table tbody']").fill("wor")
    assert page.evaluate("[...document.querySelectorAll('#board-table tbody tr')].map(row => row.hidden)") == [
        True,
        False,
    ]
    assert page.locator("#status").text_content() == "1 row shown"
    assert page.locator("article.prompt").count() == 8
    page.locator("#more-prompts").focus()
    page.keyboard.press("Enter")
    assert page.locator("article.prompt").count() == 12
    page.locator("#clip-search").fill("bounces 11")
    assert page.locator("article.prompt h3 a").all_text_contents() == ["p011"]
    page.locator("#clip-search").fill("")
    page.locator("article.prompt h3 a").nth(2).click()
    _wait(page, "document.querySelectorAll('article.prompt').length === 1")
    assert page.locator("article.prompt h3 a").text_content() == "p002"
    page.locator("#all-prompts").click()
    _wait(page, "document.querySelectorAll('article.prompt').length === 8")
    assert trouble == []
    page.close()


def test_the_worst_clips_come_first_when_asked(browser: Any, make_run: MakeRun, tmp_path: Path) -> None:
    order = {0: 5.0, 1: 1.0, 2: 9.0, 3: 3.0}
    run = make_run(
        prompts=4, seeds=(0,), metrics={"m": {"values": lambda i, s: order[i], "spec": {"direction": "down"}}}
    )
    page, _, trouble = _open(browser, write_report([run], tmp_path / "out", media="none").html, 800, "light")
    page.locator("#clip-order").select_option("0")
    assert page.locator("article.prompt h3 a").all_text_contents() == ["p002", "p000", "p003", "p001"]
    assert trouble == []
    page.close()


def test_players_step_seek_and_play_together_within_a_frame(browser: Any, make_run: MakeRun, tmp_path: Path) -> None:
    fps = 24
    report = _report(make_run, tmp_path, ["a", "b", "c"], frames=48, fps=fps, shared=True)
    page, _, trouble = _open(browser, report, 1440, "light")
    group = page.locator(".group").first
    times = "[...document.querySelector('.group').querySelectorAll('video')].map(player => player.currentTime)"
    settled = "[...document.querySelector('.group').querySelectorAll('video')].every(player => !player.seeking)"

    def spread() -> tuple[float, float]:
        _wait(page, settled)
        found = page.evaluate(times)
        assert len(found) == 3
        return max(found) - min(found), min(found)

    group.get_by_role("slider").fill("500")
    apart, _ = spread()
    assert apart < 1 / fps
    before = spread()[1]
    for _ in range(3):
        group.get_by_role("button", name="One frame on").click()
        apart, now = spread()
        assert apart < 0.5 / fps
    assert abs(now - before - 3 / fps) <= 1 / fps
    group.get_by_role("button", name="One frame back").focus()
    page.keyboard.press("Enter")
    assert abs(now - spread()[1] - 1 / fps) < 0.1 / fps
    group.get_by_role("slider").fill("0")
    _wait(page, settled)
    group.get_by_role("button", name="Play all").click()
    _wait(page, "document.querySelector('.group video').currentTime > 0.4")
    group.get_by_role("button", name="Pause all").click()
    apart, _ = spread()
    assert apart <= 1 / fps
    assert trouble == []
    page.close()


def _grown(run: Run, place: int, prompts: int) -> Run:
    """The run with many prompts, in memory."""
    spec, clip = run.header.spec, next(iter(run.clips.values()))
    value = {key[1]: line for key, line in run.values.items() if key[0] == clip.sample}
    names = [f"p{i:04}" for i in range(prompts)]
    asked = tuple(spec.prompts[0].model_copy(update={"id": n, "text": f"Prompt {n}, a ball falls."}) for n in names)
    grown = spec.model_copy(update={"system": f"system {place}", "prompts": asked})
    return replace(
        run,
        header=run.header.model_copy(update={"spec": grown}),
        clips={n: clip.model_copy(update={"sample": n, "prompt_id": n, "file": f"clips/{n}.mp4"}) for n in names},
        values={
            (n, m): line.model_copy(update={"sample": n, "value": (i * 7919 + place * 104729 + k * 31) % 1000 / 7})
            for i, n in enumerate(names)
            for k, (m, line) in enumerate(value.items())
        },
    )


def test_a_large_page_opens_and_sorts_quickly_and_is_small(browser: Any, make_run: MakeRun, tmp_path: Path) -> None:
    """1,000 prompts x 10 systems; the bars are 2 s, 200 ms and 1.5 MB, doubled here for a busy machine."""
    first = read_run(make_run(prompts=2, seeds=(0,), metrics={f"m{k}": {} for k in range(6)}))
    runs = [_grown(first, place, 1000) for place in range(10)]
    report = tmp_path / "report.html"
    report.write_text(render_html(compare(runs, resamples=100), runs, Page(folder=tmp_path, media="none")))
    assert report.stat().st_size < 1_500_000
    page, _, trouble = _open(browser, report, 1440, "light")
    page.wait_for_selector("article.prompt")
    opened_ms = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert opened_ms < 4000
    sorted_ms = page.evaluate(
        "(() => { const start = performance.now(); document.querySelectorAll('#board-table .sort')[1].click();"
        " document.body.offsetHeight; return performance.now() - start; })()"
    )
    assert sorted_ms < 400
    ordered_ms = page.evaluate(
        "(() => { const start = performance.now(); const order = document.getElementById('clip-order');"
        " order.value = '0'; order.dispatchEvent(new Event('change')); document.body.offsetHeight;"
        " return performance.now() - start; })()"
    )
    assert ordered_ms < 400
    assert trouble == []
    page.close()
