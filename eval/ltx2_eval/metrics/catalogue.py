"""Every metric by id, and the profiles that name sets of them. Reading it imports no implementation."""

import importlib
import importlib.metadata
from collections.abc import Iterable
from typing import Any

from ltx2_benchmarks.nearest import unknown
from ltx2_eval.metrics import catalogue_features, catalogue_nano, catalogue_signal
from ltx2_eval.metrics.base import ClipMetric, MetricEntry

ENTRY_POINTS = "ltx2_eval.metrics"

BUILT_IN: dict[str, MetricEntry] = {
    entry.spec.id: entry for entry in (*catalogue_features.ENTRIES, *catalogue_nano.ENTRIES, *catalogue_signal.ENTRIES)
}

_SIGNAL = tuple(entry.spec.id for entry in catalogue_signal.ENTRIES)
_PACKAGED = ("fvd", "kvd", "fad_soundnet", "kad_soundnet")
_NANO = tuple(entry.spec.id for entry in catalogue_nano.ENTRIES)
_HUB = ("clip_tv", "clap_ta")

PROFILES: dict[str, tuple[str, ...]] = {
    "offline": (*_PACKAGED, *_SIGNAL),
    "default": (*_PACKAGED, *_HUB, *_SIGNAL),
    "nano": (*_PACKAGED, *_NANO, *_SIGNAL),
    "dsp": _SIGNAL,
}
"""offline: weights from packages only. default: an expert's choice, licence-clean. nano: for clips
meant to be of the procedural world, offline too. dsp: no weights at all."""

PRIMARY = (
    *("world_kept", "world_colour", "world_sound", "nano_tv", "nano_ta"),
    *("fvd", "kvd", "fad_soundnet", "kad_soundnet", "clip_tv", "clap_ta", "av_offset_ms", "av_align"),
)
"""First in tables, in this order."""

HEADLINES = (*PRIMARY, "audio.loudness_lufs", "runtime.generate_s", "runtime.peak_bytes")
"""What the terminal shows; the report shows everything."""


def catalogue() -> dict[str, MetricEntry]:
    """All metrics, those of plug-ins included; a built-in id is never replaced."""
    plugins = {
        entry.spec.id: entry for point in importlib.metadata.entry_points(group=ENTRY_POINTS) for entry in point.load()
    }
    return {**plugins, **BUILT_IN}


def chosen(metrics: Iterable[str], profile: str) -> tuple[MetricEntry, ...]:
    """The metrics named, or those of the profile where none is named, in the catalogue's order.

    Raises:
        ValueError: an unknown metric or profile; the nearest name is suggested.
    """
    entries = catalogue()
    if profile not in PROFILES:
        raise ValueError(unknown("profile", profile, PROFILES))
    wanted = tuple(metrics) or PROFILES[profile]
    for name in wanted:
        if name not in entries:
            raise ValueError(unknown("metric", name, entries))
    return tuple(entry for name, entry in entries.items() if name in wanted)


def implementation(entry: MetricEntry) -> Any:
    """The function or class behind an entry."""
    module, _, name = entry.implementation.partition(":")
    return getattr(importlib.import_module(module), name)


def clip_metric(entry: MetricEntry) -> ClipMetric:
    """The function of a clip metric."""
    assert entry.spec.level == "clip"
    function: ClipMetric = implementation(entry)
    return function
