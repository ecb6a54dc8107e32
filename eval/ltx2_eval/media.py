"""Clips on disk: `read_clip`, `write_clip`, `probe`; the only place that knows containers and codecs."""

import av

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


_DECIDING = ("libavcodec", "libswscale", "libswresample")


def decoder_id() -> str:
    """What turned the files into pixels and samples: the decode path's id, PyAV and FFmpeg's libraries in it."""
    versions = [f"{name} {'.'.join(map(str, av.library_versions[name]))}" for name in _DECIDING]
    return " ".join([DECODER, av.__version__, *versions])
