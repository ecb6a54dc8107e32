"""Sound as an encoder wants it: one channel at its rate, resampled once."""

import numpy as np
import soxr
from numpy.typing import NDArray

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable


def mono(clip: Clip, rate_hz: int, least_s: float) -> NDArray[np.float32]:
    """Mean of the channels at `rate_hz`, resampled by soxr at very high quality; loudness is left as it is.

    Returns:
        (n,) float32, nominally in -1..1.

    Raises:
        NotApplicable: no sound, or less than `least_s`.
        ValueError: a sample is not finite.
    """
    if clip.audio is None or clip.rate_hz is None or clip.audio.size == 0:
        raise NotApplicable("the clip has no sound")
    duration_s = clip.audio.shape[1] / clip.rate_hz
    if duration_s < least_s:
        raise NotApplicable(f"{duration_s:.2f} s of sound, at least {least_s:g} s are needed")
    waveform = clip.audio.mean(axis=0, dtype=np.float64)
    if not np.isfinite(waveform).all():
        raise ValueError("the sound has samples that are not finite; encode the clip again")
    if clip.rate_hz != rate_hz:
        waveform = soxr.resample(waveform, clip.rate_hz, rate_hz, quality="VHQ")
    return waveform.astype(np.float32)
