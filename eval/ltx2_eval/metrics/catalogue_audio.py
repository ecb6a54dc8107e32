"""Metrics of sound by pretrained networks: distances of sets, classes, likings; reading this imports none of them."""

from typing import Literal

from ltx2_eval.metrics.base import MetricEntry, Text
from ltx2_reports.records import Direction, MetricSpec, Scalar

Need = Literal["video", "audio", "prompt", "reference", "speech"]


def sound_entry(
    id: str,  # noqa: A002  (the field's name)
    title: str,
    direction: Direction,
    value_range: tuple[float | None, float | None],
    needs: tuple[Need, ...],
    least_n: int,
    source: str,
    licences: tuple[str, str],
    cannot_see: str,
    implementation: str,
    extractor: str,
    aggregation: str,
    settings: dict[str, Scalar] | None = None,
    *,
    level: Literal["clip", "set"] = "set",
    unit: str = "",
    pairs: str | None = None,
    text: Text | None = None,
    version: int = 1,
    corpus_of: str | None = None,
) -> MetricEntry:
    """An entry of the catalogue; `implementation` and `pairs` are below `ltx2_eval.metrics`."""
    code_licence, weight_licence = licences
    spec = MetricSpec(
        id=id,
        version=version,
        title=title,
        unit=unit,
        direction=direction,
        range=value_range,
        level=level,
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
        pairs=f"ltx2_eval.metrics.{pairs}" if pairs else None,
        text=text,
        corpus_of=corpus_of,
    )


_REFERENCE: tuple[Need, ...] = ("audio", "reference")
_NOT_THE_REST = "stereo, the picture and the prompt"
_VGGISH, _PANNS, _PASST = ("Apache-2.0", "Apache-2.0"), ("MIT", "CC-BY-4.0"), ("Apache-2.0", "Apache-2.0")
_CLAP = ("CC0-1.0", "CC0-1.0")
_KILGOUR = "Kilgour et al. 2019 (distance)"
_CHUNG = "Chung et al. 2025, KAD (bandwidth: median distance of the reference set)"
_GUI = "Gui et al. 2024 (FAD-∞); Chong and Forsyth 2020 (line over 1/n)"


def _frechet(
    id: str,  # noqa: A002
    title: str,
    extractor: str,
    dimension: int,
    least_n: int,
    source: str,
    licences: tuple[str, str],
    cannot_see: str,
    windows: str,
) -> MetricEntry:
    return sound_entry(
        id,
        title,
        "down",
        (0.0, None),
        _REFERENCE,
        least_n,
        f"{_KILGOUR}; {source}",
        licences,
        cannot_see,
        "frechet:FrechetDistance",
        extractor,
        f"gaussian-unbiased-{windows}",
        {"dimension": dimension},
    )


def _kernel(
    id: str,  # noqa: A002
    title: str,
    extractor: str,
    licences: tuple[str, str],
    cannot_see: str,
) -> MetricEntry:
    return sound_entry(
        id,
        title,
        "down",
        (None, None),
        _REFERENCE,
        64,
        _CHUNG,
        licences,
        cannot_see,
        "kernel:KernelDistance",
        extractor,
        "mmd2-unbiased-across-prompts-all-windows",
        {"kernel": "gaussian", "scale": 100.0},
    )


def _infinite(
    id: str,  # noqa: A002
    title: str,
    extractor: str,
    dimension: int,
    licences: tuple[str, str],
    cannot_see: str,
) -> MetricEntry:
    return sound_entry(
        id,
        title,
        "down",
        (None, None),
        _REFERENCE,
        64,
        _GUI,
        licences,
        f"{cannot_see} The bias of the reference set stays.",
        "extrapolated:FrechetAtInfinity",
        extractor,
        "line-over-1/n-10-sizes-10-draws",
        {"dimension": dimension},
    )


_BLIND_VGGISH = f"Content above 7.5 kHz, fine artefacts, {_NOT_THE_REST}; overlap and scaling differ from Google's own."
_BLIND_PANNS = f"Content above 8 kHz, {_NOT_THE_REST}; silent clips can score well."
_BLIND_PASST = f"All after 10 s, content above 15 kHz, {_NOT_THE_REST}; shorter sounds are part silence on both sides."
_BLIND_CLAP = f"Content above 14 kHz, {_NOT_THE_REST}."

_DISTANCES = (
    _frechet(
        "fad_vggish",
        "Fréchet audio distance, FD_VGG (VGGish, no last ReLU)",
        "vggish",
        128,
        500,
        "VGGish as av-benchmark, AudioLDM's evaluation and fadtk take it: no ReLU, no PCA",
        _VGGISH,
        _BLIND_VGGISH,
        "all-windows",
    ),
    _frechet(
        "fad_vggish_relu",
        "Fréchet audio distance with VGGish's last ReLU (not FD_VGG)",
        "vggish-relu",
        128,
        500,
        "VGGish as torchvggish runs it by itself",
        _VGGISH,
        f"{_BLIND_VGGISH} Another scale than fad_vggish.",
        "all-windows",
    ),
    _infinite(
        "fad_vggish_inf",
        "FAD-∞: Fréchet audio distance without the bias of a small set (VGGish)",
        "vggish",
        128,
        _VGGISH,
        _BLIND_VGGISH,
    ),
    _kernel("kad_vggish", "Kernel audio distance ×100 (VGGish)", "vggish", _VGGISH, _BLIND_VGGISH),
    _frechet(
        "fd_panns",
        "Fréchet distance FD_PANN (PANNs CNN14 at 16 kHz)",
        "panns-cnn14-16k",
        2048,
        5000,
        "Kong et al. 2020; Liu et al. 2023, AudioLDM",
        _PANNS,
        _BLIND_PANNS,
        "one-vector",
    ),
    _frechet(
        "fd_passt",
        "Fréchet distance FD_PaSST (PaSST-S)",
        "passt-s",
        768,
        2000,
        "Koutini et al. 2022; Cheng et al. 2025, MMAudio",
        _PASST,
        _BLIND_PASST,
        "one-vector",
    ),
    _frechet(
        "fad_clap",
        "Fréchet audio distance on CLAP (LAION music_speech_audioset)",
        "clap-music-speech",
        512,
        1000,
        "Gui et al. 2024; embeddings of unit length",
        _CLAP,
        _BLIND_CLAP,
        "all-windows",
    ),
    _infinite(
        "fad_clap_inf",
        "FAD-∞ on CLAP, without the bias of a small set (LAION music_speech_audioset)",
        "clap-music-speech",
        512,
        _CLAP,
        _BLIND_CLAP,
    ),
    _frechet(
        "fad_clap_630k",
        "Fréchet audio distance on CLAP (LAION 630k-audioset)",
        "clap-630k",
        512,
        1000,
        "Gui et al. 2024; embeddings of unit length",
        _CLAP,
        _BLIND_CLAP,
        "all-windows",
    ),
    *(
        _frechet(
            f"fad_{name}_fadtk",
            f"Fréchet audio distance as fadtk 1.1 embeds sounds, for its published statistics ({title})",
            extractor,
            dimension,
            least_n,
            "Gui et al. 2024, microsoft/fadtk: its resampling, 16-bit samples, windows and float16 features",
            licences,
            f"{cannot_see} Against other reference sets the metric without fadtk's quantisation is the better one.",
            "all-windows",
        )
        for name, title, extractor, dimension, least_n, licences, cannot_see in (
            ("vggish", "VGGish, no last ReLU", "vggish-fadtk", 128, 500, _VGGISH, _BLIND_VGGISH),
            ("clap_630k", "LAION-CLAP 630k-audioset", "clap-630k-fadtk", 512, 1000, _CLAP, _BLIND_CLAP),
        )
    ),
    _kernel(
        "kad_clap",
        "Kernel audio distance ×100 on CLAP (LAION music_speech_audioset)",
        "clap-music-speech",
        _CLAP,
        _BLIND_CLAP,
    ),
)


def _classes(
    name: str, title: str, extractor: str, licences: tuple[str, str], cannot_see: str
) -> tuple[MetricEntry, ...]:
    """The inception score and the divergence from paired references of one tagger."""
    dimension: dict[str, Scalar] = {"dimension": 527}
    return (
        sound_entry(
            f"is_{name}",
            f"Inception score of the sound ({title})",
            "up",
            (1.0, 527.0),
            ("audio",),
            1000,
            "Salimans et al. 2016; on AudioSet taggers as AudioLDM's evaluation has it",
            licences,
            f"{cannot_see} Whether the sounds are real or fit: only that they are clear and differ.",
            "class_distributions:InceptionScore",
            extractor,
            "softmax-one-split",
            dimension,
        ),
        sound_entry(
            f"kl_{name}",
            f"KL divergence of the classes from the paired reference ({title})",
            "down",
            (0.0, None),
            _REFERENCE,
            100,
            "Kreuk et al. 2023, AudioGen; KL(reference || generated) as av-benchmark's kl_softmax",
            licences,
            f"{cannot_see} Needs a reference clip named after each prompt or sample.",
            "class_distributions:PairedDivergence",
            extractor,
            "softmax-mean-pairs",
            dimension,
        ),
    )


_CLASSES = (
    *_classes("panns", "PANNs CNN14 at 16 kHz", "panns-cnn14-16k-classes", _PANNS, _BLIND_PANNS),
    *_classes("passt", "PaSST-S", "passt-s-classes", _PASST, _BLIND_PASST),
)

_ALIGNMENT = (
    sound_entry(
        "clap_ta_630k",
        "CLAP score, text to audio (LAION 630k-audioset)",
        "up",
        (-1.0, 1.0),
        ("audio", "prompt"),
        1,
        "Wu et al. 2023, LAION-AI/CLAP",
        _CLAP,
        "The words that are spoken, the time of a sound, stereo, and the picture.",
        "alignment:clap_ta",
        "clap-630k",
        "mean-windows-renormalised",
        level="clip",
        pairs="alignment:clap_sides",
        text="audio_text",
    ),
    sound_entry(
        "clap_ta_upstream",
        "CLAP score, text to audio, through the package laion-clap where it is installed",
        "up",
        (-1.0, 1.0),
        ("audio", "prompt"),
        1,
        "Wu et al. 2023, LAION-AI/CLAP; its own code and front end",
        _CLAP,
        "The words that are spoken, the time of a sound, stereo, and the picture.",
        "alignment:clap_ta",
        "clap-music-speech-upstream",
        "mean-windows-renormalised",
        level="clip",
        pairs="alignment:clap_sides",
        text="audio_text",
    ),
)

_AXES: tuple[tuple[str, str, Direction], ...] = (
    ("CE", "content enjoyment", "up"),
    ("CU", "content usefulness", "up"),
    ("PC", "production complexity", "none"),
    ("PQ", "production quality", "up"),
)
_AUDIOBOX = tuple(
    sound_entry(
        f"audiobox_{axis.lower()}",
        f"AudioBox {axis}: {title}",
        direction,
        (None, None),
        ("audio",),
        1,
        "Tjandra et al. 2025, facebookresearch/audiobox-aesthetics",
        ("CC-BY-4.0", "CC-BY-4.0"),
        f"Content above 8 kHz, {_NOT_THE_REST}; silence and very short sounds get plausible values.",
        "listening:audiobox",
        "audiobox-aesthetics",
        "mean-windows-by-length",
        {"axis": axis},
        level="clip",
    )
    for axis, title, direction in _AXES
)

ENTRIES: tuple[MetricEntry, ...] = (*_DISTANCES, *_CLASSES, *_ALIGNMENT, *_AUDIOBOX)
