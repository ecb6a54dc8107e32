"""DNSMOS, Silero, Resemblyzer and Whisper with their real weights, and the formats that those come in.

Independent sources: speechmos 0.0.1.1 and Silero's ONNX model under onnxruntime 1.32, resemblyzer 0.1.4, and Whisper
under CTranslate2 4.8.5, run on the same sounds in an environment of their own
(`benchmarks/parity/speech.py`). `two_voices.ogg` holds four sentences in two voices of the speech synthesiser
espeak-ng.
"""

import struct
from pathlib import Path

import numpy as np
import pytest

from ltx2_benchmarks.suite import Prompt
from ltx2_eval.extractors.catalogue import load_extractor
from ltx2_eval.extractors.dnsmos import dnsmos_windows, p808_mel
from ltx2_eval.extractors.silero import Span, speech_spans
from ltx2_eval.extractors.speaker import louder
from ltx2_eval.extractors.turns import grouped
from ltx2_eval.media import read_clip
from ltx2_eval.metrics.base import Subject
from ltx2_eval.metrics.speech import speaker_word_errors, word_errors
from ltx2_eval.weights.convert import main
from ltx2_eval.weights.ctranslate2_layout import whisper_state
from ltx2_eval.weights.onnx_layout import onnx_weights
from ltx2_reports.records import ClipRecord

VOICES = Path(__file__).parents[1] / "golden" / "two_voices.ogg"
FIRST = ("Good morning.", "Please close the door before you leave the house.")
SECOND = ("It is cold outside today.", "I will bring a warm coat for you.")
_RECORD = ClipRecord(sample="s", prompt_id="p", seed=0, file="clips/s.mp4", sha256="0" * 64)


def signal(duration_s):
    t = np.arange(round(16_000 * duration_s)) / 16_000
    return (0.5 * np.sin(2 * np.pi * (200 * t + 150 * t * t)) + 0.1 * np.sin(2 * np.pi * 3000 * t)).astype(np.float32)


@pytest.fixture(scope="module")
def voices():
    return read_clip(VOICES)


@pytest.fixture(scope="module")
def dnsmos(packaged_weights):
    packaged_weights("dnsmos-p835")
    packaged_weights("dnsmos-p808")
    return load_extractor("dnsmos")


@pytest.fixture(scope="module")
def silero(packaged_weights):
    packaged_weights("silero-vad")
    return load_extractor("silero-vad")


@pytest.fixture(scope="module")
def resemblyzer(packaged_weights, silero):
    packaged_weights("resemblyzer")
    return load_extractor("resemblyzer")


@pytest.fixture(scope="module")
def turns(packaged_weights, resemblyzer):
    packaged_weights("whisper-base")
    return load_extractor("whisper-turns")


@pytest.fixture(scope="module")
def tokens(turns, voices):
    return turns.whisper.features(voices)


def test_the_front_end_of_dnsmos_gives_the_published_values():
    (window,) = dnsmos_windows(signal(5.04))
    mel = p808_mel(window)
    assert mel.shape == (900, 120)
    found = [mel.mean(), mel.std(), mel[0, 0], mel[400, 50], mel[899, 119]]
    assert found == pytest.approx([-0.7666, 0.4650, -0.2014, 0.6676, -1.0], abs=1e-4)


@pytest.mark.parametrize(("duration_s", "count"), [(0.5, 7), (5.04, 1), (9.01, 1), (10.0, 1), (10.5, 1), (12.0, 3)])
def test_windows_of_dnsmos_follow_each_other_by_a_second(duration_s, count):
    assert dnsmos_windows(np.ones(round(16_000 * duration_s), np.float32)).shape == (count, 144_160)


@pytest.mark.weights
def test_windows_of_dnsmos_do_not_see_their_neighbours_in_the_batch(dnsmos, sound_clip, monkeypatch):
    noisy = signal(11.2) + np.random.default_rng(0).normal(0, 0.02, round(11.2 * 16_000)).astype(np.float32)
    clip = sound_clip(noisy, 16_000)
    together = dnsmos.features(clip)
    monkeypatch.setattr("ltx2_eval.extractors.dnsmos.WINDOWS_AT_ONCE", 1)
    assert len(together) == 2
    np.testing.assert_allclose(together, dnsmos.features(clip), rtol=1e-5)


@pytest.mark.weights
def test_dnsmos_equals_speechmos(dnsmos, sound_clip, voices):
    found = dnsmos.features(sound_clip(0.9 * signal(5.04), 16_000))
    assert found.shape == (1, 4)
    assert found[0] == pytest.approx([1.0517, 0.9709, 1.0120, 2.0840], abs=1e-4)
    expected = [3.3792792, 4.1554448, 3.1745520, 3.6445975]
    assert dnsmos.features(voices)[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.weights
def test_silero_equals_its_onnx_model(silero, voices):
    found = silero.probabilities(signal(5.04))
    expected = [0.11640489, 0.24479863, 0.07097960, 0.01430374, 0.01743799, 0.00967951]
    assert found[:6] == pytest.approx(expected, abs=2e-6)
    assert (len(found), float(found.mean())) == (158, pytest.approx(0.003610074, abs=1e-7))
    spans = speech_spans(silero.features(voices)[:, 0])
    assert [round(span.start_s, 1) for span in spans] == [0.3, 1.6, 5.2, 7.6]


def test_stretches_of_speech_by_hand():
    def spans(text):
        return speech_spans(np.array([{"s": 0.9, "w": 0.4, ".": 0.1}[letter] for letter in text]))

    def span(start, end):
        return Span(start_s=pytest.approx(start * 0.032), end_s=pytest.approx(end * 0.032))

    assert spans("") == spans("....wwww....") == spans("..sss..") == []
    assert spans("..ssssssss..") == [span(2, 10)]
    assert spans("ssssswwwww..") == [span(0, 10)]
    assert spans("sssss..sssss") == [span(0, 12)]
    assert spans("ssssssss......ssssssss") == [span(0, 8), span(14, 22)]
    assert spans("ssssssss......ss") == [span(0, 8)]


@pytest.mark.weights
def test_the_speaker_encoder_equals_resemblyzer(resemblyzer, voices):
    from ltx2_eval.extractors.sound import mono

    step = 77 * 160
    found = resemblyzer.embedded(mono(voices, 16_000, 0.5), [index * step for index in range(12)])
    assert found.shape == (12, 256)
    assert found[1, :10] == pytest.approx(
        [0.0445974, 0, 0.1639141, 0, 0, 0, 0.003666, 0, 0.0829002, 0.1759736], abs=1e-6
    )
    assert float(found.sum()) == pytest.approx(98.1593, rel=1e-5)
    assert [found[1] @ found[3], found[1] @ found[9]] == pytest.approx([0.6797573, 0.3761867], abs=1e-5)
    assert len(resemblyzer.features(voices)) < 12  # pauses are left out


def test_quiet_speech_is_raised_and_silence_stays():
    assert np.sqrt(np.mean(louder(0.001 * signal(1.0)).astype(np.float64) ** 2)) == pytest.approx(10 ** (-30 / 20))
    np.testing.assert_array_equal(louder(signal(1.0)), signal(1.0))
    np.testing.assert_array_equal(louder(np.zeros(8, np.float32)), np.zeros(8))


@pytest.mark.weights
def test_whisper_equals_ctranslate2(turns, tokens):
    """The same tokens; the language's probability and that of no speech, which both programs tell."""
    whisper = turns.whisper
    expected = [2205, 2446, 13, 2555, 1998, 264, 2853, 949, 291, 1856, 264, 1782, 13, 467, 307, 3554, 2380, 965, 13]
    expected += [286, 486, 1565, 257, 4561, 10690, 337, 291, 13]
    assert tokens[:, 0].tolist() == [50259, 50362, *expected, 50257]
    assert np.exp(tokens[:2, 1]) == pytest.approx([0.8835772, 0.0437327], rel=1e-4)
    transcript = whisper.transcript(tokens)
    assert (transcript.text, transcript.language) == (" ".join((*FIRST, *SECOND)), "en")


@pytest.mark.weights
def test_where_nobody_speaks_nothing_is_read(turns, sound_clip):
    tokens = turns.whisper.features(sound_clip(signal(3.0), 16_000))
    assert tokens.tolist() == [[50362, 0, 0]]
    transcript = turns.whisper.transcript(tokens)
    assert (transcript.text, transcript.language, transcript.log_probability) == ("", None, None)
    (turn,) = turns.turns(turns.features(sound_clip(signal(3.0), 16_000)), 2)
    assert (turn.start_s, turn.speaker, turn.text) == (0, 0, "")


@pytest.mark.weights
def test_word_errors_of_a_real_clip(turns, tokens, voices):
    lines = [{"speaker": "man", "text": text, "language": "en"} for text in FIRST]
    lines += [{"speaker": "woman", "text": text, "language": "en"} for text in SECOND]

    def judged(metric, features, extractor, lines, **settings):
        prompt = Prompt.model_validate(
            {"id": "p", "text": "Two people talk.", "duration_s": 11, "expectations": {"speech": lines}}, strict=False
        )
        return metric(Subject(clip=voices, record=_RECORD, prompt=prompt), features, extractor, **settings)

    stretches = turns.features(voices)
    assert judged(word_errors, tokens, turns.whisper, lines, unit="word").value == 0
    wrong = [{**lines[0], "text": "Good evening."}, *lines[1:]]
    assert judged(word_errors, tokens, turns.whisper, wrong, unit="word").value == pytest.approx(1 / 24)
    assert judged(speaker_word_errors, stretches, turns, lines).value == 0
    swapped = [{**lines[0], "speaker": "woman"}, *lines[1:]]  # "good morning" by the wrong voice counts twice
    assert judged(speaker_word_errors, stretches, turns, swapped).value == pytest.approx(4 / 24)


def test_voices_are_grouped_by_average_linkage():
    angles = np.radians([0, 10, 90, 5, 100])
    voices = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert grouped(voices, 2) == [0, 0, 1, 0, 1]
    assert grouped(voices[::-1], 2) == [0, 1, 0, 1, 1]
    assert grouped(voices[:1], 3) == [0]


def _field(number, content):
    if isinstance(content, int):
        return _varint(number << 3) + _varint(content)
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _onnx(*tensors):
    graph = b"".join(_field(5, tensor) for tensor in tensors)
    return _field(1, 8) + _field(2, b"producer") + _field(7, _field(2, b"graph") + graph)


def test_the_weights_of_an_onnx_file():
    values = np.arange(6, dtype="<f4")
    raw = _field(1, 2) + _field(1, 3) + _field(2, 1) + _field(8, b"a") + _field(9, values.tobytes())
    packed = _field(1, _varint(2) + _varint(3)) + _field(2, 1) + _field(8, b"b") + _field(4, values.tobytes())
    whole = _field(1, 1) + _field(2, 7) + _field(8, b"shape") + _field(9, b"\0" * 8)
    found = onnx_weights(_onnx(raw, packed, whole))
    assert list(found) == ["a", "b"]
    for array in found.values():
        np.testing.assert_array_equal(array, values.reshape(2, 3))
    data = _onnx(raw)
    for broken in (b"", b"text", data[:-3], _onnx(whole), _field(2, b"no graph")):
        with pytest.raises(ValueError, match=r"not a|no weights|not an"):
            onnx_weights(broken)


def _string(text):
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def _variable(name, array, kind=4):
    shape = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
    return _string(name) + shape + struct.pack("<BI", kind, array.nbytes) + array.tobytes()


def _ctranslate2(*variables):
    return struct.pack("<I", 6) + _string("WhisperSpec") + struct.pack("<II", 3, len(variables)) + b"".join(variables)


def test_the_weights_of_a_ctranslate2_file(tmp_path):
    qkv = np.arange(12, dtype="<f2").reshape(6, 2)
    bias = np.array([1, 2, 0, 0, 5, 6], "<f2")
    data = _ctranslate2(
        _variable("decoder/activation", np.int8(1), 1),
        _variable("encoder/layer_0/self_attention/linear_0/weight", qkv),
        _variable("encoder/layer_0/self_attention/linear_0/bias", bias),
        _variable("decoder/layer_3/ffn/layer_norm/gamma", np.ones(2, "<f2")),
    )
    state = whisper_state(data)
    stem = "model.encoder.layers.0.self_attn."
    assert {name: array.tolist() for name, array in state.items()} == {
        f"{stem}q_proj.weight": [[0, 1], [2, 3]],
        f"{stem}k_proj.weight": [[4, 5], [6, 7]],
        f"{stem}v_proj.weight": [[8, 9], [10, 11]],
        f"{stem}q_proj.bias": [1, 2],
        f"{stem}v_proj.bias": [5, 6],
        "model.decoder.layers.3.final_layer_norm.weight": [1, 1],
    }
    (tmp_path / "model.bin").write_bytes(data)
    assert main(["whisper-ctranslate2", str(tmp_path / "model.bin"), str(tmp_path)]) == 0
    cases = {
        "keys have no bias": _ctranslate2(_variable("encoder/layer_0/self_attention/linear_0/bias", bias + 1)),
        "floating point": _ctranslate2(_variable("encoder/conv1/weight", np.ones((2, 2), np.int8), 1)),
        "not a weight of Whisper": _ctranslate2(_variable("encoder/other/weight", qkv)),
        "expected 6 of 'WhisperSpec'": struct.pack("<I", 5) + _string("TransformerSpec"),
        "not a CTranslate2 model": data[:30],
    }
    for message, broken in cases.items():
        with pytest.raises(ValueError, match=message):
            whisper_state(broken)
