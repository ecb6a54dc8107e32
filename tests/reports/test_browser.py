"""The page in a real browser: no request beyond itself and its clips, no dialog, no error, nothing cut off."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ltx2_reports.records import Reason, read_run
from ltx2_reports.report import Page, write_report

MakeRun = Callable[..., Path]
pytestmark = pytest.mark.browser


def _report(
    browsing: ModuleType, make_run: MakeRun, tmp_path: Path, payloads: list[str], frames: int = 6, fps: int = 12
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
        said |= {"system": payload}
        folder = f"run-{place}"
        runs.append(make_run(folder, prompts=2, metrics=metrics, failed=("p000-s1",), warnings=(payload,), **said))
    for folder in runs:
        for clip in read_run(folder).clips.values():
            if clip.file is not None:
                browsing.write_clip(folder / clip.file, frames, fps)
    return write_report(runs, tmp_path / "out").html


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_a_hostile_report_does_nothing(
    browser: Any, browsing: ModuleType, make_run: MakeRun, tmp_path: Path, hostile: ModuleType, width: int, scheme: str
) -> None:
    names = ["script", "close-script", "attribute", "image", "svg", "javascript-url", "bidi", "long"]
    report = _report(browsing, make_run, tmp_path, [hostile.PAYLOADS[name] for name in names])
    page, requests, trouble = browsing.open_page(browser, report, width, scheme)
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


def test_the_page_is_styled_readable_and_works_by_keyboard(
    browser: Any, browsing: ModuleType, make_run: MakeRun, tmp_path: Path
) -> None:
    report = _report(browsing, make_run, tmp_path, ["nano", "nano, no guidance", "synthetic world"])
    page, _, trouble = browsing.open_page(browser, report, 1440, "light")
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
    browsing.wait(page, "document.querySelector('video').videoWidth === 96")
    assert page.locator("video").first.get_attribute("aria-label") == "nano, prompt p000, seed 0"
    page.close()


def test_dark_and_light_follow_the_reader(
    browser: Any, browsing: ModuleType, make_run: MakeRun, tmp_path: Path
) -> None:
    report = _report(browsing, make_run, tmp_path, ["nano"])
    page, _, _ = browsing.open_page(browser, report, 800, "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 20, 23)"
    page.close()


def test_a_column_head_sorts_by_click_and_by_key_and_says_so(
    browser: Any, browsing: ModuleType, make_run: MakeRun, tmp_path: Path
) -> None:
    values = {"low": 1, "high": 3, "middle": 2, "none": None}
    nothing = Reason(kind="abstained", message="nothing to see", stage="metric")
    runs = [
        make_run(
            name, system=name, metrics={"m": {"values": lambda i, s, v=value: nothing if v is None else v + i / 9}}
        )
        for name, value in values.items()
    ]
    page, _, trouble = browsing.open_page(
        browser, write_report(runs, tmp_path / "out", made=Page(media="none")).html, 1440, "light"
    )
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


def test_filters_hide_rows_and_prompts(browser: Any, browsing: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run(name, system=name, prompts=12) for name in ("nano", "world")]
    page, _, trouble = browsing.open_page(
        browser, write_report(runs, tmp_path / "out", made=Page(media="none")).html, 1440, "light"
    )
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
    browsing.wait(page, "document.querySelectorAll('article.prompt').length === 1")
    assert page.locator("article.prompt h3 a").text_content() == "p002"
    page.locator("#all-prompts").click()
    browsing.wait(page, "document.querySelectorAll('article.prompt').length === 8")
    assert trouble == []
    page.close()


def test_the_worst_clips_come_first_when_asked(
    browser: Any, browsing: ModuleType, make_run: MakeRun, tmp_path: Path
) -> None:
    order = {0: 5.0, 1: 1.0, 2: 9.0, 3: 3.0}
    run = make_run(
        prompts=4, seeds=(0,), metrics={"m": {"values": lambda i, s: order[i], "spec": {"direction": "down"}}}
    )
    page, _, trouble = browsing.open_page(
        browser, write_report([run], tmp_path / "out", made=Page(media="none")).html, 800, "light"
    )
    page.locator("#clip-order").select_option("0")
    assert page.locator("article.prompt h3 a").all_text_contents() == ["p002", "p000", "p003", "p001"]
    assert trouble == []
    page.close()
