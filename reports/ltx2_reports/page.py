"""What the HTML page shows, computed from runs: plots of intervals, run cards, prompts with their clips. Raw text."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from urllib.parse import quote

from ltx2_reports.cells import MISSING_WORDS, Cell
from ltx2_reports.comparison import Column, Comparison
from ltx2_reports.numbers import MISSING_MARK, format_number, readable_unit
from ltx2_reports.records import ClipRecord, PromptRef, Run

PLOT_WIDTH = 120
_MARGIN = 5
MOST_PRELOADED = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """An interval drawn on the scale of its row: positions in 0..PLOT_WIDTH."""

    low: float
    value: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A line of a small table."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A titled list of facts."""

    title: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One clip of one system, or why there is none."""

    system: str
    seed: int
    url: str | None
    reason: str
    width: int
    height: int
    values: tuple[Fact, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptView:
    """One prompt and its clips."""

    id: str
    text: str
    tags: tuple[str, ...]
    rows: tuple[tuple[Shown | None, ...], ...]
    """Row k holds the k-th clip of each system, or None where it has fewer."""


def plots_of(column: Column) -> list[Plot | None]:
    """One plot per cell, all on one scale; None where there is no interval."""
    limits = [limit for cell in column.cells for limit in _limits(cell)]
    if not limits or max(limits) <= min(limits):
        return [None] * len(column.cells)
    start, span = min(limits), max(limits) - min(limits)
    places = [
        [_MARGIN + (PLOT_WIDTH - 2 * _MARGIN) * (limit - start) / span for limit in _limits(cell)]
        for cell in column.cells
    ]
    return [Plot(low=place[0], value=place[1], high=place[2]) if place else None for place in places]


def _limits(cell: Cell) -> list[float]:
    interval = cell.interval
    if interval is None or interval.low is None or interval.high is None:
        return []
    return [min(interval.low, interval.value), interval.value, max(interval.high, interval.value)]


def run_cards(run: Run) -> list[Card]:
    """What made a run: the request, the model, the machine, the packages, the weights."""
    spec, environment = run.header.spec, run.header.environment
    shape = spec.clip
    asked = {
        "model": spec.model,
        "suite": spec.suite.label,
        "suite licence": spec.suite.licence,
        "prompts": len(spec.prompts),
        "seeds": ", ".join(map(str, spec.seeds)),
        "clip": f"{shape.num_frames} frames, {shape.width} × {shape.height}, {shape.fps} fps" if shape else None,
        "container": spec.container,
        "status": run.header.status,
        "created": run.header.created_at,
    }
    machine = {
        "device": environment.device,
        "machine": environment.machine,
        "platform": environment.platform,
        "threads": environment.threads,
        "python": environment.python,
        "git": environment.git,
    }
    cards = [
        _card("Request", asked),
        _card("Model", spec.model_identity),
        _card("Machine", machine),
        _card("Packages", environment.packages),
        _card("Weights (SHA-256)", run.header.weights),
    ]
    return [card for card in cards if card.facts]


def _card(title: str, content: Mapping[str, object]) -> Card:
    facts = [Fact(name=name, value=_said(value)) for name, value in content.items()]
    return Card(title=title, facts=tuple(facts))


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return MISSING_MARK if value is None else str(value)


def protocol_card(column: Column) -> Card:
    """Every canonical field of a protocol, and what its metric is."""
    protocol = column.protocol.model_dump(mode="json")
    settings = protocol.pop("settings")
    metric = column.metric
    low, high = (_said(limit) if limit is not None else "unbounded" for limit in metric.range)
    about = {
        "direction": metric.direction,
        "range": f"{low} to {high}",
        "least n": metric.least_n,
        "needs": ", ".join(metric.needs),
        "source": metric.source,
        "code licence": metric.code_licence,
        "weight licence": metric.weight_licence,
        "cannot see": metric.cannot_see,
    }
    fields = {**protocol, **{f"settings: {name}": value for name, value in settings.items()}}
    return _card(column.protocol.signature, {**fields, **about})


def prompt_views(comparison: Comparison, runs: Sequence[Run], folder: Path) -> list[PromptView]:
    """Prompts in the order of the first run that has them; a text that differs under the same id stands apart."""
    prompts = {(prompt.id, prompt.text): prompt for run in runs for prompt in run.header.spec.prompts}
    views = []
    for (prompt_id, text), prompt in prompts.items():
        columns = [
            _shown_of_run(run, system.label, prompt, comparison, folder)
            for run, system in zip(runs, comparison.systems, strict=True)
        ]
        tags = tuple(tag for tag in (prompt.category, prompt.language) if tag)
        views.append(PromptView(id=prompt_id, text=text, tags=tags, rows=tuple(zip_longest(*columns))))
    return views


def _shown_of_run(run: Run, label: str, prompt: PromptRef, comparison: Comparison, folder: Path) -> list[Shown]:
    if (prompt.id, prompt.text) not in {(other.id, other.text) for other in run.header.spec.prompts}:
        return []
    clips = sorted(run.clips.values(), key=lambda clip: (clip.seed, clip.sample))
    return [_shown(run, label, clip, comparison, folder) for clip in clips if clip.prompt_id == prompt.id]


def _shown(run: Run, label: str, clip: ClipRecord, comparison: Comparison, folder: Path) -> Shown:
    shape = run.header.spec.clip
    return Shown(
        system=label,
        seed=clip.seed,
        url=clip_url(run.folder, clip.file, folder) if clip.file is not None else None,
        reason=f"{MISSING_WORDS[clip.reason.kind]}: {clip.reason.message}" if clip.reason else "",
        width=shape.width if shape else 16,
        height=shape.height if shape else 9,
        values=tuple(_clip_values(run, clip, comparison)),
    )


def _clip_values(run: Run, clip: ClipRecord, comparison: Comparison) -> list[Fact]:
    facts = []
    for column in comparison.columns:
        line = run.values.get((clip.sample, column.metric.id))
        if line is None or line.protocol != column.id:
            continue
        if line.value is not None:
            factor, unit = readable_unit(column.metric.unit, abs(line.value))
            said = f"{format_number(line.value * factor, None)} {unit}".rstrip()
        else:
            said = f"{MISSING_WORDS[line.reason.kind]}: {line.reason.message}" if line.reason else MISSING_MARK
        facts.append(Fact(name=column.metric.title, value=said))
    return facts


def clip_url(run_folder: Path, file: str, folder: Path) -> str:
    """Address of a clip, relative to the folder of the page, percent-encoded so that it is nothing but a path."""
    path = os.path.relpath(run_folder.resolve() / file, folder.resolve())
    return quote(Path(path).as_posix().encode("utf-8", "surrogatepass"), safe="/")
