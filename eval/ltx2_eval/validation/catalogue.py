"""Every degradation by id, with its levels: reading this applies none."""

import dataclasses
from collections.abc import Callable
from functools import partial

import numpy as np

from ltx2_eval.clip import Clip
from ltx2_eval.validation import degrade_audio as sound
from ltx2_eval.validation import degrade_video as picture
from ltx2_eval.validation.base import Change, Degradation, Material
from ltx2_eval.validation.degrade_whole import re_encoded, swapped_prompt, swapped_sound

_ONCE = (1.0,)


def _plain(function: Callable[[Clip, float], Clip]) -> Change:
    def change(material: Material, level: float, generator: np.random.Generator) -> Material:
        del generator
        return dataclasses.replace(material, clip=function(material.clip, level))

    return change


def _random(function: Callable[[Clip, float, np.random.Generator], Clip]) -> Change:
    def change(material: Material, level: float, generator: np.random.Generator) -> Material:
        return dataclasses.replace(material, clip=function(material.clip, level, generator))

    return change


def _whole(function: Callable[[Material], Material]) -> Change:
    def change(material: Material, level: float, generator: np.random.Generator) -> Material:
        del level, generator
        return function(material)

    return change


def _cuts(material: Material, level: float, generator: np.random.Generator) -> Material:
    del generator
    return dataclasses.replace(material, clip=picture.with_cuts(material.clip, material.partner_clip, level))


def _re_encoded(material: Material) -> Material:
    return dataclasses.replace(material, clip=re_encoded(material.clip))


def _both_sides(*levels: float) -> tuple[float, ...]:
    return (*(-level for level in reversed(levels)), *levels)


def _degradation(
    id: str,  # noqa: A002  (the field's name)
    title: str,
    unit: str,
    levels: tuple[float, ...],
    changes: str,
    apply: Change,
    what: str,
    clean: float | None = None,
) -> Degradation:
    return Degradation(
        id=id,
        version=1,
        title=title,
        unit=unit,
        levels=levels,
        changes=frozenset(changes.split()),
        what=what,
        apply=apply,
        clean=clean,
    )


_audio, _video = partial(_degradation, changes="audio"), partial(_degradation, changes="video")

_SOUND = (
    _audio(
        "audio.shift",
        "Sound later (negative: earlier)",
        "ms",
        _both_sides(40, 80, 120, 200, 400, 800),
        apply=_plain(sound.shifted),
        what="The samples move within the stream; silence enters at one end, as much is lost at the other.",
        clean=0.0,
    ),
    _degradation(
        "audio.start",
        "Sound placed later on the clock (negative: earlier)",
        "ms",
        _both_sides(80, 200, 400),
        "timing",
        _plain(sound.started_late),
        "The same samples with another presentation time, as after a lost edit list.",
        clean=0.0,
    ),
    _degradation(
        "audio.swap",
        "Sound of another clip",
        "",
        _ONCE,
        "audio timing",
        _whole(swapped_sound),
        "Every clip gets the whole sound of the next, the last that of the first.",
    ),
    _audio(
        "audio.mute",
        "Silence at the end",
        "share",
        (0.1, 0.25, 0.5, 0.75, 1.0),
        apply=_plain(sound.muted),
        what="Zeros over the last part of the sound.",
        clean=0.0,
    ),
    _audio(
        "audio.cut",
        "Sound ends early by",
        "s",
        (0.1, 0.25, 0.5, 1.0),
        apply=_plain(sound.cut_short),
        what="The last part of the sound is removed.",
        clean=0.0,
    ),
    _audio(
        "audio.mono",
        "Stereo narrowed",
        "share",
        (0.25, 0.5, 0.75, 1.0),
        apply=_plain(sound.narrowed),
        what="Every channel moves towards the mean of all; 1 is mono.",
        clean=0.0,
    ),
    _audio(
        "audio.noise",
        "White noise over the sound's power",
        "dB",
        (-40, -30, -20, -10, 0),
        apply=_random(sound.noisy),
        what="White noise at signal-to-noise ratios of 40 to 0 dB.",
    ),
    _audio(
        "audio.pink",
        "Pink noise over the sound's power",
        "dB",
        (-40, -30, -20, -10, 0),
        apply=_random(sound.pink),
        what="Noise whose power falls with frequency, at signal-to-noise ratios of 40 to 0 dB.",
    ),
    _audio(
        "audio.reverb",
        "Reverberation, decay by 60 dB in",
        "s",
        (0.1, 0.3, 1.0, 3.0),
        apply=_random(sound.reverberant),
        what="A tail of decaying noise as strong as the direct sound, at the loudness of the original.",
        clean=0.0,
    ),
    _audio(
        "audio.lowpass",
        "Low-pass",
        "Hz",
        (8000, 4000, 2000, 1000, 500),
        apply=_plain(sound.low_passed),
        what="Butterworth filter of order 8 forwards and backwards: nothing moves in time.",
    ),
    _audio(
        "audio.quiet",
        "Quieter",
        "dB",
        (-3, -6, -12, -20),
        apply=_plain(sound.amplified),
        what="Gain below 0 dB.",
        clean=0.0,
    ),
    _audio(
        "audio.overdrive",
        "Louder, clipped at full scale",
        "dB",
        (6, 12, 20, 30),
        apply=_plain(sound.amplified),
        what="Gain above 0 dB; what exceeds full scale is cut.",
        clean=0.0,
    ),
    _audio(
        "audio.dc",
        "Constant added",
        "",
        (0.003, 0.01, 0.03, 0.1),
        apply=_plain(sound.with_dc),
        what="A constant in shares of full scale on every sample.",
        clean=0.0,
    ),
    _audio(
        "audio.hum",
        "Mains hum over the sound's power",
        "dB",
        (-30, -20, -10, 0),
        apply=_plain(sound.with_hum),
        what="Tones of 50, 100 and 150 Hz.",
    ),
    _audio(
        "audio.clicks",
        "Clicks",
        "1/s",
        (1, 2, 4, 8),
        apply=_random(sound.with_clicks),
        what="Single samples at 0.9 of full scale.",
        clean=0.0,
    ),
)

_PICTURE = (
    _video(
        "video.blur",
        "Gaussian blur",
        "px",
        (0.5, 1, 2, 4),
        apply=_plain(picture.blurred),
        what="Each frame through a Gaussian of that standard deviation.",
        clean=0.0,
    ),
    _video(
        "video.grain",
        "Noise on every pixel",
        "of 255",
        (2, 5, 10, 20),
        apply=_random(picture.grainy),
        what="Gaussian noise of that standard deviation, new in every frame.",
        clean=0.0,
    ),
    _video(
        "video.blocks",
        "Coarse block coding",
        "of 255",
        (16, 32, 64, 128),
        apply=_plain(picture.block_coded),
        what="Cosine coefficients of 8x8 blocks rounded to multiples of the level.",
    ),
    _video(
        "video.freeze",
        "Still at the end",
        "share",
        (0.1, 0.25, 0.5, 0.75, 1.0),
        apply=_plain(picture.frozen),
        what="The last part of the picture stands still.",
        clean=0.0,
    ),
    _video(
        "video.black",
        "Black at the end",
        "share",
        (0.1, 0.25, 0.5, 0.75, 1.0),
        apply=_plain(picture.blackened),
        what="Black frames over the last part of the picture.",
        clean=0.0,
    ),
    _video(
        "video.shuffle",
        "Frames shuffled in windows of",
        "frames",
        (2, 4, 8, 16),
        apply=_random(picture.shuffled),
        what="Random order within windows: every frame is still there.",
        clean=1.0,
    ),
    _video(
        "video.jitter",
        "Frames displaced at random by up to",
        "frames",
        (1, 2, 4, 8),
        apply=_random(picture.jittered),
        what="Every frame shows a neighbour: frames are repeated and left out, the picture never drifts.",
        clean=0.0,
    ),
    _video(
        "video.speed",
        "Picture at another speed",
        "times",
        (0.5, 0.75, 1.25, 1.5, 2),
        apply=_plain(picture.at_speed),
        what="Frames are repeated or left out against the same sound; past its end the picture runs backwards.",
        clean=1.0,
    ),
    _video(
        "video.flicker",
        "Brightness alternates",
        "share",
        (0.01, 0.02, 0.05, 0.1),
        apply=_plain(picture.flickering),
        what="Every second frame brighter, the others darker, in shares of full scale.",
        clean=0.0,
    ),
    _video(
        "video.cuts",
        "Cuts to another clip",
        "cuts",
        (1, 2, 4),
        apply=_cuts,
        what="Evenly spaced cuts between the picture and that of the next clip.",
        clean=0.0,
    ),
)

_WHOLE = (
    _degradation(
        "prompt.swap",
        "Prompt of another clip",
        "",
        _ONCE,
        "prompt",
        _whole(swapped_prompt),
        "Every clip is judged by the prompt of the next.",
    ),
    _degradation(
        "file.reencode",
        "Written as MP4 and read back",
        "",
        _ONCE,
        "audio video timing",
        _whole(_re_encoded),
        "H.264 (CRF 12) and AAC, as this tool writes clips.",
    ),
)

DEGRADATIONS: dict[str, Degradation] = {entry.id: entry for entry in (*_SOUND, *_PICTURE, *_WHOLE)}
"""Of single clips. Those of the set, `set.duplicates` and `set.size`, are in `sets`."""
