"""The strip that a report draws under a clip's player: waveform, sound onsets and sudden changes of the picture."""

import numpy as np
from numpy.typing import NDArray

from ltx2_eval.clip import Clip
from ltx2_eval.metrics.envelopes import (
    HOP_S,
    change_times_s,
    onset_strength,
    pick_changes,
    pick_onsets,
    sudden_rise,
    visual_change,
)
from ltx2_reports.traces import LETTERS, Trace

_PARTS = 160
_MOST_MARKS = 100


def trace_of(clip: Clip, sha256: str) -> Trace | None:
    """The strip of a decoded clip, or None where it has no duration."""
    duration_s = max(
        _end_s(clip.video_start_s, clip.video_duration_s), _end_s(clip.audio_start_s, clip.audio_duration_s)
    )
    if duration_s <= 0:
        return None
    return Trace(
        sha256=sha256,
        duration_s=round(duration_s, 4),
        peaks=_peaks(clip, duration_s),
        sound_onsets_s=_marks(_sound_onsets_s(clip)),
        motion_onsets_s=_marks(_motion_onsets_s(clip)),
        frame_rate_hz=None if clip.fps is None else round(float(clip.fps), 6),
    )


def _end_s(start_s: float, duration_s: float | None) -> float:
    return 0.0 if duration_s is None else start_s + duration_s


def _peaks(clip: Clip, duration_s: float) -> str:
    if clip.audio is None or clip.rate_hz is None or not clip.audio.shape[1]:
        return ""
    loudest = np.nan_to_num(np.abs(clip.audio).max(axis=0))
    parts = ((clip.audio_start_s + np.arange(len(loudest)) / clip.rate_hz) / duration_s * _PARTS).astype(np.intp)
    levels = np.zeros(_PARTS)
    np.maximum.at(levels, parts.clip(0, _PARTS - 1), loudest)
    return "".join(LETTERS[round(63 * min(level, 1.0))] for level in levels)


def _sound_onsets_s(clip: Clip) -> NDArray[np.float64]:
    if clip.audio is None or clip.rate_hz is None:
        return np.zeros(0)
    onsets_s = HOP_S * pick_onsets(onset_strength(clip.audio, clip.rate_hz)).astype(np.float64)
    return clip.audio_start_s + onsets_s


def _motion_onsets_s(clip: Clip) -> NDArray[np.float64]:
    if clip.video is None or clip.fps is None or len(clip.video) < 2:
        return np.zeros(0)
    found = pick_changes(sudden_rise(visual_change(clip.video)), float(clip.fps))
    return change_times_s(clip.times_s)[found]


def _marks(times_s: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(time_s), 3) for time_s in times_s[:_MOST_MARKS] if time_s >= 0)
