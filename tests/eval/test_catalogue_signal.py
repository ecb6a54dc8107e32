"""The catalogue of metrics without weights says what the implementations do, without importing them."""

import inspect
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from ltx2_benchmarks.synthetic import render, sample_scene
from ltx2_eval.clip import Clip
from ltx2_eval.metrics.base import MetricEntry, Subject
from ltx2_eval.metrics.catalogue import clip_metric
from ltx2_eval.metrics.catalogue_signal import ENTRIES
from ltx2_reports.records import ClipRecord, Stage


@pytest.fixture(scope="module")
def subject() -> Subject:
    rendered = render(sample_scene(1, family="impacts", frames=121, width=64, height=48))
    clip = Clip(video=rendered.video, fps=rendered.fps, audio=rendered.audio, rate_hz=rendered.rate_hz)
    stages = (Stage(name="generate", seconds=2.0, peak_bytes=10**9),)
    record = ClipRecord(sample="a-s0", prompt_id="a", seed=0, file="a.mkv", sha256="0" * 64, stages=stages)
    return Subject(clip=clip, record=record, prompt=None)


def test_ids_are_unique_and_grouped() -> None:
    ids = [entry.spec.id for entry in ENTRIES]
    assert max(Counter(ids).values()) == 1
    assert {"av_offset_ms", "av_align", "video.black_ratio", "audio.loudness_lufs", "runtime.generate_s"} <= set(ids)
    assert "positive: audio late" in next(entry.spec.title for entry in ENTRIES if entry.spec.id == "av_offset_ms")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.spec.id)
def test_settings_are_the_implementations(entry: MetricEntry) -> None:
    """Each setting of a protocol is an argument, and no argument is left out of the protocol."""
    parameters = inspect.signature(clip_metric(entry)).parameters.values()
    keywords = {item.name: item.default for item in parameters if item.kind is inspect.Parameter.KEYWORD_ONLY}
    assert entry.settings == keywords


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.spec.id)
def test_every_metric_judges_a_clip_of_the_world(entry: MetricEntry, subject: Subject) -> None:
    outcome = clip_metric(entry)(subject, None, None, **entry.settings)
    assert outcome.reason is None, outcome.reason
    assert isinstance(outcome.value, float)
    assert np.isfinite(outcome.value)
    low, high = entry.spec.range
    assert low is None or outcome.value >= low
    assert high is None or outcome.value <= high
    assert all(item is None or isinstance(item, str | int | float | bool) for item in outcome.details.values())


def test_reading_the_catalogue_imports_no_implementation() -> None:
    code = (
        "import sys, ltx2_eval.metrics.catalogue_signal;"
        "print([m for m in sys.modules if m.startswith(('scipy', 'soxr', 'torch', 'ltx2_eval.metrics.off'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
