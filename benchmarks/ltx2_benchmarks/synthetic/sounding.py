"""Sounds a scene: modal synthesis of impacts, beeps, hums and tones, panned to where things are on the screen."""

import math
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ltx2_benchmarks.synthetic.scene import Scene

Waveform = NDArray[np.float32]

Mode = tuple[float, float, float]
"""Frequency in Hz, amplitude, decay time in seconds (to 1/e)."""

_STONE = tuple((1050.0 + 190.0 * k + 37.0 * (k * k % 7), 1.0 - 0.03 * k, 0.016) for k in range(16))
MODES: MappingProxyType[str, tuple[Mode, ...]] = MappingProxyType(
    {
        "wood": ((430.0, 1.0, 0.060), (1040.0, 0.55, 0.035), (1830.0, 0.3, 0.020)),
        "metal": (
            (640.0, 0.7, 0.34),
            (1530.0, 1.0, 0.30),
            (2690.0, 0.8, 0.26),
            (4170.0, 0.6, 0.20),
            (5900.0, 0.4, 0.14),
        ),
        "glass": ((3350.0, 0.7, 0.15), (5100.0, 1.0, 0.12), (7600.0, 0.7, 0.09), (9700.0, 0.4, 0.06)),
        "rubber": ((92.0, 1.0, 0.110), (168.0, 0.6, 0.080), (255.0, 0.25, 0.050)),
        "stone": _STONE,
    }
)
HUM_HZ, TONE_HZ, BEEP_HZ = 120.0, 880.0, 1500.0
BEEP_S = 0.16
_PITCH = MappingProxyType({"small": 1.1, "medium": 1.0, "large": 0.92})
_IMPACT_PEAK, _BEEP_PEAK, _VOICE_PEAK, _AMBIENT_PEAK = 0.6, 0.45, 0.3, 0.05
_CLICK: Mode = (2400.0, 0.45, 0.0012)
_LONGEST_S = 1.6


@cache
def impact_kernel(material: str, size: str, rate_hz: int) -> Waveform:
    """Returns one impact (n,) with peak 1: decaying modes, and a click that makes the first sample loud."""
    modes = MODES[material]
    seconds = min(_LONGEST_S, 7.0 * max(decay for _, _, decay in modes))
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    pitch = _PITCH[size]
    wave = sum(amplitude * np.sin(2 * np.pi * hz * pitch * t) * np.exp(-t / decay) for hz, amplitude, decay in modes)
    wave = wave / np.max(np.abs(wave))
    hz, amplitude, decay = _CLICK
    wave = wave + amplitude * np.cos(2 * np.pi * hz * t) * np.exp(-t / decay)
    wave *= np.minimum(1.0, (seconds - t) / 0.02)
    return (wave / np.max(np.abs(wave))).astype(np.float32)


@cache
def beep_kernel(rate_hz: int) -> Waveform:
    """Returns one beep (n,) with peak about 1: a sine that starts at once and fades out within 30 ms at its end."""
    t = np.arange(round(BEEP_S * rate_hz)) / rate_hz
    return (np.cos(2 * np.pi * BEEP_HZ * t) * np.clip((BEEP_S - t) / 0.03, 0.0, 1.0)).astype(np.float32)


@cache
def voice_wave(kind: str, samples: int, rate_hz: int) -> Waveform:
    """Returns a continuous hum or tone (n,) with peak about 1."""
    t = np.arange(samples) / rate_hz
    if kind == "tone":
        return np.cos(2 * np.pi * TONE_HZ * t).astype(np.float32)
    wave = sum(np.cos(2 * np.pi * HUM_HZ * k * t + k * k) / k for k in range(1, 6))
    return (wave / np.max(np.abs(wave))).astype(np.float32)


def pan_gains(x: float) -> tuple[float, float]:
    """Returns the gains of the left and right channel for a place −1..1: constant power, equal in the centre."""
    angle = (x + 1) * math.pi / 4
    return math.cos(angle), math.sin(angle)


def sound(scene: Scene) -> Waveform:
    """Returns the waveform (2, n) in −1..1, on the grid of 16-bit samples; a silent scene is exactly zero.

    An event's sound begins at the sample nearest to its time.
    """
    audio = np.zeros((2, scene.samples), np.float32)
    if scene.ambient != "none":
        audio += voice_wave(scene.ambient, scene.samples, scene.rate_hz) * np.float32(_AMBIENT_PEAK * math.sqrt(0.5))
    for strike, event in zip(scene.strikes, scene.events, strict=True):
        start = round(strike.time_s * scene.rate_hz)
        if strike.kind == "start":
            _add_voice(audio, scene, strike.objects[0], start)
            continue
        body = scene.objects[strike.objects[0]]
        if strike.kind == "blink":
            kernel, peak = beep_kernel(scene.rate_hz), _BEEP_PEAK
        else:
            kernel, peak = impact_kernel(body.sound, body.size, scene.rate_hz), _IMPACT_PEAK * strike.strength
        _add(audio, kernel, start, event.x, peak)
    loudest = float(np.max(np.abs(audio), initial=0.0))
    if loudest > 0.98:
        audio *= np.float32(0.98 / loudest)
    return (np.round(audio * np.float32(32768)) / np.float32(32768)).astype(np.float32)


def _add(audio: Waveform, kernel: Waveform, start: int, x: float, peak: float) -> None:
    span = audio[:, start : start + len(kernel)]
    for channel, gain in zip(span, pan_gains(x), strict=True):
        channel += kernel[: len(channel)] * np.float32(gain * peak)


def _add_voice(audio: Waveform, scene: Scene, index: int, start: int) -> None:
    """A hum or tone for as long as the object turns, following it across the screen."""
    body = scene.objects[index]
    assert body.spin is not None, "a voice that starts belongs to an object that turns"
    end = min(scene.samples, round(body.spin[1] * scene.rate_hz))
    wave = voice_wave(body.sound, scene.samples, scene.rate_hz)[: end - start] * np.float32(_VOICE_PEAK)
    if end < scene.samples:
        fade = min(len(wave), round(0.01 * scene.rate_hz))
        wave[len(wave) - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    at_s = np.arange(scene.frames + 1) / scene.fps
    angle = (np.array([scene.pan_at(index, time) for time in at_s]) + 1) * (np.pi / 4)
    times_s = np.arange(start, end) / scene.rate_hz
    audio[0, start:end] += wave * np.interp(times_s, at_s, np.cos(angle)).astype(np.float32)
    audio[1, start:end] += wave * np.interp(times_s, at_s, np.sin(angle)).astype(np.float32)
