"""The example in reports/published/nano is what `make example` leaves: whole, and made of today's templates."""

import base64
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ltx2_reports.report import Page, write_report

FOLDER = Path(__file__).parents[2] / "reports" / "published" / "nano"
WRITTEN = {"index.html", "table.md", "table.csv", "table.tex", "references.bib", "published.csv", "badge.svg"}
WHERE = "renew it with `make example`"


@pytest.fixture(scope="module")
def page() -> str:
    return (FOLDER / "index.html").read_text(encoding="utf-8")


def test_the_folder_holds_what_the_command_writes() -> None:
    found = {path.name for path in FOLDER.iterdir()}
    assert found == WRITTEN | {"README.md", "media", "model-index", "model-index.yaml"}, WHERE
    assert "make example" in (FOLDER / "README.md").read_text()


def test_its_page_has_todays_style_and_scripts(page: str, make_run: Callable[..., Path], tmp_path: Path) -> None:
    """The policy names the hashes of style and scripts."""
    today = write_report([make_run()], tmp_path, made=Page(media="none")).html.read_text(encoding="utf-8")
    policies = [set(re.findall(r"sha256-[\w+/=]{44}", text.split("<title>")[0])) for text in (page, today)]
    assert policies[0] == policies[1], WHERE


def test_its_clips_are_there_and_no_other(page: str) -> None:
    form, text = re.search(r'id="clip-data" data-form="(\w+)">([^<]*)<', page).groups()
    data = json.loads(text if form == "json" else zlib.decompress(base64.b64decode(text)))
    played = {url for url in data["clips"]["url"] if url is not None}
    assert len(data["prompts"]) == 12
    assert len(data["systems"]) >= 3
    assert {f"media/{path.name}" for path in (FOLDER / "media").iterdir()} == played, WHERE
    assert data["traces"], "waveforms are drawn"
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 6e6


def test_it_says_nothing_of_the_machines_folders(page: str) -> None:
    assert not re.search(r"/(home|root|tmp|work)/", page)
