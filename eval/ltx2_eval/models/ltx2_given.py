"""What a clip is conditioned on from the command line: files that settings of `ltx2:` models name.

They are settings of the model and not fields of prompts: a system that is shown a first frame is another system than
one that is not, its run records so, and both can be compared on the same suite. A name may hold `{prompt_id}`, `{seed}`
and `{sample}`, so that each prompt gets its own file: `image=frames/{prompt_id}.png`.
"""

import functools
import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ltx2_benchmarks.nearest import unknown
from ltx2_eval.clip import Clip
from ltx2_eval.media import read_clip
from ltx2_eval.media_probe import MediaError
from ltx2_eval.models.base import DamagedInput, GenerationRequest
from ltx2_reports.records import Scalar
from ltx2_reports.store import canonical_hash, file_hash

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ltx2 import Conditions, GivenAudio, ImageCondition

GIVEN = ("image", "keyframes", "image_strength", "audio", "video")
"""Settings: a first frame; frames by number, as in `48:b.png+96:c.png`; how far pictures are kept, above 0 to 1; a
file whose sound is given; a file whose video is given."""
_FIELDS = ("prompt_id", "seed", "sample")
_FIELD = re.compile(r"\{([^{}]*)\}")
_KEYFRAME = re.compile(r"(\d{1,5}):(.+)")
_KEPT = 8
_PICTURES = "PNG, JPEG, WebP, or a video, whose first frame is taken"


class _Picture(NamedTuple):
    frame: int
    name: str


class Given:
    """The files that settings name, for every request.

    Raises:
        ValueError: a name with an unknown field, or a value that means nothing.
    """

    def __init__(self, options: dict[str, str]) -> None:
        first = [_Picture(0, options["image"])] if "image" in options else []
        self._pictures = (*first, *_keyframes(options.get("keyframes", "")))
        self._strength = _strength(options.get("image_strength"), has_pictures=bool(self._pictures))
        self._sounds = {key: options[key] for key in ("audio", "video") if key in options}
        for name in self._names:
            _check_fields(name)

    def __bool__(self) -> bool:
        return bool(self._names)

    @property
    def _names(self) -> tuple[str, ...]:
        return (*(picture.name for picture in self._pictures), *self._sounds.values())

    def identity(self) -> dict[str, Scalar]:
        """What was given, by content; files of their own per prompt by all that such a name can mean."""
        found: dict[str, Scalar] = {
            f"given_frame_{picture.frame}_sha256": _content_hash(picture.name) for picture in self._pictures
        }
        if self._pictures:
            found["image_strength"] = self._strength
        return found | {f"given_{key}_sha256": _content_hash(name) for key, name in self._sounds.items()}

    def details(self, request: GenerationRequest) -> dict[str, Scalar]:
        """Names of this request's files, where they differ from request to request."""
        named = {f"given_frame_{p.frame}": p.name for p in self._pictures}
        named |= {f"given_{key}": name for key, name in self._sounds.items()}
        return {key: _path(name, request).name for key, name in named.items() if _FIELD.search(name)}

    def conditions(self, request: GenerationRequest) -> "Conditions":
        """The files' contents.

        Raises:
            ValueError: a file that is missing, cannot be read or does not hold what is wanted.
        """
        from ltx2 import Conditions

        sound, video = (self._sounds.get(key) for key in ("audio", "video"))
        return Conditions(
            images=tuple(self._image(picture, request) for picture in self._pictures),
            audio=None if sound is None else _audio(_path(sound, request)),
            video=None if video is None else _video(_path(video, request), request),
        )

    def _image(self, picture: _Picture, request: GenerationRequest) -> "ImageCondition":
        import torch

        from ltx2 import ImageCondition

        pixels = _pixels(_path(picture.name, request))
        return ImageCondition(image=torch.from_numpy(pixels), frame=picture.frame, strength=self._strength)


def _keyframes(text: str) -> tuple[_Picture, ...]:
    found = []
    for part in text.split("+") if text else []:
        match = _KEYFRAME.fullmatch(part)
        if match is None:
            raise ValueError(
                f"keyframes: found {part!r}, expected FRAME:FILE, several joined by +, as in 48:b.png+96:c.png"
            )
        found.append(_Picture(int(match[1]), match[2]))
    return tuple(found)


def _strength(text: str | None, *, has_pictures: bool) -> float:
    if text is None:
        return 1.0
    if not has_pictures:
        raise ValueError("image_strength is set and no picture is given: add image=FILE or keyframes=FRAME:FILE")
    if not re.fullmatch(r"0?\.\d{1,6}|1(\.0{1,6})?", text) or float(text) <= 0:
        raise ValueError(f"image_strength is {text!r}; expected a number above 0, at most 1, such as 0.8")
    return float(text)


def _check_fields(name: str) -> None:
    for field in _FIELD.findall(name):
        if field not in _FIELDS:
            raise ValueError(f"{name}: {unknown('field', field, _FIELDS)}")


def _path(name: str, request: GenerationRequest) -> Path:
    values = {"prompt_id": request.prompt_id, "seed": str(request.seed), "sample": request.sample}
    return Path(_FIELD.sub(lambda match: values[match[1]], name)).expanduser()


def _content_hash(name: str) -> str:
    path = Path(name).expanduser()
    if not _FIELD.search(name):
        if not path.is_file():
            raise ValueError(f"{path} is no file; name the picture, sound or video that is given")
        return file_hash(path)
    if _FIELD.search(str(path.parent)):
        raise ValueError(f"{name}: fields may stand in the name of the file only, not of its folder")
    pattern = re.compile(".+".join(re.escape(part) for part in _FIELD.split(path.name)[::2]))
    files = sorted(file for file in path.parent.glob("*") if file.is_file() and pattern.fullmatch(file.name))
    if not files:
        raise ValueError(f"{name}: {path.parent} holds no such file")
    return canonical_hash([[file.name, file_hash(file)] for file in files])


@functools.lru_cache(maxsize=_KEPT)
def _pixels(path: Path) -> "NDArray[np.uint8]":
    """uint8 `(h, w, 3)` of a picture, or of the first frame of a video."""
    import av
    import numpy as np

    if not path.is_file():
        raise ValueError(f"image: {path} is no file")
    if not path.stat().st_size:
        raise DamagedInput(f"image: {path.name} is empty; expected {_PICTURES}")
    try:
        with av.open(f"file:{path}", options={"protocol_whitelist": "file"}) as container:
            has_picture = bool(container.streams.video)
            frame = next(container.decode(video=0)) if has_picture else None
            pixels: NDArray[np.uint8] | None = None
            if frame is not None:
                pixels = np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
    except (av.error.FFmpegError, StopIteration, IndexError, ValueError) as error:
        raise DamagedInput(
            f"image: {path.name} cannot be read as a picture: it is damaged, or none; expected {_PICTURES}"
        ) from error
    if pixels is None:
        raise ValueError(f"image: {path.name} holds no picture; expected {_PICTURES}")
    return pixels


@functools.lru_cache(maxsize=_KEPT)
def _audio(path: Path) -> "GivenAudio":
    import torch

    from ltx2 import GivenAudio

    clip = _read("audio", path)
    if clip.audio is None or clip.rate_hz is None:
        raise ValueError(f"audio: {path.name} has no sound")
    waveform = torch.from_numpy(clip.audio)
    return GivenAudio(waveform=waveform if len(waveform) <= 2 else waveform[:2], rate_hz=clip.rate_hz)


def _video(path: Path, request: GenerationRequest) -> "Tensor":
    import torch

    clip = _read("video", path)
    if clip.video is None or clip.fps is None:
        raise ValueError(f"video: {path.name} has no pictures")
    found = (*clip.video.shape[:3], clip.fps)
    expected = (request.num_frames, request.height, request.width, Fraction(request.fps))
    if found[0] < expected[0] or found[1:] != expected[1:]:
        told, wanted = (f"{f} frames of {w}x{h} at {float(fps):.6g} fps" for f, h, w, fps in (found, expected))
        raise ValueError(f"video: {path.name} has {told}, the clip {wanted}; convert it, or ask for its size")
    return torch.from_numpy(clip.video[: request.num_frames].copy())


def _read(key: str, path: Path) -> Clip:
    try:
        return read_clip(path)
    except MediaError as error:
        if not path.is_file():
            raise ValueError(f"{key}: {error}") from error
        if _is_picture(path):
            raise ValueError(
                f"{key}: {path.name} is a picture; expected a file with {'sound' if key == 'audio' else 'a video'}"
            ) from error
        raise DamagedInput(f"{key}: {error}") from error


def _is_picture(path: Path) -> bool:
    try:
        return len(_pixels(path)) > 0
    except ValueError:
        return False
