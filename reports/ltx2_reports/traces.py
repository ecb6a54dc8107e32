"""Waveforms and onsets of clips, drawn under their players: a file per clip beside the records, made again at will.

They decide nothing, so they are no records: a trace that is absent, damaged or of other media is simply not drawn.
"""

import contextlib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ltx2_reports.records import Run
from ltx2_reports.store import atomic_write

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
"""Levels 0..63 of a waveform's peaks, a letter each."""
TRACES = "traces"
_Times = Annotated[tuple[Annotated[float, Field(ge=0, le=1e5)], ...], Field(max_length=200)]


class Trace(BaseModel):
    """What can be seen of a clip's sound and motion on a strip."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    sha256: str
    """Of the clip's file."""
    duration_s: Annotated[float, Field(gt=0, le=1e5)]
    peaks: Annotated[str, Field(max_length=400, pattern=r"^[A-Za-z0-9+/]*$")]
    """Largest amplitude in equal parts of the duration, of full scale, as `LETTERS`; empty without sound."""
    sound_onsets_s: _Times
    motion_onsets_s: _Times
    frame_rate_hz: Annotated[float, Field(gt=0, le=1e4)] | None = None
    """Of the file itself, which may differ from what was asked for; None without video."""


def trace_path(folder: Path, sample: str) -> Path:
    """Where the trace of a sample lies."""
    return folder / TRACES / f"{sample}.json"


def write_trace(folder: Path, sample: str, trace: Trace) -> None:
    """Write it, atomically."""
    atomic_write(trace_path(folder, sample), trace.model_dump_json() + "\n")


def read_trace(folder: Path, sample: str, sha256: str | None) -> Trace | None:
    """The trace of the clip with this hash, or None."""
    with contextlib.suppress(OSError, ValidationError):
        trace = Trace.model_validate_json(trace_path(folder, sample).read_bytes())
        return trace if trace.sha256 == sha256 else None
    return None


def read_traces(run: Run) -> dict[str, Trace]:
    """Of the clips that have one, by sample."""
    found = {sample: read_trace(run.folder, sample, clip.sha256) for sample, clip in sorted(run.clips.items())}
    return {sample: trace for sample, trace in found.items() if trace is not None}
