"""Damaged, unusable and hostile media files: each gives a clip or a MediaError, never anything else."""

import io
import os
import re
import socket
import struct
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ltx2_eval.clip import Clip
from ltx2_eval.media import Limits, MediaError, probe, read_clip, write_clip

SEEDS = range(5)


def small_clip() -> Clip:
    rng = np.random.default_rng(0)
    video = rng.integers(0, 255, (1, 12, 16, 3)).repeat(4, 1).repeat(4, 2)
    video = np.concatenate([np.roll(video, 3 * step, axis=2) for step in range(24)]).astype(np.uint8)
    audio = rng.normal(0, 0.1, (1, 16000)).astype(np.float32)
    return Clip(video=video, fps=Fraction(24), audio=audio, rate_hz=16000)


def mpeg4_bytes(clip: Clip) -> bytes:
    assert clip.video is not None
    assert clip.audio is not None
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        video = output.add_stream("mpeg4", rate=24)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        audio = output.add_stream("aac", rate=16000, layout="mono")
        for image in clip.video:
            output.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        frame = av.AudioFrame.from_ndarray(clip.audio, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
        output.mux(audio.encode(frame))
        output.mux(video.encode(None))
        output.mux(audio.encode(None))
    return buffer.getvalue()


def wav_bytes(samples: np.ndarray, rate_hz: int = 16000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((samples.T * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    clip = small_clip()
    assert clip.audio is not None
    files = {"mpeg4.mp4": mpeg4_bytes(clip), "sound.wav": wav_bytes(clip.audio)}
    for container in ("mp4", "mkv"):
        path = folder / f"clip.{container}"
        write_clip(clip, path, container=container)
        files[f"own.{container}"] = path.read_bytes()
    return files


def _block(data: bytearray, rng: np.random.Generator, size: int = 200) -> slice:
    start = int(rng.integers(0, max(1, len(data) - size)))
    return slice(start, start + size)


def _flip(data: bytearray, rng: np.random.Generator, count: int, end: int | None = None) -> bytearray:
    for place in rng.integers(0, end or len(data), count):
        data[place] ^= 1 << int(rng.integers(0, 8))
    return data


def _overwrite(data: bytearray, where: slice, with_: bytes) -> bytearray:
    data[where] = with_
    return data


def _sizes(data: bytearray, rng: np.random.Generator) -> bytearray:
    for place in rng.integers(0, min(len(data), 2000) - 4, 3):
        data[place : place + 4] = struct.pack(">I", int(rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF])))
    return data


MUTATIONS = {
    "cut_short": lambda data, rng: data[: int(rng.integers(1, len(data)))],
    "cut_head": lambda data, rng: data[int(rng.integers(1, len(data) // 2)) :],
    "cut_middle": lambda data, rng: _overwrite(data, _block(data, rng), b""),
    "zero_block": lambda data, rng: _overwrite(data, _block(data, rng), bytes(200)),
    "noise_block": lambda data, rng: _overwrite(data, _block(data, rng), rng.bytes(200)),
    "doubled_block": lambda data, rng: _overwrite(data, slice(*[_block(data, rng).start] * 2), data[_block(data, rng)]),
    "one_bit": lambda data, rng: _flip(data, rng, 1),
    "many_bits": lambda data, rng: _flip(data, rng, 50),
    "header_bits": lambda data, rng: _flip(data, rng, 5, 400),
    "sizes": _sizes,
    "reversed": lambda data, rng: data[::-1],
    "tail_noise": lambda data, rng: data + rng.bytes(500),
    "all_noise": lambda data, rng: bytearray(rng.bytes(len(data))),
}


def _outcome(path: Path) -> Clip | Exception:
    try:
        return read_clip(path)
    except Exception as error:
        return error


@pytest.mark.parametrize("name", ["mpeg4.mp4", "own.mp4", "own.mkv", "sound.wav"])
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_corrupt_file_gives_clip_or_media_error(
    name: str, mutation: str, originals: dict[str, bytes], tmp_path: Path
) -> None:
    for seed in SEEDS:
        rng = np.random.default_rng([seed, list(MUTATIONS).index(mutation)])
        path = tmp_path / f"{seed}-{name}"
        path.write_bytes(bytes(MUTATIONS[mutation](bytearray(originals[name]), rng)))
        outcome = _outcome(path)
        assert isinstance(outcome, Clip | MediaError)
        if isinstance(outcome, MediaError):
            assert outcome.stage == "decode"
            assert outcome.error
            assert str(outcome).startswith(path.name)


@pytest.mark.parametrize("name", ["mpeg4.mp4", "own.mp4", "own.mkv", "sound.wav"])
def test_truncation_is_noticed(name: str, originals: dict[str, bytes], tmp_path: Path) -> None:
    """M2: a file cut anywhere is refused, or lost nothing."""
    data, path = originals[name], tmp_path / name
    path.write_bytes(data)
    whole = read_clip(path)
    for share in np.linspace(0.03, 0.99, 13):
        path.write_bytes(data[: int(share * len(data))])
        try:
            part = read_clip(path)
        except MediaError:
            continue
        assert part.video_duration_s == whole.video_duration_s
        assert (part.audio_duration_s or 0) >= (whole.audio_duration_s or 0) - 0.13, share


def test_missing_and_empty_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        read_clip(tmp_path / "absent.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(MediaError, match="empty file"):
        read_clip(tmp_path / "empty.mp4")
    with pytest.raises(MediaError, match="no such file"):
        read_clip(Path("nul\0byte.mp4"))


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "device.mp4").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.mp4"))
        cases = {
            "pipe": "a pipe",
            "folder": "a folder",
            "dangling": "no such file",
            "device": "a device",
            "socket": "a socket",
        }
        for name, found in cases.items():
            with pytest.raises(MediaError, match=found):
                read_clip(tmp_path / f"{name}.mp4")


def test_names_are_never_protocols_and_play_lists_are_refused(
    originals: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("concat:a|b.mp4").write_bytes(originals["own.mp4"])
    assert read_clip(Path("concat:a|b.mp4")).video is not None
    Path("list.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nconcat:a|b.mp4\n#EXT-X-ENDLIST\n")
    with pytest.raises(MediaError):
        read_clip(Path("list.mp4"))


def test_wrong_suffix_is_read_by_content(originals: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "clip.txt"
    path.write_bytes(originals["own.mkv"])
    assert probe(path).container.startswith("matroska")


def _patched(data: bytes, box: bytes, offset: int, value: bytes) -> bytes:
    changed, place = bytearray(data), data.index(box) + len(box) + offset
    changed[place : place + len(value)] = value
    return bytes(changed)


def _large_pixels(folder: Path, side: int) -> bytes:
    """A Matroska file of 300x300 pixels that claims more."""
    path = folder / "square.mkv"
    write_clip(Clip(video=np.zeros((1, 300, 300, 3), np.uint8), fps=Fraction(24), audio=None, rate_hz=None), path,
               container="mkv")  # fmt: skip
    data = path.read_bytes()
    claim = b"\xb0\x82\x01\x2c\xba\x82\x01\x2c"
    lie = b"\xb0\x82" + side.to_bytes(2, "big") + b"\xba\x82" + side.to_bytes(2, "big")
    assert data.count(claim) == 1
    return data.replace(claim, lie)


def test_bombs_are_refused_from_their_header(originals: dict[str, bytes], tmp_path: Path) -> None:
    """M6: claims of size alone; the files stay a few kilobytes."""
    mp4 = originals["own.mp4"]
    start = mp4.index(b"trak") - 4
    track = mp4[start : start + struct.unpack(">I", mp4[start : start + 4])[0]]
    many = struct.pack(">I4s", 8 + 1000 * len(track), b"moov") + 1000 * track
    bombs = {
        "pixels a frame (9000x9000)": _large_pixels(tmp_path, 9000),
        "cannot be decoded": _large_pixels(tmp_path, 60000),
        "claims 1000000000 frames": _patched(mp4, b"stsz", 4, struct.pack(">II", 1, 10**9)),
        "more than 16 streams": mp4[:32] + many,
        "claims 1000000000 seconds": _patched(originals["own.mkv"], b"\x44\x89\x88", 0, struct.pack(">d", 1e12)),
        "claims 2000000000 Hz": wav_bytes(np.zeros((1, 100)), 2_000_000_000),
    }
    for number, (message, data) in enumerate(bombs.items()):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(data)
        with pytest.raises(MediaError, match=re.escape(message)):
            read_clip(path)


def test_limits_hold_while_decoding(originals: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "own.mkv"
    path.write_bytes(originals["own.mkv"])
    cases = {
        "pixels": Limits(max_pixels=64 * 48 - 1),
        "frames": Limits(max_frames=23),
        "seconds": Limits(max_duration_s=0.5),
        "streams": Limits(max_streams=1),
        "more than 20 frames": Limits(max_bytes=64 * 48 * 3 * 20),
    }
    for message, limits in cases.items():
        with pytest.raises(MediaError, match=message):
            read_clip(path, limits=limits)
    assert read_clip(path, limits=Limits(max_frames=24, max_streams=2)).video is not None


def test_samples_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    samples = np.zeros(1000, "<f4")
    samples[17] = np.nan
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + 4000, b"WAVE", b"fmt ", 16, 3, 1, 8000, 32000, 4, 32,
                         b"data", 4000)  # fmt: skip
    path = tmp_path / "nan.wav"
    path.write_bytes(header + samples.tobytes())
    with pytest.raises(MediaError, match="1 audio samples are not finite"):
        read_clip(path)
