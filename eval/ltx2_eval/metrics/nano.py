"""What the nano extractors judge of one clip: how it fits its prompt, and how late its sound is.

They know the procedural world alone: values are comparable between clips that are meant to be of that world.
"""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from ltx2_benchmarks.suite import Prompt
from ltx2_eval.extractors.base import Extractor, NotApplicable
from ltx2_eval.metrics.alignment import TextExtractor
from ltx2_eval.metrics.base import Outcome, Subject, abstain
from ltx2_reports.records import Scalar

_STEP_MS = 1000 / 96
_NEAR = 3
"""Columns beside the most probable offset that count towards its probability."""


def nano_alignment(
    subject: Subject, features: NDArray[np.float32] | None, extractor: Extractor | None, **settings: Scalar
) -> Outcome:
    """Cosine of the clip's embedding and its whole prompt's, -1..1.

    Args:
        subject: the clip with its prompt.
        features: (1, d) of unit length.
        extractor: nano-video or nano-audio.
        settings: none.

    Raises:
        NotApplicable: no prompt.
    """
    assert features is not None
    assert extractor is not None
    if subject.prompt is None:
        raise NotApplicable("the clip has no prompt")
    encoder = cast(TextExtractor, extractor)
    (text,) = encoder.text_features([subject.prompt.text])
    value = float(np.clip(features[0].astype(np.float64) @ text, -1.0, 1.0))
    truncated = encoder.num_truncated([subject.prompt.text])
    return Outcome(value=value, warnings=("prompt cut at 112 tokens",) if truncated else ())


def nano_sides(features: NDArray[np.float32], prompt: Prompt | None, extractor: Extractor) -> NDArray[np.float64]:
    """(2, d): the clip and its whole prompt, whose product `nano_alignment` is."""
    if prompt is None:
        raise NotApplicable("the clip has no prompt")
    (text,) = cast(TextExtractor, extractor).text_features([prompt.text])
    return np.stack([features[0], text]).astype(np.float64)


def nano_offset(
    subject: Subject,
    features: NDArray[np.float32] | None,
    extractor: Extractor | None,
    *,
    least_probability: float = 0.35,
    **settings: Scalar,
) -> Outcome:
    """Signed offset of the sound against the picture in ms, positive where the sound is late; |value| <= 500.

    Args:
        subject: the clip.
        features: (1, 97) probabilities of offsets.
        extractor: nano-sync.
        least_probability: below, for the best offset and its neighbours together, there is no answer.
        settings: none else.
    """
    assert features is not None
    probabilities = features[0].astype(np.float64)
    best = int(probabilities.argmax())
    around = slice(max(0, best - _NEAR), best + _NEAR + 1)
    near = float(probabilities[around].sum())
    if near < least_probability:
        return abstain("no offset is much more probable than others", probability=near)
    places = np.arange(len(probabilities))[around] - len(probabilities) // 2
    offset_ms = float((places * probabilities[around]).sum() / near * _STEP_MS)
    return Outcome(value=offset_ms, details={"probability": near})
