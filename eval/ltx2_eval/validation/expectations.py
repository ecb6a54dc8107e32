"""What each metric must see, in which direction, and what it must not see; stated before anything is measured.

What only touches a stream that a metric does not need must leave it exactly as it is; that holds for every metric and
is not written down here. Metrics that are not named here get what their kind implies.
"""

from dataclasses import dataclass
from typing import Literal

from ltx2_eval.metrics.base import MetricEntry
from ltx2_eval.validation.base import Degradation

Course = Literal["rises", "falls", "away", "follows"]
"""With growing severity the value rises, falls, or moves away from 0; or it follows the signed level."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """A degradation that a metric must see."""

    degradation: str
    course: Course
    slope: float | None = None
    """Change of the value per unit of the level that is stated, to be met within 5 %."""
    saturates: float | None = None
    """Severity above which the metric has nothing more to lose: order is asked for only up to there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """What is expected of one metric."""

    responses: tuple[Response, ...] = ()
    """The first is the leading one: its mildest level is the smallest effect that matters."""
    still: tuple[str, ...] = ()
    """Degradations of its own streams that must not move it."""
    shown: tuple[str, ...] = ()
    """Degradations that it may follow, as far as they change what it measures; shown, not judged."""
    derived: bool = False
    """From the kind of metric, not stated for this one."""


def _of(*responses: Response, still: str = "", shown: str = "") -> Expectation:
    return Expectation(responses=responses, still=tuple(still.split()), shown=tuple(shown.split()))


def _to(degradation: str, course: Course, slope: float | None = None, saturates: float | None = None) -> Response:
    return Response(degradation=degradation, course=course, slope=slope, saturates=saturates)


_SPOILT_PICTURES = (_to("video.blur", "rises"), _to("video.grain", "rises"))
_SPOILT_SOUNDS = (_to("audio.noise", "rises"), _to("audio.lowpass", "rises"))
_FRAME = "video.shuffle"

EXPECTATIONS: dict[str, Expectation] = {
    "av_offset_ms": _of(
        _to("audio.shift", "follows", slope=1.0),
        _to("audio.start", "follows", slope=1.0),
        # Onsets stay where they are under noise, in a room, and in a picture that stutters without drifting.
        still="audio.quiet audio.mono video.blur video.blocks file.reencode",
        shown="audio.reverb audio.pink video.jitter",
    ),
    "av_align": _of(
        # A match is asked for within one frame and half a step, 47 ms at 24 frames a second: beyond that is chance.
        _to("audio.shift", "falls", saturates=80),
        _to("audio.swap", "falls"),
        still="audio.quiet audio.mono file.reencode",
        shown="video.shuffle video.speed video.jitter audio.reverb",
    ),
    "video.duration_mismatch_s": _of(
        _to("audio.cut", "rises", slope=1.0), still="audio.noise video.blur video.shuffle audio.shift file.reencode"
    ),
    "video.start_offset_ms": _of(
        _to("audio.start", "follows", slope=1.0), still="audio.shift audio.cut video.blur file.reencode"
    ),
    "video.black_ratio": _of(
        _to("video.black", "rises", slope=1.0), still=f"video.blur video.grain {_FRAME} file.reencode"
    ),
    # Blur takes away change with the detail: what counts change may follow it.
    "video.frozen_ratio": _of(_to("video.freeze", "rises"), still="file.reencode", shown="video.blur"),
    "video.duplicate_ratio": _of(_to("video.freeze", "rises"), still="video.blur", shown="file.reencode video.jitter"),
    "video.flicker": _of(_to("video.flicker", "rises"), still="video.grain video.blur file.reencode"),
    "video.sharpness": _of(
        _to("video.blur", "falls"), still=f"{_FRAME} video.freeze video.flicker video.speed video.jitter file.reencode"
    ),
    "video.noise": _of(
        _to("video.grain", "rises"), still=f"{_FRAME} video.freeze video.flicker video.speed video.jitter file.reencode"
    ),
    "video.blockiness": _of(_to("video.blocks", "rises"), still=f"{_FRAME} video.speed file.reencode"),
    "video.num_cuts": _of(_to("video.cuts", "rises"), still="video.blur video.flicker video.freeze file.reencode"),
    "video.motion": _of(
        _to("video.speed", "follows"),
        _to("video.freeze", "falls"),
        still="file.reencode",
        shown=f"video.blur {_FRAME} video.jitter",
    ),
    "audio.loudness_lufs": _of(
        _to("audio.quiet", "falls", slope=1.0), still="audio.dc file.reencode", shown="audio.shift audio.mute"
    ),
    "audio.true_peak_dbtp": _of(_to("audio.quiet", "falls", slope=1.0), still="file.reencode", shown="audio.noise"),
    "audio.clipping_ratio": _of(
        _to("audio.overdrive", "rises"), still="audio.quiet audio.lowpass audio.mono file.reencode"
    ),
    "audio.dc_offset": _of(
        _to("audio.dc", "rises", slope=1.0), still="audio.noise audio.shift audio.lowpass file.reencode"
    ),
    # What lies below the threshold depends on the gain; a constant is silence all the same.
    "audio.silence_ratio": _of(
        _to("audio.mute", "rises"),
        still="audio.dc file.reencode",
        shown="audio.quiet audio.overdrive audio.noise audio.pink audio.reverb",
    ),
    # A shift of 0.8 s pushes sounds out of a short clip, so that another mixture is left.
    "audio.bandwidth_hz": _of(
        _to("audio.lowpass", "falls"), still="audio.quiet audio.mono file.reencode", shown="audio.shift audio.noise"
    ),
    "audio.spectral_flatness": _of(
        _to("audio.noise", "rises"), still="audio.quiet file.reencode", shown="audio.shift audio.pink audio.reverb"
    ),
    "audio.stereo_correlation": _of(
        _to("audio.mono", "rises"), still="audio.quiet audio.dc file.reencode", shown="audio.shift audio.noise"
    ),
    "audio.clicks_per_s": _of(
        _to("audio.clicks", "rises"),
        still="audio.quiet audio.dc audio.mono file.reencode",
        shown="audio.shift audio.reverb audio.pink",
    ),
    "audio.hum_ratio": _of(_to("audio.hum", "rises"), still="audio.quiet audio.dc file.reencode", shown="audio.shift"),
    "fvd": _of(*_SPOILT_PICTURES, still="file.reencode", shown=f"{_FRAME} video.speed video.freeze video.jitter"),
    "kvd": _of(*_SPOILT_PICTURES, still="file.reencode", shown=f"{_FRAME} video.speed video.freeze video.jitter"),
    "fad_soundnet": _of(
        *_SPOILT_SOUNDS, still="audio.swap file.reencode", shown="audio.shift audio.mono audio.pink audio.reverb"
    ),
    "kad_soundnet": _of(
        *_SPOILT_SOUNDS, still="audio.swap file.reencode", shown="audio.shift audio.mono audio.pink audio.reverb"
    ),
    "clip_tv": _of(_to("prompt.swap", "falls"), still=f"{_FRAME} video.speed file.reencode", shown="video.blur"),
    # The estimator of the nano towers was trained on offsets within half a second: order is asked for up to there.
    "nano_offset_ms": _of(
        _to("audio.shift", "follows", saturates=400),
        still="audio.quiet file.reencode",
        shown="audio.swap audio.noise audio.reverb video.jitter video.blur",
    ),
    "nano_tv": _of(_to("prompt.swap", "falls"), _to("video.blur", "falls"), still=f"{_FRAME} file.reencode"),
    "nano_ta": _of(_to("prompt.swap", "falls"), _to("audio.swap", "falls"), shown="audio.noise", still="file.reencode"),
    "nano_tv_margin": _of(_to("prompt.swap", "falls"), still="file.reencode", shown="video.blur"),
    "nano_ta_margin": _of(
        _to("prompt.swap", "falls"), _to("audio.swap", "falls"), still="file.reencode", shown="audio.noise"
    ),
    "nano_fvd": _of(*_SPOILT_PICTURES, still="file.reencode", shown=f"{_FRAME} video.speed video.freeze video.jitter"),
    "nano_fad": _of(*_SPOILT_SOUNDS, still="audio.swap file.reencode", shown="audio.shift audio.mono audio.pink"),
    # Promises of the procedural world: a prompt of another scene breaks them; what blurs or stutters need not.
    "world_kept": _of(_to("prompt.swap", "falls"), still="file.reencode", shown="video.blur audio.noise audio.shift"),
    "world_colour": _of(_to("prompt.swap", "falls"), still=f"{_FRAME} file.reencode", shown="video.blur"),
    "world_shape": _of(_to("prompt.swap", "falls"), still=f"{_FRAME} file.reencode", shown="video.blur"),
    "world_sound": _of(_to("prompt.swap", "falls"), _to("audio.swap", "falls"), still="file.reencode"),
    "world_count": _of(_to("prompt.swap", "falls"), still="file.reencode", shown="audio.swap audio.noise audio.reverb"),
    "world_sync": _of(_to("audio.shift", "falls", saturates=80), still="file.reencode", shown="audio.swap prompt.swap"),
    "clap_ta": _of(_to("prompt.swap", "falls"), _to("audio.swap", "falls"), still="audio.shift file.reencode"),
}


def expectation_of(entry: MetricEntry) -> Expectation:
    """What is stated for a metric, or what its kind implies."""
    return EXPECTATIONS.get(entry.spec.id) or _derived(entry)


def _derived(entry: MetricEntry) -> Expectation:
    worse: dict[str, Course] = {"up": "falls", "down": "rises", "zero": "away"}
    course = worse.get(entry.spec.direction)
    if course is None:
        return Expectation(derived=True)
    spoilt = _spoilt(entry.spec.level, frozenset(entry.spec.needs))
    return Expectation(responses=tuple(_to(name, course) for name in spoilt), still=("file.reencode",), derived=True)


def _spoilt(level: str, needs: frozenset[str]) -> tuple[str, ...]:
    if level == "set":
        return ("video.blur", "video.grain") if "video" in needs else ("audio.noise", "audio.lowpass")
    if "prompt" in needs:
        return ("prompt.swap",)
    return ("audio.swap",) if {"video", "audio"} <= needs else ()


def touches(degradation: Degradation, entry: MetricEntry) -> bool:
    """Whether a degradation changes something that the metric says it needs.

    The clock matters to what compares both streams; a prompt to what reads it.
    """
    needs = set(entry.spec.needs)
    if degradation.changes & needs:
        return True
    return "timing" in degradation.changes and {"video", "audio"} <= needs
