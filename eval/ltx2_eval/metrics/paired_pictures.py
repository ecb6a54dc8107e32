"""Distances between a clip and its own reference that a network judges on both at once, too large to be cached."""

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.extractors.base import Extractor
from ltx2_eval.metrics.base import Outcome, Subject

if TYPE_CHECKING:
    from ltx2_eval.extractors.lpips import LpipsVgg16Extractor


def lpips_vgg16(subject: Subject, features: NDArray[np.float32] | None, extractor: Extractor | None) -> Outcome:
    """LPIPS over VGG16 between a clip and its own reference: the mean over four frames at 112 pixels.

    What it measures: how different the two look, as people judged pairs of pictures; 0 for the same pictures. Over
    VGG16 it follows finer changes than over AlexNet (`lpips`); values of the two are not comparable. It cannot see
    motion, nor say which of the two is better.

    Args:
        subject: the clip and its reference; of any size and frame rate.
        features: none.
        extractor: an LPIPS over VGG16.

    Raises:
        NotApplicable: no video.
    """
    del features
    assert subject.reference is not None
    distances = cast("LpipsVgg16Extractor", extractor).distances(subject.clip, subject.reference)
    return Outcome(value=float(distances.mean()), details={"largest": float(distances.max())})
