"""What the page's clip browser needs, in one compact JSON text: prompts, clips, values by metric, and traces.

Clips stand in columns, and so do values: what is alike then lies side by side, which is what compresses. Where a page
holds very many values they are rounded to a thousandth of their column's range; tables and records have all digits.
"""

import base64
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ltx2_reports.cells import MISSING_WORDS
from ltx2_reports.comparison import Column, Comparison
from ltx2_reports.escape import for_json, visible
from ltx2_reports.grid import shown_unit
from ltx2_reports.numbers import ARROWS
from ltx2_reports.records import ClipRecord, Reason, Run
from ltx2_reports.traces import LETTERS, Trace, read_traces

LARGEST_PLAIN = 100_000
"""Characters above which the text is compressed."""
MOST_TRACES = 600
"""Clips whose waveforms go into the page; more would make it heavy."""
MOST_EXACT = 30_000
"""Values that a page keeps with `_DIGITS` significant digits; more are rounded to a `_LEVELS`th of their range."""
USUAL_RATE_HZ = 24.0
"""Frame rate by which a clip is stepped where neither its trace nor its run says one."""
_DIGITS = 4
_LEVELS = 1000
_NOTHING = 4095

Address = Callable[[Run, ClipRecord], str | None]
"""Where the page finds a clip's file, or None where it is not offered."""


@dataclass(kw_only=True, slots=True)
class _Texts:
    """Texts that repeat, each kept once."""

    texts: list[str] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)

    def place(self, text: str) -> int:
        if text not in self.places:
            self.places[text] = len(self.texts)
            self.texts.append(visible(text))
        return self.places[text]

    def reason(self, reason: Reason) -> int:
        return self.place(f"{MISSING_WORDS[reason.kind]}: {reason.message}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipData:
    """The clips of a page."""

    text: str
    """Inert inside a script element; all its strings are free of invisible characters."""
    form: str
    """`json`, or `zlib` for base64 of the compressed text."""
    plays: bool
    """Whether any clip can be played."""
    is_rounded: bool
    """Whether values lost digits, see `MOST_EXACT`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Placed:
    """A clip where the page lists it."""

    place: int
    run: Run
    clip: ClipRecord
    prompt: int


def clip_data(comparison: Comparison, runs: Sequence[Run], address: Address) -> ClipData:
    """Collect what the clip browser shows.

    Args:
        comparison: of the runs.
        runs: in the order of the comparison's systems.
        address: where each clip lies.
    """
    reasons = _Texts()
    columns = [column for column in comparison.columns if column.metric.level == "clip"]
    prompts, clips = _placed(runs)
    urls = [address(found.run, found.clip) if found.clip.file is not None else None for found in clips]
    traces = [read_traces(run) if len(clips) <= MOST_TRACES else {} for run in runs]
    rates = [_rate_hz(found.run, traces[found.place].get(found.clip.sample)) for found in clips]
    known = sorted(set(rates))
    is_rounded = len(clips) * len(columns) > MOST_EXACT
    content = {
        "systems": [visible(system.label, newline=" ") for system in comparison.systems],
        "fps": known,
        "metrics": [_metric(column) for column in columns],
        "values": [_values(column, clips, reasons, is_rounded) for column in columns],
        "prompts": prompts,
        "clips": {
            "prompt": [after - before for before, after in pairwise([0, *(found.prompt for found in clips)])],
            "system": [found.place for found in clips],
            "seed": [found.clip.seed for found in clips],
            "url": urls if any(urls) else None,
            "why": [reasons.reason(f.clip.reason) if f.clip.reason else None for f in clips],
            "fps": [known.index(rate) for rate in rates],
        },
        "traces": _traces(runs, traces),
        "reasons": reasons.texts,
    }
    text, form = _packed(for_json(content))
    return ClipData(text=text, form=form, plays=any(urls), is_rounded=is_rounded)


def _packed(text: str) -> tuple[str, str]:
    if len(text) <= LARGEST_PLAIN:
        return text, "json"
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode(), "zlib"


def _placed(runs: Sequence[Run]) -> tuple[list[list[Any]], list[_Placed]]:
    """Prompts as [id, text, tags], and every clip with the place of its prompt.

    A clip whose prompt its run does not list gets one that says so: it must not be shown under another.
    """
    prompts: dict[tuple[str, str], list[str | None]] = {}
    clips: list[_Placed] = []
    for run in runs:
        for prompt in run.header.spec.prompts:
            prompts.setdefault((prompt.id, prompt.text), [prompt.category, prompt.language])
    places = {key: place for place, key in enumerate(prompts)}
    for place, run in enumerate(runs):
        keys = {prompt.id: (prompt.id, prompt.text) for prompt in reversed(run.header.spec.prompts)}
        for clip in sorted(run.clips.values(), key=lambda clip: (clip.prompt_id, clip.seed, clip.sample)):
            key = keys.get(clip.prompt_id, (clip.prompt_id, "(a prompt that the run does not list)"))
            prompts.setdefault(key, [])
            clips.append(_Placed(place=place, run=run, clip=clip, prompt=places.setdefault(key, len(places))))
    listed = [[visible(i), visible(text), [visible(t) for t in tags if t]] for (i, text), tags in prompts.items()]
    return listed, clips


def _rate_hz(run: Run, trace: Trace | None) -> float:
    """Frames per second by which the page steps a clip."""
    if trace is not None and trace.frame_rate_hz is not None:
        return trace.frame_rate_hz
    shape = run.header.spec.clip
    if shape is None:
        return USUAL_RATE_HZ
    above, _, below = shape.fps.partition("/")
    return round(float(above) / float(below or 1), 6)


def _metric(column: Column) -> list[Any]:
    factor, unit = shown_unit(column)
    unit = visible(unit, newline=" ")
    return [visible(column.metric.title, newline=" "), unit, ARROWS[column.metric.direction], factor, column.metric.id]


def _values(column: Column, clips: Sequence[_Placed], reasons: _Texts, is_rounded: bool) -> dict[str, Any]:
    """A metric's values in the order of the clips, and the reasons of those without as [clip, reason]."""
    numbers: list[float | None] = []
    why: list[tuple[int, int]] = []
    for place, found in enumerate(clips):
        line = found.run.values.get((found.clip.sample, column.metric.id))
        line = line if line is not None and line.protocol == column.id else None
        numbers.append(line.value if line is not None else None)
        if line is not None and line.reason is not None:
            why.append((place, reasons.reason(line.reason)))
    return {**(_rounded(numbers) if is_rounded else {"plain": list(map(_short, numbers))}), "reasons": why}


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def _rounded(numbers: Sequence[float | None]) -> dict[str, Any]:
    """Two letters per value: steps above the least, or the sign for nothing."""
    known = [value for value in numbers if value is not None]
    low = min(known, default=0.0)
    step = (max(known, default=0.0) - low) / _LEVELS
    levels = (_NOTHING if v is None else round((v - low) / step) if step > 0 else 0 for v in numbers)
    packed = "".join(LETTERS[level // 64] + LETTERS[level % 64] for level in levels)
    return {"packed": packed, "low": low, "step": step}


def _traces(runs: Sequence[Run], traces: Sequence[dict[str, Trace]]) -> dict[str, Any]:
    """Waveforms and marks by `system/prompt/seed`."""
    return {
        visible(f"{place}/{run.clips[sample].prompt_id}/{run.clips[sample].seed}"): _trace(trace)
        for place, (run, found) in enumerate(zip(runs, traces, strict=True))
        for sample, trace in found.items()
    }


def _trace(trace: Trace) -> list[Any]:
    return [trace.duration_s, trace.peaks, trace.sound_onsets_s, trace.motion_onsets_s]
