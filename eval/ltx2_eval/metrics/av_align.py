"""AV-Align, version 2: how many onsets of sound coincide with peaks of motion, one to one, beyond chance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.extractors.base import Extractor
from ltx2_eval.metrics.base import Outcome, Subject, abstain
from ltx2_eval.metrics.envelopes import HOP_S, change_times_s, pick_changes, visual_change
from ltx2_eval.metrics.offset import onset_times_s, require_both
from ltx2_reports.records import Scalar


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Shares of matched events, 0..1."""

    precision: float
    """Of the onsets of sound, how many fit a movement."""
    recall: float
    """Of the movements, how many fit an onset of sound."""
    f1: float
    iou: float
    """Matches over all events, matched ones counted once."""


def av_align(
    subject: Subject,
    features: NDArray[np.float32] | None = None,
    extractor: Extractor | None = None,
    *,
    shifts: int = 50,
) -> Outcome:
    """Intersection over union of onsets and motion peaks, minus what circular shifts of the onsets reach on average.

    An onset and a motion peak match if they are at most one frame and half a step of the sound's analysis apart; each
    is matched once, and as many as possible are. The definition by Yariv et al. ("Diverse and Aligned Audio-to-Video
    Generation via Text-to-Video Model Adaptation", AAAI 2024) in which our version differs: one-to-one matches (early
    copies count one peak for many onsets), only peaks that stand out, mean change of luma instead of optical flow, and
    the level of chance taken off.

    Args:
        subject: the clip.
        features: unused.
        extractor: unused.
        shifts: number of circular shifts that make the level of chance.

    Returns:
        Outcome in -1..1: 0 is chance. Details: precision, recall, F1, IoU, chance, counts. Abstains if there is
        neither an onset nor a motion peak.

    Raises:
        NotApplicable: no video or no audio.
    """
    del features, extractor
    clip = subject.clip
    require_both(clip)
    assert clip.video is not None
    assert clip.fps is not None
    onsets_s = onset_times_s(clip)
    motions_s = change_times_s(clip.times_s)[pick_changes(visual_change(clip.video), float(clip.fps))]
    if not len(onsets_s) and not len(motions_s):
        return abstain("neither an onset of sound nor a peak of motion was found", num_onsets=0, num_motions=0)
    tolerance_s = 1 / float(clip.fps) + HOP_S / 2
    found = agreement(onsets_s, motions_s, tolerance_s)
    chance = chance_iou(onsets_s, motions_s, tolerance_s, clip.audio_duration_s or 0.0, shifts)
    details: dict[str, Scalar] = {
        "precision": found.precision,
        "recall": found.recall,
        "f1": found.f1,
        "iou": found.iou,
        "chance": chance,
        "num_onsets": len(onsets_s),
        "num_motions": len(motions_s),
    }
    return Outcome(value=found.iou - chance, details=details)


def count_matches(left_s: NDArray[np.float64], right_s: NDArray[np.float64], tolerance_s: float) -> int:
    """Largest number of one-to-one pairs at most `tolerance_s` apart; both lists ascend.

    Taking the earliest pair that fits is optimal on a line with one tolerance: exchanging any other choice for it
    never loses a pair.
    """
    matches = i = j = 0
    while i < len(left_s) and j < len(right_s):
        if abs(left_s[i] - right_s[j]) <= tolerance_s:
            matches, i, j = matches + 1, i + 1, j + 1
        elif left_s[i] < right_s[j]:
            i += 1
        else:
            j += 1
    return matches


def agreement(onsets_s: NDArray[np.float64], motions_s: NDArray[np.float64], tolerance_s: float) -> Agreement:
    """Shares of matched events; at least one list must not be empty."""
    matches, onsets, motions = count_matches(onsets_s, motions_s, tolerance_s), len(onsets_s), len(motions_s)
    return Agreement(
        precision=matches / onsets if onsets else 0.0,
        recall=matches / motions if motions else 0.0,
        f1=2 * matches / (onsets + motions),
        iou=matches / (onsets + motions - matches),
    )


def chance_iou(
    onsets_s: NDArray[np.float64], motions_s: NDArray[np.float64], tolerance_s: float, duration_s: float, shifts: int
) -> float:
    """Mean IoU when the onsets are shifted around the clip by random amounts; the same clip gives the same value."""
    if not len(onsets_s) or not len(motions_s) or not shifts:
        return 0.0
    start_s = min(float(onsets_s[0]), float(motions_s[0]))
    span_s = max(duration_s, float(onsets_s[-1] - start_s), float(motions_s[-1] - start_s)) + tolerance_s
    amounts_s = np.random.default_rng(0).uniform(0, span_s, shifts)
    moved = (np.sort(start_s + (onsets_s - start_s + amount_s) % span_s) for amount_s in amounts_s)
    return float(np.mean([agreement(times_s, motions_s, tolerance_s).iou for times_s in moved]))
