"""Metrics of clips that are meant to be of the procedural world, and of nothing else; imports no implementation.

By the nano extractors, which know that world alone, and by its exact checkers.
"""

from typing import Literal

from ltx2_eval.metrics.base import MetricEntry
from ltx2_reports.records import Direction, MetricSpec, Scalar

Need = Literal["video", "audio", "prompt", "reference"]
_OURS = "Apache-2.0"
_TRAINED = "ltx2_eval.nano, trained on ltx2_benchmarks.synthetic"
_CHECKED = "ltx2_benchmarks.synthetic.checkers"
_STRANGE = "Anything outside the procedural world; not comparable with values of other extractors."


def _entry(
    id: str,  # noqa: A002  (the field's name)
    title: str,
    direction: Direction,
    value_range: tuple[float | None, float | None],
    needs: tuple[Need, ...],
    implementation: str,
    cannot_see: str,
    *,
    unit: str = "",
    extractor: str | None = None,
    aggregation: str = "mean",
    least_n: int = 10,
    settings: dict[str, Scalar] | None = None,
    pairs: str | None = None,
) -> MetricEntry:
    spec = MetricSpec(
        id=id,
        version=1,
        title=title,
        unit=unit,
        direction=direction,
        range=value_range,
        level="set" if "reference" in needs else "clip",
        needs=needs,
        least_n=least_n,
        source=_TRAINED if extractor else _CHECKED,
        code_licence=_OURS,
        weight_licence=_OURS if extractor else None,
        cannot_see=cannot_see,
    )
    return MetricEntry(
        spec=spec,
        implementation=f"ltx2_eval.metrics.{implementation}",
        extractor=extractor,
        aggregation=aggregation,
        settings=settings or {},
        pairs=pairs,
    )


_Row = tuple[str, str, Literal["video", "audio"], str]


def _rows(*rows: _Row) -> tuple[_Row, ...]:
    """Metric, title, stream and extractor."""
    return rows


_DISTANCES = tuple(
    _entry(
        metric,
        title,
        "down",
        (0.0, None),
        (stream, "reference"),
        "frechet:FrechetDistance",
        _STRANGE,
        extractor=extractor,
        aggregation="gaussian-unbiased-one-window",
        least_n=129,
        settings={"dimension": 128},
    )
    for metric, title, stream, extractor in _rows(
        ("nano_fvd", "Fréchet video distance (nano towers)", "video", "nano-video"),
        ("nano_fad", "Fréchet audio distance (nano towers)", "audio", "nano-audio"),
    )
)

_ALIGNMENT = tuple(
    _entry(
        metric,
        title,
        "up",
        (-1.0, 1.0),
        (stream, "prompt"),
        "nano:nano_alignment",
        _STRANGE,
        extractor=extractor,
        aggregation="whole-clip",
        pairs="ltx2_eval.metrics.nano:nano_sides",
    )
    for metric, title, stream, extractor in _rows(
        ("nano_tv", "Alignment of text and video (nano towers)", "video", "nano-video"),
        ("nano_ta", "Alignment of text and audio (nano towers)", "audio", "nano-audio"),
    )
)

_OFFSET = _entry(
    "nano_offset_ms",
    "Audio-video offset (nano classifier; positive: audio late)",
    "zero",
    (-500.0, 500.0),
    ("video", "audio"),
    "nano:nano_offset",
    "Offsets beyond half a second; anything outside the procedural world.",
    unit="ms",
    extractor="nano-sync",
    aggregation="whole-clip",
    settings={"least_probability": 0.35},
)

_PROMISES = tuple(
    _entry(
        f"world_{promise}",
        title,
        "up",
        (0.0, 1.0),
        (*streams, "prompt"),
        "world:world_promise",
        "How well the rest is made: one promise is kept or broken.",
        settings={"promise": promise},
    )
    for promise, title, streams in (
        ("colour", "Objects of the promised colour", ("video",)),
        ("shape", "Objects of the promised shape", ("video",)),
        ("sound", "Sounds of the promised class", ("audio",)),
        ("count", "Impacts heard as often as promised", ("audio",)),
        ("sync", "Each sound with its flash", ("video", "audio")),
    )
)

_KEPT = _entry(
    "world_kept",
    "Share of the prompt's promises kept (exact checkers)",
    "up",
    (0.0, 1.0),
    ("video", "audio", "prompt"),
    "world:world_kept",
    "What no promise speaks of, such as sharpness and smooth motion.",
)

ENTRIES: tuple[MetricEntry, ...] = (_KEPT, *_PROMISES, *_DISTANCES, *_ALIGNMENT, _OFFSET)
