"""The procedural audio-video world: shapes that move and strike, sounds at the same instant, and all of it known."""

from ltx2_benchmarks.synthetic.captions import NUM_VARIANTS, caption
from ltx2_benchmarks.synthetic.checkers import Verdict, check, measure
from ltx2_benchmarks.synthetic.expectations import describe, promised
from ltx2_benchmarks.synthetic.rendering import Rendered, render
from ltx2_benchmarks.synthetic.sampling import FAMILIES, sample_scene
from ltx2_benchmarks.synthetic.scene import Event, Scene

__all__ = [
    "FAMILIES",
    "NUM_VARIANTS",
    "Event",
    "Rendered",
    "Scene",
    "Verdict",
    "caption",
    "check",
    "describe",
    "measure",
    "promised",
    "render",
    "sample_scene",
]
