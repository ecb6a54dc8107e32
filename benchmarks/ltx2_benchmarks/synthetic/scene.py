"""A scene of the procedural world: everything that its clip will show and sound, as data that survives JSON."""

import bisect
import dataclasses
import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ltx2_benchmarks.synthetic.vocabulary import FLOOR_Y, MATERIALS, SIZES, Split

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """Motion under constant acceleration from ``start_s`` until the next segment begins.

    Lengths are heights of the frame, x from its left edge, y from its top; speeds per second.
    """

    start_s: float
    x: float
    y: float
    vx: float = 0.0
    vy: float = 0.0
    ax: float = 0.0
    ay: float = 0.0

    def at(self, time_s: float) -> tuple[float, float]:
        """Returns the centre (x, y) at a time."""
        t = time_s - self.start_s
        return self.x + (self.vx + 0.5 * self.ax * t) * t, self.y + (self.vy + 0.5 * self.ay * t) * t


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """An object: how it looks, what it sounds like, where it is at each time.

    ``spin`` is (first second, last second, radians per second); ``sound`` is a material for what strikes, a voice
    (beep, hum, tone) for what blinks or turns, or "none".
    """

    shape: str
    colour: str
    size: str
    motion: str
    sound: str
    path: tuple[Segment, ...]
    spin: tuple[float, float, float] | None = None

    @property
    def radius(self) -> float:
        """The radius in heights of the frame."""
        return SIZES[self.size]

    @property
    def material(self) -> str | None:
        """The material, where it can be heard."""
        return self.sound if self.sound in MATERIALS else None

    def at(self, time_s: float) -> tuple[float, float]:
        """Returns the centre (x, y) at a time, in heights of the frame."""
        index = bisect.bisect_right([segment.start_s for segment in self.path], time_s) - 1
        return self.path[max(index, 0)].at(time_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Strike:
    """Something that happens to objects at one instant.

    ``kind`` is "impact", "blink" or "start"; ``normals`` point, per object, to what it strikes (0, 0: nothing);
    ``strength`` in 0..1 scales the sound.
    """

    time_s: float
    kind: str
    objects: tuple[int, ...]
    normals: tuple[tuple[float, float], ...]
    strength: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """An audible and visible instant of a clip.

    ``x`` is where it happens on the screen, −1 at the left edge and 1 at the right; ``material`` is the sound's
    class (a material, or beep, hum, tone).
    """

    time_s: float
    kind: str
    objects: tuple[int, ...]
    x: float
    material: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """All that a clip shows and sounds; equal scenes render to equal bits."""

    seed: int
    split: Split
    family: str
    width: int
    height: int
    frames: int
    fps: int
    rate_hz: int
    background: str
    pattern: str
    camera: str
    ambient: str
    walls: bool
    objects: tuple[Body, ...]
    strikes: tuple[Strike, ...]

    @property
    def duration_s(self) -> float:
        """Seconds of the clip: frames over frame rate."""
        return self.frames / self.fps

    @property
    def samples(self) -> int:
        """Audio samples per channel."""
        return round(Fraction(self.frames * self.rate_hz, self.fps))

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height

    def camera_at(self, time_s: float) -> tuple[float, float]:
        """Returns the camera's x offset (heights of the frame) and its zoom at a time."""
        share = time_s / self.duration_s
        shift = {"pan left": 0.11 - 0.22 * share, "pan right": 0.22 * share - 0.11}.get(self.camera, 0.0)
        zoom = {"zoom in": 1.0 + 0.3 * share, "zoom out": 1.3 - 0.3 * share}.get(self.camera, 1.0)
        return shift, zoom

    def to_screen(self, x: float, y: float, time_s: float) -> tuple[float, float]:
        """Returns where a point of the world is on the screen, in heights of the frame."""
        shift, zoom = self.camera_at(time_s)
        middle = self.aspect / 2
        return (x - middle - shift) * zoom + middle, (y - 0.5) * zoom + 0.5

    def pan_at(self, index: int, time_s: float) -> float:
        """Returns an object's place from left to right on the screen at a time, −1..1."""
        x, _ = self.to_screen(*self.objects[index].at(time_s), time_s)
        return min(1.0, max(-1.0, 2 * x / self.aspect - 1))

    @property
    def events(self) -> tuple[Event, ...]:
        """The events in the order of time."""
        return tuple(self._event(strike) for strike in self.strikes)

    def _event(self, strike: Strike) -> Event:
        pans = [self.pan_at(index, strike.time_s) for index in strike.objects]
        return Event(
            time_s=strike.time_s,
            kind=strike.kind,
            objects=strike.objects,
            x=sum(pans) / len(pans),
            material=self.objects[strike.objects[0]].sound,
        )

    def to_json(self) -> str:
        """Returns the scene as one line of JSON, from which `from_json` rebuilds it exactly."""
        return json.dumps({"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> "Scene":
        """Rebuilds a scene from `to_json`'s text.

        Raises:
            ValueError: If the text is not such a scene, or of another schema version.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            version = fields.pop("schema_version", None)
            if version != SCHEMA_VERSION:
                raise ValueError(f"scene of schema version {version}, expected {SCHEMA_VERSION}; sample it again")
            fields["objects"] = tuple(_body(item) for item in fields["objects"])
            fields["strikes"] = tuple(_strike(item) for item in fields["strikes"])
            return Scene(**fields)
        except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"not a scene of the procedural world: {error}; expected the text of Scene.to_json"
            ) from error


def _body(fields: dict[str, Any]) -> Body:
    spin = None if fields["spin"] is None else tuple(fields["spin"])
    return Body(**{**fields, "path": tuple(Segment(**item) for item in fields["path"]), "spin": spin})


def _strike(fields: dict[str, Any]) -> Strike:
    normals = tuple((float(x), float(y)) for x, y in fields["normals"])
    return Strike(**{**fields, "objects": tuple(fields["objects"]), "normals": normals})


def floor_height(below: float, radius: float) -> float:
    """Returns the centre's y of an object that stands on the floor and reaches ``below`` radii under its centre."""
    return FLOOR_Y - below * radius
