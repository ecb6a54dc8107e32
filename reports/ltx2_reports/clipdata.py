"""What the page's clip browser needs, in one compact JSON text: prompts, clips, values by clip, and traces."""

import base64
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ltx2_reports.cells import MISSING_WORDS
from ltx2_reports.comparison import Column, Comparison
from ltx2_reports.escape import for_json, visible
from ltx2_reports.grid import shown_unit
from ltx2_reports.numbers import ARROWS
from ltx2_reports.records import ClipRecord, Run
from ltx2_reports.traces import Trace, read_traces

LARGEST_PLAIN = 100_000
"""Characters above which the text is compressed."""
MOST_TRACES = 600
"""Clips whose waveforms go into the page; more would make it heavy."""
_DIGITS = 4

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


def clip_data(comparison: Comparison, runs: Sequence[Run], address: Address) -> tuple[str, str]:
    """The JSON text and its form.

    Args:
        comparison: of the runs.
        runs: in the order of the comparison's systems.
        address: where each clip lies.

    Returns:
        The text and `json`, or base64 of the zlib-compressed text and `zlib` where it would be long. All strings are
        free of invisible characters, and the text is inert inside a script element.
    """
    reasons = _Texts()
    columns = [column for column in comparison.columns if column.metric.level == "clip"]
    prompts = {
        (prompt.id, prompt.text): [prompt.category, prompt.language]
        for run in runs
        for prompt in run.header.spec.prompts
    }
    places = {key: place for place, key in enumerate(prompts)}
    by_id = [{p.id: places[p.id, p.text] for p in reversed(run.header.spec.prompts)} for run in runs]
    clips = [
        _clip(
            run,
            place,
            clip,
            columns,
            by_id[place].get(clip.prompt_id, 0),
            reasons,
            address,
        )
        for place, run in enumerate(runs)
        for clip in sorted(run.clips.values(), key=lambda clip: (clip.prompt_id, clip.seed, clip.sample))
    ]
    content = {
        "systems": [visible(system.label, newline=" ") for system in comparison.systems],
        "fps": [_fps(run) for run in runs],
        "metrics": [_metric(column) for column in columns],
        "prompts": [
            [visible(i), visible(text), [visible(t) for t in tags if t]] for (i, text), tags in prompts.items()
        ],
        "clips": clips,
        "reasons": reasons.texts,
        "traces": _traces(runs) if len(clips) <= MOST_TRACES else {},
    }
    text = for_json(content)
    if len(text) <= LARGEST_PLAIN:
        return text, "json"
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode(), "zlib"


def _fps(run: Run) -> float:
    """Frames per second that stepping uses; 24 where the run only scored clips."""
    shape = run.header.spec.clip
    if shape is None:
        return 24.0
    above, _, below = shape.fps.partition("/")
    return round(float(above) / float(below or 1), 6)


def _metric(column: Column) -> list[Any]:
    factor, unit = shown_unit(column)
    return [visible(column.metric.title, newline=" "), unit, ARROWS[column.metric.direction], factor, column.metric.id]


def _clip(
    run: Run,
    place: int,
    clip: ClipRecord,
    columns: Sequence[Column],
    prompt: int,
    reasons: _Texts,
    address: Address,
) -> list[Any]:
    """[prompt, system, seed, address or null, reason or null, values]; a value is a number, null or [reason]."""
    why = reasons.place(f"{MISSING_WORDS[clip.reason.kind]}: {clip.reason.message}") if clip.reason else None
    values = [_value(run, clip, column, reasons) for column in columns]
    where = address(run, clip) if clip.file is not None else None
    return [prompt, place, clip.seed, where, why, values]


def _value(run: Run, clip: ClipRecord, column: Column, reasons: _Texts) -> Any:
    line = run.values.get((clip.sample, column.metric.id))
    if line is None or line.protocol != column.id:
        return None
    if line.value is not None:
        return float(f"{line.value:.{_DIGITS}g}")
    return [reasons.place(f"{MISSING_WORDS[line.reason.kind]}: {line.reason.message}")] if line.reason else None


def _traces(runs: Sequence[Run]) -> dict[str, Any]:
    """Waveforms and marks by `system/prompt/seed`."""
    return {
        visible(f"{place}/{run.clips[sample].prompt_id}/{run.clips[sample].seed}"): _trace(trace)
        for place, run in enumerate(runs)
        for sample, trace in read_traces(run).items()
    }


def _trace(trace: Trace) -> list[Any]:
    return [trace.duration_s, trace.peaks, trace.sound_onsets_s, trace.motion_onsets_s]
