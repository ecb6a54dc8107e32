"""Scores that a network gives a sound: AudioBox's four axes, DNSMOS, and how much of it is speech."""

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.extractors.base import Extractor, NotApplicable
from ltx2_eval.metrics.base import Outcome, Subject
from ltx2_eval.metrics.spoken import asks_for_speech
from ltx2_reports.records import Scalar

_AUDIOBOX = ("CE", "CU", "PC", "PQ")
_DNSMOS = ("sig", "bak", "ovrl", "p808")
_SPEECH = 0.5


def audiobox(
    subject: Subject, features: NDArray[np.float32] | None, extractor: Extractor | None, **settings: Scalar
) -> Outcome:
    """One axis of AudioBox Aesthetics: how a sound is judged by itself, without prompt or picture.

    Axes are content enjoyment (CE), content usefulness (CU), production complexity (PC, which describes and does not
    judge) and production quality (PQ), roughly 1 to 10 (Tjandra et al. 2025). The sound is heard at 16 kHz in one
    channel. Silence and very short sounds get plausible values: look at the silence checks beside it. LTX-2 clips were
    published with a mean of all axes of 6.74 (T2AV-Compass).

    Args:
        subject: not looked at.
        features: (1, 4) scores.
        extractor: AudioBox Aesthetics.
        settings: `axis`, one of CE, CU, PC, PQ.
    """
    del subject, extractor
    assert features is not None
    return Outcome(value=float(features[0, _AUDIOBOX.index(str(settings["axis"]))]))


def dnsmos(
    subject: Subject, features: NDArray[np.float32] | None, extractor: Extractor | None, **settings: Scalar
) -> Outcome:
    """DNSMOS: how good speech sounds, mean over windows of 9.01 s every second.

    Scores are of the speech itself (sig), of the background (bak), overall (ovrl), and overall by an earlier network
    (p808), nominally 1 to 5 (Reddy, Gopal and Cutler 2021, 2022). Only for clips that are asked to speak: music and
    effects count as noise, so that a film-like clip scores low without being bad. A short sound is repeated.

    Args:
        subject: the clip; with a prompt, only where that asks for speech.
        features: (windows, 4) scores.
        extractor: DNSMOS.
        settings: `score`, one of sig, bak, ovrl, p808.

    Raises:
        NotApplicable: the prompt asks for no speech.
    """
    del extractor
    assert features is not None
    if subject.prompt is not None and not asks_for_speech(subject.prompt):
        raise NotApplicable("the prompt asks for no speech, and DNSMOS judges speech only")
    column = features[:, _DNSMOS.index(str(settings["score"]))].astype(np.float64)
    return Outcome(value=float(column.mean()), details={"num_windows": len(column), "worst": float(column.min())})


def speech_share(
    subject: Subject, features: NDArray[np.float32] | None, extractor: Extractor | None, **settings: Scalar
) -> Outcome:
    """Share of the sound in which somebody speaks, by Silero VAD: 32 ms chunks with a probability of at least 0.5.

    With `unasked`, only for prompts that ask for no speech: how much is said although nobody should speak. Singing
    counts as speech in part.

    Args:
        subject: the clip and its prompt.
        features: (chunks, 1) probabilities.
        extractor: Silero VAD.
        settings: `unasked`, whether only clips that should not speak are judged.

    Raises:
        NotApplicable: with `unasked`, no prompt, or one that asks for speech.
    """
    del extractor
    assert features is not None
    if settings["unasked"]:
        if subject.prompt is None:
            raise NotApplicable("the clip has no prompt")
        if asks_for_speech(subject.prompt):
            raise NotApplicable("the prompt asks for speech")
    return Outcome(
        value=float((features[:, 0] >= _SPEECH).mean()), details={"highest_probability": float(features[:, 0].max())}
    )


def voice_consistency(
    subject: Subject, features: NDArray[np.float32] | None, extractor: Extractor | None, **settings: Scalar
) -> Outcome:
    """How much the voice stays the same: mean cosine of the speaker embeddings of all pairs of parts of 1.6 s.

    Neighbouring parts overlap by half and are left out. One speaker gives about 0.9, two mixed ones about 0.5 to 0.7.
    Says nothing of what is said, nor whether the voice fits the face.

    Args:
        subject: the clip; with a prompt, only where one person speaks.
        features: (parts, 256) of unit length.
        extractor: Resemblyzer.
        settings: none.

    Raises:
        NotApplicable: several speakers are asked for, or too little speech.
    """
    del extractor, settings
    assert features is not None
    if subject.prompt is not None and _num_speakers(subject) > 1:
        raise NotApplicable("the prompt asks for several speakers")
    first, second = np.triu_indices(len(features), k=3)
    if not len(first):
        raise NotApplicable("too little speech to compare with itself: less than about 4 s")
    cosines = (features[first].astype(np.float64) * features[second]).sum(axis=1)
    return Outcome(
        value=float(np.clip(cosines.mean(), -1, 1)), details={"worst": float(cosines.min()), "num_parts": len(features)}
    )


def _num_speakers(subject: Subject) -> int:
    assert subject.prompt is not None
    expected = subject.prompt.expectations
    return max(expected.num_speakers or 0, len({line.speaker for line in expected.speech}))
