"""Shapes of clips and latents, and what a pipeline returns.

Letters: b batch, c channels, f frames, h height, w width, m mel bins, n waveform samples, t tokens.
"""

from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

TIME_FACTOR = 8
"""Pixel frames per latent frame (the first latent frame covers one pixel frame)."""
SPACE_FACTOR = 32
"""Pixels per latent cell of the published models, in height and width; a model's own is in its configuration."""


class VideoPixelShape(NamedTuple):
    """A batch of videos in pixels."""

    batch: int
    frames: int
    height: int
    width: int
    fps: Fraction

    @property
    def duration_s(self) -> Fraction:
        """Seconds of video."""
        return self.frames / self.fps

    def validate(self, *, stages: int = 1, cell_px: int = SPACE_FACTOR) -> None:
        """Raise ValueError unless the video VAE can represent this shape: 8k+1 frames, sides of two cells or more.

        With two stages the same must hold for half the height and width.
        """
        for name, value in (("num_frames", self.frames), ("height", self.height), ("width", self.width)):
            check_whole(name, value)
        cell = cell_px * stages
        needed = "it" if stages == 1 else "with two stages it"
        if self.frames < 1 or self.frames % TIME_FACTOR != 1:
            below = max(self.frames - 1, 0) // TIME_FACTOR * TIME_FACTOR + 1
            raise ValueError(
                f"num_frames is {self.frames}; it must be 8k + 1: use {below} or {below + TIME_FACTOR}",
            )
        for name, size in (("height", self.height), ("width", self.width)):
            if size < 2 * cell or size % cell:
                near = max(2, round(size / cell)) * cell
                raise ValueError(
                    f"{name} is {size}; {needed} must be a multiple of {cell} and at least {2 * cell}: use {near}"
                )
        if self.fps <= 0:
            raise ValueError(f"fps is {self.fps}; it must be positive")


def check_whole(name: str, value: object) -> None:
    """Refuse what is no whole number, with a sentence; a truth value, which Python counts as 0 or 1, is none.

    Raises:
        ValueError: with the name, and what was found.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} is {value!r}; it must be a whole number (int)")


class VideoLatentShape(NamedTuple):
    """A batch of video latents; one token per latent cell."""

    batch: int
    channels: int
    frames: int
    height: int
    width: int
    cell_px: int = SPACE_FACTOR
    """Pixels per cell, in height and width."""

    @classmethod
    def from_pixel_shape(
        cls, shape: VideoPixelShape, *, channels: int, cell_px: int = SPACE_FACTOR
    ) -> "VideoLatentShape":
        """Shape of the latent of a video: 8 times smaller in time (after the first frame), `cell_px` times in space."""
        frames = (shape.frames - 1) // TIME_FACTOR + 1
        return cls(shape.batch, channels, frames, shape.height // cell_px, shape.width // cell_px, cell_px)

    @property
    def grid_shape(self) -> tuple[int, int, int, int, int]:
        """Shape `(b, c, f, h, w)` outside the transformer."""
        return (self.batch, self.channels, self.frames, self.height, self.width)

    @property
    def token_count(self) -> int:
        """Tokens per sample."""
        return self.frames * self.height * self.width

    @property
    def token_shape(self) -> tuple[int, int, int]:
        """Shape `(b, t, c)` inside the transformer."""
        return (self.batch, self.token_count, self.channels)


class AudioLatentShape(NamedTuple):
    """A batch of audio latents; one token per latent frame, its features channel-major, then mel."""

    batch: int
    channels: int
    frames: int
    mel_bins: int

    @classmethod
    def from_pixel_shape(
        cls,
        shape: VideoPixelShape,
        *,
        channels: int,
        mel_bins: int,
        rate_hz: float = 25.0,
    ) -> "AudioLatentShape":
        """Shape of the audio that goes with a video: the duration times `rate_hz`, ties rounded to even."""
        frames = round(shape.duration_s * Fraction(rate_hz))
        return cls(shape.batch, channels, frames, mel_bins)

    @property
    def token_count(self) -> int:
        """Tokens per sample."""
        return self.frames

    @property
    def token_shape(self) -> tuple[int, int, int]:
        """Shape `(b, t, c)` inside the transformer."""
        return (self.batch, self.frames, self.channels * self.mel_bins)


class StageCost(NamedTuple):
    """What one stage of a generation took."""

    name: str
    seconds: float
    peak_bytes: int
    """Peak resident memory of the process during the stage; on CUDA, peak bytes allocated on the device."""
    step_s: tuple[float, ...] = ()
    """Stages that sample: seconds of each step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioVideo:
    """One generated clip."""

    video: "Tensor"
    """uint8 `(f, h, w, 3)`, RGB, on the CPU."""
    fps: Fraction
    waveform: "Tensor"
    """float32 `(c, n)` in -1..1, on the CPU. Up to 50 ms shorter than the video (LTX-2's own audio length)."""
    rate_hz: int
    stages: tuple[StageCost, ...]
    nfe: int
    """Network function evaluations: transformer passes per sample, guidance passes and tiles counted one by one."""
    nfe_refine: int = 0
    """Those of them at full size, in the second of two stages."""
    prompt_tokens: int = 0
    """Of the prompt, with `<bos>`, before it was cut to what the model reads."""
    lost_tokens: tuple[int, ...] = ()
    """How many were cut off the prompt and, where the guidance reads one, the negative prompt."""
    prompts_encoded: int = 0
    """Prompts that were encoded for this clip; 0 where they were known from the clip before."""
