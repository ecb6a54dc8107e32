"""How well a clip shows, and sounds like, what its prompt says: cosines of CLIP and CLAP embeddings.

A cosine has no absolute scale: each value comes with its floor, the mean cosine with fixed sentences about other
things, and with how far it lies above that.
"""

import re
import weakref
from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from ltx2_benchmarks.suite import Prompt
from ltx2_eval.extractors.base import Extractor, NotApplicable
from ltx2_eval.metrics.base import Outcome, Subject
from ltx2_reports.records import Scalar

_QUOTED = re.compile(r"[\"“][^\"”]*[\"”]|«[^»]*»")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")

_OTHER_SIGHTS = (
    "A bowl of noodle soup on a wooden table.",
    "A snowy mountain ridge under a clear sky.",
    "A crowded subway platform at rush hour.",
    "A hummingbird hovering at a red flower.",
    "An old printing press in a workshop.",
    "A sailing boat in a storm.",
    "A child drawing with chalk on a pavement.",
    "An empty lecture hall.",
)
_OTHER_SOUNDS = (
    "Soup boiling in a pot.",
    "Wind howling over a ridge.",
    "A train arriving at a station.",
    "A hummingbird's wings buzzing.",
    "A printing press clattering.",
    "Waves crashing on the side of a boat.",
    "Chalk scratching on a blackboard.",
    "A string quartet playing slowly.",
)


class TextExtractor(Extractor, Protocol):
    """An extractor that also embeds sentences, into the space of its features."""

    def text_features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), d) of unit length."""

    def num_truncated(self, texts: Sequence[str]) -> int:
        """How many texts are longer than what is read."""


_floors: "weakref.WeakKeyDictionary[TextExtractor, NDArray[np.float32]]" = weakref.WeakKeyDictionary()


def clip_tv(
    subject: Subject, features: NDArray[np.float32] | None, extractor: Extractor | None, **settings: Scalar
) -> Outcome:
    """CLIP score of text and video: mean cosine over frames and over the sentences about what is seen.

    Cannot see motion, nor anything outside the centre square, nor past 77 tokens of a sentence. Formula: mean over
    frames f and sentences s of cos(E(f), E(s)) (Hessel et al. 2021 without their factor and clipping). Values of
    matching pairs lie around 0.20 to 0.28 with ViT-L/14.

    Args:
        subject: the clip with its prompt; `visual_text`, or the prompt without quoted speech.
        features: (frames, d) of unit length.
        extractor: a CLIP.
        settings: none.

    Raises:
        NotApplicable: no prompt.
    """
    encoder, frames = _inputs(features, extractor)
    text, origin = _text(subject.prompt, "visual_text")
    sentences = [sentence for sentence in _SENTENCE_END.split(text) if sentence]
    cosines = frames @ encoder.text_features(sentences).astype(np.float64).T
    truncated = encoder.num_truncated(sentences)
    neighbours = (frames[1:] * frames[:-1]).sum(axis=1)
    value, floor = _cosine(cosines.mean()), _floor(frames, encoder, _OTHER_SIGHTS)
    return Outcome(
        value=value,
        details={
            "text": origin,
            "num_sentences": len(sentences),
            "worst_frame": _cosine(cosines.mean(axis=1).min()),
            "worst_sentence": _cosine(cosines.mean(axis=0).min()),
            "adjacent_frames": _cosine(neighbours.mean()) if len(neighbours) else None,
            "floor": floor,
            "above_floor": value - floor,
        },
        warnings=(f"{truncated} of {len(sentences)} sentences cut at 77 tokens",) if truncated else (),
    )


def clap_ta(
    subject: Subject, features: NDArray[np.float32] | None, extractor: Extractor | None, **settings: Scalar
) -> Outcome:
    """CLAP score of text and audio: cosine of the sound with the sentences about what is heard.

    Cannot judge the words that are spoken, nor when a sound comes, nor stereo. The embedding of a sound longer than
    10 s is the normalised mean of its windows'. Values of matching pairs lie around 0.16 to 0.35.

    Args:
        subject: the clip with its prompt; `audio_text`, or the prompt without quoted speech.
        features: (windows, d) of unit length.
        extractor: a CLAP.
        settings: none.

    Raises:
        NotApplicable: no prompt.
    """
    encoder, parts = _inputs(features, extractor)
    text, origin = _text(subject.prompt, "audio_text")
    assert subject.prompt is not None
    mean = parts.mean(axis=0, keepdims=True)
    sound = mean / np.linalg.norm(mean)
    own, whole = (sound @ encoder.text_features([text, subject.prompt.text]).astype(np.float64).T)[0]
    value, floor = _cosine(own), _floor(sound, encoder, _OTHER_SOUNDS)
    return Outcome(
        value=value,
        details={
            "text": origin,
            "num_windows": len(parts),
            "full_prompt": _cosine(whole),
            "floor": floor,
            "above_floor": value - floor,
        },
        warnings=("text cut at 77 tokens",) if encoder.num_truncated([text]) else (),
    )


def _inputs(
    features: NDArray[np.float32] | None, extractor: Extractor | None
) -> tuple[TextExtractor, NDArray[np.float64]]:
    assert features is not None
    assert extractor is not None
    if not np.isfinite(features).all() or not (np.linalg.norm(features, axis=1) > 0).all():
        raise ValueError("the embeddings are not finite or of no length; the extractor's weights do not fit")
    return cast(TextExtractor, extractor), features.astype(np.float64)


def _text(prompt: Prompt | None, field: str) -> tuple[str, str]:
    """What to compare with, and the field of the prompt that it came from."""
    if prompt is None:
        raise NotApplicable("the clip has no prompt")
    given = getattr(prompt, field)
    if given:
        return given, field
    return _QUOTED.sub("", prompt.text).strip() or prompt.text, "text"


def _floor(features: NDArray[np.float64], encoder: TextExtractor, sentences: Sequence[str]) -> float:
    """Mean cosine with sentences about other things."""
    if encoder not in _floors:
        _floors[encoder] = encoder.text_features(sentences)
    return _cosine((features @ _floors[encoder].astype(np.float64).T).mean())


def _cosine(value: float) -> float:
    return float(np.clip(value, -1.0, 1.0))
