"""Synchrony by trained networks, and audio-video-text cosines in ImageBind's space; imports no implementation."""

from typing import Literal

from ltx2_eval.metrics.base import MetricEntry, Text
from ltx2_reports.records import Direction, MetricSpec, Scalar

Need = Literal["video", "audio", "prompt", "speech"]
_BOTH: tuple[Need, ...] = ("video", "audio")
_SYNCHFORMER = "Iashin et al. 2024, Synchformer; hkchengrex/av-benchmark"
_SYNCNET = "Chung and Zisserman 2016, SyncNet; Prajwal et al. 2020, Wav2Lip (names)"
_NC = "CC-BY-NC-SA-4.0"


def _entry(
    id: str,  # noqa: A002  (the field's name)
    title: str,
    unit: str,
    direction: Direction,
    value_range: tuple[float | None, float | None],
    needs: tuple[Need, ...],
    implementation: str,
    extractor: str,
    aggregation: str,
    source: str,
    licences: tuple[str, str],
    cannot_see: str,
    settings: dict[str, Scalar] | None = None,
    pairs: str | None = None,
    version: int = 1,
    text: Text | None = None,
) -> MetricEntry:
    code_licence, weight_licence = licences
    spec = MetricSpec(
        id=id,
        version=version,
        title=title,
        unit=unit,
        direction=direction,
        range=value_range,
        level="clip",
        needs=needs,
        least_n=10,
        source=source,
        code_licence=code_licence,
        weight_licence=weight_licence,
        cannot_see=cannot_see,
    )
    return MetricEntry(
        spec=spec,
        implementation=f"ltx2_eval.metrics.{implementation}",
        extractor=extractor,
        aggregation=aggregation,
        settings=settings or {},
        pairs=f"ltx2_eval.metrics.{pairs}" if pairs else None,
        text=text,
    )


_BLIND = "Offsets below 0.2 s or beyond 2 s; clips in which nothing is heard to happen get an answer all the same."
_MIT_FROM_OTHERS = ("MIT", "MIT, unsettled")

_DESYNC = (
    _entry(
        "desync",
        "DeSync: absolute audio-video offset (Synchformer, most probable class, mean of both ends)",
        "s",
        "down",
        (0.0, 2.0),
        _BOTH,
        "sync_networks:desync",
        "synchformer",
        "argmax-mean-of-two-ends",
        _SYNCHFORMER,
        _MIT_FROM_OTHERS,
        _BLIND,
    ),
    _entry(
        "desync_expected",
        "DeSync: absolute audio-video offset (Synchformer, expectation under its probabilities)",
        "s",
        "down",
        (0.0, 2.0),
        _BOTH,
        "sync_networks:desync_expected",
        "synchformer",
        "softmax-expectation-mean-of-two-ends",
        _SYNCHFORMER,
        _MIT_FROM_OTHERS,
        _BLIND,
    ),
    _entry(
        "desync_signed_s",
        "Audio-video offset (Synchformer; positive: audio late)",
        "s",
        "zero",
        (-2.0, 2.0),
        _BOTH,
        "sync_networks:desync_signed",
        "synchformer",
        "argmax-signed-mean-of-two-ends",
        _SYNCHFORMER,
        _MIT_FROM_OTHERS,
        f"{_BLIND} Offsets of opposite sign at both ends cancel.",
    ),
    _entry(
        "sync_accuracy",
        "In sync within 0.2 s (Synchformer)",
        "",
        "up",
        (0.0, 1.0),
        _BOTH,
        "sync_networks:sync_accuracy",
        "synchformer",
        "argmax-share-of-two-ends",
        _SYNCHFORMER,
        _MIT_FROM_OTHERS,
        _BLIND,
        {"within_s": 0.2},
    ),
)

_Row = tuple[str, str, Direction, str, str]
_LIP_ROWS: tuple[_Row, ...] = (
    ("lse_d", "LSE-D: lip-sync distance", "down", "lse_distance", "least-of-31-shifts"),
    ("lse_c", "LSE-C: lip-sync confidence", "up", "lse_confidence", "median-less-least-of-31-shifts"),
)
"""Metric, title, direction, function and aggregation."""

_Way = tuple[str, str, str, str, str, int]
_LIP_WAYS: tuple[_Way, ...] = (
    (
        "",
        "(SyncNet, faces found and followed)",
        "",
        "syncnet-faces",
        "Faces that are drawn, turned away, smaller than 100 pixels, or too small in a large picture, of which the "
        "detector sees 320 pixels; whether the best shift is zero.",
        4,  # since tracks count the frames in which a face is found, and end with the sound
    ),
    (
        "_crops",
        "of face crops (SyncNet, clips as given)",
        "_of_crops",
        "syncnet-crops",
        "Anything in a clip that is not a crop of a talking face; whether the best shift is zero.",
        1,
    ),
)
"""Endings of metric, title and function, extractor, what it cannot see, and version."""

_LIPS = tuple(
    _entry(
        f"{metric}{ending}",
        f"{title} {way}",
        "",
        direction,
        (0.0, None),
        ("video", "audio", "speech"),
        f"sync_networks:{function}{variant}",
        extractor,
        aggregation,
        _SYNCNET,
        ("MIT", "not stated; research"),
        blind,
        version=version,
    )
    for ending, way, variant, extractor, blind, version in _LIP_WAYS
    for metric, title, direction, function, aggregation in _LIP_ROWS
)

_MEANING_ONLY = "Synchrony: it is about meaning, and shifted sound hardly changes it."

_BINDING = (
    _entry(
        "ib_tv",
        "ImageBind score, text to video",
        "",
        "up",
        (-1.0, 1.0),
        ("video", "prompt"),
        "binding:ib_tv",
        "imagebind-video",
        "mean-sentences",
        "Girdhar et al. 2023, facebookresearch/ImageBind",
        (_NC, _NC),
        "Counts, motion, and sound.",
        pairs="binding:tv_sides",
        text="visual_text",
    ),
    _entry(
        "ib_ta",
        "ImageBind score, text to audio",
        "",
        "up",
        (-1.0, 1.0),
        ("audio", "prompt"),
        "binding:ib_ta",
        "imagebind-sound",
        "mean-sentences",
        "Girdhar et al. 2023, facebookresearch/ImageBind",
        (_NC, _NC),
        "The words that are spoken, the time of a sound, and the picture.",
        pairs="binding:ta_sides",
        text="audio_text",
    ),
    _entry(
        "ib_av",
        "ImageBind score, audio to video",
        "",
        "up",
        (-1.0, 1.0),
        _BOTH,
        "binding:ib_av",
        "imagebind-pair",
        "mean-pieces-and-crops",
        "Girdhar et al. 2023, facebookresearch/ImageBind; its own five and three pieces of 2 s",
        (_NC, _NC),
        _MEANING_ONLY,
        pairs="binding:pair_sides",
    ),
    _entry(
        "ib_score",
        "IB-score, audio to video, as av-benchmark takes frames (ImageBind)",
        "",
        "up",
        (-1.0, 1.0),
        _BOTH,
        "binding:ib_av",
        "imagebind-pair-avbench",
        "mean-pairs-and-crops",
        "Girdhar et al. 2023; hkchengrex/av-benchmark, whose tables multiply by 100",
        (_NC, _NC),
        f"{_MEANING_ONLY} Of a clip of 5 s it sees two frames.",
        pairs="binding:pair_sides",
    ),
    _entry(
        "avh_score",
        "AVHScore: every frame with the whole sound (ImageBind)",
        "",
        "up",
        (-1.0, 1.0),
        _BOTH,
        "binding:avh_score",
        "imagebind-stills",
        "mean-frames",
        "Mao et al. 2024, TAVGBench; JavisVerse/JavisDiT eval/javisbench",
        (_NC, _NC),
        _MEANING_ONLY,
    ),
    _entry(
        "javis_score",
        "JavisScore: smallest cosines in windows of 2 s (ImageBind)",
        "",
        "up",
        (-1.0, 1.0),
        _BOTH,
        "binding:javis_score",
        "imagebind-stills",
        "least-40%-of-frames-mean-windows2s-hop0.5s",
        "Liu et al. 2025, JavisDiT; JavisVerse/JavisDiT eval/javisbench",
        (_NC, _NC),
        _MEANING_ONLY,
        {"kept_share": 0.4},
        version=2,
    ),
)

ENTRIES: tuple[MetricEntry, ...] = (*_DESYNC, *_LIPS, *_BINDING)
"""Metrics of pictures together with sound."""
