"""All extractors: reading this imports none of them."""

import importlib

from ltx2_benchmarks.nearest import unknown
from ltx2_eval.extractors import catalogue_audio, catalogue_av
from ltx2_eval.extractors.base import Extractor, ExtractorSpec

_SPECS = (
    ExtractorSpec(
        id="i3d-k400",
        version=1,
        title="I3D RGB, Kinetics-400, logits",
        stream="video",
        dimension=400,
        weights="i3d-k400",
        preprocessing="cc224-bilinear-noaa",
        sampling="16f8fps-centre",
        source="Carreira and Zisserman 2017; batch norm eps 1e-3 as in deepmind/i3d-kinetics-400",
        implementation="ltx2_eval.extractors.i3d:I3dExtractor",
    ),
    ExtractorSpec(
        id="soundnet-pool5",
        version=1,
        title="SoundNet 8, pool5",
        stream="audio",
        dimension=256,
        weights="soundnet",
        preprocessing="mono22050-soxrvhq-x256",
        sampling="whole-0.37s",
        source="Aytar, Vondrick and Torralba 2016",
        implementation="ltx2_eval.extractors.soundnet:SoundNetExtractor",
    ),
    ExtractorSpec(
        id="clip-vit-l14",
        version=1,
        title="CLIP ViT-L/14, image embedding",
        stream="video",
        dimension=768,
        weights="clip-vit-l14",
        preprocessing="cc224-bicubic-aa-clipnorm",
        sampling="16f-bin-centres",
        source="Radford et al. 2021, openai/clip-vit-large-patch14",
        implementation="ltx2_eval.extractors.clip_text_video:ClipExtractor",
    ),
    ExtractorSpec(
        id="clap-music-speech",
        version=1,
        title="LAION-CLAP music_speech_audioset, audio embedding",
        stream="audio",
        dimension=512,
        weights="clap-music-speech",
        preprocessing="mono48000-soxrvhq-mel64-50-14000-repeatpad",
        sampling="10s-hop5s",
        source="Wu et al. 2023, LAION-AI/CLAP music_speech_audioset_epoch_15_esc_89.98",
        implementation="ltx2_eval.extractors.clap:ClapExtractor",
    ),
    ExtractorSpec(
        id="nano-video",
        version=1,
        title="Nano tower of the procedural world, pictures",
        stream="video",
        dimension=128,
        weights="nano-towers",
        preprocessing="squeeze64-bilinear-aa",
        sampling="24fps-all",
        source="ltx2_eval.nano, trained on ltx2_benchmarks.synthetic; knows that world alone",
        implementation="ltx2_eval.extractors.nano:NanoVideoExtractor",
    ),
    ExtractorSpec(
        id="nano-audio",
        version=1,
        title="Nano tower of the procedural world, sound",
        stream="audio",
        dimension=128,
        weights="nano-towers",
        preprocessing="stereo24000-soxrvhq-mel48",
        sampling="whole",
        source="ltx2_eval.nano, trained on ltx2_benchmarks.synthetic; knows that world alone",
        implementation="ltx2_eval.extractors.nano:NanoAudioExtractor",
    ),
    ExtractorSpec(
        id="nano-sync",
        version=1,
        title="Nano offset classifier of the procedural world",
        stream="video",
        dimension=97,
        weights="nano-sync",
        preprocessing="squeeze64-bilinear-aa+stereo24000-soxrvhq-mel48",
        sampling="24fps-all+whole",
        source="ltx2_eval.nano, trained on ltx2_benchmarks.synthetic; knows that world alone",
        implementation="ltx2_eval.extractors.nano:NanoSyncExtractor",
    ),
)

EXTRACTORS: dict[str, ExtractorSpec] = {
    spec.id: spec for spec in (*_SPECS, *catalogue_audio.SPECS, *catalogue_av.SPECS)
}


def load_extractor(name: str, device: str = "cpu") -> Extractor:
    """Build an extractor and read its weights; nothing is downloaded.

    Raises:
        ValueError: no such extractor, or damaged weights.
        NotAvailable: its weights were not pulled; ends with the command that brings them.
    """
    from ltx2_eval.weights import weights_path

    if name not in EXTRACTORS:
        raise ValueError(unknown("extractor", name, EXTRACTORS))
    spec = EXTRACTORS[name]
    weights = weights_path(spec.weights) if spec.weights is not None else None
    module, _, kind = spec.implementation.partition(":")
    implementation: type[Extractor] = getattr(importlib.import_module(module), kind)
    return implementation.load(spec, weights, device)
