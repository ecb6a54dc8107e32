"""How well a clip shows, and sounds like, what its prompt says: cosines of CLIP and CLAP embeddings.

A cosine has no absolute scale: `clip_sides` and `clap_sides` give the vectors from which `floor` computes the mean over
mismatched pairs, and how far the values lie above that.
"""

import re
from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from ltx2_benchmarks.suite import Prompt
from ltx2_eval.extractors.base import Extractor, NotApplicable
from ltx2_eval.metrics.base import Outcome, Subject
from ltx2_eval.metrics.spoken import QUOTED
from ltx2_reports.records import Scalar

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


class TextExtractor(Extractor, Protocol):
    """An extractor that also embeds sentences, into the space of its features."""

    def text_features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), d) of unit length."""

    def num_truncated(self, texts: Sequence[str]) -> int:
        """How many texts are longer than what is read."""


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
    text, origin = text_of(subject.prompt, "visual_text")
    sentences = sentences_of(text)
    cosines = frames @ encoder.text_features(sentences).astype(np.float64).T
    truncated = encoder.num_truncated(sentences)
    neighbours = (frames[1:] * frames[:-1]).sum(axis=1)
    return Outcome(
        value=cosine_of(cosines.mean()),
        details={
            "text": origin,
            "num_sentences": len(sentences),
            "worst_frame": cosine_of(cosines.mean(axis=1).min()),
            "worst_sentence": cosine_of(cosines.mean(axis=0).min()),
            "adjacent_frames": cosine_of(neighbours.mean()) if len(neighbours) else None,
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
    text, origin = text_of(subject.prompt, "audio_text")
    assert subject.prompt is not None
    mean = parts.mean(axis=0, keepdims=True)
    sound = mean / np.linalg.norm(mean)
    own, whole = (sound @ encoder.text_features([text, subject.prompt.text]).astype(np.float64).T)[0]
    return Outcome(
        value=cosine_of(own),
        details={
            "text": origin,
            "num_windows": len(parts),
            "full_prompt": cosine_of(whole),
        },
        warnings=("text cut at 77 tokens",) if encoder.num_truncated([text]) else (),
    )


def clip_sides(features: NDArray[np.float32], prompt: Prompt | None, extractor: Extractor) -> NDArray[np.float64]:
    """(2, d): mean over frames and mean over the sentences about what is seen, whose product `clip_tv` is."""
    encoder, frames = _inputs(features, extractor)
    sentences = encoder.text_features(sentences_of(text_of(prompt, "visual_text")[0]))
    return np.stack([frames.mean(axis=0), sentences.astype(np.float64).mean(axis=0)])


def clap_sides(features: NDArray[np.float32], prompt: Prompt | None, extractor: Extractor) -> NDArray[np.float64]:
    """(2, d): the sound and the sentences about what is heard, whose product `clap_ta` is."""
    encoder, parts = _inputs(features, extractor)
    (text,) = encoder.text_features([text_of(prompt, "audio_text")[0]]).astype(np.float64)
    mean = parts.mean(axis=0)
    return np.stack([mean / np.linalg.norm(mean), text])


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, none of them empty."""
    return [sentence for sentence in _SENTENCE_END.split(text) if sentence]


def _inputs(
    features: NDArray[np.float32] | None, extractor: Extractor | None
) -> tuple[TextExtractor, NDArray[np.float64]]:
    assert features is not None
    assert extractor is not None
    if not np.isfinite(features).all() or not (np.linalg.norm(features, axis=1) > 0).all():
        raise ValueError("the embeddings are not finite or of no length; the extractor's weights do not fit")
    return cast(TextExtractor, extractor), features.astype(np.float64)


def text_of(prompt: Prompt | None, field: str) -> tuple[str, str]:
    """What to compare with, and the field of the prompt that it came from."""
    if prompt is None:
        raise NotApplicable("the clip has no prompt")
    given = getattr(prompt, field)
    if given:
        return given, field
    return QUOTED.sub("", prompt.text).strip() or prompt.text, "text"


def cosine_of(value: float) -> float:
    """A product of unit vectors, without what rounding puts beyond -1..1."""
    return float(np.clip(value, -1.0, 1.0))
