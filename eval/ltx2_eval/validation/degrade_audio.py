"""Ways to spoil the sound of a clip. Each is a pure function: (clip, amount) -> clip; the picture stays the same array.

All keep -1..1 (what would exceed it is clipped) and, where nothing else is said, the number of samples.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, sosfiltfilt

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable

_QUIET = 1e-4
_NEAR_NYQUIST = 0.95
_FILTER_ORDER = 8
_MAINS_HZ = 50
_LOWEST_HZ = 20.0
_HARMONICS = (1.0, 0.5, 0.25)
_CLICK = 0.9


def shifted(clip: Clip, shift_ms: float) -> Clip:
    """Sound later by `shift_ms` (negative: earlier); silence enters at one end, as much is lost at the other."""
    audio, rate_hz = _sound(clip)
    samples = round(shift_ms * rate_hz / 1000)
    kept = max(0, audio.shape[1] - abs(samples))
    moved = np.zeros_like(audio)
    if samples >= 0:
        moved[:, audio.shape[1] - kept :] = audio[:, :kept]
    else:
        moved[:, :kept] = audio[:, audio.shape[1] - kept :]
    return _with(clip, moved)


def started_late(clip: Clip, delay_ms: float) -> Clip:
    """The same samples, placed later on the clip's clock: what a wrong edit list or container start does."""
    _sound(clip)
    return dataclasses.replace(clip, audio_start_s=clip.audio_start_s + delay_ms / 1000)


def muted(clip: Clip, share: float) -> Clip:
    """Digital silence over the last `share` of the clip, 0..1."""
    audio, _ = _sound(clip)
    silenced = audio.copy()
    silenced[:, round((1 - share) * audio.shape[1]) :] = 0
    return _with(clip, silenced)


def cut_short(clip: Clip, seconds: float) -> Clip:
    """The last `seconds` of the sound removed.

    Raises:
        NotApplicable: the sound is not longer than that.
    """
    audio, rate_hz = _sound(clip)
    kept = audio.shape[1] - round(seconds * rate_hz)
    if kept <= 0:
        raise NotApplicable(f"the sound lasts {audio.shape[1] / rate_hz:.2f} s; {seconds:g} s cannot be cut off")
    return _with(clip, audio[:, :kept])


def narrowed(clip: Clip, share: float) -> Clip:
    """Every channel moved by `share` of the way, 0..1, towards the mean of all: 1 is mono.

    Raises:
        NotApplicable: fewer than two channels.
    """
    audio, _ = _sound(clip)
    if len(audio) < 2:
        raise NotApplicable("the sound has one channel")
    return _with(clip, (1 - share) * audio + share * audio.mean(axis=0))


def noisy(clip: Clip, level_db: float, generator: np.random.Generator) -> Clip:
    """White noise `level_db` above (negative: below) the mean power of the sound, the negative of an SNR.

    Raises:
        NotApplicable: the sound is silent, so that no ratio exists.
    """
    audio, _ = _sound(clip)
    strength = _audible_rms(audio) * 10 ** (level_db / 20)
    return _with(clip, audio + strength * generator.standard_normal(audio.shape))


def pink(clip: Clip, level_db: float, generator: np.random.Generator) -> Clip:
    """Pink noise (power falls with 1/f) `level_db` above (negative: below) the mean power of the sound.

    Raises:
        NotApplicable: the sound is silent.
    """
    audio, rate_hz = _sound(clip)
    white = np.fft.rfft(generator.standard_normal(audio.shape), axis=1)
    hertz = np.fft.rfftfreq(audio.shape[1], 1 / rate_hz)
    noise = np.fft.irfft(np.where(hertz > 0, white / np.sqrt(np.maximum(hertz, _LOWEST_HZ)), 0), audio.shape[1], axis=1)
    strength = _audible_rms(audio) * 10 ** (level_db / 20)
    return _with(clip, audio + strength * noise / max(float(noise.std()), 1e-12))


def reverberant(clip: Clip, decay_s: float, generator: np.random.Generator) -> Clip:
    """A room: noise that decays by 60 dB in `decay_s`, as strong in all as the direct sound, which stays where it is.

    Raises:
        NotApplicable: the sound is silent.
    """
    audio, rate_hz = _sound(clip)
    rms = _audible_rms(audio)
    times_s = np.arange(1, round(decay_s * rate_hz) + 1) / rate_hz
    tail = generator.standard_normal((len(audio), len(times_s))) * 10 ** (-3 * times_s / decay_s)
    response = np.concatenate([np.ones((len(audio), 1)), tail / np.sqrt((tail**2).sum(axis=1, keepdims=True))], axis=1)
    heard = fftconvolve(audio.astype(np.float64), response, axes=1)[:, : audio.shape[1]]
    return _with(clip, heard * rms / np.sqrt(np.mean(heard**2)))


def low_passed(clip: Clip, cutoff_hz: float) -> Clip:
    """Butterworth low-pass of order 8, run forwards and backwards, so that nothing moves in time.

    Raises:
        NotApplicable: the sound holds no frequency above the cutoff, or too few samples for the filter.
    """
    audio, rate_hz = _sound(clip)
    if cutoff_hz >= _NEAR_NYQUIST * rate_hz / 2:
        raise NotApplicable(f"sound at {rate_hz} Hz has nothing above {cutoff_hz:g} Hz")
    sections = butter(_FILTER_ORDER, cutoff_hz, fs=rate_hz, output="sos")
    if audio.shape[1] <= 6 * len(sections) + 3:
        raise NotApplicable(f"{audio.shape[1]} samples are too few to filter")
    return _with(clip, sosfiltfilt(sections, audio.astype(np.float64), axis=1))


def amplified(clip: Clip, gain_db: float) -> Clip:
    """Louder by `gain_db` (negative: quieter), clipped at full scale."""
    audio, _ = _sound(clip)
    return _with(clip, audio * 10 ** (gain_db / 20))


def with_dc(clip: Clip, offset: float) -> Clip:
    """A constant added to every sample, in shares of full scale."""
    audio, _ = _sound(clip)
    return _with(clip, audio + np.float32(offset))


def with_hum(clip: Clip, level_db: float) -> Clip:
    """Mains hum of 50, 100 and 150 Hz on all channels, `level_db` above (negative: below) the power of the sound.

    Raises:
        NotApplicable: the sound is silent.
    """
    audio, rate_hz = _sound(clip)
    times_s = np.arange(audio.shape[1]) / rate_hz
    hum = sum(
        strength * np.sin(2 * np.pi * _MAINS_HZ * (order + 1) * times_s) for order, strength in enumerate(_HARMONICS)
    )
    power = sum(strength**2 for strength in _HARMONICS) / 2
    return _with(clip, audio + _audible_rms(audio) * 10 ** (level_db / 20) / np.sqrt(power) * hum)


def with_clicks(clip: Clip, per_s: float, generator: np.random.Generator) -> Clip:
    """Single samples set to 0.9 of full scale on all channels, at even distances from a random start."""
    audio, rate_hz = _sound(clip)
    step = round(rate_hz / per_s)
    clicked = audio.copy()
    clicked[:, int(generator.uniform(0.25, 0.75) * step) :: step] = _CLICK
    return _with(clip, clicked)


def _sound(clip: Clip) -> tuple[NDArray[np.float32], int]:
    if clip.audio is None or clip.rate_hz is None or clip.audio.size == 0:
        raise NotApplicable("the clip has no sound")
    return clip.audio, clip.rate_hz


def _audible_rms(audio: NDArray[np.float32]) -> float:
    rms = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
    if rms < _QUIET:
        raise NotApplicable("the sound is silent; noise cannot be set against it")
    return rms


def _with(clip: Clip, audio: NDArray[np.floating]) -> Clip:
    return dataclasses.replace(clip, audio=np.clip(audio, -1, 1).astype(np.float32))
