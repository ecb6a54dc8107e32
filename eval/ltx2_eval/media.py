"""Clips on disk: `read_clip`, `write_clip`, `probe`; the only place that knows containers and codecs."""

import importlib.metadata

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
    "decoder_id",
    "probe",
    "read_clip",
    "write_clip",
]


def decoder_id() -> str:
    """What turned the files into pixels and samples: the decode path's id and the version of PyAV."""
    return f"{DECODER} {importlib.metadata.version('av')}"
