"""One clip on its way from text embeddings to clean latents, through one stage or two."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from ltx2.checkpoint import Modules
from ltx2.conditioning import Conditions, encode_audio, encode_image, encode_video
from ltx2.denoise import GuidedDenoiser, SkippingDenoiser
from ltx2.guidance import Guidance
from ltx2.plan import StagePlan
from ltx2.rope import StreamRope, audio_positions, video_positions
from ltx2.sample import Callback, Latents, NoiseSource
from ltx2.stage import StageState, StreamState, guide_positions, run_stage
from ltx2.text import TextEmbeddings
from ltx2.tiled import TiledDenoiser, cut_tiles, rope_at
from ltx2.types import VideoLatentShape
from ltx2.upsampler import LatentUpsampler, upsample


class Sampled(NamedTuple):
    """What a stage made."""

    latents: Latents
    nfe: int


class Generation:
    """The stages of one clip; they share its text, its conditions and its noise.

    Args:
        modules: The model.
        conditions: What is given besides.
        noise: Of this clip, in the order of use: first stage, fresh noise of its steps, second stage.
        batch_passes: As in `SamplingSettings`.
        callback: Called after each step of each stage.
        started: Called in each stage when its first step begins.
    """

    def __init__(
        self,
        modules: Modules,
        conditions: Conditions,
        *,
        noise: NoiseSource,
        batch_passes: bool | None = None,
        callback: Callback | None = None,
        started: Callable[[], None] | None = None,
    ) -> None:
        self._modules = modules
        self._started = started
        self._conditions = conditions
        self._noise = noise
        self._batch_passes = batch_passes
        self._callback = callback
        self._device = modules.transformer.patchify_proj.weight.device

    def sample(self, plan: StagePlan, text: TextEmbeddings, start: Latents | None = None) -> Sampled:
        """Run one stage.

        Args:
            plan: The stage.
            text: Of the prompt and, where the guidance needs it, of the negative prompt.
            start: Latents of the stage before, the video's at this stage's size; None for the first stage.

        Raises:
            ValueError: The result is not finite.
        """
        state = self._state(plan, start)
        computing = self._denoiser(plan, text, state)
        skip = plan.guidance.skip_steps
        denoiser = SkippingDenoiser(computing, skip) if any(skip) else computing
        if self._started is not None:
            self._started()
        latents = run_stage(
            denoiser,
            state,
            plan.sigmas,
            sampler=plan.sampler,
            noise=self._noise,
            generated=plan.video.token_count,
            callback=self._callback,
        )
        if not all(x.isfinite().all() for x in latents):
            dtype = self._modules.transformer.patchify_proj.weight.dtype
            raise ValueError(
                f"the latents are not finite after denoising in {dtype}; load with a wider dtype, or guide less"
            )
        return Sampled(latents, denoiser.nfe)

    def enlarge(self, upsampler: LatentUpsampler, latents: Latents, shape: VideoLatentShape) -> Latents:
        """Double the video latent of this shape in height and width, or in frames."""
        sizes = {"f": shape.frames, "h": shape.height, "w": shape.width}
        video = rearrange(latents.video, "b (f h w) c -> b c f h w", **sizes)
        large = upsample(upsampler, video, self._modules.video_vae.per_channel_statistics)
        return Latents(rearrange(large, "b c f h w -> b (f h w) c"), latents.audio)

    def _state(self, plan: StagePlan, start: Latents | None) -> StageState:
        return StageState(self._video_state(plan, start), self._audio_state(plan, start))

    def _video_state(self, plan: StagePlan, start: Latents | None) -> StreamState:
        vae, conditions, fps = self._modules.video_vae, self._conditions, plan.pixels.fps
        positions = video_positions(plan.video, fps, self._device)
        if conditions.video is not None:
            return StreamState(encode_video(vae, conditions.video), positions).given()
        clean = torch.zeros(plan.video.token_shape, device=self._device) if start is None else start.video
        state = StreamState(clean, positions)
        for image in sorted(conditions.images, key=lambda image: image.frame):
            tokens = encode_image(vae, image, plan.pixels.height, plan.pixels.width)
            if image.frame == 0 and not image.guide:
                state = state.at_first_frame(tokens, image.strength)
            else:
                places = guide_positions(plan.video, image.frame / plan.frame_step, fps, self._device)
                state = state.with_guide(tokens, places, image.strength)
        return state

    def _audio_state(self, plan: StagePlan, start: Latents | None) -> StreamState:
        vae, audio = self._modules.audio_vae, self._conditions.audio
        positions = audio_positions(plan.audio, vae.config, self._device)
        if start is not None:
            clean = start.audio
        elif audio is not None:
            clean = encode_audio(vae, audio, plan.audio.frames, float(plan.pixels.duration_s))
        else:
            clean = torch.zeros(plan.audio.token_shape, device=self._device)
        state = StreamState(clean, positions)
        return state.given() if plan.keeps_audio else state

    def _denoiser(self, plan: StagePlan, text: TextEmbeddings, state: StageState) -> GuidedDenoiser | TiledDenoiser:
        transformer = self._modules.transformer
        video_rope = transformer.video_rope(state.video.positions)
        audio_rope = transformer.audio_rope(state.audio.positions)
        if plan.tiles is None:
            return self._guided(plan.guidance, text, video_rope, audio_rope, state.masks)
        tiles = cut_tiles(plan.video, plan.tiles, state.video.positions, state.audio.positions)
        of_one = self._guided(plan.guidance, text, rope_at(video_rope, tiles[0].tokens), audio_rope)
        return TiledDenoiser(of_one, video_rope=video_rope, audio_rope=audio_rope, tiles=tiles, masks=state.masks)

    def _guided(
        self,
        guidance: Guidance,
        text: TextEmbeddings,
        video_rope: StreamRope,
        audio_rope: StreamRope,
        masks: tuple[Tensor | None, Tensor | None] = (None, None),
    ) -> GuidedDenoiser:
        return GuidedDenoiser(
            self._modules.transformer,
            text,
            video_rope=video_rope,
            audio_rope=audio_rope,
            guidance=guidance,
            batch_passes=self._batch_passes,
            masks=masks,
        )
