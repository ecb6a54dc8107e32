"""Programme loudness and true peak after ITU-R BS.1770-4, for any sample rate."""

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import lfilter

from ltx2_eval.metrics.memo import per_array

BLOCK_S, STEP_S = 0.4, 0.1
_ABSOLUTE_GATE_LUFS, _RELATIVE_GATE_LU = -70.0, -10.0
_OFFSET = -0.691
# Channel orders of the usual layouts; the low-frequency channel counts nothing, surrounds 1.5 dB more.
_GAINS = {
    1: (1.0,),
    2: (1.0, 1.0),
    3: (1.0, 1.0, 1.0),
    4: (1.0, 1.0, 1.0, 1.41),
    5: (1.0, 1.0, 1.0, 1.41, 1.41),
    6: (1.0, 1.0, 1.0, 0.0, 1.41, 1.41),
    7: (1.0, 1.0, 1.0, 0.0, 1.41, 1.41, 1.41),
    8: (1.0, 1.0, 1.0, 0.0, 1.41, 1.41, 1.41, 1.41),
}
MOST_CHANNELS = max(_GAINS)
_LEAST_PEAK_RATE_HZ = 192_000


def k_weighting(rate_hz: int) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]:
    """(b, a) of the shelf and of the high-pass filter at a sample rate.

    BS.1770-4 tabulates both for 48 kHz; the analogue filters behind the tables (centre 1681.97 Hz, gain 4 dB, Q 0.7072;
    corner 38.135 Hz, Q 0.5003) are transformed to other rates with the bilinear transform.
    """
    k = np.tan(np.pi * 1681.974450955533 / rate_hz)
    q, high = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    shelf = np.array([high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k])
    below = np.array([1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k])
    j = np.tan(np.pi * 38.13547087602444 / rate_hz)
    p = 0.5003270373238773
    corner = np.array([1 + j / p + j * j, 2 * (j * j - 1), 1 - j / p + j * j])
    return (shelf / below[0], below / below[0]), (np.array([1.0, -2.0, 1.0]), corner / corner[0])


@per_array
def integrated_loudness(audio: NDArray[np.float32], rate_hz: int) -> float | None:
    """Gated loudness in LUFS of (c, n); None if no block of 400 ms is above the absolute gate of -70 LUFS.

    Raises:
        ValueError: more channels than BS.1770 has gains for.
    """
    if len(audio) not in _GAINS:
        raise ValueError(f"{len(audio)} channels, BS.1770 gives gains for 1 to {MOST_CHANNELS}")
    weighted = audio.astype(np.float64)
    for b, a in k_weighting(rate_hz):
        weighted = lfilter(b, a, weighted, axis=1)
    blocks = np.array(_GAINS[len(audio)]) @ _block_powers(weighted, rate_hz)
    loud = blocks[_lufs(blocks) > _ABSOLUTE_GATE_LUFS]
    if not len(loud):
        return None
    gate = float(_lufs(loud.mean())) + _RELATIVE_GATE_LU
    return float(_lufs(loud[_lufs(loud) > gate].mean()))


def _block_powers(weighted: NDArray[np.float64], rate_hz: int) -> NDArray[np.float64]:
    """(c, blocks) mean square of blocks of 400 ms that begin every 100 ms; unfinished ones are left out."""
    size = round(BLOCK_S * rate_hz)
    sums = np.concatenate([np.zeros((len(weighted), 1)), np.cumsum(weighted**2, axis=1)], axis=1)
    starts = np.rint(np.arange(0, weighted.shape[1] - size + 1, STEP_S * rate_hz)).astype(np.intp)
    starts = starts[starts + size <= weighted.shape[1]]
    return (sums[:, starts + size] - sums[:, starts]) / size


def _lufs(power: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return _OFFSET + 10 * np.log10(power)


@per_array
def true_peak(audio: NDArray[np.float32], rate_hz: int) -> float:
    """Largest absolute value of (c, n) between the samples: oversampled at least four times at 48 kHz and below."""
    factor = 1 if rate_hz >= _LEAST_PEAK_RATE_HZ else 2 if rate_hz >= _LEAST_PEAK_RATE_HZ / 2 else 4
    peak = float(np.abs(audio).max())
    if factor == 1:
        return peak
    between = soxr.resample(np.ascontiguousarray(audio.T), rate_hz, factor * rate_hz, quality="VHQ")
    return max(peak, float(np.abs(between).max()))
