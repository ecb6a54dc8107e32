"""What the HTML page shows, computed from runs: plots of intervals, run cards, protocols. Raw text."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from ltx2_reports.cells import Cell
from ltx2_reports.comparison import Column
from ltx2_reports.numbers import MISSING_MARK, clips_counted, format_number
from ltx2_reports.records import Run

PLOT_WIDTH = 120
_MARGIN = 5


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
    """What made a run: the request, the model, the machine, its energy, the packages, the weights."""
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
        _card("Energy", _energy(run)),
        _card("Packages", environment.packages),
        _card("Weights (SHA-256)", run.header.weights),
    ]
    return [card for card in cards if card.facts]


def _energy(run: Run) -> dict[str, object]:
    """Of the clips whose energy could be read; nothing where none could."""
    measured = [(c.ledger.joules, c.ledger.joules_source) for c in run.clips.values() if c.ledger is not None]
    joules = [value for value, _ in measured if value is not None]
    if not joules:
        return {}
    return {
        "per clip": f"{format_number(statistics.median(joules), None)} J (median)",
        "in all": f"{format_number(sum(joules), None)} J",
        "measured": f"{len(joules)} of {clips_counted(len(run.clips))}",
        "source": ", ".join(dict.fromkeys(source for value, source in measured if value is not None and source))
        or None,
    }


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
