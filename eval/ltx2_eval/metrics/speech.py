"""Whether a clip says what its prompt wants said: errors of a transcript by word, by character, by speaker."""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.extractors.base import Extractor, NotApplicable
from ltx2_eval.metrics.base import Outcome, Subject
from ltx2_eval.metrics.spoken import Script, script_of
from ltx2_eval.metrics.word_errors import WITHOUT_SPACES, Errors, characters, errors, permuted_errors, words
from ltx2_reports.records import Scalar

_DETAIL_LIMIT = 400


def word_errors(
    subject: Subject, features: NDArray[np.float32] | None, extractor: Extractor | None, **settings: Scalar
) -> Outcome:
    """Word (or character) error rate of a Whisper transcript against the lines that the prompt wants spoken, at most 1.

    Formula: (substitutions + deletions + insertions) / expected words, after both sides were normalised as Whisper's
    authors normalise English (numbers, contractions, British and American spelling), other languages more plainly.
    Where more is said than was asked for, the rate counts as 1 (the detail `rate` has it whole), so that one
    transcript that runs on does not swamp a mean. The primary figure is the rate over the whole corpus, which comes
    with it under the name with `_corpus`. Cannot hear who speaks, nor when; Whisper base itself errs on music, accents
    and names, so that clean recordings give 0 to 0.1.

    Args:
        subject: the clip and its prompt: `expectations.speech`, else the quoted text.
        features: tokens of Whisper in the likeliest language; if the prompt states another, the clip is read again.
        extractor: Whisper.
        settings: `unit`, word or character.

    Raises:
        NotApplicable: no prompt, nothing to be said, or words of a language that is written without spaces.
    """
    from ltx2_eval.extractors.whisper import Transcript, WhisperExtractor

    assert features is not None
    script = _script(subject)
    whisper = cast(WhisperExtractor, extractor)
    heard: Transcript = whisper.transcript(features)
    language = script.language or heard.language or "en"
    by_word = settings["unit"] == "word"
    if by_word and language in WITHOUT_SPACES:
        raise NotApplicable(f"language {language} is written without spaces; see speech_cer")
    if heard.language is not None and heard.language != language and whisper.knows(language):
        heard = whisper.transcript(whisper.read(subject.clip, language))
    split = words if by_word else characters
    spelling = whisper.spelling
    found = errors(_expected(split(script.text, language, spelling)), split(heard.text, language, spelling))
    return Outcome(value=min(1.0, found.rate), details=_details(found, script, heard.text, heard.language))


def speaker_word_errors(
    subject: Subject, features: NDArray[np.float32] | None, extractor: Extractor | None, **settings: Scalar
) -> Outcome:
    """cpWER: word errors when the words of each found voice are given to the speaker whom they fit best.

    Stretches of speech are read one by one, their voices grouped into as many speakers as the prompt has (average
    linkage of the cosines of their embeddings), and the words of each group are compared with the lines of one
    speaker, over the assignment with the fewest errors (Watanabe et al. 2020). Words said by the wrong voice count
    twice, as missing there and too many here. Voices that are alike, and lines shorter than a second, are mixed up.

    Args:
        subject: the clip and its prompt: `expectations.speech` with its speakers.
        features: stretches of speech, their tokens and voices.
        extractor: Whisper and Resemblyzer.
        settings: none.

    Raises:
        NotApplicable: no prompt, or fewer than two speakers, or a language written without spaces.
    """
    from ltx2_eval.extractors.turns import TurnsExtractor

    del settings
    assert features is not None
    script = _script(subject)
    speakers = list(dict.fromkeys(line.speaker for line in script.lines))
    if len(speakers) < 2 or None in speakers:
        raise NotApplicable("the prompt's `expectations.speech` has fewer than two speakers; see speech_wer")
    language = script.language or "en"
    if language in WITHOUT_SPACES:
        raise NotApplicable(f"language {language} is written without spaces")
    listener = cast(TurnsExtractor, extractor)
    turns, spelling = listener.turns(features, len(speakers)), listener.whisper.spelling
    voices = [" ".join(turn.text for turn in turns if turn.speaker == i) for i in range(len(speakers))]
    scripts = [" ".join(line.text for line in script.lines if line.speaker == name) for name in speakers]
    said, meant = ([words(text, language, spelling) for text in texts] for texts in (voices, scripts))
    total = permuted_errors(meant, said)
    expected = len(_expected([word for spoken in meant for word in spoken]))
    return Outcome(
        value=total / expected,
        details={
            "errors": total,
            "expected": expected,
            "num_speakers": len(speakers),
            "num_turns": len(turns),
            "transcript": _short(" | ".join(f"{turn.speaker}: {turn.text}" for turn in turns)),
        },
    )


def _script(subject: Subject) -> Script:
    if subject.prompt is None:
        raise NotApplicable("the clip has no prompt")
    script = script_of(subject.prompt)
    if not script.lines:
        raise NotApplicable("the prompt has no spoken line, neither in `expectations.speech` nor in quotation marks")
    return script


def _expected(units: list[str]) -> list[str]:
    if not units:
        raise NotApplicable("nothing is left of the spoken lines without their punctuation")
    return units


def _details(found: Errors, script: Script, text: str, language: str | None) -> dict[str, Scalar]:
    return {
        "errors": found.total,
        "expected": found.expected,
        "substitutions": found.substitutions,
        "deletions": found.deletions,
        "insertions": found.insertions,
        "rate": found.rate,
        "lines_from": script.origin,
        "language": language,
        "transcript": _short(text),
    }


def _short(text: str) -> str:
    return text if len(text) <= _DETAIL_LIMIT else text[: _DETAIL_LIMIT - 1] + "…"
