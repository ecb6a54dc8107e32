"""Cosines in ImageBind's space: text, pictures and sound of a clip, and two published scores made of them.

All are about meaning, none about time: shifting the sound by a second hardly moves them.
"""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from ltx2_benchmarks.suite import Prompt
from ltx2_eval.extractors.base import Extractor, NotApplicable
from ltx2_eval.extractors.imagebind import PIECE_S, window_starts
from ltx2_eval.metrics.alignment import TextExtractor, cosine_of, sentences_of, text_of
from ltx2_eval.metrics.base import Outcome, Subject

_TOLERANCE_S = 1e-3
"""Containers round presentation times to a millisecond: a frame that is due counts as shown."""
Features = NDArray[np.float32] | None
Sides = NDArray[np.float64]


def ib_tv(subject: Subject, features: Features, extractor: Extractor | None) -> Outcome:
    """ImageBind score of text and video: cosine of the pictures with the sentences about what is seen, their mean.

    What it measures: whether the pictures show what the prompt says. It cannot see counts, motion or sound, and knows
    nothing of time. Formula: mean over sentences s of cos(E(pictures), E(s)).

    Args:
        subject: the clip with its prompt.
        features: (1, 1024).
        extractor: an ImageBind.

    Raises:
        NotApplicable: no prompt.
    """
    return _of_text(subject, features, extractor, "visual_text")


def ib_ta(subject: Subject, features: Features, extractor: Extractor | None) -> Outcome:
    """ImageBind score of text and audio: cosine of the sound with the sentences about what is heard, their mean.

    What it measures: whether the sound is what the prompt says. It cannot judge spoken words, nor when a sound comes.

    Args:
        subject: the clip with its prompt.
        features: (1, 1024).
        extractor: an ImageBind.

    Raises:
        NotApplicable: no prompt.
    """
    return _of_text(subject, features, extractor, "audio_text")


def ib_av(subject: Subject, features: Features, extractor: Extractor | None) -> Outcome:
    """ImageBind score of audio and video: cosine of the sound with the pictures.

    What it measures: whether both are about the same thing; 0.2 to 0.3 for good systems. It cannot see synchrony.

    Args:
        subject: the clip.
        features: (2, 1024), pictures and sound.
        extractor: an ImageBind.
    """
    del subject, extractor
    return Outcome(value=_product(pair_sides(features, None, None)))


def avh_score(subject: Subject, features: Features, extractor: Extractor | None) -> Outcome:
    """AVHScore: mean over all frames, each as a still picture, of the cosine with the whole sound.

    What it measures: whether sound and pictures are about the same thing (Mao et al. 2024, TAVGBench). It cannot see
    synchrony.

    Args:
        subject: the clip.
        features: (f + 1 + w, 1024), frames, sound, windows of sound.
        extractor: an ImageBind.
    """
    del extractor
    frames, sound, _ = _stills(subject, features)
    return Outcome(value=cosine_of(float((frames @ sound).mean())), details={"num_frames": len(frames)})


def javis_score(
    subject: Subject, features: Features, extractor: Extractor | None, *, kept_share: float = 0.4
) -> Outcome:
    """JavisScore: in windows of 2 s every 0.5 s, the mean of the smallest 40 % of the frames' cosines with the sound.

    Windows lie on the clip's clock, so that sound which begins later than the picture is heard with its own frames.

    What it measures: whether sound and pictures stay about the same thing throughout (Liu et al. 2025, JavisDiT). Its
    grain is half a second: it tells shifted from true sound hardly better than chance, and is no measure of synchrony.

    Args:
        subject: the clip.
        features: (f + 1 + w, 1024), frames, sound, windows of sound.
        extractor: an ImageBind.
        kept_share: of the frames of a window, from the smallest cosine on.
    """
    del extractor
    frames, _, windows = _stills(subject, features)
    times_s = subject.clip.times_s + _TOLERANCE_S
    means = []
    for start_s, sound in zip(window_starts(subject.clip), windows, strict=True):
        first, behind = np.searchsorted(times_s, [start_s, start_s + PIECE_S])
        first = min(first, len(frames) - 1)
        cosines = np.sort(frames[first : max(behind, first + 1)] @ sound)
        means.append(cosines[: max(1, int(kept_share * len(cosines)))].mean())
    return Outcome(value=cosine_of(float(np.mean(means))), details={"num_windows": len(means)})


def tv_sides(features: NDArray[np.float32], prompt: Prompt | None, extractor: Extractor) -> Sides:
    """(2, d): pictures, and mean of the sentences about what is seen."""
    return _text_sides(features, prompt, extractor, "visual_text")


def ta_sides(features: NDArray[np.float32], prompt: Prompt | None, extractor: Extractor) -> Sides:
    """(2, d): sound, and mean of the sentences about what is heard."""
    return _text_sides(features, prompt, extractor, "audio_text")


def pair_sides(features: Features, prompt: Prompt | None, extractor: Extractor | None) -> Sides:
    """(2, d): pictures and sound, of unit length."""
    del prompt, extractor
    assert features is not None
    return _unit(features.astype(np.float64))


def _of_text(subject: Subject, features: Features, extractor: Extractor | None, field: str) -> Outcome:
    assert features is not None
    assert extractor is not None
    text, origin = text_of(subject.prompt, field)
    sentences = sentences_of(text)
    truncated = cast(TextExtractor, extractor).num_truncated(sentences)
    return Outcome(
        value=_product(_text_sides(features, subject.prompt, extractor, field)),
        details={"text": origin, "num_sentences": len(sentences)},
        warnings=(f"{truncated} of {len(sentences)} sentences cut at 77 tokens",) if truncated else (),
    )


def _text_sides(features: NDArray[np.float32], prompt: Prompt | None, extractor: Extractor, field: str) -> Sides:
    sentences = sentences_of(text_of(prompt, field)[0])
    texts = cast(TextExtractor, extractor).text_features(sentences).astype(np.float64)
    return np.stack([_unit(features.astype(np.float64))[0], texts.mean(axis=0)])


def _stills(subject: Subject, features: Features) -> tuple[Sides, NDArray[np.float64], Sides]:
    """Frames (f, d), sound (d,) and windows (w, d), of unit length."""
    assert features is not None
    if subject.clip.video is None:
        raise NotApplicable("the clip has no video")
    count = len(subject.clip.video)
    rows = _unit(features.astype(np.float64))
    return rows[:count], rows[count], rows[count + 1 :]


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise ValueError("an embedding has no length; the extractor's weights do not fit")
    return rows / lengths


def _product(sides: Sides) -> float:
    return cosine_of(float(sides[0] @ sides[1]))
