"""Decides from pixels and samples alone whether a clip keeps what its caption promises."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ltx2_benchmarks.synthetic.expectations import side_of
from ltx2_benchmarks.synthetic.hearing import Heard, hear
from ltx2_benchmarks.synthetic.seeing import Patch, Seen, see

SYNC_TOLERANCE_S = 0.08
"""A flash and an onset this close are one event: two frames at 24 per second."""
EVENT_TOLERANCE_S = 0.06
_THIRD_TOLERANCE_S = 0.12
_SIDE_SLACK = 0.12


class ClipLike(Protocol):
    """What is checked: frames uint8 (f, h, w, 3) and waveform float32 (c, n) in −1..1; either may be None."""

    @property
    def video(self) -> NDArray[np.uint8] | None:
        """Frames (f, h, w, 3)."""
        ...

    @property
    def fps(self) -> Any:
        """Frames per second, a number."""
        ...

    @property
    def audio(self) -> NDArray[np.float32] | None:
        """Waveform (c, n)."""
        ...

    @property
    def rate_hz(self) -> int | None:
        """Samples per second."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether a promise is kept; None where that cannot be decided. ``reason`` says what was found."""

    ok: bool | None
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was seen and heard in a clip; None for a stream that it does not have."""

    seen: Seen | None
    heard: Heard | None


def measure(clip: ClipLike) -> Measured:
    """Sees and hears a clip, knowing nothing of its scene."""
    seen = None if clip.video is None or len(clip.video) < 2 else see(clip.video, float(clip.fps))
    heard = None if clip.audio is None or not clip.rate_hz else hear(clip.audio, clip.rate_hz)
    return Measured(seen=seen, heard=heard)


def check(clip: ClipLike | Measured, expectations: Mapping[str, Any]) -> dict[str, Verdict]:
    """Checks a clip against what `describe` or `promised` say of a scene.

    Args:
        clip: Anything with ``video``, ``fps``, ``audio`` and ``rate_hz``, or what `measure` found in it.
        expectations: Claims; only those that are there are checked.

    Returns:
        A verdict for each of: colour, shape, count (impacts heard), count_seen, order, side (of the first sound),
        position (of the first flash), sound, ambient, silence, timing, sync (each sound has its flash), background,
        direction; as far as the expectations speak of it.
    """
    measured = clip if isinstance(clip, Measured) else measure(clip)
    verdicts: dict[str, Verdict] = {}
    for name, (needs, checker) in _CHECKS.items():
        if not _asked(name, expectations):
            continue
        missing = [stream for stream in needs if getattr(measured, stream) is None]
        if missing:
            stream = "video" if missing[0] == "seen" else "audio"
            verdicts[name] = Verdict(ok=None, reason=f"the clip has no {stream}")
        else:
            verdicts[name] = checker(measured, expectations)
    return verdicts


def _asked(name: str, claims: Mapping[str, Any]) -> bool:
    if name in ("count", "count_seen", "sync"):
        return bool(claims.get("impacts"))
    if name == "position":
        return bool(claims.get("impacts")) and "side" in claims
    if name in ("sound", "side", "timing"):
        return bool(claims.get("sounds"))
    keys = {"colour": "objects", "shape": "objects", "silence": "silent"}
    return keys.get(name, name) in claims


def _seen(measured: Measured) -> Seen:
    assert measured.seen is not None
    return measured.seen


def _heard(measured: Measured) -> Heard:
    assert measured.heard is not None
    return measured.heard


def _same(found: Any, expected: Any) -> Verdict:
    return Verdict(ok=found == expected, reason=f"found {_text(found)}, expected {_text(expected)}")


def _text(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(item) for item in value) or "nothing"
    return str(value)


def _main_patches(seen: Seen, count: int) -> list[Patch]:
    """The ``count`` largest patches, and whatever else is nearly as large: an object too many."""
    patches = list(seen.patches[:count])
    return patches + [extra for extra in seen.patches[count:] if extra.area > 0.5 * patches[-1].area]


def _colour(measured: Measured, claims: Mapping[str, Any]) -> Verdict:
    expected = sorted(look["colour"] for look in claims["objects"])
    return _same(sorted(patch.colour for patch in _main_patches(_seen(measured), len(expected))), expected)


def _shape(measured: Measured, claims: Mapping[str, Any]) -> Verdict:
    """Shapes by colour where the colours are right, otherwise whatever shapes there are."""
    patches = _main_patches(_seen(measured), len(claims["objects"]))
    by_colour = {patch.colour: patch.shape for patch in patches}
    expected = {look["colour"]: look["shape"] for look in claims["objects"]}
    if by_colour.keys() == expected.keys():
        return _same([by_colour[colour] for colour in expected], list(expected.values()))
    return _same(sorted(patch.shape for patch in patches), sorted(expected.values()))


def _count(measured: Measured, claims: Mapping[str, Any]) -> Verdict:
    return _same(len(_heard(measured).onsets), claims["impacts"])


def _count_seen(measured: Measured, claims: Mapping[str, Any]) -> Verdict:
    return _same(len(_seen(measured).flashes), claims["impacts"])


def _order(measured: Measured, claims: Mapping[str, Any]) -> Verdict:
    """Which object flashes first: the one whose place is nearer to the first and to the last flash."""
    seen = _seen(measured)
    tracks = {patch.colour: patch.track for patch in seen.patches if patch.colour in claims["order"]}
    if len(tracks) < len(claims["order"]) or not seen.flashes:
        return Verdict(ok=False, reason="the two objects or their flashes are not there")
    middle = {colour: float(np.nanmedian(track)) for colour, track in tracks.items()}
    nearest = [min(middle, key=lambda colour: abs(middle[colour] - flash.x)) for flash in seen.flashes]
    return _same(list(dict.fromkeys(nearest)), list(claims["order"]))


def _place(x: float | None, expected: str) -> Verdict:
    if x is None:
        return Verdict(ok=False, reason=f"found no event, expected one ({expected})")
    near = {side_of(x - _SIDE_SLACK), side_of(x), side_of(x + _SIDE_SLACK)}
    return Verdict(ok=expected in near, reason=f"found x {x:+.2f}, expected {expected}")


def _side(measured: Measured, claims: Mapping[str, Any]) -> Verdict:
    onsets = _heard(measured).onsets
    return _place(onsets[0].x if onsets else None, claims["side"])


def _position(measured: Measured, claims: Mapping[str, Any]) -> Verdict:
    flashes = _seen(measured).flashes
    return _place(flashes[0].x if flashes else None, claims["side"])


def _sound(measured: Measured, claims: Mapping[str, Any]) -> Verdict:
    """Classes in the order in which they are first heard."""
    return _same(list(dict.fromkeys(onset.sound for onset in _heard(measured).onsets)), list(claims["sounds"]))


def _ambient(measured: Measured, claims: Mapping[str, Any]) -> Verdict:
    return _same(_heard(measured).ambient, claims["ambient"])


def _silence(measured: Measured, claims: Mapping[str, Any]) -> Verdict:
    return _same("silence" if _heard(measured).silent else "sound", "silence" if claims["silent"] else "sound")


def _timing(measured: Measured, claims: Mapping[str, Any]) -> Verdict:
    """The exact times where they are given, otherwise the third of the clip in which the first sound begins."""
    times = [onset.time_s for onset in _heard(measured).onsets]
    if "events_s" in claims:
        expected = list(claims["events_s"])
        close = len(times) == len(expected) and all(
            abs(a - b) <= EVENT_TOLERANCE_S for a, b in zip(times, expected, strict=True)
        )
        found, wanted = ([f"{time:.2f}" for time in each] for each in (times, expected))
        return Verdict(ok=close, reason=f"found {_text(found)} s, expected {_text(wanted)} s")
    if not times:
        return Verdict(ok=False, reason=f"found no sound, expected one {claims['timing']}")
    third = claims["duration_s"] / 3
    start = ("early", "middle", "late").index(claims["timing"]) * third
    inside = start - _THIRD_TOLERANCE_S <= times[0] <= start + third + _THIRD_TOLERANCE_S
    return Verdict(ok=inside, reason=f"found {times[0]:.2f} s, expected {claims['timing']} ({start:.2f} s on)")


def _sync(measured: Measured, _claims: Mapping[str, Any]) -> Verdict:
    """Every sound has a flash of its own within the tolerance and every flash a sound."""
    times = [onset.time_s for onset in _heard(measured).onsets]
    flashes = [flash.time_s for flash in _seen(measured).flashes]
    if not times or not flashes:
        return Verdict(ok=False, reason=f"found {len(times)} sounds and {len(flashes)} flashes")
    if len(times) != len(flashes):
        return Verdict(ok=False, reason=f"found {len(times)} sounds for {len(flashes)} flashes")
    worst = max(abs(a - b) for a, b in zip(times, flashes, strict=True))
    return Verdict(ok=worst <= SYNC_TOLERANCE_S, reason=f"found {1000 * worst:.0f} ms at most between sound and flash")


def _background(measured: Measured, claims: Mapping[str, Any]) -> Verdict:
    return _same(_seen(measured).background, claims["background"])


def _direction(measured: Measured, claims: Mapping[str, Any]) -> Verdict:
    patches = _seen(measured).patches
    track = patches[0].track[~np.isnan(patches[0].track)] if patches else np.zeros(0)
    if len(track) < 2:
        return Verdict(ok=False, reason="found no object that moves")
    edge = max(1, len(track) // 5)
    moved = float(np.median(track[-edge:]) - np.median(track[:edge]))
    found = "still" if abs(moved) < 0.1 else "right" if moved > 0 else "left"
    return _same(found, claims["direction"])


_Checker = Callable[[Measured, Mapping[str, Any]], Verdict]
_CHECKS: dict[str, tuple[tuple[str, ...], _Checker]] = {
    "colour": (("seen",), _colour),
    "shape": (("seen",), _shape),
    "count": (("heard",), _count),
    "count_seen": (("seen",), _count_seen),
    "order": (("seen",), _order),
    "side": (("heard",), _side),
    "position": (("seen",), _position),
    "sound": (("heard",), _sound),
    "ambient": (("heard",), _ambient),
    "silence": (("heard",), _silence),
    "timing": (("heard",), _timing),
    "sync": (("seen", "heard"), _sync),
    "background": (("seen",), _background),
    "direction": (("seen",), _direction),
}
