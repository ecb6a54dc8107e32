"""Synchrony as trained networks hear and see it: DeSync by Synchformer, lip-sync errors by SyncNet.

Signs: a positive offset means that the sound is late, as everywhere here; Synchformer's own classes say the opposite.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from ltx2_eval.extractors.base import Extractor, NotApplicable
from ltx2_eval.extractors.lip_tracks import parted
from ltx2_eval.extractors.syncnet import SHIFTS, shift_curve
from ltx2_eval.metrics.base import Outcome, Subject, abstain
from ltx2_eval.metrics.offset import require_both
from ltx2_eval.metrics.picture import video_statistics
from ltx2_eval.metrics.spoken import asks_for_speech
from ltx2_reports.records import Scalar

Features = NDArray[np.float32] | None

GRID_S = -np.linspace(-2.0, 2.0, 21)
"""Offset of each class; class 0 of the network stands for sound that comes 2 s late."""
FRAME_MS = 40
_SILENCE = 1e-4
_STILL = 1e-4
_NO_FACE = ("no face was looked for: this is about lips only if every frame is a crop of one talking face",)


def desync(subject: Subject, features: Features, extractor: Extractor | None) -> Outcome:
    """DeSync: seconds by which picture and sound are apart, in steps of 0.1 s, as av-benchmark aggregates.

    What it measures: mean over the first and the last 4.8 s of |offset of the most probable class|. It cannot see
    offsets below 0.2 s, nor beyond 2 s, and answers for clips without any event. Real clips in sync come out at 0.3 to
    0.6 s, chance at 1.05 s: compare only with anchors measured alike (Iashin et al. 2024).

    Args:
        subject: the clip.
        features: (2, 21) logits.
        extractor: a Synchformer.
    """
    del extractor
    declined = _nothing_happens(subject)
    if declined is not None:
        return declined
    offsets = _most_probable(features)
    return Outcome(value=float(np.abs(offsets).mean()), details=_details(features))


def desync_expected(subject: Subject, features: Features, extractor: Extractor | None) -> Outcome:
    """DeSync by expectation: mean over both ends of the probability-weighted |offset|, in seconds.

    What it measures: as `desync`, without its steps of 0.1 s; an unsure network gives values near 1.05. It cannot see
    what `desync` cannot.

    Args:
        subject: the clip.
        features: (2, 21) logits.
        extractor: a Synchformer.
    """
    del extractor
    declined = _nothing_happens(subject)
    if declined is not None:
        return declined
    return Outcome(value=float((_probabilities(features) @ np.abs(GRID_S)).mean()), details=_details(features))


def desync_signed(subject: Subject, features: Features, extractor: Extractor | None) -> Outcome:
    """Signed offset in seconds, positive where the sound is late: mean over both ends of the most probable class.

    What it measures: whether a system is late or early on the whole, which `desync` hides. It cannot see a clip whose
    ends are off in opposite directions.

    Args:
        subject: the clip.
        features: (2, 21) logits.
        extractor: a Synchformer.
    """
    del extractor
    declined = _nothing_happens(subject)
    if declined is not None:
        return declined
    return Outcome(value=float(_most_probable(features).mean()), details=_details(features))


def sync_accuracy(
    subject: Subject, features: Features, extractor: Extractor | None, *, within_s: float = 0.2
) -> Outcome:
    """Share of the clip's ends whose most probable offset lies within 0.2 s; its mean over clips is an accuracy.

    What it measures: how often the network takes the clip for being in sync. It is right to within 0.2 s on 67 % of
    real clips with sparse events (VGGSound-Sparse), so that real clips do not reach 1. It cannot see how far off the
    others are.

    Args:
        subject: the clip.
        features: (2, 21) logits.
        extractor: a Synchformer.
        within_s: what counts as in sync, in seconds.
    """
    del extractor
    declined = _nothing_happens(subject)
    if declined is not None:
        return declined
    inside = np.abs(_most_probable(features)) <= within_s + 1e-9
    return Outcome(value=float(inside.mean()), details=_details(features))


def lse_distance(subject: Subject, features: Features, extractor: Extractor | None) -> Outcome:
    """LSE-D: least mean distance between lip and sound embeddings over shifts of up to 15 frames.

    What it measures: how well lips and sound fit at their best shift; about 6 for real talking heads, above 10 for
    unrelated sound. Faces are found in every frame, followed, and cut out by the rules of SyncNet's own pipeline; of
    several the one that fits the sound best counts, and a clip has no value unless a face of more than 100 pixels is
    seen in more than 100 frames of one shot while there is sound: read the number of clips that have one beside the
    mean. It cannot see whether the best shift is zero.

    It is not the number of published tables: CenterFace finds the faces, on frames of at most 320 pixels, where the
    pipeline has S3FD; its boxes have another extent, and so have the crops. At the ends of a track the crop stays where
    it is instead of shrinking.

    Args:
        subject: the clip.
        features: of `LipTracksExtractor`.
        extractor: the same.

    Raises:
        NotApplicable: the prompt wants nothing said.
    """
    del extractor
    return _of_face(subject, features, _least_distance)


def lse_confidence(subject: Subject, features: Features, extractor: Extractor | None) -> Outcome:
    """LSE-C: median over the shifts of the mean distance, less the least; large where one shift stands out.

    What it measures: how sure the best shift is; 6 to 8 for good talking heads, 1 to 2 for unrelated sound. Faces are
    found in every frame, followed, and cut out by the rules of SyncNet's own pipeline; of several the one that fits the
    sound best counts, which raises the value the more faces there are (`num_tracks` in the details); a clip has no
    value unless a face of more than 100 pixels is seen in more than 100 frames of one shot while there is sound: read
    the number of clips that have one beside the mean. It cannot see whether the best shift is zero.

    It is not the number of published tables: CenterFace finds the faces, on frames of at most 320 pixels, where the
    pipeline has S3FD; its boxes have another extent, and so have the crops. At the ends of a track the crop stays where
    it is instead of shrinking.

    Args:
        subject: the clip.
        features: of `LipTracksExtractor`.
        extractor: the same.

    Raises:
        NotApplicable: the prompt wants nothing said.
    """
    del extractor
    return _of_face(subject, features, _confidence)


def lse_distance_of_crops(subject: Subject, features: Features, extractor: Extractor | None) -> Outcome:
    """LSE-D of clips that are crops of a talking face already: no face is looked for.

    What it measures: how well lips and sound fit at their best shift, as the scripts do that take crops as given. It
    cannot see whether that shift is zero, nor anything in a clip that is no crop of a face.

    Args:
        subject: the clip, a crop of a talking face.
        features: (2 k, 1024), lips then sound.
        extractor: a SyncNet.

    Raises:
        NotApplicable: the prompt wants nothing said.
    """
    del extractor
    return _nobody_speaks(subject) or replace(_least_distance(features), warnings=_NO_FACE)


def lse_confidence_of_crops(subject: Subject, features: Features, extractor: Extractor | None) -> Outcome:
    """LSE-C of clips that are crops of a talking face already: no face is looked for.

    What it measures: how sure the best shift is, as the scripts do that take crops as given. It cannot see whether
    that shift is zero, nor anything in a clip that is no crop of a face.

    Args:
        subject: the clip, a crop of a talking face.
        features: (2 k, 1024), lips then sound.
        extractor: a SyncNet.

    Raises:
        NotApplicable: the prompt wants nothing said.
    """
    del extractor
    return _nobody_speaks(subject) or replace(_confidence(features), warnings=_NO_FACE)


def _of_face(subject: Subject, features: Features, judged: Callable[[Features], Outcome]) -> Outcome:
    """What is judged of the face that was followed, with what is known of its track."""
    declined = _nobody_speaks(subject)
    if declined is not None:
        return declined
    assert features is not None
    embeddings, told = parted(features)
    outcome = judged(embeddings)
    return replace(outcome, details={**outcome.details, **told})


def _least_distance(features: Features) -> Outcome:
    curve = _curve(features)
    return Outcome(value=float(curve.min()), details=_lip_details(curve))


def _confidence(features: Features) -> Outcome:
    curve = _curve(features)
    return Outcome(value=float(np.median(curve) - curve.min()), details=_lip_details(curve))


def _curve(features: Features) -> NDArray[np.float64]:
    assert features is not None
    return shift_curve(features)


def _nobody_speaks(subject: Subject) -> Outcome | None:
    """SyncNet, too, gives numbers for any input."""
    if subject.prompt is not None and not asks_for_speech(subject.prompt):
        raise NotApplicable("the prompt wants nothing said; lip-sync is for talking faces")
    return _nothing_happens(subject)


def _nothing_happens(subject: Subject) -> Outcome | None:
    """The network names an offset for any input: without sound or motion there is none."""
    clip = subject.clip
    require_both(clip)
    assert clip.audio is not None
    assert clip.video is not None
    if float(np.abs(clip.audio).max(initial=0.0)) < _SILENCE:
        return abstain("the sound is silent: there is nothing to be in sync with")
    if float(video_statistics(clip.video).small_change.max(initial=0.0)) < _STILL:
        return abstain("the picture stands still: there is nothing to be in sync with")
    return None


def _probabilities(features: Features) -> NDArray[np.float64]:
    assert features is not None
    probabilities: NDArray[np.float64] = np.exp(log_softmax(features.astype(np.float64), axis=1))
    return probabilities


def _most_probable(features: Features) -> NDArray[np.float64]:
    assert features is not None
    return GRID_S[features.argmax(axis=1)] + 0.0  # no negative zero


def _details(features: Features) -> dict[str, Scalar]:
    offsets, probabilities = _most_probable(features), _probabilities(features)
    logarithms = np.log(np.maximum(probabilities, 1e-300))
    return {
        "first_offset_s": round(float(offsets[0]), 3),
        "last_offset_s": round(float(offsets[-1]), 3),
        "least_probability": float(probabilities.max(axis=1).min()),
        "within_200ms_probability": float(probabilities[:, np.abs(GRID_S) <= 0.2 + 1e-9].sum(axis=1).mean()),
        "entropy": float(-(probabilities * logarithms).sum(axis=1).mean()),
    }


def _lip_details(curve: NDArray[np.float64]) -> dict[str, Scalar]:
    best = int(curve.argmin())
    return {"offset_ms": (best - SHIFTS) * FRAME_MS, "median_distance": float(np.median(curve))}
