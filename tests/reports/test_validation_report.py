"""The pages of `validate`: inert text in every form, numbers that read back, the file that gate obeys."""

import csv
import importlib.util
import io
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ltx2_reports.store import DamagedError
from ltx2_reports.validation import (
    DegradationRef,
    MetricValidation,
    Point,
    Trial,
    Validation,
    brief_notes,
    read_validation,
    read_verdicts,
    write_validation,
)
from ltx2_reports.validation_plot import curve_of
from ltx2_reports.validation_report import (
    validation_csv,
    validation_html,
    validation_markdown,
    write_validation_report,
)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
REQUIRED = os.environ.get("LTX2_EVAL_REQUIRE_BROWSER") == "1"


def point(level: float, difference: float, **more: Any) -> Point:
    facts = {
        "n": 20,
        "missing": 0,
        "value": 5 + difference,
        "low": difference - 1,
        "high": difference + 1,
        "error": 0.5,
        "pairs": 20,
        "accuracy": 0.9,
        "accuracy_low": 0.7,
        "accuracy_high": 0.97,
    }
    return Point(level=level, difference=difference, **{**facts, **more})


SHIFT = DegradationRef(title="Shift", unit="ms", what="Moves.", levels=(-40, 40), clean=0.0, two_sided=True)
LOWPASS = DegradationRef(title="Low-pass", unit="Hz", what="Cuts.", levels=(8000, 500), clean=None, two_sided=False)
QUIET = DegradationRef(title="Quieter", unit="dB", what="Gain.", levels=(-3, -20), clean=0.0, two_sided=False)


def trial(points: tuple[Point, ...], **more: Any) -> Trial:
    return Trial(
        **{"degradation": "shift", "expected": "follows", "held": True, "why": "fine", "points": points, **more}
    )


def validation(text: str = "plain", metric: str = "offset") -> Validation:
    still = trial((point(500, 0.1),), degradation="lowpass", expected="still", held=False, why=text, tolerance=0.05)
    found = MetricValidation(
        verdict="may gate",
        why=text,
        protocol="0123456789ab",
        protocol_fields={"suite": text},
        title=text,
        unit=text,
        direction="zero",
        level="clip",
        n=20,
        clean=5.0,
        derived=True,
        trials=(trial((point(-40, -40.0), point(40, 41.0))), still),
    )
    titled = SHIFT.model_copy(update={"title": text, "unit": text, "what": text})
    return Validation(
        source=text,
        source_sha256="0" * 64,
        clips=20,
        unusable={text: text},
        reference=text,
        version="1",
        degradations={"shift": titled, "lowpass": LOWPASS},
        metrics={metric: found},
        left_out={text: text},
    )


class Shape(HTMLParser):
    """Elements and attribute names of a page: what a browser would build."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[object] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [name for name, _ in attrs]))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(tag)


def test_what_a_verdict_leaves_open_stands_beside_it() -> None:
    made = validation()
    open_ = trial((point(500, 0.1),), degradation="lowpass", expected="still", held=None, why="too few clips to say")
    found = made.metrics["offset"]
    found = found.model_copy(update={"trials": (found.trials[0], open_)})
    made = made.model_copy(update={"metrics": {"offset": found}, "brief": True})
    assert (found.untested, found.judgement) == (("lowpass",), "may gate, not tested for lowpass")
    assert "| **may gate**, not tested for lowpass |" in validation_markdown(made)
    assert "may gate, not tested for lowpass</span>" in validation_html(made)
    assert {row["untested"] for row in csv.DictReader(io.StringIO(validation_csv(made)))} == {"lowpass"}
    for page in (validation_markdown(made), validation_html(made)):
        assert "by the mildest and strongest levels alone" in page
    unfit = found.model_copy(update={"verdict": "report only"})
    assert unfit.judgement == "report only"  # what is unfit anyway needs no reservation


def test_of_two_verdicts_on_a_metric_the_later_counts(tmp_path: Path) -> None:
    early, late = validation("early"), validation("late")
    late.metrics["other"] = late.metrics["offset"]
    for name, made in (("a", early), ("b", late)):
        (tmp_path / name).mkdir()
        write_validation(made, tmp_path / name)
    found = read_verdicts([tmp_path / "a", tmp_path / "b" / "validation.json"])
    assert {name: one.why for name, one in found.items()} == {"offset": "late", "other": "late"}
    assert read_verdicts([tmp_path / "b", tmp_path / "a"])["offset"].why == "early"
    assert read_verdicts([]) == {}


def test_a_ban_is_lifted_by_no_other_file_on_the_same_version(tmp_path: Path) -> None:
    """Nor by a brief one, in whichever order they are named; a verdict on a newer version counts."""
    full, brief, newer = validation("full"), validation("brief"), validation("newer")
    full.metrics["offset"] = full.metrics["offset"].model_copy(update={"verdict": "report only"})
    fields = {"metric_version": 2}
    newer.metrics["offset"] = newer.metrics["offset"].model_copy(update={"protocol_fields": fields})
    for name, made in (("full", full), ("brief", brief.model_copy(update={"brief": True})), ("newer", newer)):
        (tmp_path / name).mkdir()
        write_validation(made, tmp_path / name)
    for order in (("full", "brief"), ("brief", "full")):
        assert read_verdicts([tmp_path / name for name in order])["offset"].verdict == "report only"
    assert read_verdicts([tmp_path / "full", tmp_path / "newer"])["offset"].verdict == "may gate"
    (note,) = brief_notes([tmp_path / "full", tmp_path / "brief"])
    assert note.startswith(f"{tmp_path / 'brief'}: a brief validation")


def test_hostile_text_is_inert_in_every_form(payload: str) -> None:
    hostile = validation(payload, metric=payload)
    assert Shape(validation_html(hostile)).found == Shape(validation_html(validation())).found
    rows = list(csv.reader(io.StringIO(validation_csv(hostile))))
    assert len(rows) == 1 + 3
    assert all(not cell.startswith(("=", "+", "@", "\t", "\r")) for row in rows[1:] for cell in row[:4])
    assert len(validation_markdown(hostile).splitlines()) == len(validation_markdown(validation()).splitlines())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", validation_markdown(hostile))


def test_the_page_is_one_file_without_script_or_address() -> None:
    page = validation_html(validation())
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=\"(?!#)", page)


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    files = write_validation_report(validation(), tmp_path)
    assert read_validation(tmp_path) == validation()
    assert read_validation(files.json) == validation()
    stored = json.loads(files.json.read_text())
    assert stored["schema"] == 1
    assert stored["metrics"]["offset"] | {"verdict": "may gate", "why": "plain"} == stored["metrics"]["offset"]
    again = write_validation_report(validation(), tmp_path / "again")
    for one, other in zip(
        (files.json, files.csv, files.markdown, files.html),
        (again.json, again.csv, again.markdown, again.html),
        strict=True,
    ):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text[:100], "not JSON"),
        (lambda text: text.replace('"schema": 1', '"schema": 2'), "schema 2, this version reads 1"),
        (lambda text: text.replace('"may gate"', '"shall gate"'), "field metrics.offset.verdict"),
        (lambda text: "[]", "schema None"),
    ],
)
def test_a_file_that_is_no_validation_is_refused(change: Any, sentence: str, tmp_path: Path) -> None:
    path = write_validation(validation(), tmp_path)
    path.write_text(change(path.read_text()))
    with pytest.raises(DamagedError, match=re.escape(sentence)):
        read_validation(tmp_path)


def test_rows_of_the_table_have_every_number() -> None:
    rows = list(csv.DictReader(io.StringIO(validation_csv(validation()))))
    assert [float(row["difference"]) for row in rows] == [-40.0, 41.0, 0.1]
    assert rows[0] | {"metric": "offset", "expected": "follows", "held": "yes", "n": "20"} == rows[0]
    assert rows[2]["tolerance"] == "0.05"
    assert rows[2]["held"] == "no"


def test_a_curve_runs_through_the_clean_clips() -> None:
    """Two levels on either side: three marks, the middle one at no difference and half way between the others."""
    curve = curve_of(trial((point(-40, -40.0), point(40, 40.0))), SHIFT)
    assert curve is not None
    left, middle, right = curve.marks
    assert middle.x == pytest.approx((left.x + right.x) / 2)
    assert middle.y == pytest.approx(curve.zero)
    assert left.y > middle.y > right.y  # a page counts from the top
    assert right.low > right.y > right.high
    assert [tick.text for tick in curve.x_ticks] == ["-40", "clean", "40"]


def test_levels_without_a_scale_stand_in_even_steps_from_the_clean_clips() -> None:
    curve = curve_of(trial((point(8000, 1.0), point(4000, 2.0), point(500, 3.0)), degradation="lowpass"), LOWPASS)
    assert curve is not None
    steps = [second.x - first.x for first, second in zip(curve.marks, curve.marks[1:], strict=False)]
    assert steps == pytest.approx([steps[0]] * 3)
    assert [tick.text for tick in curve.x_ticks] == ["clean", "8000", "4000", "500"]


def test_gains_below_zero_run_from_the_clean_clips_to_the_right() -> None:
    curve = curve_of(trial((point(-3, -3.0), point(-20, -20.0)), degradation="quiet"), QUIET)
    assert curve is not None
    xs = [mark.x for mark in curve.marks]
    assert xs == sorted(xs)
    assert (xs[1] - xs[0]) / (xs[2] - xs[0]) == pytest.approx(3 / 20)


def test_no_curve_without_a_value() -> None:
    empty = point(1, 0.0).model_copy(update={"difference": None, "low": None, "high": None})
    assert curve_of(trial((empty,)), SHIFT) is None


@pytest.mark.browser
@pytest.mark.skipif(not REQUIRED and CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.skipif(
    not REQUIRED and importlib.util.find_spec("playwright") is None, reason="playwright is in the extra 'dev'"
)
@pytest.mark.parametrize(
    ("width", "scheme", "paper"), [(390, "light", "rgb(251, 251, 249)"), (1440, "dark", "rgb(17, 20, 23)")]
)
def test_a_hostile_page_does_nothing_in_a_browser(
    width: int, scheme: str, paper: str, tmp_path: Path, hostile: Any
) -> None:
    from playwright.sync_api import sync_playwright

    text = " ".join(
        hostile.PAYLOADS[name] for name in ("script", "close-script", "attribute", "image", "svg", "bidi", "long")
    )
    page_file = write_validation_report(validation(text, metric=text), tmp_path).html
    requests: list[str] = []
    trouble: list[str] = []
    assert CHROMIUM is not None, "LTX2_EVAL_REQUIRE_BROWSER is set and there is no Chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("request", lambda request: requests.append(request.url))
        page.on("dialog", lambda dialog: trouble.append(dialog.message))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
        page.goto(page_file.as_uri())
        page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        assert trouble == []
        assert requests == [page_file.as_uri()]
        assert page.evaluate("document.scripts.length + document.images.length + document.forms.length") == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == paper
        assert page.locator("svg polyline").count() == 1
        browser.close()
