"""What the checks of the sound share: frames' levels and spectra of a waveform."""

from dataclasses import dataclass

import numpy as np
from einops import rearrange
from numpy.typing import NDArray
from scipy.signal import welch

from ltx2_eval.metrics.memo import per_array

FRAME_S = 0.02
SILENT_DBFS = -60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioStatistics:
    """Of frames of 20 ms without overlap, and of the whole."""

    level_dbfs: NDArray[np.float64]
    """(k,) RMS over all channels around each frame's own mean, since a constant is not heard; at least -200."""
    flatness: NDArray[np.float64]
    """(k,) geometric over arithmetic mean of the power spectrum, 0..1, without the bins at 0 and half the rate."""
    spectrum: NDArray[np.float64]
    """(bins,) mean power density, channels added."""
    frequencies_hz: NDArray[np.float64]
    """(bins,)"""

    @property
    def silent(self) -> NDArray[np.bool_]:
        """(k,) frames below -60 dBFS."""
        return self.level_dbfs < SILENT_DBFS


@per_array
def audio_statistics(audio: NDArray[np.float32], rate_hz: int) -> AudioStatistics:
    """Look at (c, n) once; n must be at least a frame of 20 ms."""
    size = round(FRAME_S * rate_hz)
    count = audio.shape[1] // size
    if count == 0:
        raise ValueError(f"{audio.shape[1]} samples at {rate_hz} Hz, expected at least {size}")
    frames = rearrange(audio[:, : count * size].astype(np.float64), "c (k s) -> c k s", s=size)
    power = (np.abs(np.fft.rfft(frames * np.hanning(size))) ** 2).sum(axis=0)[:, 1:-1] + 1e-20
    frequencies_hz, spectrum = welch(audio, rate_hz, nperseg=min(audio.shape[1], 4096), axis=1)
    heard = frames - frames.mean(axis=2, keepdims=True)
    return AudioStatistics(
        level_dbfs=10 * np.log10(np.maximum((heard**2).mean(axis=(0, 2)), 1e-20)),
        flatness=np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1),
        spectrum=spectrum.astype(np.float64).sum(axis=0),
        frequencies_hz=frequencies_hz,
    )
