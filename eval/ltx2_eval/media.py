"""Clips on disk: `read_clip`, `write_clip`, `probe`; the only place that knows containers and codecs."""

from ltx2_eval.media_probe import Limits, MediaError, Probe, StreamProbe, probe
from ltx2_eval.media_read import DECODER, read_clip
from ltx2_eval.media_write import Container, write_clip

__all__ = [
    "DECODER",
    "Container",
    "Limits",
    "MediaError",
    "Probe",
    "StreamProbe",
    "probe",
    "read_clip",
    "write_clip",
]
