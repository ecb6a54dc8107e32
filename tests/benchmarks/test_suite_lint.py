"""Each rule of the lint, by a clean suite with one thing wrong in it."""

import json
import re
from pathlib import Path

import pytest

import ltx2_benchmarks
from ltx2_benchmarks.lint import lint, words
from ltx2_benchmarks.suite import load_suite

CI = (Path(ltx2_benchmarks.__file__).parent / "suites" / "ci.jsonl").read_text(encoding="utf-8").splitlines()


def linted(tmp_path, row: dict, *others: dict, origin: str = "written") -> list[str]:
    path = tmp_path / "changed.jsonl"
    rows = [{"suite": "changed", "origin": origin}, row, *others]
    path.write_text("\n".join(json.dumps(item) for item in rows), encoding="utf-8")
    return lint(load_suite(path))


def prompt(name: str) -> dict:
    return next(row for row in map(json.loads, CI[1:]) if row["id"] == name)


def changed(row: dict, dotted: str, value: object) -> dict:
    *path, last = dotted.split(".")
    holder = row
    for key in path:
        holder = holder[int(key)] if isinstance(holder, list) else holder[key]
    holder[int(last) if isinstance(holder, list) else last] = value
    return row


WRONG = [
    ("speech-ja-florist", "expectations.speech.0.language", "zh", "tagged zh, expected CJK, found"),
    ("speech-zh-tea", "expectations.speech.0.language", "ja", "tagged ja"),
    ("speech-ko-phone-cut", "expectations.speech.0.language", "en", "tagged en, expected LATIN, found HANGUL"),
    ("speech-hi-tailor", "expectations.speech.0.language", "pl", "found DEVANAGARI"),
    ("speech-zh-tea", "language", "en", "text is tagged en"),
    ("speech-en-baker", "language", "und", "language is not stated"),
    ("speech-en-baker", "expectations.speech.0.text", "Listen! The bread is singing.", "does not stand in the text"),
    ("speech-en-baker", "expectations.num_speakers", 2, "num_speakers is 2, the lines have 1"),
    ("speech-en-baker", "expectations.speakers", {"butcher": "a man"}, "describes ['butcher'], the lines are by"),
    ("dialogue-two-chess", "expectations.speech.1.speaker", "man", "num_speakers is 2, the lines have 1"),
    ("speech-en-baker", "expectations.silence", True, "silence is expected together with sounds"),
    ("claps-four", "expectations.forbidden_sounds", ["hand clap"], "['hand clap'] are expected and forbidden"),
    ("crowd-penalty", "expectations.on_screen_text", ["2:0"], "on_screen_text '2:0'"),
    ("forge-10", "expectations.sound_events.0.order", 3, "order contradicts at_s"),
    ("speech-en-baker", "axes", {"sound": "speech"}, "axis space has no value"),
    ("speech-en-baker", "axes.mood", "glad", "axis mood is not one of"),
    ("speech-en-baker", "axes.sound", "speach", "axis sound is 'speach', expected one of"),
    ("speech-en-baker", "duration_s", 10, "axis duration is '5', the other fields say '10'"),
    ("speech-en-baker", "axes.speakers", "2", "axis speakers is '2', the other fields say '1'"),
    ("speech-en-baker", "axes.language", "de", "axis language is 'de', the other fields say 'en'"),
    ("control-silence", "axes.control", "none", "axis control is 'none', the other fields say 'silence'"),
    ("crowd-penalty", "axes.camera", "static", "num_cuts is 2, axis camera is 'static'"),
    ("speech-en-baker", "axes.form", "short", "form short has at most 30"),
    ("speech-en-baker", "axes.form", "long", "form long has at least 150"),
    ("hammers-together", "axes.form", "standard", "form standard has more than 30"),
    ("speech-en-baker", "axes.form", "paraphrase", "form is paraphrase, the kind of its group is None"),
    ("speech-en-baker", "visual_text", None, "visual_text is missing"),
    ("speech-en-baker", "audio_text", "x " * 51, "audio_text has 51 words, expected at most 50"),
    ("speech-en-baker", "audio_text", "Хлеб", "audio_text is tagged en, expected LATIN, found CYRILLIC"),
    ("speech-en-baker", "audio_text", "Listen. The bread is singing.", "audio_text holds the spoken line"),
    ("speech-en-baker", "text", 'She says, "Listen. The bread is singing." ' + "la " * 199, "has at most 199"),
    ("claps-four", "group", {"name": "claps", "kind": "minimal"}, "group claps: found 1 prompts"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "field", "value", "message"), WRONG, ids=[f"{case[0]}-{case[1]}" for case in WRONG])
def test_each_rule_finds_its_fault(tmp_path, name, field, value, message):
    problems = linted(tmp_path, changed(prompt(name), field, value))
    assert any(re.search(re.escape(message), problem) for problem in problems), problems
    assert all(problem.startswith((name, "group")) for problem in problems)


def test_lines_out_of_order_are_found(tmp_path):
    row = prompt("dialogue-two-chess")
    row["expectations"]["speech"].reverse()
    assert any("stands before the line that it should follow" in problem for problem in linted(tmp_path, row))


def test_speech_that_cannot_be_spoken_in_time_is_found(tmp_path):
    row = prompt("speech-de-platform") | {"duration_s": 3}
    assert any("the lines need 3." in problem for problem in linted(tmp_path, row))


def test_shared_wording_is_found_but_for_groups(tmp_path):
    four, three = prompt("claps-four"), prompt("claps-three")
    assert linted(tmp_path, four, three) == []
    del three["group"]
    three["axes"]["form"] = four["axes"]["form"] = "standard"
    del four["group"]
    [problem] = linted(tmp_path, four, three)
    assert problem.startswith("claps-three: shares 'a referee with a whistle round his neck")


def test_a_minimal_pair_differs_in_one_word(tmp_path):
    four, three = prompt("claps-four"), prompt("claps-three")
    three["text"] = three["text"].replace("firmly", "softly")
    assert linted(tmp_path, four, three) == ["claps-four, claps-three: a minimal pair differs in one word, found 2"]


def test_a_ladder_has_each_duration_once(tmp_path):
    five, ten = prompt("forge-05"), prompt("forge-10")
    assert linted(tmp_path, five, ten) == []
    ten["duration_s"] = five["duration_s"] = 20
    assert "group forge: a ladder has each duration once" in linted(tmp_path, five, ten)


def test_generated_suites_may_repeat_themselves(tmp_path):
    a = {"id": "a", "language": "en", "text": "a red ball falls and hits the floor with a thud", "axes": {"own": "x"}}
    b = a | {"id": "b", "text": f"{a['text']} twice"}
    assert linted(tmp_path, a, b, origin="generated") == []
    assert any("b: shares" in problem for problem in linted(tmp_path, a, b))


def test_words_of_scripts_without_spaces_count_one_by_one():
    assert words("A dog, a DOG's bark!") == ["a", "dog", "a", "dog", "s", "bark"]
    assert words("水要滚, 心") == ["水", "要", "滚", "心"]
