"""Checks that a suite means what its fields say: languages, spoken lines, durations, axes, pairs and wording."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from ltx2_benchmarks.axes import AXES
from ltx2_benchmarks.prompt import Prompt
from ltx2_benchmarks.suite import Suite

NGRAM_WORDS = 8
MAX_WORDS = {"short": 30, "standard": 199, "long": 300}
MIN_LONG_WORDS = 150
# About the 75 tokens that CLIP's and CLAP's text encoders have beside their two special ones.
MAX_CAPTION_WORDS = 50
# Brisk speech; a line that needs more cannot be heard whole within its clip.
MAX_UNITS_PER_S = {"ja": 9.0, "ko": 9.0, "zh": 6.0}
MAX_WORDS_PER_S = 4.0

# Chinese, Japanese and Korean letters count one by one, since these languages do not part words as others do.
_WORDS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_SCRIPTS = {
    "ja": {"HIRAGANA", "KATAKANA", "CJK", "KATAKANA-HIRAGANA"}, "zh": {"CJK"}, "ko": {"HANGUL"}, "hi": {"DEVANAGARI"},
    "ru": {"CYRILLIC"}, "uk": {"CYRILLIC"}, "ar": {"ARABIC"}, "he": {"HEBREW"}, "el": {"GREEK"}, "th": {"THAI"},
}  # fmt: skip
# Letters that every text in the language has: kanji alone could be Chinese.
_NEEDED = {"ja": {"HIRAGANA", "KATAKANA"}}


def lint(suite: Suite) -> list[str]:
    """What is wrong in `suite`, one sentence each, beginning with the prompt's id; empty where all is well.

    Suites of origin `generated` may repeat phrases and have their own axes and durations; all others must keep to the
    vocabulary of `ltx2_benchmarks.axes`, share no eight words in a row between prompts that are not of one group, and
    carry captions for text-video and text-audio models.
    """
    checks = [_script, _speech, _facts]
    if suite.origin == "written":
        checks += [_axes, _consistent, _form, _captions]
    problems = [f"{prompt.id}: {problem}" for prompt in suite.prompts for check in checks for problem in check(prompt)]
    problems += _groups(suite)
    if suite.origin == "written":
        problems += _overlaps(suite)
    return problems


def words(text: str) -> list[str]:
    """Words of `text` in lower case without punctuation; Chinese, Japanese and Korean letters stand alone."""
    return _WORDS.findall(unicodedata.normalize("NFKC", text).casefold())


def _scripts(text: str) -> Counter[str]:
    letters = (letter for letter in text if letter.isalpha())
    return Counter(unicodedata.name(letter, "UNKNOWN").split()[0] for letter in letters)


def _script_problem(text: str, language: str, what: str) -> Iterator[str]:
    primary = language.split("-")[0]
    allowed, found = _SCRIPTS.get(primary, {"LATIN"}), _scripts(text)
    foreign = set(found) - allowed
    needed = _NEEDED.get(primary)
    if foreign or (found and needed and not needed & set(found)):
        yield f"{what} is tagged {language}, expected {'/'.join(sorted(allowed))}, found {'/'.join(sorted(found))}"


def _script(prompt: Prompt) -> Iterator[str]:
    description = prompt.text
    for line in prompt.expectations.speech:
        description = description.replace(line.text, " ")
        yield from _script_problem(line.text, line.language, f"line {line.text!r}")
    if prompt.language != "und":
        yield from _script_problem(description, prompt.language, "text")


def _speech(prompt: Prompt) -> Iterator[str]:
    expected = prompt.expectations
    position = 0
    for line in expected.speech:
        if line.text not in prompt.text:
            yield f"line {line.text!r} does not stand in the text"
        elif (found := prompt.text.find(line.text, position)) < 0:
            yield f"line {line.text!r} stands before the line that it should follow"
        else:
            position = found + len(line.text)
    tags = {line.speaker for line in expected.speech}
    if tags and expected.num_speakers != len(tags):
        yield f"num_speakers is {expected.num_speakers}, the lines have {len(tags)} speakers"
    if expected.speakers and set(expected.speakers) != tags:
        yield f"speakers describes {sorted(expected.speakers)}, the lines are by {sorted(tags)}"
    needed_s = sum(len(words(line.text)) / _units_per_s(line.language) for line in expected.speech)
    if needed_s > prompt.duration_s:
        yield f"the lines need {needed_s:.1f} s at a brisk pace, the clip has {prompt.duration_s:g} s"


def _units_per_s(language: str) -> float:
    return MAX_UNITS_PER_S.get(language.split("-")[0], MAX_WORDS_PER_S)


def _facts(prompt: Prompt) -> Iterator[str]:
    expected = prompt.expectations
    if expected.silence and (expected.sound_events or expected.speech):
        yield "silence is expected together with sounds"
    if both := {event.label for event in expected.sound_events} & set(expected.forbidden_sounds):
        yield f"{sorted(both)} are expected and forbidden"
    for text in expected.on_screen_text:
        if text not in prompt.text:
            yield f"on_screen_text {text!r} does not stand in the text"
    times = [event.at_s for event in expected.sound_events if event.at_s is not None and event.order is not None]
    ranks = [event.order for event in expected.sound_events if event.at_s is not None and event.order is not None]
    if [rank for _, rank in sorted(zip(times, ranks, strict=True))] != sorted(ranks):
        yield "order contradicts at_s"


def _axes(prompt: Prompt) -> Iterator[str]:
    for axis in AXES.keys() - prompt.axes.keys():
        yield f"axis {axis} has no value"
    for axis, value in prompt.axes.items():
        if axis not in AXES:
            yield f"axis {axis} is not one of {', '.join(AXES)}"
        elif value not in AXES[axis]:
            yield f"axis {axis} is {value!r}, expected one of {', '.join(AXES[axis])}"


def _consistent(prompt: Prompt) -> Iterator[str]:
    """Axes that follow from other fields say the same as those."""
    expected = prompt.expectations
    languages = {line.language.split("-")[0] for line in expected.speech}
    number = expected.num_speakers
    truths = {
        "duration": f"{prompt.duration_s:g}",
        "speakers": "crowd" if number is None else "4+" if number >= 4 else str(number),
        "language": "mixed" if len(languages) > 1 else next(iter(languages), "none"),
        "control": "silence" if expected.silence else prompt.axes.get("control"),
    }
    for axis, truth in truths.items():
        if prompt.axes.get(axis) != truth:
            yield f"axis {axis} is {prompt.axes.get(axis)!r}, the other fields say {truth!r}"
    if bool(expected.num_cuts) != (prompt.axes.get("camera") in ("cut", "multi-shot")):
        yield f"num_cuts is {expected.num_cuts}, axis camera is {prompt.axes.get('camera')!r}"
    if prompt.language == "und":
        yield "language is not stated"


def _form(prompt: Prompt) -> Iterator[str]:
    form, length = prompt.axes.get("form", "standard"), len(words(prompt.text))
    limit = MAX_WORDS.get(form, MAX_WORDS["standard"])
    if length > limit:
        yield f"found {length} words, form {form} has at most {limit}"
    if form == "long" and length < MIN_LONG_WORDS:
        yield f"found {length} words, form long has at least {MIN_LONG_WORDS}"
    if form != "short" and length <= MAX_WORDS["short"]:
        yield f"found {length} words, form {form} has more than {MAX_WORDS['short']}"
    kind = prompt.group.kind if prompt.group else None
    if (form == "paraphrase") != (kind == "paraphrase") or (form == "minimal-pair") != (kind == "minimal"):
        yield f"form is {form}, the kind of its group is {kind}"


def _captions(prompt: Prompt) -> Iterator[str]:
    for name, caption in (("visual_text", prompt.visual_text), ("audio_text", prompt.audio_text)):
        if caption is None:
            yield f"{name} is missing"
            continue
        if (length := len(words(caption))) > MAX_CAPTION_WORDS:
            yield f"{name} has {length} words, expected at most {MAX_CAPTION_WORDS}"
        yield from _script_problem(caption, "en", name)
        for line in prompt.expectations.speech:
            if line.text in caption:
                yield f"{name} holds the spoken line {line.text!r}"


def _groups(suite: Suite) -> Iterator[str]:
    members: dict[str, list[Prompt]] = defaultdict(list)
    for prompt in suite.prompts:
        if prompt.group:
            members[prompt.group.name].append(prompt)
    for name, prompts in members.items():
        kinds = {prompt.group.kind for prompt in prompts if prompt.group}
        if len(prompts) < 2 or len(kinds) > 1:
            yield f"group {name}: found {len(prompts)} prompts of kinds {sorted(kinds)}, expected two or more of one"
        elif kinds == {"minimal"}:
            yield from (problem for a, b in pairwise(prompts) for problem in _minimal(a, b))
        elif kinds == {"ladder"} and len({prompt.duration_s for prompt in prompts}) < len(prompts):
            yield f"group {name}: a ladder has each duration once"


def _minimal(a: Prompt, b: Prompt) -> Iterator[str]:
    left, right = words(a.text), words(b.text)
    differing = sum(x != y for x, y in zip(left, right, strict=False)) + abs(len(left) - len(right))
    if differing != 1:
        yield f"{a.id}, {b.id}: a minimal pair differs in one word, found {differing}"


def _overlaps(suite: Suite) -> Iterator[str]:
    seen: dict[tuple[str, ...], Prompt] = {}
    reported: set[tuple[str, str]] = set()
    for prompt in suite.prompts:
        spoken = words(prompt.text)
        for start in range(len(spoken) - NGRAM_WORDS + 1):
            gram = tuple(spoken[start : start + NGRAM_WORDS])
            other = seen.setdefault(gram, prompt)
            related = other.group is not None and other.group == prompt.group
            if other is not prompt and not related and (other.id, prompt.id) not in reported:
                reported.add((other.id, prompt.id))
                yield f"{prompt.id}: shares {' '.join(gram)!r} with {other.id}"
