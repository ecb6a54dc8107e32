"""How alike the frames of a clip stay, how pleasing they look, and how many shots there are.

Consistency rewards a picture that stands still: every value comes with how much the clip moves.
"""

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.extractors.base import Extractor
from ltx2_eval.metrics.base import Outcome, Subject, abstain
from ltx2_eval.metrics.dynamics import dynamic_degree

Features = NDArray[np.float32] | None


def frame_consistency(subject: Subject, features: Features, extractor: Extractor | None) -> Outcome:
    """Mean over the frames of the cosines with the frame before and with the first one, halved (VBench).

    What it measures: with DINO whether the subject keeps its looks, with CLIP whether the background does. A frozen
    clip has 1, a clip of LTX-2 had 0.95 (FastVideo): read it beside the dynamic degree, which its details repeat. It
    cannot see slow drift between neighbours, nor sound.

    Args:
        subject: the clip.
        features: (f, d) of unit length, one row a frame.
        extractor: an encoder of every frame.
    """
    del extractor
    assert features is not None
    if len(features) < 2:
        return abstain(f"found {len(features)} frame, expected 2 or more")
    rows = features.astype(np.float64)
    before, first = (rows[1:] * rows[:-1]).sum(axis=1), rows[1:] @ rows[0]
    value = float((np.maximum(before, 0) + np.maximum(first, 0)).mean() / 2)
    moves = dynamic_degree(subject)
    still = moves.value == 0.0
    return Outcome(
        value=min(value, 1.0),
        details={
            "neighbours": float(before.mean()),
            "last_with_first": float(first[-1]),
            "dynamic_degree": moves.value,
            "short_sides_per_s": moves.details.get("short_sides_per_s"),
        },
        warnings=("the picture hardly moves: consistency rewards that",) if still else (),
    )


def aesthetic(subject: Subject, features: Features, extractor: Extractor | None) -> Outcome:
    """LAION aesthetic score over 16 frames, divided by 10 as VBench has it; a clip of LTX-2 had 0.57 (FastVideo).

    What it measures: how much people liked still pictures of this look. It cannot see motion, artefacts that are small
    in 224 pixels, the prompt, or sound.

    Args:
        subject: the clip.
        features: (16, 1) scores, roughly 1 to 10.
        extractor: LAION's head on CLIP.
    """
    del subject, extractor
    assert features is not None
    scores = features[:, 0].astype(np.float64) / 10
    return Outcome(value=float(scores.mean()), details={"worst_frame": float(scores.min())})


def shot_cuts(
    subject: Subject, features: Features, extractor: Extractor | None, *, least_probability: float = 0.5
) -> Outcome:
    """Number of cuts and transitions that TransNetV2 finds; a prompt for a single shot should have none.

    What it measures: runs of frames whose probability of ending a shot exceeds one half, save those that touch the
    clip's ends. It cannot see a morph from one scene into the next.

    Args:
        subject: the clip.
        features: (f, 2) probabilities: last frame of a shot, part of a transition.
        extractor: a TransNetV2.
        least_probability: above which a frame counts.
    """
    del extractor
    assert features is not None
    inside = np.concatenate([[False], features[:, 0] > least_probability, [False]]).astype(np.int8)
    starts, ends = np.flatnonzero(np.diff(inside) == 1), np.flatnonzero(np.diff(inside) == -1)
    kept = [start for start, end in zip(starts, ends, strict=True) if end < len(features)]
    times_s = subject.clip.times_s
    return Outcome(
        value=float(len(kept)),
        details={
            "first_cut_s": float(times_s[kept[0]]) if kept else None,
            "largest_probability": float(features[:, 0].max()),
        },
    )


def object_agreement(subject: Subject, features: Features, extractor: Extractor | None) -> Outcome:
    """Correlation of what is seen with what is heard, over the log probabilities of 1000 objects.

    What it measures: whether pictures (EfficientNet-Lite0) and sound (SoundNet) suggest the same things; the one
    audio-video score of meaning that needs no weights from a hub. It is weak: among ten real clips the right sound has
    mean rank 3.6, chance 5.5. Only means over many clips say something. It cannot see synchrony, nor objects outside
    ImageNet's.

    Args:
        subject: the clip.
        features: (2, 1000) log probabilities, seen and heard.
        extractor: both networks.
    """
    del subject, extractor
    assert features is not None
    seen, heard = features.astype(np.float64) - features.mean(axis=1, dtype=np.float64, keepdims=True)
    lengths = np.linalg.norm(seen) * np.linalg.norm(heard)
    if lengths == 0:
        return abstain("pictures or sound suggest all objects alike")
    return Outcome(value=float(np.clip(seen @ heard / lengths, -1.0, 1.0)))
