"""Every metric by id, and the profiles that name sets of them. Reading it imports no implementation."""

import functools
import importlib
import importlib.metadata
from collections.abc import Iterable
from typing import Any

from ltx2_benchmarks.nearest import unknown
from ltx2_eval.metrics import (
    catalogue_audio,
    catalogue_features,
    catalogue_nano,
    catalogue_paired,
    catalogue_signal,
    catalogue_speech,
    catalogue_sync,
    catalogue_vision,
)
from ltx2_eval.metrics.base import ClipMetric, MetricEntry, Sides
from ltx2_eval.metrics.floor import FLOOR, MARGIN, with_floors
from ltx2_eval.metrics.profiles import profiles_of
from ltx2_reports.records import Scalar

ENTRY_POINTS = "ltx2_eval.metrics"

BUILT_IN: dict[str, MetricEntry] = {
    entry.spec.id: entry
    for entry in with_floors(
        (
            *catalogue_features.ENTRIES,
            *catalogue_vision.ENTRIES,
            *catalogue_paired.ENTRIES,
            *catalogue_sync.ENTRIES,
            *catalogue_audio.ENTRIES,
            *catalogue_speech.ENTRIES,
            *catalogue_nano.ENTRIES,
            *catalogue_signal.ENTRIES,
        )
    )
}

PRIMARY = (
    *("world_kept", "world_colour", "world_sound", "nano_tv", "nano_ta"),
    *("fvd", "kvd", "fad_soundnet", "kad_soundnet", "clip_tv", "clap_ta", "av_offset_ms", "av_align"),
)
"""First in tables, in this order."""

HEADLINES = (
    *(name for metric in PRIMARY for name in (metric, f"{metric}_{FLOOR}", f"{metric}_{MARGIN}")),
    *("audio.loudness_lufs", "runtime.generate_s", "runtime.peak_bytes"),
)
"""What the terminal shows, cosines with their floors; the report shows everything."""


def catalogue() -> dict[str, MetricEntry]:
    """All metrics, those of plug-ins included; a built-in id is never replaced."""
    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    plugins = {entry.spec.id: entry for entry in with_floors(entry for point in points for entry in point.load())}
    return {**plugins, **BUILT_IN}


@functools.cache
def profiles() -> dict[str, tuple[str, ...]]:
    """Metrics by profile; plug-ins are in none of them, so that installing one changes no result."""
    return profiles_of(BUILT_IN.values())


def chosen(metrics: Iterable[str], profile: str) -> tuple[MetricEntry, ...]:
    """The metrics named, or those of the profile where none is named, in the catalogue's order; cosines with floors.

    Errors of clips come with their rate over the corpus, and the other way round.

    Raises:
        ValueError: an unknown metric or profile; the nearest name is suggested.
    """
    entries = catalogue()
    if profile not in profiles():
        raise ValueError(unknown("profile", profile, profiles()))
    wanted = set(metrics) or set(profiles()[profile])
    for name in wanted:
        if name not in entries:
            raise ValueError(unknown("metric", name, entries))
    wanted |= {f"{name}_{gives}" for name in wanted if entries[name].pairs for gives in (FLOOR, MARGIN)}
    wanted |= {entry.corpus_of for name, entry in entries.items() if name in wanted and entry.corpus_of}
    wanted |= {name for name, entry in entries.items() if entry.corpus_of in wanted}
    return tuple(entry for name, entry in entries.items() if name in wanted)


def implementation(entry: MetricEntry) -> Any:
    """The function or class behind an entry."""
    return _imported(entry.implementation)


def load_sides(entry: MetricEntry) -> Sides:
    """The function that gives the two vectors of a cosine metric."""
    assert entry.pairs is not None
    sides: Sides = _imported(entry.pairs)
    return sides


def program_settings(entry: MetricEntry) -> dict[str, Scalar]:
    """Which program outside Python computes a metric; empty where none does.

    Raises:
        NotAvailable: it is missing; ends with the command that brings it.
    """
    settings: dict[str, Scalar] = _imported(entry.program)() if entry.program else {}
    return settings


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def clip_metric(entry: MetricEntry) -> ClipMetric:
    """The function of a clip metric."""
    assert entry.spec.level == "clip"
    function: ClipMetric = implementation(entry)
    return function
