"""What a clip can be conditioned on besides its prompt: pictures at given frames, a given sound, a given video."""

from dataclasses import dataclass, replace
from typing import Any

import soxr
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from ltx2.audio_vae import AudioVAE
from ltx2.guidance import Guidance, StreamGuidance
from ltx2.image import CRF, MAX_CRF, prepare_image
from ltx2.mel import log_mel
from ltx2.streaming import Streaming
from ltx2.types import VideoPixelShape
from ltx2.video_vae import VideoVAE

_MARGIN_S = 0.5
"""What follows the clip in a longer sound is encoded only as far as the spectrogram's window and filters reach."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageCondition:
    """A picture the clip shall show at one frame."""

    image: Tensor
    """uint8 `(h, w, 3)`, RGB, any size: scaled to cover the clip, then cut to it."""
    frame: int = 0
    """Frame of the clip, from 0."""
    strength: float = 1.0
    """Above 0, at most 1: 1 keeps the picture, less lets the model change it."""
    crf: int = CRF
    """H.264 compression the picture goes through first, so that it looks like a video frame; 0 for none."""
    guide: bool = False
    """At frame 0: show the picture to the model beside the first frame instead of in its place, as at all others."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GivenAudio:
    """A sound to make the picture for. It is delivered as it is, cut or padded with silence to the clip's duration."""

    waveform: Tensor
    """float `(c, n)` in -1..1, mono or stereo."""
    rate_hz: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Conditions:
    """Everything a clip is conditioned on; the default is nothing."""

    images: tuple[ImageCondition, ...] = ()
    audio: GivenAudio | None = None
    """Generate the video only, for this sound."""
    video: Tensor | None = None
    """Generate the audio only, for these frames: uint8 `(f, h, w, 3)` of the clip's size."""

    def validate(self, pixels: VideoPixelShape) -> None:
        """Raise ValueError unless a clip of this shape can be conditioned so."""
        if self.video is not None:
            _check_video(self.video, pixels, alone=not self.images and self.audio is None)
        if self.audio is not None:
            _check_audio(self.audio)
        for image in self.images:
            _check_image(image, pixels)
        frames = [image.frame for image in self.images]
        if len(set(frames)) < len(frames):
            raise ValueError(f"conditioning images at frames {sorted(frames)}; give one image per frame")

    def guidance(self, guidance: Guidance) -> Guidance:
        """The guidance without the terms of a given stream, which would change nothing and could cost passes."""
        neutral = 1.0 if guidance.convention == "code" else 0.0

        def none(generated: StreamGuidance) -> StreamGuidance:
            return StreamGuidance(text=neutral, modality=neutral, skip_steps=generated.skip_steps)

        video = guidance.video if self.video is None else none(guidance.audio)
        audio = guidance.audio if self.audio is None else none(guidance.video)
        blocks = guidance.stg_blocks if video.stg or audio.stg else ()
        return replace(guidance, video=video, audio=audio, stg_blocks=blocks)


def encode_image(vae: VideoVAE, condition: ImageCondition, height: int, width: int) -> Tensor:
    """Tokens of a picture at the size of a clip, float32 `(1, h * w, c)` on the autoencoder's device."""
    return encode_frames(vae, prepare_image(condition.image, height, width, crf=condition.crf))


def encode_video(vae: VideoVAE, video: Tensor) -> Tensor:
    """Tokens of uint8 frames `(f, h, w, 3)`, float32 `(1, t, c)` on the autoencoder's device."""
    return encode_frames(vae, rearrange(video.float() / 127.5 - 1, "f h w c -> 1 c f h w"))


def encode_frames(vae: VideoVAE, frames: Tensor) -> Tensor:
    """Tokens of float frames `(1, 3, f, h, w)` in -1..1, float32 `(1, t, c)` on the autoencoder's device."""
    weight = next(vae.encoder.parameters())
    latent = vae.encode(frames.to(weight.device, weight.dtype), streaming=Streaming(size=8))
    return rearrange(latent.float(), "b c f h w -> b (f h w) c")


def encode_audio(vae: AudioVAE, audio: GivenAudio, frames: int, duration_s: float) -> Tensor:
    """Tokens of a sound, float32 `(1, frames, c)` on the autoencoder's device.

    Args:
        vae: The audio autoencoder.
        audio: The sound.
        frames: Latent frames wanted.
        duration_s: Of the clip; a shorter sound is followed by silence.
    """
    config, weight = vae.config, next(vae.encoder.parameters())
    waveform = audio.waveform.float().cpu()[:, : round((duration_s + _MARGIN_S) * audio.rate_hz)]
    if audio.rate_hz != config.rate_hz:
        waveform = torch.from_numpy(soxr.resample(waveform.T.contiguous().numpy(), audio.rate_hz, config.rate_hz)).T
    shortest = max(round(duration_s * config.rate_hz), config.filter_length // 2 + 1)
    waveform = F.pad(waveform, (0, max(0, shortest - waveform.shape[1])))
    stereo = waveform.expand(config.in_channels, -1)[None]
    latent = vae.encode(log_mel(stereo, config).to(weight.device, weight.dtype))
    return rearrange(latent.float(), "b c t m -> b t (c m)")[:, :frames]


def delivered_audio(audio: GivenAudio, duration_s: float) -> Tensor:
    """The given sound for exactly the clip's duration, float32 `(c, n)` on the CPU, at its own rate."""
    waveform = audio.waveform.float().cpu()
    length = round(duration_s * audio.rate_hz)
    return F.pad(waveform[:, :length], (0, max(0, length - waveform.shape[1]))).contiguous()


def _check_image(condition: ImageCondition, pixels: VideoPixelShape) -> None:
    if not _is_frames(condition.image, 3) or min(condition.image.shape[:2]) < 2:
        raise ValueError(
            f"conditioning image for frame {condition.frame} is {_described(condition.image)}; "
            "expected a uint8 tensor (height, width, 3), at least 2 x 2"
        )
    if not 0 <= condition.frame < pixels.frames:
        raise ValueError(f"conditioning image at frame {condition.frame}; the clip has frames 0 to {pixels.frames - 1}")
    if not 0 < condition.strength <= 1:
        raise ValueError(f"conditioning strength is {condition.strength}; it must be above 0 and at most 1")
    if not 0 <= condition.crf <= MAX_CRF:
        raise ValueError(f"conditioning crf is {condition.crf}; it must be from 0 (no compression) to {MAX_CRF}")


def _check_audio(audio: GivenAudio) -> None:
    wave = audio.waveform
    is_sound = isinstance(wave, Tensor) and wave.is_floating_point() and wave.ndim == 2 and wave.shape[0] in (1, 2)
    if not is_sound or not wave.shape[1]:
        raise ValueError(f"given audio is {_described(wave)}; expected a float tensor (1 or 2 channels, samples)")
    if audio.rate_hz <= 0:
        raise ValueError(f"given audio has rate_hz {audio.rate_hz}; it must be positive")
    if not wave.isfinite().all():
        raise ValueError("given audio has samples that are not finite; clean it first")


def _check_video(video: Tensor, pixels: VideoPixelShape, *, alone: bool) -> None:
    if not alone:
        raise ValueError("the video is given: images or audio beside it would have no effect; leave them out")
    expected = (pixels.frames, pixels.height, pixels.width, 3)
    if not _is_frames(video, 4) or tuple(video.shape) != expected:
        raise ValueError(f"given video is {_described(video)}; expected a uint8 tensor of shape {expected}")


def _is_frames(value: Any, dims: int) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.uint8 and value.ndim == dims and value.shape[-1] == 3


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"
