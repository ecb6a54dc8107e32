"""Metrics of speech: how it sounds, what is said, by whom; reading this imports none of them."""

from ltx2_eval.metrics.base import MetricEntry
from ltx2_eval.metrics.catalogue_audio import sound_entry
from ltx2_reports.records import Direction

_SCORES = (
    ("sig", "quality of the speech (P.835 SIG)", "The background."),
    ("bak", "quality of the background (P.835 BAK)", "The voice; music and effects count as disturbance."),
    ("ovrl", "overall quality (P.835 OVRL)", "What is said; music and effects count as disturbance."),
    ("p808", "overall quality, earlier network (P.808)", "What is said; music and effects count as disturbance."),
)
_DNSMOS = tuple(
    sound_entry(
        f"dnsmos_{score}",
        f"DNSMOS: {title}",
        "up",
        (None, None),
        ("audio", "speech"),
        1,
        "Reddy, Gopal and Cutler 2021 (P.808), 2022 (P.835), microsoft/DNS-Challenge",
        ("MIT", "CC-BY-4.0"),
        f"{cannot_see} Heard at 16 kHz in one channel.",
        "listening:dnsmos",
        "dnsmos",
        "mean-windows",
        {"score": score},
        level="clip",
    )
    for score, title, cannot_see in _SCORES
)

_WHISPER = "Radford et al. 2022 (Whisper base, greedy)"
_SHARES: tuple[tuple[str, str, Direction, bool], ...] = (
    ("speech_share", "Share of the sound in which somebody speaks", "none", False),
    ("speech_unasked", "Share of the sound in which somebody speaks, though the prompt asks for nobody", "down", True),
)

_OF_CLIPS = "Who speaks, when and how; errs by itself on music, accents and names."


def _error_rates(name: str, title: str, unit: str, units: str) -> tuple[MetricEntry, ...]:
    """The rate of each clip, and that of the corpus, which sums the clips' errors."""
    return (
        sound_entry(
            name,
            f"{title} of the spoken lines, mean over clips of at most 1 each (Whisper base)",
            "down",
            (0.0, 1.0),
            ("audio", "prompt", "speech"),
            30,
            f"{_WHISPER}; lines from the prompt",
            ("MIT", "MIT"),
            _OF_CLIPS,
            "speech:word_errors",
            "whisper-base",
            f"edits-over-{units}-whisper-normaliser-at-most-1",
            {"unit": unit},
            level="clip",
            text="speech",
            version=2,
        ),
        sound_entry(
            f"{name}_corpus",
            f"{title} of the spoken lines over the whole corpus (Whisper base)",
            "down",
            (0.0, None),
            ("audio", "prompt", "speech"),
            30,
            f"{_WHISPER}; lines from the prompt",
            ("MIT", "MIT"),
            _OF_CLIPS,
            "corpus:corpus_rate",
            "whisper-base",
            f"sum-of-edits-over-sum-of-{units}-whisper-normaliser",
            {"unit": unit},
            text="speech",
            corpus_of=name,
        ),
    )


_ERRORS = (
    *_error_rates("speech_wer", "Word error rate", "word", "words"),
    *_error_rates("speech_cer", "Character error rate", "character", "characters"),
)

ENTRIES: tuple[MetricEntry, ...] = (
    *_DNSMOS,
    *_ERRORS,
    sound_entry(
        "speech_cpwer",
        "Word error rate by speaker, cpWER (Whisper base, Resemblyzer)",
        "down",
        (0.0, None),
        ("audio", "prompt", "speech"),
        30,
        f"Watanabe et al. 2020 (cpWER); {_WHISPER}; Wan et al. 2018 (voices)",
        ("MIT", "MIT"),
        "Which face speaks; mixes up voices that are alike and lines shorter than a second.",
        "speech:speaker_word_errors",
        "whisper-turns",
        "edits-over-words-best-permutation",
        level="clip",
        text="speech",
        version=2,
    ),
    *(
        sound_entry(
            name,
            title,
            direction,
            (0.0, 1.0),
            ("audio", "prompt") if unasked else ("audio",),
            1,
            "snakers4/silero-vad 6.2.3, probability 0.5",
            ("MIT", "MIT"),
            "What is said; singing counts in part, and so do voices in music.",
            "listening:speech_share",
            "silero-vad",
            "share-of-chunks",
            {"unasked": unasked},
            level="clip",
            text="speech" if unasked else None,
        )
        for name, title, direction, unasked in _SHARES
    ),
    sound_entry(
        "voice_consistency",
        "Sameness of the voice within a clip (Resemblyzer)",
        "up",
        (-1.0, 1.0),
        ("audio", "speech"),
        1,
        "Wan et al. 2018, resemble-ai/Resemblyzer; mean cosine of parts of 1.6 s",
        ("Apache-2.0", "Apache-2.0"),
        "What is said, and whether the voice fits the face.",
        "listening:voice_consistency",
        "resemblyzer",
        "mean-pairs-of-parts",
        level="clip",
    ),
)
