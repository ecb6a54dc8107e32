"""From a prompt to a clip with sound, in one stage at the size asked for."""

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from ltx2.checkpoint import Modules, load
from ltx2.config import LTX2Config
from ltx2.cost import CostLog
from ltx2.denoise import GuidedDenoiser
from ltx2.gemma import GemmaEncoder
from ltx2.perturbation import plan_blocks
from ltx2.rope import audio_positions, video_positions
from ltx2.sample import Callback, Latents, NoiseSource, sample_euler
from ltx2.schedule import sigmas_for
from ltx2.settings import SamplingSettings
from ltx2.text import TextEmbeddings
from ltx2.types import AudioLatentShape, AudioVideo, VideoLatentShape, VideoPixelShape

TEXT_ENCODER_FOLDER = "text_encoder"


class _Shapes(NamedTuple):
    video: VideoLatentShape
    audio: AudioLatentShape


class Pipeline:
    """A loaded LTX-2 model. Calls leave no global state changed and do not depend on each other.

    Args:
        modules: From `ltx2.checkpoint.load`, on one device and of one dtype.
        text_encoder: The language model the checkpoint was trained with.

    Raises:
        ValueError: A language model of another width or depth.
    """

    def __init__(self, modules: Modules, text_encoder: GemmaEncoder) -> None:
        self.modules = modules
        self.text_encoder = text_encoder
        self.device = modules.transformer.patchify_proj.weight.device
        self.dtype = modules.transformer.patchify_proj.weight.dtype
        text, gemma = modules.config.text, text_encoder.model.config
        found, expected = (gemma.hidden_size, gemma.num_hidden_layers + 1), (text.hidden_size, text.num_hidden_states)
        if found != expected:
            raise ValueError(
                f"the text encoder gives {found[1]} hidden states of width {found[0]}; the checkpoint was trained "
                f"with {expected[1]} of width {expected[0]}: pass text_encoder=, the folder of that Gemma 3"
            )

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        text_encoder: str | Path | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> "Pipeline":
        """Load from local files; nothing is fetched.

        Args:
            path: A checkpoint in the published layout, or a folder with one.
            text_encoder: Folder of a Gemma 3 in Hugging Face layout; `text_encoder` beside the checkpoint if None.
            device: Where everything runs.
            dtype: Of all weights and activations; latents stay float32.

        Raises:
            FileNotFoundError: Nothing at a path.
            ValueError: A file that is broken, unsupported or does not fit (see `ltx2.checkpoint.load`).
        """
        path = Path(path)
        folder = (
            (path if path.is_dir() else path.parent) / TEXT_ENCODER_FOLDER if text_encoder is None else text_encoder
        )
        modules = load(path, device=device, dtype=dtype)
        gemma = GemmaEncoder.load(folder, max_tokens=modules.config.text.max_tokens, device=device, dtype=dtype)
        return cls(modules, gemma)

    @property
    def config(self) -> LTX2Config:
        """Sizes of the loaded model."""
        return self.modules.config

    @torch.no_grad()
    def __call__(
        self,
        prompt: str,
        *,
        seed: int,
        num_frames: int,
        height: int,
        width: int,
        fps: Fraction | int = 24,
        negative_prompt: str = "",
        settings: SamplingSettings | None = None,
        callback: Callback | None = None,
    ) -> AudioVideo:
        """Generate one clip.

        Args:
            prompt: What to show and sound.
            seed: The same seed means the same noise on every device.
            num_frames: 8k + 1.
            height: Multiple of 32, at least 64.
            width: Multiple of 32, at least 64.
            fps: Frames per second.
            negative_prompt: What to guide away from; used if the guidance has a text term.
            settings: Steps, guidance and schedule; `SamplingSettings()` if None.
            callback: Called after each step.

        Returns:
            The clip, with the cost of the stages `text`, `denoise`, `video_decode`, `audio_decode`.

        Raises:
            ValueError: A size, seed or setting the model cannot run; raised before any work.
        """
        settings = settings or SamplingSettings()
        fps = Fraction(fps)
        shapes = self._shapes(VideoPixelShape(1, num_frames, height, width, fps))
        sigmas = sigmas_for(settings.schedule, settings.steps, shapes.video.token_count)
        self._check(settings, seed)
        log = CostLog(self.device)
        with log.stage("text"):
            embeddings = self._encode(prompt, negative_prompt if "text" in settings.guidance.passes else None)
        with log.stage("denoise"):
            denoiser = self._denoiser(embeddings, shapes, fps, settings)
            noise = NoiseSource(seed, self.device).latents(shapes.video.token_shape, shapes.audio.token_shape)
            latents = sample_euler(denoiser, noise, sigmas, callback=callback)
            self._check_finite(latents)
        with log.stage("video_decode"):
            video = self._decode_video(latents.video, shapes.video)
        with log.stage("audio_decode"):
            waveform = self._decode_audio(latents.audio, shapes.audio)
        return AudioVideo(
            video=video,
            fps=fps,
            waveform=waveform,
            rate_hz=self.config.vocoder.rate_hz,
            stages=log.stages,
            nfe=denoiser.nfe,
        )

    def _shapes(self, pixels: VideoPixelShape) -> _Shapes:
        pixels.validate()
        audio = self.config.audio_vae
        return _Shapes(
            VideoLatentShape.from_pixel_shape(pixels, channels=self.config.video_vae.latent_channels),
            AudioLatentShape.from_pixel_shape(
                pixels, channels=audio.latent_channels, mel_bins=audio.latent_mel_bins, rate_hz=audio.latent_rate_hz
            ),
        )

    def _check(self, settings: SamplingSettings, seed: int) -> None:
        if not 0 <= seed < 2**63:
            raise ValueError(f"seed is {seed}; it must be from 0 to 2^63 - 1")
        perturbations = [settings.guidance.perturbation(name) for name in settings.guidance.passes]
        plan_blocks(perturbations, num_layers=self.config.transformer.num_layers)

    def _check_finite(self, latents: Latents) -> None:
        if not all(x.isfinite().all() for x in latents):
            raise ValueError(
                f"the latents are not finite after denoising in {self.dtype}; load with a wider dtype, or guide less"
            )

    def _encode(self, prompt: str, negative_prompt: str | None) -> TextEmbeddings:
        """Contexts of the prompt and, in row 1, of the negative prompt, each encoded alone so that the bits of one do
        not depend on the other.
        """
        prompts = [prompt] if negative_prompt is None else [prompt, negative_prompt]
        rows = [self.modules.connectors(*self.text_encoder([text])) for text in prompts]
        return TextEmbeddings(*(torch.cat(parts) for parts in zip(*rows, strict=True)))

    def _denoiser(
        self, embeddings: TextEmbeddings, shapes: _Shapes, fps: Fraction, settings: SamplingSettings
    ) -> GuidedDenoiser:
        transformer = self.modules.transformer
        return GuidedDenoiser(
            transformer,
            embeddings,
            video_rope=transformer.video_rope(video_positions(shapes.video, fps, self.device)),
            audio_rope=transformer.audio_rope(audio_positions(shapes.audio, self.config.audio_vae, self.device)),
            guidance=settings.guidance,
            batch_passes=settings.batch_passes,
        )

    def _decode_video(self, tokens: Tensor, shape: VideoLatentShape) -> Tensor:
        latent = rearrange(tokens, "b (f h w) c -> b c f h w", f=shape.frames, h=shape.height, w=shape.width)
        pixels = self.modules.video_vae.decode(latent.to(self.dtype))
        levels = ((pixels.float() + 1) / 2).clamp(0, 1) * 255
        return rearrange(levels.to(torch.uint8), "1 c f h w -> f h w c").cpu().contiguous()

    def _decode_audio(self, tokens: Tensor, shape: AudioLatentShape) -> Tensor:
        latent = rearrange(tokens, "b t (c m) -> b c t m", m=shape.mel_bins)
        log_mel = self.modules.audio_vae.decode(latent.to(self.dtype))
        waveform = self.modules.vocoder(log_mel)
        return rearrange(waveform, "1 c n -> c n").float().cpu().contiguous()
