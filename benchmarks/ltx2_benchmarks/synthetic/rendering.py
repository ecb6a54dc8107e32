"""A scene becomes a clip: frames, waveform and the exact events."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ltx2_benchmarks.synthetic.drawing import draw, object_masks
from ltx2_benchmarks.synthetic.scene import Event, Scene
from ltx2_benchmarks.synthetic.sounding import sound


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """A clip of the world.

    ``video`` is uint8 (f, h, w, 3), frame i shows the instant i / fps; ``audio`` is float32 (2, n) in −1..1 with
    n = round(f / fps · rate); ``events`` are in the order of time.
    """

    scene: Scene
    video: NDArray[np.uint8]
    fps: Fraction
    audio: NDArray[np.float32]
    rate_hz: int
    events: tuple[Event, ...]

    def masks(self) -> NDArray[np.bool_]:
        """Returns which pixels each object covers by at least half: (objects, f, h, w)."""
        return object_masks(self.scene)


def render(scene: Scene) -> Rendered:
    """Renders a scene; the same scene gives the same bits."""
    return Rendered(
        scene=scene,
        video=draw(scene),
        fps=Fraction(scene.fps),
        audio=sound(scene),
        rate_hz=scene.rate_hz,
        events=scene.events,
    )
