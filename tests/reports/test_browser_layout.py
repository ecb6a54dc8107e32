"""The page on a phone, on paper, in both schemes, and with the strangest data: whole, readable, within its width."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ltx2_reports.published import chosen_baselines
from ltx2_reports.records import Reason, read_run, write_header
from ltx2_reports.report import Page, write_report

MakeRun = Callable[..., Path]
pytestmark = pytest.mark.browser

NOTHING = Reason(kind="abstained", message="nothing to see", stage="metric")
NAMES = "[...document.querySelectorAll('#board-table tbody th')].map(cell => cell.textContent.trim())"

CONTRASTS = """(() => {
  const channel = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const parsed = (text) => {
    const numbers = text.match(/[\\d.]+(e-?\\d+)?/g).map(Number);
    const scale = text.startsWith("color(") ? 1 : 255;
    return [...numbers.slice(0, 3).map((part) => part / scale), numbers[3] ?? 1];
  };
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.push(parsed(getComputedStyle(at).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    const over = (under, [r, g, b, a]) => [r, g, b].map((part, i) => a * part + (1 - a) * under[i]);
    return layers.reverse().reduce(over, [1, 1, 1]);
  };
  const found = [];
  for (const element of document.body.querySelectorAll("*:not(svg *):not(script):not(option):not(video)")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.getClientRects().length) continue;
    const [a, b] = [light(parsed(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const said = `${element.tagName}.${element.className} ${element.textContent.trim().slice(0, 20)}`;
    if (ratio < 4.5) found.push(`${said}: ${ratio.toFixed(2)}`);
  }
  return found;
})()"""
"""What has less contrast than WCAG AA asks for, by the colours that the browser computes."""


@pytest.fixture
def board(make_run: MakeRun, tmp_path: Path) -> Path:
    """A leaderboard with everything that a page can hold: marks, categories, plots, failures, published figures."""
    runs = []
    for place, name in enumerate(("nano", "nano, 4 steps", "world")):
        run_facts: dict[str, Any] = {
            "accuracy": {"values": lambda i, s, p=place: 0.2 * p + 0.01 * i, "spec": {"range": (0.0, 1.0)}},
            "runtime.generate_s": {"values": lambda i, s, p=place: 1.0 + p, "spec": {"direction": "down", "unit": "s"}},
            **{f"m{k}": {} for k in range(12)},
        }
        runs.append(make_run(f"r{place}", system=name, prompts=8, metrics=run_facts, failed=("p003-s0",)))
    _categorise(runs)
    chosen = chosen_baselines(["avgen-bench", "t2av-compass"])
    files = write_report(
        runs, tmp_path / "out", baseline="nano", made=Page(published=chosen, media="none", is_board=True)
    )
    return files.html


def _categorise(runs: list[Path]) -> None:
    """Half of the prompts of another category, as suites have them."""
    for folder in runs:
        head = read_run(folder).header
        kinds = ("impact", "order")
        prompts = (p.model_copy(update={"category": kinds[i % 2]}) for i, p in enumerate(head.spec.prompts))
        spec = head.spec.model_copy(update={"prompts": tuple(prompts)})
        write_header(folder, head.model_copy(update={"spec": spec}))


def test_on_a_phone_the_ranking_sorts_by_touch_and_key_and_shows_its_protocols(
    browser: Any, browsing: ModuleType, board: Path
) -> None:
    page, _, trouble = browsing.open_page(browser, board, 390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    button = page.locator("#board-table thead th .sort", has_text="Accuracy")
    button.scroll_into_view_if_needed()
    page.wait_for_timeout(700)
    hit = (
        "(b => { const r = b.getBoundingClientRect();"
        " return b.contains(document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2)); })"
    )
    assert button.evaluate(hit)
    assert button.evaluate("b => b.getBoundingClientRect().height") >= 24
    button.click()
    assert page.evaluate(NAMES)[0] == "world"
    button.focus()
    page.keyboard.press("Enter")
    assert page.evaluate(NAMES)[0] == "nano"
    for number in range(13):  # wherever the keyboard goes, it can be seen
        page.locator("#board-table thead th .sort").nth(number).focus()
        assert page.evaluate("document.activeElement.getBoundingClientRect().width") > 20
    badge = page.locator("#board-table tfoot a.identity").first
    badge.scroll_into_view_if_needed()
    assert badge.is_visible()
    assert badge.text_content().startswith("#")
    assert trouble == []
    page.close()


def test_tables_stay_tables_at_every_width(browser: Any, browsing: ModuleType, board: Path) -> None:
    for width in (390, 1440):
        page, _, _ = browsing.open_page(browser, board, width)
        page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        shown = "[...document.querySelectorAll('table, tr, td, th')].map(e => getComputedStyle(e).display)"
        assert set(page.evaluate(shown)) == {"table", "table-row", "table-cell"}
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("[...document.querySelectorAll('table')].every(t => t.caption && t.tHead)")
        page.close()


def test_on_a_phone_the_page_is_no_endless_roll(browser: Any, browsing: ModuleType, board: Path) -> None:
    page, _, _ = browsing.open_page(browser, board, 390)
    rows = page.locator("#results-table tbody tr").count()
    height = page.evaluate("document.getElementById('results-table').getBoundingClientRect().height")
    assert height / rows < 150  # a row, not a card per value
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_the_contrast_that_wcag_asks_for(
    browser: Any, browsing: ModuleType, board: Path, scheme: str
) -> None:
    page, _, _ = browsing.open_page(browser, board, 1440, scheme)
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    assert page.locator(".h4").count() > 0
    assert page.locator(".best").count() > 0
    page.locator("#clip-order").select_option("1")  # "worst" marks
    assert page.evaluate(CONTRASTS) == []
    page.close()


def test_on_paper_headings_stay_folds_open_and_nothing_is_cut_off(
    browser: Any, browsing: ModuleType, board: Path
) -> None:
    page, _, _ = browsing.open_page(browser, board, 1040)
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    heads = "[...document.querySelectorAll('#board-table thead th')].map(head => head.innerText.trim())"
    assert all(page.evaluate(heads))
    assert len(page.evaluate(heads)) == 13
    assert page.evaluate(
        "[...document.querySelectorAll('main details')].filter(d => !d.closest('#clips')).every(d => d.open)"
    )
    assert page.evaluate("document.getElementById('board-table').getBoundingClientRect().right") <= 1040
    assert page.evaluate("document.documentElement.scrollWidth") <= 1040
    assert not page.locator("nav").is_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert not page.evaluate("document.querySelector('#protocols details').open")
    page.close()


STRANGE: dict[str, dict[str, Any]] = {
    "one system": {"systems": ["nano"]},
    "one prompt": {"systems": ["a", "b"], "prompts": 1},
    "all null": {"systems": ["a", "b"], "metrics": {"m": {"values": lambda i, s: NOTHING}}},
    "long names": {"systems": ["x" * 200, "two words " * 20]},
    "right to left": {"systems": ["نظام-3", "מערכת"], "prompt": "كرة حمراء تقفز ثلاث مرات (3) على الأرض."},
    "emoji": {"systems": ["🤖🎬", "👩‍👩‍👧 v2"], "prompt": "🎾 falls 🔊 then 👩‍👩‍👧 laugh"},
}


@pytest.mark.parametrize("case", STRANGE)
def test_the_page_stays_whole(browser: Any, browsing: ModuleType, make_run: MakeRun, tmp_path: Path, case: str) -> None:
    facts = {"prompts": 3, **STRANGE[case]}
    names = facts.pop("systems")
    runs = [make_run(f"r{place}", system=name, **facts) for place, name in enumerate(names)]
    report = write_report(
        runs, tmp_path / "out", baseline=names[0] if len(names) > 1 else None, made=Page(media="none")
    ).html
    page, requests, trouble = browsing.open_page(browser, report, 390)
    assert page.locator("article.prompt").count() == facts["prompts"]
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert requests == [report.as_uri()]
    assert trouble == []
    page.close()


def test_numbers_stand_behind_names_that_run_to_the_left(
    browser: Any, browsing: ModuleType, make_run: MakeRun, tmp_path: Path
) -> None:
    report = write_report([make_run(system="نظام-3", prompts=3)], tmp_path / "out", made=Page(media="none")).html
    page, _, _ = browsing.open_page(browser, report, 1440)
    name = page.locator(".strip bdi").first.bounding_box()
    count = page.locator(".strip li > span:has-text('6 clips')").bounding_box()
    assert count["x"] >= name["x"] + name["width"]
    page.close()
