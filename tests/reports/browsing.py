"""Chromium for the tests of the pages: opening a page, waiting, and clips to play."""

import importlib.util
import os
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
REQUIRED = os.environ.get("LTX2_EVAL_REQUIRE_BROWSER") == "1"
"""Whether a missing browser is a failure instead of a skip."""
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
]
RATE_HZ = 48_000


def why_not() -> str | None:
    """Why there is no browser to test with, or None."""
    if CHROMIUM is None:
        return "no Chromium on this machine"
    return None if importlib.util.find_spec("playwright") else "playwright is in the extra 'dev'"


def write_clip(path: Path, frames: int, fps: int, sound: bool = False) -> None:
    """Frames of growing brightness, with a tone where wanted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream("h264", rate=Fraction(fps))
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        audio = container.add_stream("aac", rate=RATE_HZ) if sound else None
        for place in range(frames):
            picture = np.full((64, 96, 3), 240 * place // frames, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
        if audio is not None:
            tone = 0.1 * np.sin(np.arange(RATE_HZ * frames // fps, dtype=np.float32) / 20)[None]
            frame = av.AudioFrame.from_ndarray(tone.astype(np.float32), format="fltp", layout="mono")
            frame.rate = RATE_HZ
            container.mux(audio.encode(frame))
            container.mux(audio.encode())


def open_page(browser: Any, page_file: Path, width: int, scheme: str = "light") -> tuple[Any, list[str], list[str]]:
    """The page, the addresses it asks for, and what went wrong in it."""
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
    wait(page, "[...document.querySelectorAll('video')].every(v => !v.hasAttribute('src') || v.readyState > 0)")
    return page, requests, trouble


def wait(page: Any, expression: str) -> None:
    """Wait until it is true; Playwright's own waiting would need `eval`, which the page's policy forbids."""
    for _ in range(400):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")
