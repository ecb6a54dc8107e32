"""Clips keep their pixels, samples and clock through files, and the same clip gives the same bytes."""

import hashlib
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ltx2_benchmarks.synthetic import render, sample_scene
from ltx2_eval.clip import Clip
from ltx2_eval.media import MediaError, probe, read_clip, write_clip


def pattern(frames: int = 12, height: int = 48, width: int = 64) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    images = [np.stack([columns * 3 + 4 * f, rows * 4, np.full_like(rows, 90)], axis=-1) for f in range(frames)]
    return np.clip(images, 0, 255).astype(np.uint8)


def click(rate_hz: int, channels: int = 1, seconds: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(1)
    audio = rng.normal(0, 0.001, (channels, round(seconds * rate_hz) + 37)).astype(np.float32)
    audio[:, audio.shape[1] // 2 :][:, :30] = 0.5
    return audio


def click_time_s(clip: Clip) -> float:
    assert clip.audio is not None
    assert clip.rate_hz is not None
    return clip.audio_start_s + float(np.argmax(np.abs(clip.audio[0]) > 0.25)) / clip.rate_hz


def round_trip(clip: Clip, folder: Path, container: str) -> Clip:
    path = folder / f"clip.{container}"
    write_clip(clip, path, container=container)  # type: ignore[arg-type]
    return read_clip(path)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("rate_hz", [24000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_offset_survives_within_a_millisecond(container: str, rate_hz: int, channels: int, tmp_path: Path) -> None:
    starts = [(0.0, 0.0), (0.1234, 0.0), (0.0, 0.1234), (0.0, -0.05)]
    for number, (video_start_s, audio_start_s) in enumerate(starts):
        clip = Clip(
            video=pattern(),
            fps=Fraction(30000, 1001) if number % 2 else Fraction(24),
            audio=click(rate_hz, channels),
            rate_hz=rate_hz,
            video_start_s=video_start_s,
            audio_start_s=audio_start_s,
        )
        back = round_trip(clip, tmp_path, container)
        assert back.fps == clip.fps
        assert back.frame_times_s is None
        before = click_time_s(clip) - clip.times_s
        after = click_time_s(back) - back.times_s
        assert np.abs(after - before).max() <= 1e-3
        assert back.audio is not None
        assert clip.audio is not None
        silence_s = max(0.0, audio_start_s) if container == "mp4" else 0.0
        assert back.audio.shape == (channels, clip.audio.shape[1] + round(silence_s * rate_hz))


def test_without_offsets_mp4_is_exact_to_the_sample(tmp_path: Path) -> None:
    clip = Clip(video=pattern(), fps=Fraction(24), audio=click(24000, 2), rate_hz=24000)
    back = round_trip(clip, tmp_path, "mp4")
    assert click_time_s(back) == click_time_s(clip)
    assert back.times_s.tolist() == clip.times_s.tolist()


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8])
def test_mkv_keeps_every_bit(channels: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(channels)
    video = rng.integers(0, 256, (5, 37, 51, 3), dtype=np.uint8)  # odd sizes
    audio = rng.normal(0, 2, (channels, 4001)).astype(np.float32)  # beyond full scale
    back = round_trip(Clip(video=video, fps=Fraction(25), audio=audio, rate_hz=11111), tmp_path, "mkv")
    np.testing.assert_array_equal(back.video, video)
    np.testing.assert_array_equal(back.audio, audio)
    assert back.rate_hz == 11111


def test_mp4_colours_are_right(tmp_path: Path) -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [200, 100, 50]], np.uint8)
    video = np.broadcast_to(colours.repeat(16, 0), (3, 48, 96, 3)).copy()
    back = round_trip(Clip(video=video, fps=Fraction(24), audio=None, rate_hz=None), tmp_path, "mp4").video
    assert back is not None
    assert np.abs(back[:, :, 8::16].astype(int) - video[:, :, 8::16]).max() <= 2


def rgb_of(yuv: tuple[int, int, int], red: float, blue: float, full_range: bool) -> np.ndarray:
    """The definition of Y'CbCr (ITU-R BT.601 and BT.709) solved for R'G'B', in 0..255."""
    black, luma_span, chroma_span = (0, 255, 255) if full_range else (16, 219, 224)
    y, b_y, r_y = (yuv[0] - black) / luma_span, (yuv[1] - 128) / chroma_span, (yuv[2] - 128) / chroma_span
    r, b = y + 2 * (1 - red) * r_y, y + 2 * (1 - blue) * b_y
    return 255 * np.clip([r, (y - red * r - blue * b) / (1 - red - blue), b], 0, 1)


@pytest.mark.parametrize(("matrix", "red", "blue"), [(1, 0.2126, 0.0722), (5, 0.299, 0.114), (2, 0.299, 0.114)])
@pytest.mark.parametrize("full_range", [False, True])
def test_matrix_and_range_are_honoured(matrix: int, red: float, blue: float, full_range: bool, tmp_path: Path) -> None:
    """BT.709, BT.601, and unspecified, which small pictures read as BT.601."""
    path = tmp_path / "colour.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full_range else 1
        planes = np.stack([np.full((32, 32), value, np.uint8) for value in (150, 100, 150)])
        frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
        frame.colorspace, frame.color_range = matrix, 2 if full_range else 1
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    video = read_clip(path).video
    assert video is not None
    assert np.abs(video[0, 16, 16] - rgb_of((150, 100, 150), red, blue, full_range)).max() <= 2.5


_CHILD = """
import hashlib, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from ltx2_eval.clip import Clip
from ltx2_eval.media import write_clip
rng = np.random.default_rng(3)
clip = Clip(video=rng.integers(0, 255, (24, 48, 64, 3), dtype=np.uint8), fps=Fraction(24),
            audio=rng.normal(0, 0.1, (2, 24000)).astype(np.float32), rate_hz=24000)
for container in ("mp4", "mkv"):
    path = Path(sys.argv[1]) / f"clip.{container}"
    write_clip(clip, path, container=container)
    print(hashlib.sha256(path.read_bytes()).hexdigest())
"""


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    hashes = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, str(folder)], capture_output=True, text=True, check=True, timeout=120
        )
        hashes.append(done.stdout)
    assert hashes[0] == hashes[1]
    assert len(hashes[0].split()) == 2


def test_what_lies_in_memory_does_not_reach_the_bytes(tmp_path: Path) -> None:
    """x264's mbtree on AVX-512 gave this clip other bytes in one of four writes when memory was used in between."""
    scene = sample_scene(10_000_001, split="test")
    digests = set()
    for _ in range(60):
        made = render(scene)
        clip = Clip(video=made.video, fps=made.fps, audio=made.audio, rate_hz=made.rate_hz)
        write_clip(clip, tmp_path / "clip.mp4", container="mp4")
        digests.add(hashlib.sha256((tmp_path / "clip.mp4").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_same_clip_same_decode(tmp_path: Path) -> None:
    clip = Clip(video=pattern(), fps=Fraction(24), audio=click(24000), rate_hz=24000)
    digests = {hashlib.sha256(round_trip(clip, tmp_path, "mp4").video.tobytes()).hexdigest() for _ in range(3)}  # type: ignore[union-attr]
    assert len(digests) == 1


def test_index_comes_first_for_browsers(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(Clip(video=pattern(), fps=Fraction(24), audio=click(24000), rate_hz=24000), path, container="mp4")
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    header = probe(path)
    assert [stream.codec for stream in header.streams] == ["h264", "aac"]
    video = header.first("video")
    assert video is not None
    assert (video.width, video.height, video.frames, video.fps, video.pixel_format) == (64, 48, 12, 24, "yuv420p")


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_one_stream_or_one_frame_is_enough(container: str, tmp_path: Path) -> None:
    silent = round_trip(Clip(video=pattern(1), fps=Fraction(24), audio=None, rate_hz=None), tmp_path, container)
    assert silent.audio is None
    assert silent.video is not None
    assert silent.video.shape == (1, 48, 64, 3)
    assert silent.fps == 24
    blind = round_trip(Clip(video=None, fps=None, audio=click(16000), rate_hz=16000), tmp_path, container)
    assert blind.video is None
    assert blind.audio is not None
    assert blind.audio.shape == (1, 16037)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_variable_rate_keeps_its_times(container: str, tmp_path: Path) -> None:
    times_s = np.array([0.0, 0.04, 0.09, 0.2, 0.25, 0.5])
    clip = Clip(video=pattern(6), fps=Fraction(12), audio=None, rate_hz=None, frame_times_s=times_s)
    back = round_trip(clip, tmp_path, container)
    assert back.frame_times_s is not None
    np.testing.assert_allclose(back.frame_times_s, times_s, atol=1e-3)


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_rotation_is_applied(degrees: int, tmp_path: Path) -> None:
    path = tmp_path / "turned.mp4"
    video = pattern(2)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=24, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(degrees)
        for image in video:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode(None))
    with av.open(str(path)) as container:
        counterclockwise = next(container.decode(video=0)).rotation
    assert abs(counterclockwise) == abs(degrees)
    back = read_clip(path).video
    assert back is not None
    expected = np.rot90(video, counterclockwise // 90, axes=(1, 2))
    assert back.shape == expected.shape
    assert np.abs(back.astype(int) - expected).mean() < 12
    assert np.abs(back.astype(int) - expected[:, ::-1]).mean() > 20


def test_cover_pictures_are_not_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    write_clip(Clip(video=None, fps=None, audio=click(24000), rate_hz=24000), path, container="mp4")
    assert read_clip(path).video is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"video": np.zeros((2, 47, 64, 3), np.uint8)}, "even sizes"),
        ({"video": np.zeros((0, 48, 64, 3), np.uint8)}, "no pixel"),
        ({"rate_hz": 23456}, "AAC knows"),
        ({"audio": np.zeros((7, 100), np.float32)}, "7 audio channels"),
        ({"audio": np.zeros((1, 0), np.float32)}, "no samples"),
        ({"audio": np.full((1, 100), np.nan, np.float32)}, "not finite"),
    ],
)
def test_what_mp4_cannot_hold_is_refused(change: dict[str, object], message: str, tmp_path: Path) -> None:
    fields = {"video": pattern(2), "fps": Fraction(24), "audio": click(24000), "rate_hz": 24000} | change
    with pytest.raises(ValueError, match=message):
        write_clip(Clip(**fields), tmp_path / "clip.mp4", container="mp4")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected mp4 or mkv"):
        write_clip(Clip(**fields), tmp_path / "clip.avi", container="avi")  # type: ignore[arg-type]


def test_ten_bit_video_is_read_as_eight(tmp_path: Path) -> None:
    path = tmp_path / "ten.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        for image in pattern(3):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p10le")))
        output.mux(stream.encode(None))
    video = read_clip(path).video
    assert video is not None
    assert video.dtype == np.uint8
    assert np.abs(video.astype(int) - pattern(3)).mean() < 12


@pytest.mark.parametrize(("codec", "steps"), [("pcm_s16le", 2**15), ("pcm_s32le", 2**31), ("pcm_u8", 2**7)])
def test_integer_samples_become_fractions_of_full_scale(codec: str, steps: int, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    kind = {"pcm_s16le": "s16", "pcm_s32le": "s32", "pcm_u8": "u8"}[codec]
    values = {"s16": np.array([[-32768, 0, 16384, 0]], np.int16), "s32": np.array([[-(2**31), 0, 2**30, 0]], np.int32)}
    raw = values.get(kind, np.array([[0, 128, 192, 128]], np.uint8))
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=8000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(raw, format=kind, layout="stereo")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    audio = read_clip(path).audio
    assert audio is not None
    assert steps > 0
    np.testing.assert_array_equal(audio, np.array([[-1.0, 0.5], [0.0, 0.0]], np.float32))


def test_file_without_streams_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.mkv"
    path.write_bytes(b"\x1a\x45\xdf\xa3" + bytes(100))
    with pytest.raises(MediaError):
        probe(path)


def test_eight_planes_are_read(tmp_path: Path) -> None:
    clip = Clip(video=None, fps=None, audio=click(16000, 8), rate_hz=16000)
    back = round_trip(clip, tmp_path, "mp4")
    assert back.audio is not None
    assert back.audio.shape == (8, 16037)
    assert click_time_s(back) == pytest.approx(click_time_s(clip), abs=1e-3)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_one_sample_and_eight_channels_are_readable(container: str, tmp_path: Path) -> None:
    audio = np.full((8, 1), 0.25, np.float32)
    back = round_trip(Clip(video=None, fps=None, audio=audio, rate_hz=8000), tmp_path, container)
    assert back.audio is not None
    assert back.audio.shape == (8, 1)
    assert back.rate_hz == 8000
