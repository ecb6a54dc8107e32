"""Metrics over features of pretrained encoders: reading this imports no implementation."""

from typing import Literal

from ltx2_eval.metrics.base import MetricEntry
from ltx2_reports.records import Direction, MetricSpec, Scalar

Stream = Literal["video", "audio"]


def _entry(
    id: str,  # noqa: A002  (the field's name)
    title: str,
    direction: Direction,
    value_range: tuple[float | None, float | None],
    needs: tuple[Stream, Literal["reference", "prompt"]],
    least_n: int,
    source: str,
    licences: tuple[str, str],
    cannot_see: str,
    implementation: str,
    extractor: str,
    aggregation: str,
    settings: dict[str, Scalar] | None = None,
    version: int = 1,
) -> MetricEntry:
    code_licence, weight_licence = licences
    spec = MetricSpec(
        id=id,
        version=version,
        title=title,
        unit="",
        direction=direction,
        range=value_range,
        level="set" if "reference" in needs else "clip",
        needs=needs,
        least_n=least_n,
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
    )


_FRAMES_NOT_MOTION = "More sensitive to the quality of single frames than to motion; blind to sound and prompt."

ENTRIES: tuple[MetricEntry, ...] = (
    _entry(
        "fvd",
        "Fréchet video distance (I3D Kinetics-400 logits)",
        "down",
        (0.0, None),
        ("video", "reference"),
        256,
        "Unterthiner et al. 2018, google-research/frechet_video_distance",
        ("Apache-2.0", "MIT"),
        _FRAMES_NOT_MOTION,
        "frechet:FrechetDistance",
        "i3d-k400",
        "gaussian-unbiased-one-window",
        {"dimension": 400},
    ),
    _entry(
        "kvd",
        "Kernel video distance (I3D Kinetics-400 logits)",
        "down",
        (None, None),
        ("video", "reference"),
        64,
        "Bińkowski et al. 2018 (kernel); Ruan et al. 2023, MM-Diffusion (on I3D, unscaled)",
        ("Apache-2.0", "MIT"),
        _FRAMES_NOT_MOTION,
        "kernel:KernelDistance",
        "i3d-k400",
        "mmd2-unbiased-one-window",
        {"kernel": "polynomial", "scale": 1.0},
    ),
    _entry(
        "fad_soundnet",
        "Fréchet audio distance (SoundNet pool5, not VGGish)",
        "down",
        (0.0, None),
        ("audio", "reference"),
        256,
        "Kilgour et al. 2019 (distance); Aytar et al. 2016 (SoundNet)",
        ("MIT", "MIT"),
        "Content above 11 kHz, stereo, the picture and the prompt; not comparable with VGGish values.",
        "frechet:FrechetDistance",
        "soundnet-pool5",
        "gaussian-unbiased-all-windows",
        {"dimension": 256},
    ),
    _entry(
        "kad_soundnet",
        "Kernel audio distance ×100 (SoundNet pool5)",
        "down",
        (None, None),
        ("audio", "reference"),
        64,
        "Chung et al. 2025, KAD (bandwidth: median distance of the reference set)",
        ("MIT", "MIT"),
        "Content above 11 kHz, stereo, the picture and the prompt.",
        "kernel:KernelDistance",
        "soundnet-pool5",
        "mmd2-unbiased-pairs-of-clips",
        {"kernel": "gaussian", "scale": 100.0, "clustered": True},
        version=2,
    ),
    _entry(
        "clip_tv",
        "CLIP score, text to video (ViT-L/14)",
        "up",
        (-1.0, 1.0),
        ("video", "prompt"),
        1,
        "Hessel et al. 2021 (cosine, neither scaled nor clipped); openai/clip-vit-large-patch14",
        ("MIT", "MIT"),
        "Motion, counts, anything outside the centre square, and sound.",
        "alignment:clip_tv",
        "clip-vit-l14",
        "mean-frames-sentences",
    ),
    _entry(
        "clap_ta",
        "CLAP score, text to audio (LAION music_speech_audioset)",
        "up",
        (-1.0, 1.0),
        ("audio", "prompt"),
        1,
        "Wu et al. 2023, LAION-AI/CLAP",
        ("CC0-1.0", "CC0-1.0"),
        "The words that are spoken, the time of a sound, stereo, and the picture.",
        "alignment:clap_ta",
        "clap-music-speech",
        "mean-windows-renormalised",
    ),
)
