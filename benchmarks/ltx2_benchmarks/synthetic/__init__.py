"""The procedural audio-video world: shapes that move and strike, sounds at the same instant, and all of it known."""

from ltx2_benchmarks.synthetic.rendering import Rendered, render
from ltx2_benchmarks.synthetic.sampling import FAMILIES, sample_scene
from ltx2_benchmarks.synthetic.scene import Event, Scene

__all__ = ["FAMILIES", "Event", "Rendered", "Scene", "render", "sample_scene"]
