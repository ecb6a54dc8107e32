"""What a request comes to: the stages of a generation, checked before any work."""

from typing import NamedTuple

from ltx2.conditioning import Conditions
from ltx2.config import LTX2Config
from ltx2.guidance import Guidance
from ltx2.perturbation import plan_blocks
from ltx2.schedule import sigmas_for
from ltx2.settings import RefineSettings, SamplerName, SamplingSettings, Tiles
from ltx2.types import TIME_FACTOR, AudioLatentShape, VideoLatentShape, VideoPixelShape, check_whole

MAX_SEED = 2**63 - 1


class StagePlan(NamedTuple):
    """One stage of a generation."""

    name: str
    """As its cost is recorded: `denoise` or `refine`."""
    pixels: VideoPixelShape
    video: VideoLatentShape
    audio: AudioLatentShape
    sigmas: tuple[float, ...]
    guidance: Guidance
    sampler: SamplerName
    lora_strength: float
    keeps_audio: bool
    """Whether the audio of the stage before is shown as it is."""
    tiles: Tiles | None = None
    frame_step: int = 1
    """Frames of the clip from one frame of this stage to the next."""

    @property
    def evaluations(self) -> int:
        """How often the guided model is evaluated; a step that only one stream skips counts as one."""
        steps = len(self.sigmas) - 1
        return 2 * steps + 1 if self.sampler == "res_2s" else -(-steps // (min(self.guidance.skip_steps) + 1))


def plan_stages(
    config: LTX2Config,
    pixels: VideoPixelShape,
    *,
    seed: int,
    settings: SamplingSettings,
    conditions: Conditions,
) -> tuple[StagePlan, ...]:
    """The stages of a generation, in order.

    Raises:
        ValueError: A size, frame rate, seed, setting or condition that the model cannot run.
    """
    refine = settings.refine
    pixels.validate(stages=1 if refine is None else 2, cell_px=config.video_vae.spatial_factor)
    check_whole("seed", seed)
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed is {seed}; it must be from 0 to 2^63 - 1")
    conditions.validate(pixels)
    if refine is None:
        stages = [_first(config, pixels, settings, conditions)]
    else:
        if conditions.video is not None:
            raise ValueError("the video is given: there is nothing to refine; use settings without a second stage")
        second = _second(config, pixels, refine, conditions)
        first = _first(config, _half(pixels, frames=refine.double_frames), settings, conditions)
        # Both stages have the whole clip's sound: half the frames at half the rate last one frame longer.
        stages = [first._replace(audio=second.audio, frame_step=2 if refine.double_frames else 1), second]
    for stage in stages:
        perturbations = [stage.guidance.perturbation(name) for name in stage.guidance.passes]
        plan_blocks(perturbations, num_layers=config.transformer.num_layers)
    return tuple(stages)


def _half(pixels: VideoPixelShape, *, frames: bool) -> VideoPixelShape:
    """Half the height and width; with `frames`, also every other frame."""
    small = pixels._replace(height=pixels.height // 2, width=pixels.width // 2)
    if not frames:
        return small
    step = 2 * TIME_FACTOR
    if pixels.frames % step != 1 or pixels.frames < step:
        below = max((pixels.frames - 1) // step, 1) * step + 1
        raise ValueError(
            f"num_frames is {pixels.frames}; with double_frames it must be {step}k + 1: use {below} or {below + step}"
        )
    return small._replace(frames=(pixels.frames + 1) // 2, fps=pixels.fps / 2)


def _first(
    config: LTX2Config, pixels: VideoPixelShape, settings: SamplingSettings, conditions: Conditions
) -> StagePlan:
    video, audio = _latent_shapes(config, pixels)
    return StagePlan(
        name="denoise",
        pixels=pixels,
        video=video,
        audio=audio,
        sigmas=sigmas_for(settings.schedule, settings.steps, video.token_count),
        guidance=conditions.guidance(settings.guidance),
        sampler=settings.sampler,
        lora_strength=settings.lora_strength or 0.0,
        keeps_audio=conditions.audio is not None,
    )


def _second(config: LTX2Config, pixels: VideoPixelShape, settings: RefineSettings, conditions: Conditions) -> StagePlan:
    video, audio = _latent_shapes(config, pixels)
    return StagePlan(
        name="refine",
        pixels=pixels,
        video=video,
        audio=audio,
        sigmas=sigmas_for(settings.sigmas, len(settings.sigmas) - 1, video.token_count),
        guidance=conditions.guidance(settings.guidance),
        sampler=settings.sampler,
        lora_strength=settings.lora_strength or 0.0,
        keeps_audio=conditions.audio is not None or settings.audio == "keep",
        tiles=settings.tiles,
    )


def _latent_shapes(config: LTX2Config, pixels: VideoPixelShape) -> tuple[VideoLatentShape, AudioLatentShape]:
    sizes = config.audio_vae
    audio = AudioLatentShape.from_pixel_shape(
        pixels, channels=sizes.latent_channels, mel_bins=sizes.latent_mel_bins, rate_hz=sizes.latent_rate_hz
    )
    if audio.frames < 1:
        raise ValueError(f"{float(pixels.duration_s):.3g} s hold no audio latent; ask for more frames or a lower fps")
    vae = config.video_vae
    return VideoLatentShape.from_pixel_shape(pixels, channels=vae.latent_channels, cell_px=vae.spatial_factor), audio
