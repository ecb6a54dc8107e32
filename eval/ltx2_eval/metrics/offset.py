"""How late the sound is against the picture: correlation of what is heard to begin with what is seen to change."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import Extractor, NotApplicable
from ltx2_eval.metrics.base import Outcome, Subject, abstain
from ltx2_eval.metrics.envelopes import (
    HOP_S,
    SILENCE,
    onset_strength,
    pick_onsets,
    sudden_rise,
    visual_change,
)
from ltx2_reports.records import Scalar

SEARCH_S = 2.5
ITU_WINDOW_MS = (-45.0, 125.0)
"""ITU-R BT.1359-1 in our sign: viewers begin to notice sound that is 45 ms early or 125 ms late."""

_STILL = 0.02
_MOST_ONSETS = 64
_SMOOTHING_S = 0.012
_GUARD_S = 0.1
_PEAK_S = 0.04
_LAGS_S = np.arange(-round(SEARCH_S / HOP_S), round(SEARCH_S / HOP_S) + 1) * HOP_S


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """Result of one search."""

    offset_s: float
    """Positive: the sound is late."""
    peak: float
    """Correlation there, 0..1."""
    rival: float
    """Next best correlation farther than 0.1 s away, over the best."""
    significance: float
    """How many standard deviations the peak exceeds the best peaks of the same onsets put at random times."""
    num_onsets: int


def av_offset(
    subject: Subject,
    features: NDArray[np.float32] | None = None,
    extractor: Extractor | None = None,
    *,
    least_significance: float = 3.0,
    most_rival: float = 0.75,
    least_onsets: int = 2,
    surrogates: int = 99,
) -> Outcome:
    """Signed offset of the sound against the picture in ms; positive: the sound is late.

    The times at which sound begins (peaks of the spectral flux) are laid over two curves of the picture (its sudden
    rises of change; its change) at lags of up to 2.5 s; the lag of the best correlation, divided by the length of the
    whole clip and not of the overlap, is the offset. It is given only if the same onsets at random times correlate
    clearly less, and no other lag nearly as well. So it declines to answer for silence, stills, regular beats, and
    most talking heads and music.

    Args:
        subject: the clip.
        features: unused.
        extractor: unused.
        least_significance: standard deviations by which the peak must exceed those of random times.
        most_rival: largest share of the peak that another lag may reach.
        least_onsets: fewer prove nothing: one sound fits one movement at some lag, always.
        surrogates: number of random arrangements.

    Returns:
        Outcome in ms within ±2500, with the peak, its rival, its significance, the onsets and `within_itu` in details.

    Raises:
        NotApplicable: no video or no audio.
    """
    del features, extractor
    clip = subject.clip
    reason = _nothing_to_match(clip, least_onsets)
    if reason is not None:
        return reason
    found = match(clip, surrogates)
    offset_ms = 1000 * found.offset_s
    details: dict[str, Scalar] = {
        "peak": found.peak,
        "rival": found.rival,
        "significance": found.significance,
        "num_onsets": found.num_onsets,
        "candidate_ms": offset_ms,
    }
    if found.significance < least_significance:
        return abstain(
            f"the best match is {found.significance:.1f} standard deviations above that of random times, "
            f"expected {least_significance:g}: sound and picture show no common pattern",
            **details,
        )
    if found.rival > most_rival or _is_beat(onset_times_s(clip)):
        return abstain("several lags fit about equally well: the events repeat regularly", **details)
    early_ms, late_ms = ITU_WINDOW_MS
    return Outcome(value=offset_ms, details={**details, "within_itu": early_ms <= offset_ms <= late_ms})


def onset_times_s(clip: Clip) -> NDArray[np.float64]:
    """(k,) times on the clip's clock at which sound begins."""
    assert clip.audio is not None
    assert clip.rate_hz is not None
    steps: NDArray[np.float64] = pick_onsets(onset_strength(clip.audio, clip.rate_hz)).astype(np.float64)
    return clip.audio_start_s + HOP_S * steps


def require_both(clip: Clip) -> None:
    """Refuse a clip that lacks one of the streams.

    Raises:
        NotApplicable: no video or no audio.
    """
    for stream, found in (("video", clip.video), ("audio", clip.audio)):
        if found is None:
            raise NotApplicable(f"the clip has no {stream}; this metric compares sound with picture")


def _nothing_to_match(clip: Clip, least_onsets: int) -> Outcome | None:
    require_both(clip)
    assert clip.audio is not None
    assert clip.video is not None
    if clip.audio.size == 0 or np.abs(clip.audio).max() < SILENCE:
        return abstain("the sound is silent")
    if len(clip.video) < 2 or visual_change(clip.video).max() < _STILL:
        return abstain("the picture never changes")
    onsets = len(onset_times_s(clip))
    if onsets < least_onsets:
        return abstain(f"found {onsets} onsets of sound, expected at least {least_onsets}", num_onsets=onsets)
    return None


def _is_beat(times_s: NDArray[np.float64]) -> bool:
    """Whether onsets repeat at one interval, so that a shift by it leaves the pattern the same."""
    gaps_s = np.diff(times_s)
    return len(gaps_s) >= 2 and float(np.ptp(gaps_s)) <= 4 * HOP_S and float(gaps_s.max()) <= SEARCH_S


def match(clip: Clip, surrogates: int) -> Match:
    """Search for the lag at which onsets and changes fit best; needs both streams, an onset and a change."""
    assert clip.audio is not None
    assert clip.video is not None
    assert clip.rate_hz is not None
    times_s, weights = _strongest_onsets(clip)
    edges_s = clip.times_s
    change = visual_change(clip.video)
    first_s = min(float(edges_s[0]), clip.audio_start_s) - SEARCH_S - 1.0
    last_s = max(float(edges_s[-1]), clip.audio_start_s + clip.audio.shape[1] / clip.rate_hz) + SEARCH_S + 1.0
    grid_s = np.arange(first_s, last_s, HOP_S)
    windows = [_lag_windows(curve, edges_s, grid_s) for curve in _curves(change)]
    correlation = _correlate(windows, times_s - first_s, weights)
    best = int(correlation.argmax())
    peak = float(correlation[best])
    random_peaks = _random_peaks(windows, clip, weights, clip.audio_start_s - first_s, surrogates)
    away = np.abs(_LAGS_S - _LAGS_S[best]) > _GUARD_S
    return Match(
        offset_s=_centre(correlation, best),
        peak=peak,
        rival=max(0.0, float(correlation[away].max()) / peak) if peak > 0 else 1.0,
        significance=(peak - float(random_peaks.mean())) / (float(random_peaks.std()) + 1e-9),
        num_onsets=len(times_s),
    )


def _strongest_onsets(clip: Clip) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times and weights; the square root keeps one loud event from deciding alone."""
    assert clip.audio is not None
    assert clip.rate_hz is not None
    strength = onset_strength(clip.audio, clip.rate_hz)
    picked = pick_onsets(strength)
    kept = np.sort(picked[np.argsort(-strength[picked], kind="stable")[:_MOST_ONSETS]])
    weights = np.sqrt(strength[kept])
    times_s: NDArray[np.float64] = clip.audio_start_s + HOP_S * kept.astype(np.float64)
    return times_s, weights / np.sqrt((weights**2).sum())


def _curves(change: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    rise, amount = np.sqrt(sudden_rise(change)), np.sqrt(change)
    return [curve / np.sqrt((curve**2).sum()) for curve in (rise, amount - amount.mean()) if (curve**2).sum() > 1e-9]


def _lag_windows(
    curve: NDArray[np.float64], edges_s: NDArray[np.float64], grid_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(g, lags) the curve around each grid time, from the time plus SEARCH_S down to the time minus SEARCH_S.

    Between two frames the curve is constant: what is seen first on the second frame may have happened at any time
    since the first.
    """
    index = np.searchsorted(edges_s, grid_s, side="right") - 1
    inside = (index >= 0) & (index < len(curve))
    steps = np.where(inside, curve[np.clip(index, 0, len(curve) - 1)], 0.0)
    smooth = gaussian_filter1d(steps, _SMOOTHING_S / HOP_S)
    padded = np.pad(smooth, len(_LAGS_S) // 2)
    return np.lib.stride_tricks.sliding_window_view(padded, len(_LAGS_S))[:, ::-1]


def _correlate(
    windows: list[NDArray[np.float64]], times_s: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(lags,) best of the curves; times count from the grid's start."""
    rows = np.rint(times_s / HOP_S).astype(np.intp)
    return np.max([weights @ window[rows] for window in windows], axis=0)


def _random_peaks(
    windows: list[NDArray[np.float64]], clip: Clip, weights: NDArray[np.float64], start_s: float, count: int
) -> NDArray[np.float64]:
    assert clip.audio is not None
    assert clip.rate_hz is not None
    generator = np.random.default_rng(0)
    duration_s = clip.audio.shape[1] / clip.rate_hz
    draws = (start_s + generator.uniform(0, duration_s, len(weights)) for _ in range(count))
    return np.array([_correlate(windows, times_s, generator.permutation(weights)).max() for times_s in draws])


def _centre(correlation: NDArray[np.float64], best: int) -> float:
    """Lag at the centre of gravity of the peak's top: it is a plateau one frame wide."""
    near = np.abs(_LAGS_S - _LAGS_S[best]) <= _PEAK_S + HOP_S / 2
    weights = np.where(near, np.maximum(correlation - 0.9 * correlation[best], 0.0), 0.0)
    return float((weights @ _LAGS_S) / weights.sum()) if weights.sum() > 0 else float(_LAGS_S[best])
