"""Players side by side in a real browser: together within a frame, whatever happens to one of them."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ltx2_reports.records import Reason, read_run
from ltx2_reports.report import Page, write_report
from ltx2_reports.traces import Trace, write_trace

MakeRun = Callable[..., Path]
pytestmark = pytest.mark.browser

GROUP = "[...document.querySelector('.group').querySelectorAll('video')]"
TIMES = f"{GROUP}.map(player => player.currentTime)"
FPS = 24


@pytest.fixture
def board(browsing: ModuleType, make_run: MakeRun, tmp_path: Path) -> Callable[..., Path]:
    """A page of systems that have 48 frames with sound of two prompts; `rates` by system."""

    def make(names: str, rates: dict[str, int] | None = None, missing: str = "") -> Path:
        runs = [make_run(name, system=name, prompts=2, seeds=(0,)) for name in names]
        for folder in runs:
            fps = (rates or {}).get(folder.name, FPS)
            for sample, clip in read_run(folder).clips.items():
                browsing.write_clip(folder / (clip.file or ""), 2 * fps, fps, sound=True)
                trace = Trace(
                    sha256=clip.sha256 or "",
                    duration_s=2.0,
                    peaks="AZ" * 40,
                    sound_onsets_s=(0.5,),
                    motion_onsets_s=(0.4,),
                    frame_rate_hz=fps,
                )
                write_trace(folder, sample, trace)
        report = write_report(runs, tmp_path / "out").html
        for name in missing:
            (tmp_path / name / "clips" / "p000-s0.mp4").unlink()
        return report

    return make


def _ready(browsing: ModuleType, page: Any, count: int) -> Any:
    group = page.locator(".group").first
    group.scroll_into_view_if_needed()
    browsing.wait(page, f"{GROUP}.length === {count} && {GROUP}.every(player => player.readyState >= 2)")
    browsing.wait(page, f"{GROUP}.every(player => !player.seeking)")
    return group


def test_they_step_seek_and_play_together_within_a_frame(browser: Any, browsing: ModuleType, board: Any) -> None:
    page, _, trouble = browsing.open_page(browser, board("abc"), 1440)
    group = _ready(browsing, page, 3)

    def spread() -> tuple[float, float]:
        browsing.wait(page, f"{GROUP}.every(player => !player.seeking)")
        found = page.evaluate(TIMES)
        return max(found) - min(found), min(found)

    group.get_by_role("slider").fill("500")
    assert spread()[0] < 1 / FPS
    before = spread()[1]
    for _ in range(3):
        group.get_by_role("button", name="One frame on").click()
        apart, now = spread()
        assert apart < 0.5 / FPS
    assert abs(now - before - 3 / FPS) <= 1 / FPS
    group.get_by_role("button", name="One frame back").focus()
    page.keyboard.press("Enter")
    assert abs(now - spread()[1] - 1 / FPS) < 0.1 / FPS
    group.get_by_role("slider").fill("0")
    browsing.wait(page, f"{GROUP}.every(player => !player.seeking)")
    group.get_by_role("button", name="Play all").click()
    browsing.wait(page, f"{GROUP}.every(player => player.currentTime > 0.3)")
    apart_s = []
    for _ in range(15):  # while they play, with sound
        found = page.evaluate(TIMES)
        apart_s.append(max(found) - min(found))
        page.wait_for_timeout(40)
    assert sorted(apart_s)[len(apart_s) // 2] <= 1 / FPS
    group.get_by_role("button", name="Pause all").click()
    assert spread()[0] <= 1 / FPS
    assert trouble == []
    page.close()


@pytest.mark.parametrize("gone", ["a", "bd"])
def test_a_missing_file_is_told_and_holds_nobody_up(browser: Any, browsing: ModuleType, board: Any, gone: str) -> None:
    page, _, trouble = browsing.open_page(browser, board("abcd", missing=gone), 1440)
    group = _ready(browsing, page, 4 - len(gone))
    told = group.locator(".absent")
    assert told.count() == len(gone)
    assert "file not found" in told.first.text_content()
    assert f"{gone[0]}/clips/p000-s0.mp4" in told.first.text_content()
    group.get_by_role("button", name="Play all").click()
    browsing.wait(page, f"{GROUP}.every(player => player.currentTime > 0.5)")
    assert page.evaluate(f"{GROUP}.every(player => !player.paused)")
    browsing.wait(page, f"{GROUP}.every(player => player.ended)")
    browsing.wait(page, "document.querySelector('.play').textContent === 'Play all'")
    assert all("p000-s0.mp4" in line or "ERR_FILE_NOT_FOUND" in line for line in trouble)
    page.close()


def test_a_player_that_its_reader_stops_does_not_stop_the_others(
    browser: Any, browsing: ModuleType, board: Any
) -> None:
    page, _, trouble = browsing.open_page(browser, board("abc"), 1440)
    group = _ready(browsing, page, 3)
    group.get_by_role("button", name="Play all").click()
    browsing.wait(page, f"{GROUP}.every(player => player.currentTime > 0.1)")
    stopped = page.evaluate(f"(() => {{ const [a] = {GROUP}; a.pause(); return a.currentTime; }})()")
    browsing.wait(page, f"{GROUP}.slice(1).every(player => player.currentTime > {stopped + 0.5})")
    assert abs(page.evaluate(TIMES)[0] - stopped) < 0.1
    assert trouble == []
    page.close()


def test_any_system_can_be_heard(browser: Any, browsing: ModuleType, board: Any) -> None:
    page, _, trouble = browsing.open_page(browser, board("abc"), 1440)
    group = _ready(browsing, page, 3)
    muted = f"{GROUP}.map(player => player.muted)"
    assert page.evaluate(muted) == [False, True, True]
    group.get_by_label("Whose sound is heard").select_option("1")
    assert page.evaluate(muted) == [True, False, True]
    group.get_by_role("button", name="Play all").focus()
    page.keyboard.press("3")
    assert page.evaluate(muted) == [True, True, False]
    page.keyboard.press("k")
    browsing.wait(page, f"{GROUP}.every(player => player.currentTime > 0.2)")
    assert page.evaluate(muted) == [True, True, False]
    page.evaluate(f"{GROUP}[0].muted = false")  # by the player's own controls
    browsing.wait(page, f"JSON.stringify({muted}) === '[false,true,true]'")
    page.keyboard.press("k")
    before = page.evaluate(TIMES)[0]
    page.keyboard.press(".")
    browsing.wait(page, f"{GROUP}.every(player => !player.seeking)")
    assert 0 < page.evaluate(TIMES)[0] - before < 2 / FPS
    assert trouble == []
    page.close()


def test_each_clip_is_stepped_by_its_own_rate(browser: Any, browsing: ModuleType, board: Any) -> None:
    rates = {"a": 24, "b": 8}
    page, _, trouble = browsing.open_page(browser, board("ab", rates=rates), 1440)
    group = _ready(browsing, page, 2)
    for _ in range(2):
        group.get_by_role("button", name="One frame on").click()
        browsing.wait(page, f"{GROUP}.every(player => !player.seeking)")
    assert page.evaluate(TIMES) == pytest.approx([2.5 / 24, 2.5 / 8], abs=1e-3)
    assert trouble == []
    page.close()


def test_marks_of_sound_and_motion_are_drawn_and_told(browser: Any, browsing: ModuleType, board: Any) -> None:
    page, _, _ = browsing.open_page(browser, board("ab"), 1440)
    wave = page.locator(".strip-wave").first
    assert wave.locator("title").text_content() == "1 sudden movements at 0.4 s; 1 sound onsets at 0.5 s"
    assert wave.locator("line.moves").get_attribute("x1") == "32"
    assert wave.locator("line.sounds").get_attribute("x1") == "40"
    page.close()


def test_failures_come_first_and_the_worst_clip_is_marked(
    browser: Any, browsing: ModuleType, make_run: MakeRun, tmp_path: Path
) -> None:
    order = {0: 5.0, 1: 1.0, 2: 9.0, 3: 3.0, 4: 2.0}
    silent = Reason(kind="abstained", message="there is no sound", stage="metric")
    values = {"m": {"values": lambda i, s: silent if i == 4 else order[i], "spec": {"direction": "down"}}}
    good = {"m": {"values": lambda i, s: 0.0, "spec": {"direction": "down"}}}
    runs = [
        make_run("a", system="a", prompts=5, seeds=(0,), metrics=good),
        make_run("b", system="b", prompts=5, seeds=(0,), metrics=values, failed=("p003-s0",)),
    ]
    page, _, trouble = browsing.open_page(
        browser, write_report(runs, tmp_path / "out", made=Page(media="none")).html, 800
    )
    names = page.locator("article.prompt h3 a")
    page.locator("#clip-order").select_option("0")
    assert names.all_text_contents() == ["p003", "p002", "p000", "p001", "p004"]
    marked = page.locator("figure:has(.badge.worst) strong").all_text_contents()
    assert marked == ["b", "b", "b", "b", "a"]
    page.locator("#clip-system").select_option("1")
    assert names.all_text_contents() == ["p003", "p002", "p000", "p001", "p004"]
    assert page.locator("figure:has(.badge.worst)").count() == 4  # abstaining is no failure
    page.locator("#clip-failed").check()
    assert names.all_text_contents() == ["p003"]
    page.locator("#clip-system").select_option("0")
    assert names.count() == 0
    assert trouble == []
    page.close()


@pytest.mark.parametrize("address", ["#prompt=%E0", "#prompt=nobody"])
def test_an_address_that_names_no_prompt_shows_the_way_back(
    browser: Any, browsing: ModuleType, board: Any, address: str
) -> None:
    page, _, trouble = browsing.open_page(browser, board("a"), 800)
    page.evaluate(f"location.hash = '{address}'")
    browsing.wait(page, "document.querySelectorAll('article.prompt').length === 0")
    page.locator("#all-prompts").click()
    browsing.wait(page, "document.querySelectorAll('article.prompt').length === 2")
    assert trouble == []
    page.close()
