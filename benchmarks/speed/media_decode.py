"""Frames per second of reading a clip, ours against a plain PyAV loop with its default threading.

Paste: python benchmarks/speed/media_decode.py --width 1280 --height 720 --frames 121 --repeats 7
The last line is the peer's time over ours. Both decode picture and sound of one file into arrays.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from ltx2_eval.clip import Clip
from ltx2_eval.media import read_clip, write_clip

Decoded = tuple[NDArray[np.uint8], NDArray[np.float32]]


def sample(width: int, height: int, frames: int) -> Clip:
    """A textured picture that moves, with stereo noise."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3))
    picture = np.kron(coarse, np.ones((8, 8, 1), np.int64))[:height, :width] + generator.integers(
        -4, 5, (height, width, 1)
    )
    texture = np.clip(picture, 0, 255).astype(np.uint8)
    video = np.stack([np.roll(texture, (2 * frame, 3 * frame), axis=(0, 1)) for frame in range(frames)])
    audio = generator.normal(0, 0.1, (2, frames * 2000)).astype(np.float32)
    return Clip(video=video, fps=Fraction(24), audio=audio, rate_hz=48000)


def ours(path: Path) -> Decoded:
    clip = read_clip(path)
    assert clip.video is not None
    assert clip.audio is not None
    return clip.video, clip.audio


def plain(path: Path) -> Decoded:
    """What a script does: decode in order, convert each frame, stack."""
    images, samples = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0, audio=0):
            if isinstance(frame, av.VideoFrame):
                images.append(frame.to_ndarray(format="rgb24"))
            elif isinstance(frame, av.AudioFrame):
                samples.append(frame.to_ndarray())
    return np.stack(images), np.concatenate(samples, axis=1)


def seconds(function: Callable[[Path], Decoded], path: Path) -> float:
    start = time.perf_counter()
    function(path)
    return time.perf_counter() - start


def check_equal(path: Path) -> None:
    (video, audio), (their_video, their_audio) = ours(path), plain(path)
    # A plain loop keeps the encoder's padding at the end of the sound.
    if not np.array_equal(video, their_video) or not np.array_equal(audio, their_audio[:, : audio.shape[1]]):
        raise SystemExit("ours and the plain loop decoded different pixels or samples")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--frames", type=int, default=121)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    times: dict[str, list[float]] = {"ours": [], "plain PyAV": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_clip(sample(arguments.width, arguments.height, arguments.frames), path, container="mp4")
        check_equal(path)
        for _ in range(arguments.repeats):
            times["ours"].append(seconds(ours, path))
            times["plain PyAV"].append(seconds(plain, path))
    print(
        f"{arguments.frames} frames of {arguments.width}x{arguments.height}, {arguments.repeats} rounds, equal output"
    )
    print("reader      frames/s median     min     max")
    for name, values in times.items():
        rates = sorted(arguments.frames / value for value in values)
        print(f"{name:10s}  {statistics.median(rates):15.1f} {rates[0]:7.1f} {rates[-1]:7.1f}")
    print("ratio = median time of the plain loop over ours")
    print(f"ratio: {statistics.median(times['plain PyAV']) / statistics.median(times['ours']):.2f}")


if __name__ == "__main__":
    main()
