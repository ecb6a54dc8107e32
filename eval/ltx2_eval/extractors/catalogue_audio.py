"""Extractors of sound and speech: reading this imports none of them."""

from ltx2_eval.extractors.base import ExtractorSpec


def _sound(
    id: str,  # noqa: A002  (the field's name)
    title: str,
    dimension: int,
    weights: str,
    preprocessing: str,
    sampling: str,
    source: str,
    implementation: str,
    beside: tuple[str, ...] = (),
) -> ExtractorSpec:
    return ExtractorSpec(
        id=id,
        version=1,
        title=title,
        stream="audio",
        dimension=dimension,
        weights=weights,
        preprocessing=preprocessing,
        sampling=sampling,
        source=source,
        implementation=f"ltx2_eval.extractors.{implementation}",
        beside=beside,
    )


_VGGISH = ("vggish", "mono16000-soxrvhq-logmel64-125-7500-offset0.01", "0.96s-no-overlap")
_VGGISH_SOURCE = "Hershey et al. 2017, harritaylor/torchvggish vggish-10086976"
_PANNS = ("panns-cnn14-16k", "mono16000-soxrvhq-logmel64-50-8000", "whole")
_PANNS_SOURCE = "Kong et al. 2020, Cnn14_16k_mAP=0.438"
_PASST = ("passt-s", "mono32000-soxrvhq-preemphasis-kaldimel128-0-15000", "first10s-zeropad")
_PASST_SOURCE = "Koutini et al. 2022, passt-s-f128-p16-s10-ap.476-swa, as hear21passt runs it"
_CLAP = ("mono48000-soxrvhq-mel64-50-14000-repeatpad", "10s-hop5s")
_SPEECH_RATE = "mono16000-soxrvhq"

SPECS: tuple[ExtractorSpec, ...] = (
    _sound("vggish", "VGGish, no last ReLU", 128, *_VGGISH, _VGGISH_SOURCE, "vggish:VggishExtractor"),
    _sound("vggish-relu", "VGGish, with its last ReLU", 128, *_VGGISH, _VGGISH_SOURCE, "vggish:VggishReluExtractor"),
    _sound("panns-cnn14-16k", "PANNs CNN14, embedding", 2048, *_PANNS, _PANNS_SOURCE, "panns:PannsExtractor"),
    _sound(
        "panns-cnn14-16k-classes",
        "PANNs CNN14, logits of AudioSet's classes",
        527,
        *_PANNS,
        _PANNS_SOURCE,
        "panns:PannsClassesExtractor",
    ),
    _sound("passt-s", "PaSST-S, embedding", 768, *_PASST, _PASST_SOURCE, "passt:PasstExtractor"),
    _sound(
        "passt-s-classes",
        "PaSST-S, logits of AudioSet's classes",
        527,
        *_PASST,
        _PASST_SOURCE,
        "passt:PasstClassesExtractor",
    ),
    _sound(
        "clap-630k",
        "LAION-CLAP 630k-audioset, audio embedding",
        512,
        "clap-630k",
        *_CLAP,
        "Wu et al. 2023, LAION-AI/CLAP 630k-audioset-best",
        "clap:ClapExtractor",
    ),
    _sound(
        "vggish-fadtk",
        "VGGish, no last ReLU, as fadtk feeds it",
        128,
        "vggish",
        "mono16000-sinc64kaiser-int16-logmel64-125-7500-offset0.01",
        "0.96s-no-overlap-float16",
        "Hershey et al. 2017, harritaylor/torchvggish; front end as microsoft/fadtk 1.1",
        "fadtk:FadtkVggishExtractor",
    ),
    _sound(
        "clap-630k-fadtk",
        "LAION-CLAP 630k-audioset, audio embedding, as fadtk feeds it",
        512,
        "clap-630k",
        "mono48000-sinc64kaiser-int16-mel64-50-14000",
        "10s-hop1s-zeropad-float16",
        "Wu et al. 2023, LAION-AI/CLAP 630k-audioset-best; front end as microsoft/fadtk 1.1",
        "fadtk:FadtkClapExtractor",
    ),
    _sound(
        "audiobox-aesthetics",
        "AudioBox Aesthetics, four axes",
        4,
        "audiobox-aesthetics",
        _SPEECH_RATE,
        "10s-no-overlap-by-length",
        "Tjandra et al. 2025, facebook/audiobox-aesthetics",
        "audiobox:AudioboxExtractor",
    ),
    _sound(
        "dnsmos",
        "DNSMOS P.835 and P.808",
        4,
        "dnsmos-p835",
        _SPEECH_RATE,
        "9.01s-hop1s-selfrepeat",
        "Reddy, Gopal and Cutler 2022, sig_bak_ovr and model_v8",
        "dnsmos:DnsmosExtractor",
        beside=("dnsmos-p808",),
    ),
    _sound(
        "silero-vad",
        "Silero voice activity",
        1,
        "silero-vad",
        _SPEECH_RATE,
        "32ms-no-overlap",
        "snakers4/silero-vad 6.2.3",
        "silero:SileroExtractor",
    ),
    _sound(
        "whisper-base",
        "Whisper base, greedy transcript",
        3,
        "whisper-base",
        f"{_SPEECH_RATE}-whispermel80",
        "30s-no-overlap-where-silero-hears-speech",
        "Radford et al. 2022, openai/whisper base in float16",
        "whisper:WhisperExtractor",
        beside=("silero-vad",),
    ),
    _sound(
        "resemblyzer",
        "Resemblyzer speaker embedding",
        256,
        "resemblyzer",
        f"{_SPEECH_RATE}-atleast-30dbfs-mel40",
        "1.6s-hop0.77s-where-silero-hears-speech",
        "Wan et al. 2018, resemble-ai/Resemblyzer",
        "speaker:SpeakerExtractor",
        beside=("silero-vad",),
    ),
    _sound(
        "clap-music-speech-upstream",
        "LAION-CLAP music_speech_audioset, audio embedding, by the package laion-clap",
        512,
        "clap-music-speech",
        "mono48000-soxrvhq-laionclap",
        "10s-hop5s",
        "Wu et al. 2023, LAION-AI/CLAP; its own code and front end",
        "clap_upstream:ClapUpstreamExtractor",
    ),
    _sound(
        "whisper-turns",
        "Whisper base and Resemblyzer, by stretch of speech",
        258,
        "whisper-base",
        f"{_SPEECH_RATE}-whispermel80+atleast-30dbfs-mel40",
        "stretches-that-silero-hears",
        "Radford et al. 2022, openai/whisper base; Wan et al. 2018, resemble-ai/Resemblyzer",
        "turns:TurnsExtractor",
        beside=("silero-vad", "resemblyzer"),
    ),
)
