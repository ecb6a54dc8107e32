"""Collects the decoded samples of one audio stream: float, at the native rate, every one in its place in time."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from einops import rearrange
from numpy.typing import NDArray

from ltx2_eval.media_probe import Limits, MediaError, check_rate

_SCALES = {"u8": 1 / 2**7, "s16": 1 / 2**15, "s32": 1 / 2**31, "s64": 1 / 2**63, "flt": 1.0, "dbl": 1.0}
_GAP_S = 0.02
_UNSAFE_PLANES = 8
"""PyAV looks for the end of a frame's planes one pointer too far when there are eight or more."""


@dataclass(kw_only=True, slots=True)
class SampleSink:
    """Collects the samples of one stream."""

    stream: AudioStream
    path: Path
    limits: Limits
    pieces: list[NDArray[np.float32]] = field(default_factory=list)
    count: int = 0
    start: Fraction | None = None
    rate_hz: int = 0
    channels: int = 0
    packer: AudioResampler | None = None

    def add(self, frame: AudioFrame) -> None:
        """Take the next block of samples.

        Raises:
            MediaError: the form changes, a hole is too long, or more than the limits.
        """
        if not self.pieces:
            self.rate_hz, self.channels = frame.sample_rate, frame.layout.nb_channels
            check_rate(self.path, self.rate_hz)
            self.start = self._time(frame) or Fraction(0)
        found = (frame.sample_rate, frame.layout.nb_channels)
        if found != (self.rate_hz, self.channels):
            raise MediaError(
                f"{self.path.name}: the audio changes from {self.channels} channels at {self.rate_hz} Hz "
                f"to {found[1]} at {found[0]}; expected one form"
            )
        self._keep_time(frame)
        for safe in self._safe(frame):
            self._append(_samples(safe))

    def _safe(self, frame: AudioFrame) -> list[AudioFrame]:
        """The frame itself, or with many planes a copy in which the channels alternate."""
        if not frame.format.is_planar or self.channels < _UNSAFE_PLANES:
            return [frame]
        if self.packer is None:
            self.packer = AudioResampler(format=frame.format.packed.name, layout=frame.layout, rate=frame.sample_rate)
        return self.packer.resample(frame)

    def _time(self, frame: AudioFrame) -> Fraction | None:
        return None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base

    def _keep_time(self, frame: AudioFrame) -> None:
        """Fill a hole in the time stamps with silence, so that what follows stays in its place."""
        time = self._time(frame)
        if time is None or self.start is None:
            return
        gap_s = float(time - self.start) - self.count / self.rate_hz
        if gap_s > self.limits.max_duration_s:
            raise MediaError(f"{self.path.name}: a hole of {gap_s:.0f} s in the audio; the file is damaged")
        if gap_s > _GAP_S:
            self._append(np.zeros((self.channels, round(gap_s * self.rate_hz)), np.float32))

    def _append(self, samples: NDArray[np.float32]) -> None:
        self.pieces.append(samples)
        self.count += samples.shape[1]
        if self.count > self.limits.max_duration_s * self.rate_hz:
            raise MediaError(f"{self.path.name}: more than {self.limits.max_duration_s:g} s of audio, the limit")
        if self.count * self.channels * 4 > self.limits.max_bytes:
            raise MediaError(f"{self.path.name}: more than {self.limits.max_bytes} bytes of audio, the limit")

    def finish(self) -> tuple[NDArray[np.float32], int, float]:
        """Samples (c, n), rate in Hz, start in seconds."""
        if not self.pieces:
            raise MediaError(f"{self.path.name}: the audio stream has no sample that can be decoded")
        samples = self._without_padding(np.concatenate(self.pieces, axis=1))
        if not np.isfinite(samples).all():
            bad = int((~np.isfinite(samples)).sum())
            raise MediaError(f"{self.path.name}: {bad} audio samples are not finite; expected numbers")
        return samples, self.rate_hz, float(self.start or 0)

    def _without_padding(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cut what the encoder added to fill its last block, where the container says how long the sound is."""
        if self.stream.duration is None or self.stream.time_base is None:
            return samples
        claimed = round(self.stream.duration * self.stream.time_base * self.rate_hz)
        block = self.stream.codec_context.frame_size or 0
        return samples[:, :claimed] if 0 < samples.shape[1] - claimed <= 2 * block else samples


def _samples(frame: AudioFrame) -> NDArray[np.float32]:
    """(c, n) in -1..1 from any sample format; integers are divided by half their span."""
    name = frame.format.name
    kind = name.removesuffix("p")
    if kind not in _SCALES:
        raise MediaError(f"sample format {name}, expected one of {', '.join(_SCALES)}")
    raw = frame.to_ndarray()
    if not frame.format.is_planar:
        raw = rearrange(raw, "1 (n c) -> c n", c=frame.layout.nb_channels)
    values = raw.astype(np.float64) if kind in ("s32", "s64", "dbl") else raw.astype(np.float32)
    offset = 2**7 if kind == "u8" else 0
    return np.ascontiguousarray((values - offset) * _SCALES[kind], dtype=np.float32)
