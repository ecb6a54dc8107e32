"""Where a page finds the clips it plays."""

import os
import shutil
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from ltx2_reports.clipdata import Address
from ltx2_reports.records import ClipRecord, Run
from ltx2_reports.store import atomic_path

Media = Literal["link", "copy", "none"]
"""What a page does with clips: link to where they lie, copy them beside itself, or leave them out."""
MEDIA_FOLDER = "media"


def address_of(folder: Path, media: Media, prompts: int | None = None) -> Address:
    """How the page in `folder` gets at clips; copies are made as they are asked for, one per content.

    Args:
        folder: of the page.
        media: what to do with clips.
        prompts: offer only the clips of that many prompts of each run, spread over its suite; None: all.
    """
    address = {"link": _linked, "copy": _copied, "none": lambda _: _nowhere}[media](folder)
    return address if prompts is None else _only(address, prompts)


def _only(address: Address, count: int) -> Address:
    def chosen(run: Run, clip: ClipRecord) -> str | None:
        prompts = run.header.spec.prompts
        kept = {prompts[place * len(prompts) // count].id for place in range(count)} if prompts else set()
        return address(run, clip) if clip.prompt_id in kept else None

    return chosen


def clip_url(run_folder: Path, file: str, folder: Path) -> str:
    """Address of a clip, relative to the folder of the page, percent-encoded so that it is nothing but a path."""
    path = os.path.relpath(run_folder.resolve() / file, folder.resolve())
    return quote(Path(path).as_posix().encode("utf-8", "surrogatepass"), safe="/")


def _linked(folder: Path) -> Address:
    def address(run: Run, clip: ClipRecord) -> str | None:
        return clip_url(run.folder, clip.file or "", folder)

    return address


def _copied(folder: Path) -> Address:
    def address(run: Run, clip: ClipRecord) -> str | None:
        source = run.folder / (clip.file or "")
        if not source.is_file():
            return None
        name = f"{clip.sha256 or clip.sample}{source.suffix.lower()}"
        target = folder / MEDIA_FOLDER / name
        if not target.exists():
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)
        return quote(f"{MEDIA_FOLDER}/{name}")

    return address


def _nowhere(run: Run, clip: ClipRecord) -> str | None:
    del run, clip
    return None
