"""What a prompt wants said, how errors are counted, and which clips the metrics of sound decline."""

from typing import ClassVar

import numpy as np
import pytest

from ltx2_benchmarks.suite import Prompt, load_suite
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.turns import Turn
from ltx2_eval.extractors.whisper import Transcript, spelling_of
from ltx2_eval.metrics.base import Subject
from ltx2_eval.metrics.listening import audiobox, dnsmos, speech_share, voice_consistency
from ltx2_eval.metrics.speech import speaker_word_errors, word_errors
from ltx2_eval.metrics.spoken import asks_for_speech, script_of
from ltx2_eval.metrics.word_errors import Errors, characters, errors, permuted_errors, words
from ltx2_eval.plan import run_spec
from ltx2_eval.runner import prompts_of
from ltx2_reports.records import ClipRecord, RunSpec
from ltx2_reports.store import DamagedError

_RECORD = ClipRecord(sample="s", prompt_id="p", seed=0, file="clips/s.mp4", sha256="0" * 64)
_CLIP = Clip(video=None, fps=None, audio=np.zeros((1, 16_000), np.float32), rate_hz=16_000)


def _prompt(text="A street.", language="en", **expectations):
    fields = {"id": "p", "text": text, "language": language, "expectations": expectations}
    return Prompt.model_validate(fields, strict=False)


def _lines(*texts, language="en"):
    return [{"speaker": speaker, "text": text, "language": language} for speaker, text in texts]


def _subject(prompt):
    return Subject(clip=_CLIP, record=_RECORD, prompt=prompt)


# Edits by jiwer 4.0.0.
_JIWER = (
    ("g d a c e d d", "g d b c e d d", 1),
    ("c d e a c d c e f b e", "c c d f a c d c c e f a c", 5),
    ("c g e b g e e e c", "c g b f g a e e e c", 3),
    ("g d e c d d f f f g", "g e c d f e", 5),
    ("a", "a", 0),
    ("a c g a a e a", "a a c d f c", 6),
    ("f a d f a c f a e", "d d c d c a b b a d f e", 8),
    ("b", "a b e g", 3),
    ("b a d g d f a a c d g g", "a d d d c a f d g g", 5),
    ("c a b b c c c g c f", "c b b d c a c a g c a", 5),
)


@pytest.mark.parametrize(("expected", "found", "edits"), _JIWER)
def test_edits_equal_jiwers(expected, found, edits):
    result = errors(expected.split(), found.split())
    assert result.total == edits
    assert result.expected - result.deletions + result.insertions == len(found.split())


def test_edits_by_hand():
    assert errors(list("abc"), []) == Errors(substitutions=0, deletions=3, insertions=0, expected=3)
    assert errors([], list("ab")).insertions == 2
    with pytest.raises(ValueError, match="no expected words"):
        _ = errors([], []).rate
    assert errors(list("good morning"), list("god mourning")).rate == pytest.approx(1 / 6)  # jiwer 4.0.0


def test_the_best_assignment_of_speakers():
    a, b, c = list("abc"), list("de"), list("f")
    assert permuted_errors([a, b, c], [c, a, b]) == 0
    assert permuted_errors([a, b], [a]) == 2
    assert permuted_errors([a], [a, b]) == 2
    assert permuted_errors([a, b], [[*a, *b], []]) == 4


def test_texts_are_normalised():
    assert words("Mr. Smith — it's 20 dollars, OKAY?", "en", {}) == ["mister", "smith", "it", "is", "$20", "okay"]
    assert words("Grüß Gott!", "de", {}) == ["grüß", "gott"]
    assert characters("你好，世界！", "zh", {}) == list("你好世界")
    assert characters("Hi you", "en", {}) == list("hi you")


def test_british_and_american_spelling_are_one_in_english():
    spelling = {"colour": "color", "gott": "God"}
    assert words("The Colour, the color.", "en", spelling) == ["the", "color", "the", "color"]
    assert words("Gott", "de", spelling) == ["gott"]
    assert characters("colour", "en", spelling) == list("color")


@pytest.mark.parametrize("content", [None, "[]", '{"a": 1}', "no json"])
def test_without_the_table_of_spellings_the_weights_are_pulled_again(tmp_path, content):
    if content is not None:
        (tmp_path / "english.json").write_text(content)
    with pytest.raises(DamagedError, match="pull the weights again"):
        spelling_of(tmp_path)


def test_lines_come_from_the_speech_field_first():
    script = script_of(_prompt('A sign says "no".', speech=_lines(("anna", "Hello."), ("ben", "Hi."))))
    assert (script.text, script.origin, script.language) == ("Hello. Hi.", "expectations.speech", "en")
    assert [line.speaker for line in script.lines] == ["anna", "ben"]
    mixed = script_of(_prompt(speech=[*_lines(("a", "Hello.")), *_lines(("b", "Olá."), language="pt-BR")]))
    assert [line.language for line in mixed.lines] == ["en", "pt"]
    assert mixed.language is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('He says "Come in." and she says “Thanks!”', ["Come in.", "Thanks!"]),
        ("Elle dit « Bonjour » doucement.", ["Bonjour"]),
        ("彼は「こんにちは」と言う。", ["こんにちは"]),
        ("The dog's owner doesn't 'speak'.", []),
        ('A pause: "..."', []),
        ("Rain.", []),
    ],
)
def test_quoted_text_is_spoken(text, expected):
    assert [line.text for line in script_of(_prompt(text)).lines] == expected
    assert asks_for_speech(_prompt(text)) == bool(expected)


def test_quoted_text_on_screen_or_without_speakers_is_not_spoken():
    assert not script_of(_prompt('A neon sign reads "OPEN".', on_screen_text=["Open"])).lines
    assert not script_of(_prompt('The film "Heat" plays.', num_speakers=0)).lines
    assert asks_for_speech(_prompt("A crowd talks.", num_speakers=3))
    assert script_of(_prompt('"Hi"', language="und")).language is None


def test_every_embedded_suite_has_a_script():
    spoken = {name: sum(asks_for_speech(prompt) for prompt in load_suite(name).prompts) for name in ("ci", "world")}
    assert spoken["ci"] > 0
    assert spoken["world"] == 0


class _Whisper:
    """Hears what it is told, in a language."""

    spelling: ClassVar[dict[str, str]] = {"colour": "color"}

    def __init__(self, text, language="en", again=None):
        self.text, self.language, self.again, self.asked = text, language, again, []

    def transcript(self, tokens):
        text = self.again if len(tokens) == 2 else self.text
        return Transcript(text=text, language=self.language, log_probability=-0.1, no_speech=0.0)

    def knows(self, language):
        return language in ("en", "de", "zh")

    def read(self, clip, language):
        assert clip is _CLIP
        self.asked.append(language)
        return np.zeros((2, 3), np.float32)


def _judged(prompt, whisper, unit="word"):
    return word_errors(_subject(prompt), np.zeros((1, 3), np.float32), whisper, unit=unit)


def test_word_errors_with_their_parts():
    prompt = _prompt(speech=_lines(("a", "Good morning, everyone!")))
    outcome = _judged(prompt, _Whisper("Good evening everyone here today now"))
    assert outcome.value == 1
    assert outcome.details["rate"] == pytest.approx(4 / 3)
    parts = [outcome.details[name] for name in ("errors", "expected", "substitutions", "deletions", "insertions")]
    assert parts == [4, 3, 1, 0, 3]
    assert outcome.details["lines_from"] == "expectations.speech"
    assert _judged(prompt, _Whisper("good morning everyone")).value == 0
    assert _judged(prompt, _Whisper("")).value == 1
    british = _prompt(speech=_lines(("a", "What a colour!")))
    assert _judged(british, _Whisper("What a color")).value == 0
    assert _judged(prompt, _Whisper("good mourning everyone"), unit="character").value == pytest.approx(1 / 21)


def test_a_clip_is_read_again_in_the_language_of_its_lines():
    prompt = _prompt(speech=_lines(("a", "Guten Morgen"), language="de-AT"))
    whisper = _Whisper("Good morning", "en", again="Guten Morgen")
    assert _judged(prompt, whisper).value == 0
    assert whisper.asked == ["de"]
    unknown = _Whisper("Saluton", "en", again="never")
    assert _judged(_prompt(speech=_lines(("a", "Saluton"), language="eo")), unknown).value == 0
    assert unknown.asked == []


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (None, "no prompt"),
        (_prompt(), "no spoken line"),
        (_prompt(speech=_lines(("a", "你好"), language="zh")), "without spaces; see speech_cer"),
        (_prompt(speech=_lines(("a", "..."))), "nothing is left"),
    ],
)
def test_what_has_no_word_error_rate_says_why(prompt, message):
    with pytest.raises(NotApplicable, match=message):
        _judged(prompt, _Whisper("words"))


class _Turns:
    whisper = _Whisper("")

    def __init__(self, *turns):
        self.found = [Turn(start_s=float(i), speaker=speaker, text=text) for i, (speaker, text) in enumerate(turns)]

    def turns(self, features, num_speakers):
        assert num_speakers == 2
        return self.found


def test_errors_by_speaker():
    prompt = _prompt(speech=_lines(("anna", "Hello there."), ("ben", "Hi."), ("anna", "Bye.")))
    features = np.zeros((1, 258), np.float32)

    def value(*turns):
        return speaker_word_errors(_subject(prompt), features, _Turns(*turns)).value

    assert value((1, "hello there"), (0, "hi"), (1, "bye")) == 0
    assert value((0, "hello there"), (0, "hi"), (0, "bye")) == pytest.approx(2 / 4)
    assert value((0, "hello there"), (1, "hi"), (1, "bye")) == pytest.approx(2 / 4)
    with pytest.raises(NotApplicable, match="fewer than two speakers"):
        speaker_word_errors(_subject(_prompt('"Hi", he says, "bye"')), features, _Turns())


def test_one_axis_and_one_score_are_told():
    scores = np.array([[5.0, 6.0, 7.0, 8.0]], np.float32)
    assert [audiobox(_subject(None), scores, None, axis=axis).value for axis in ("CE", "CU", "PC", "PQ")] == [
        5,
        6,
        7,
        8,
    ]
    windows = np.array([[1, 2, 3, 4], [2, 3, 4, 4]], np.float32)
    assert [dnsmos(_subject(None), windows, None, score=name).value for name in ("sig", "bak", "ovrl", "p808")] == [
        1.5,
        2.5,
        3.5,
        4.0,
    ]
    assert dnsmos(_subject(_prompt('"Hi"')), windows, None, score="sig").details == {"num_windows": 2, "worst": 1.0}
    with pytest.raises(NotApplicable, match="asks for no speech"):
        dnsmos(_subject(_prompt("Rain.")), windows, None, score="sig")


def test_speech_that_nobody_asked_for():
    chunks = np.array([[0.9], [0.5], [0.4], [0.0]], np.float32)
    assert speech_share(_subject(None), chunks, None, unasked=False).value == 0.5
    assert speech_share(_subject(_prompt("Rain.")), chunks, None, unasked=True).value == 0.5
    for prompt, message in ((None, "no prompt"), (_prompt('"Hi"'), "asks for speech")):
        with pytest.raises(NotApplicable, match=message):
            speech_share(_subject(prompt), chunks, None, unasked=True)


def test_the_voice_of_one_speaker():
    same = np.tile(np.array([1, 0], np.float32), (5, 1))
    turned = np.concatenate([same[:3], np.tile(np.array([0, 1], np.float32), (3, 1))])
    assert voice_consistency(_subject(None), same, None).value == pytest.approx(1)
    assert voice_consistency(_subject(None), turned, None).value == pytest.approx(0)
    with pytest.raises(NotApplicable, match="too little speech"):
        voice_consistency(_subject(None), same[:3], None)
    several = _prompt(speech=_lines(("a", "Hello."), ("b", "Hi.")))
    with pytest.raises(NotApplicable, match="several speakers"):
        voice_consistency(_subject(several), same, None)


def test_what_a_run_records_of_a_prompt_is_enough_to_judge_its_speech():
    """Scoring later sees the script that the suite had, and folders' prompts have no language."""
    suite = load_suite("ci")
    spec = run_spec(
        system="s",
        model="m",
        model_identity={},
        suite=suite,
        seeds=(0,),
        clip=None,
        container="mp4",
    )
    later = prompts_of(RunSpec.model_validate_json(spec.model_dump_json()))
    for prompt in suite.prompts:
        assert script_of(later[prompt.id]) == script_of(prompt)
        assert asks_for_speech(later[prompt.id]) == asks_for_speech(prompt)
    bare = Prompt.model_construct(id="p", text='"Hi"', language=None)
    assert [(line.text, line.language) for line in script_of(bare).lines] == [("Hi", None)]
