"""Look at what MP4 and WAV headers claim before the demuxer does: it trusts the one and silently mends the other."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"})
_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_MAX_BOXES = 50_000
# Uncompressed sound is one table entry per sample, which the demuxer joins into chunks.
_AUDIO_SAMPLES_PER_FRAME = 10_000


def check_sample_tables(path: Path, max_frames: int, max_streams: int, refuse: Callable[[str], Exception]) -> None:
    """Refuse an MP4 or QuickTime file whose tables claim too many tracks or samples (ISO/IEC 14496-12, `stsz`).

    Files of other formats pass; damaged ones too, for the demuxer to judge.

    Raises:
        Exception: what `refuse` makes of the message.
    """
    tracks, handler = 0, b""
    with path.open("rb") as file:
        if file.read(8)[4:8] not in _FIRST_BOXES:
            return
        for number, (kind, start) in enumerate(_boxes(file, 0, file.seek(0, 2))):
            if number > _MAX_BOXES:
                raise refuse(f"{path.name}: found more than {_MAX_BOXES} boxes; refused unopened")
            tracks += kind == b"trak"
            if tracks > max_streams:
                raise refuse(f"{path.name}: claims more than {max_streams} streams; refused unopened")
            if kind == b"hdlr":
                handler = _content(file, start)[8:12]
            limit = max_frames * (1 if handler == b"vide" else _AUDIO_SAMPLES_PER_FRAME)
            samples = _claimed_samples(file, kind, start)
            if samples > limit:
                raise refuse(f"{path.name}: claims {samples} frames, at most {limit} are read; refused unopened")


def check_wave(path: Path, refuse: Callable[[str], Exception]) -> None:
    """Refuse a WAV file that ends before its header says; files of other formats pass.

    Raises:
        Exception: what `refuse` makes of the message.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return
        end = file.seek(0, 2)
        for kind, start, size in _chunks(file, 12, end):
            # 0 and the largest value are what writers leave that could not go back to fill in the size.
            if kind == b"data" and size not in (0, 0xFFFFFFFF) and start + size > end:
                raise refuse(
                    f"{path.name}: holds {end - start} bytes of sound, its header says {size}; the file is cut short"
                )


def _chunks(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start of the content, size) of each RIFF chunk."""
    while start + 8 <= end:
        file.seek(start)
        kind, size = struct.unpack("<4sI", file.read(8))
        yield kind, start + 8, size
        start += 8 + size + size % 2


def _claimed_samples(file: BinaryIO, kind: bytes, start: int) -> int:
    content = _content(file, start) if kind in (b"stsz", b"stz2") else b""
    return struct.unpack(">I", content[8:12])[0] if len(content) == 12 else 0


def _content(file: BinaryIO, start: int) -> bytes:
    file.seek(start)
    return file.read(12)


def _boxes(file: BinaryIO, start: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, int]]:
    """(kind, start of the content) of each box, containers before what they hold."""
    while start + 8 <= end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if size == 1:  # the size follows as 64 bits
            wide = file.read(8)
            size, header = int.from_bytes(wide, "big"), 16
        stop = end if size == 0 else min(end, start + size)
        if 0 < size < header:
            return
        yield kind, start + header
        if kind in _CONTAINERS and depth < len(_CONTAINERS):
            yield from _boxes(file, start + header, stop, depth + 1)
        start = stop
