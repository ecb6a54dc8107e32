"""The words of the procedural world and the exact values behind them: colours, shapes, sounds, sides, splits."""

from types import MappingProxyType
from typing import Literal

Split = Literal["train", "validation", "test"]
RGB = tuple[int, int, int]

COLOURS: MappingProxyType[str, RGB] = MappingProxyType(
    {
        "red": (225, 30, 40),
        "orange": (250, 135, 0),
        "yellow": (248, 232, 40),
        "green": (30, 190, 55),
        "cyan": (30, 215, 230),
        "blue": (45, 85, 245),
        "magenta": (225, 55, 215),
        "white": (245, 245, 245),
    }
)
BACKGROUNDS: MappingProxyType[str, RGB] = MappingProxyType(
    {
        "black": (14, 14, 16),
        "grey": (78, 80, 84),
        "navy": (14, 20, 72),
        "brown": (72, 44, 20),
        "maroon": (66, 10, 28),
        "teal": (6, 62, 60),
    }
)
SHAPES = ("circle", "square", "triangle", "diamond", "star", "cross")
MOTIONS = ("bounce", "slide", "collide", "blink", "rotate", "drift", "hop")
MATERIALS = ("wood", "metal", "glass", "rubber", "stone")
VOICES = ("beep", "hum", "tone")
SOUNDS = (*MATERIALS, *VOICES)
PATTERNS = ("plain", "striped", "checked")
CAMERAS = ("still", "pan left", "pan right", "zoom in", "zoom out")
AMBIENTS = ("none", "hum", "tone")
SIDES = ("left", "centre", "right")
SIZES: MappingProxyType[str, float] = MappingProxyType({"small": 0.105, "medium": 0.13, "large": 0.16})
"""Radius of an object in heights of the frame."""
TIMINGS = ("early", "middle", "late")
"""In which third of the clip its first event lies."""

FLOOR_Y = 0.86
WALL_X = 0.05
"""Heights of the frame: the floor's distance from the top, the walls' thickness."""
SIDE_X = 0.25
"""An event at |x| above this (−1 left edge, 1 right edge) is on a side; below it is in the centre."""


def split_of(colour: str, shape: str, motion: str) -> Split:
    """Returns the split that owns a colour, shape and motion: every triple belongs to exactly one.

    For each shape and motion one colour in eight is the test split's, one the validation split's and six the
    training split's, so each word is as frequent in every split.
    """
    residue = (list(COLOURS).index(colour) + 3 * SHAPES.index(shape) + 5 * MOTIONS.index(motion)) % len(COLOURS)
    if residue == 0:
        return "test"
    return "validation" if residue == 1 else "train"
