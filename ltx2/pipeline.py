"""From a prompt, and what else is given, to a clip with sound: in one stage, or in two with a refinement."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from ltx2.checkpoint import Modules, load
from ltx2.conditioning import Conditions, delivered_audio
from ltx2.config import LTX2Config
from ltx2.cost import CostLog
from ltx2.gemma import GemmaEncoder
from ltx2.generation import Generation
from ltx2.lora import Lora, LoraFusion, load_lora
from ltx2.memory import Size, explained
from ltx2.offload import BlockOffload, offload_blocks
from ltx2.plan import StagePlan, plan_stages
from ltx2.sample import Callback, Latents, NoiseSource
from ltx2.settings import SamplingSettings
from ltx2.text import TextEmbeddings
from ltx2.types import AudioLatentShape, AudioVideo, VideoLatentShape, VideoPixelShape
from ltx2.upsampler import LatentUpsampler
from ltx2.upsampler_checkpoint import load_upsampler
from ltx2.video_memory import decode_budget_bytes, plan_decode

TEXT_ENCODER_FOLDER = "text_encoder"
UPSAMPLER_FOLDER = "spatial_upsampler"


class Pipeline:
    """A loaded LTX-2 model. Calls leave no global state changed and do not depend on each other.

    Args:
        modules: From `ltx2.checkpoint.load`, on one device and of one dtype.
        text_encoder: The language model the checkpoint was trained with.
        upsampler: Doubles height and width of the checkpoint's latents; needed for two stages.
        lora: What settings with a `lora_strength` fuse; for the published model's second stage, the distilled LoRA.
        offload: From `ltx2.offload.offload_blocks`, if the modules' blocks wait in CPU memory.

    Raises:
        ValueError: A language model of another width or depth, an upsampler of another kind, a LoRA of another model.
    """

    def __init__(
        self,
        modules: Modules,
        text_encoder: GemmaEncoder,
        *,
        upsampler: LatentUpsampler | None = None,
        lora: Lora | None = None,
        offload: BlockOffload | None = None,
    ) -> None:
        self.modules = modules
        self.text_encoder = text_encoder
        self.upsampler = upsampler
        self.lora = lora
        self.decode_bytes: int | None = None
        """Memory for the activations of video decoding: smaller slices where it is short; None: what the device has."""
        self.device = modules.transformer.patchify_proj.weight.device
        self.dtype = modules.transformer.patchify_proj.weight.dtype
        text, gemma = modules.config.text, text_encoder.config
        found, expected = (gemma.hidden_size, gemma.num_hidden_layers + 1), (text.hidden_size, text.num_hidden_states)
        if found != expected:
            raise ValueError(
                f"the text encoder gives {found[1]} hidden states of width {found[0]}; the checkpoint was trained "
                f"with {expected[1]} of width {expected[0]}: pass text_encoder=, the folder of that Gemma 3"
            )
        if upsampler is not None:
            _check_upsampler(upsampler, modules.config)
        self._offload = offload
        self._loras = LoraFusion(modules, device=self.device)
        if lora is not None:
            self._loras.set((lora, 0.0))  # fuses nothing, but refuses a LoRA that does not fit

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        text_encoder: str | Path | None = None,
        upsampler: str | Path | None = None,
        lora: str | Path | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        fp8: bool = False,
        offload: bool = False,
        keep_text_encoder: bool | None = None,
    ) -> "Pipeline":
        """Load from local files; nothing is fetched.

        Args:
            path: A checkpoint in the published layout, or a folder with one.
            text_encoder: Folder of a Gemma 3 in Hugging Face layout; `text_encoder` beside the checkpoint if None.
            upsampler: File of a spatial latent upsampler; if None, the one beside the checkpoint, where there is one.
            lora: File of a LoRA that settings may fuse.
            device: Where everything runs.
            dtype: Of all weights and activations; latents stay float32.
            fp8: Store the linear layers of the blocks in 8 bits, which halves the memory of bfloat16.
            offload: Keep the transformer's blocks in CPU memory and bring each to the device while it runs.
            keep_text_encoder: Keep the text encoder in memory between prompts; None frees it after use on a GPU.

        Raises:
            FileNotFoundError: Nothing at a path.
            ValueError: A file that is broken, unsupported or does not fit (see `ltx2.checkpoint.load`).
        """
        folder = Path(path) if Path(path).is_dir() else Path(path).parent
        given = folder / TEXT_ENCODER_FOLDER if text_encoder is None else text_encoder
        upsampler = find_upsampler(folder) if upsampler is None else upsampler
        device = torch.device(device)
        modules = load(path, device="cpu" if offload else device, dtype=dtype, fp8=fp8)
        return cls(
            modules,
            GemmaEncoder.load(
                given,
                max_tokens=modules.config.text.max_tokens,
                device=device,
                dtype=dtype,
                keep=device.type == "cpu" if keep_text_encoder is None else keep_text_encoder,
            ),
            upsampler=None if upsampler is None else load_upsampler(upsampler, device=device, dtype=dtype),
            lora=None if lora is None else load_lora(lora),
            offload=offload_blocks(modules, device) if offload else None,
        )

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
        conditions: Conditions | None = None,
        callback: Callback | None = None,
    ) -> AudioVideo:
        """Generate one clip.

        Args:
            prompt: What to show and sound.
            seed: The same seed means the same noise on every device.
            num_frames: 8k + 1.
            height: Multiple of a latent cell (32 in published models), at least two; twice that with two stages.
            width: As the height.
            fps: Frames per second.
            negative_prompt: What to guide away from; used if the guidance has a text term.
            settings: Steps, guidance, schedule and stages; `SamplingSettings()` if None. `ltx2.PIPELINES` names some.
            conditions: Pictures, sound or video that are given; None for none.
            callback: Called after each step of each stage.

        Returns:
            The clip, with the cost of the stages `text_encoding`, `connectors`, `denoise`, (`upsample`, `refine`,)
            `video_decode`, `audio_decode`, `vocoder`. Given sound or video is returned as it was given.

        Raises:
            ValueError: A size, seed, setting or condition the model cannot run; raised before any work.
        """
        settings, conditions = settings or SamplingSettings(), conditions or Conditions()
        pixels = VideoPixelShape(1, num_frames, height, width, Fraction(fps))
        plans = plan_stages(self.config, pixels, seed=seed, settings=settings, conditions=conditions)
        self._check_parts(plans)
        log = CostLog(self.device)
        guided = any("text" in plan.guidance.passes for plan in plans)
        embeddings = self._encode(prompt, negative_prompt if guided else None, log)
        generation = Generation(
            self.modules,
            embeddings,
            conditions,
            noise=NoiseSource(seed, self.device),
            batch_passes=settings.batch_passes,
            callback=log.stepping(callback),
        )
        latents, evaluations = self._sample(generation, plans, log)
        with log.stage("video_decode"):
            video = self._video(latents, plans[-1], conditions)
        waveform, rate_hz = self._audio(latents, plans[-1], conditions, log)
        return AudioVideo(
            video=video,
            fps=pixels.fps,
            waveform=waveform,
            rate_hz=rate_hz,
            stages=log.stages,
            nfe=sum(evaluations),
            nfe_refine=sum(evaluations[1:]),
        )

    def _check_parts(self, plans: tuple[StagePlan, ...]) -> None:
        """Refuse settings that need what is not loaded."""
        if len(plans) > 1 and self.upsampler is None:
            raise ValueError(
                "two stages need a spatial latent upsampler and none is loaded: pass upsampler=, the file "
                "(ltx-2-spatial-upscaler-x2-1.0.safetensors), or put it beside the checkpoint"
            )
        strengths = [plan.lora_strength for plan in plans if plan.lora_strength]
        if strengths and self.lora is None:
            raise ValueError(
                f"the settings fuse a LoRA at strength {strengths[-1]} and none is loaded: pass lora=, the file "
                "(for the published model ltx-2-19b-distilled-lora-384.safetensors), or set lora_strength to 0"
            )

    def _sample(
        self, generation: Generation, plans: tuple[StagePlan, ...], log: CostLog
    ) -> tuple[Latents, tuple[int, ...]]:
        """Latents of the last stage, and the evaluations of each."""
        latents, evaluations = None, []
        for i, plan in enumerate(plans):
            if latents is not None and self.upsampler is not None:
                with log.stage("upsample"):
                    latents = generation.enlarge(self.upsampler, latents, plans[i - 1].video)
            with log.stage(plan.name), self._fused(plan.lora_strength), self._explaining(plan):
                latents, nfe = generation.sample(plan, latents)
            evaluations.append(nfe)
        assert latents is not None
        return latents, tuple(evaluations)

    @contextmanager
    def _fused(self, strength: float) -> Iterator[None]:
        """Run with the LoRA fused; afterwards the weights have their own bits again."""
        if self.lora is None or strength == 0:
            yield
            return
        self._loras.set((self.lora, strength))
        try:
            yield
        finally:
            self._loras.set()

    def _explaining(self, plan: StagePlan) -> AbstractContextManager[None]:
        """Where memory is not enough, the error says what would fit."""
        return explained(
            self.modules,
            Size(plan.video.token_count, plan.audio.frames, len(plan.guidance.passes)),
            self.device,
            text_encoder_bytes=self.text_encoder.resident_bytes,
            is_offloaded=self._offload is not None,
        )

    def _encode(self, prompt: str, negative_prompt: str | None, log: CostLog) -> TextEmbeddings:
        """Contexts of the prompt and, in row 1, of the negative prompt, each encoded alone so that the bits of one do
        not depend on the other.
        """
        prompts = [prompt] if negative_prompt is None else [prompt, negative_prompt]
        with log.stage("text_encoding"):
            states = [self.text_encoder([text]) for text in prompts]
            self.text_encoder.release()
        with log.stage("connectors"):
            rows = [self.modules.connectors(*state) for state in states]
        return TextEmbeddings(*(torch.cat(parts) for parts in zip(*rows, strict=True)))

    def _video(self, latents: Latents, plan: StagePlan, conditions: Conditions) -> Tensor:
        return self._decode_video(latents.video, plan.video) if conditions.video is None else conditions.video.cpu()

    def _audio(self, latents: Latents, plan: StagePlan, conditions: Conditions, log: CostLog) -> tuple[Tensor, int]:
        if conditions.audio is None:
            return self._decode_audio(latents.audio, plan.audio, log), self.config.vocoder.rate_hz
        with log.stage("audio_decode"):
            return delivered_audio(conditions.audio, float(plan.pixels.duration_s)), conditions.audio.rate_hz

    def _decode_video(self, tokens: Tensor, shape: VideoLatentShape) -> Tensor:
        latent = rearrange(tokens, "b (f h w) c -> b c f h w", f=shape.frames, h=shape.height, w=shape.width)
        budget_bytes = self.decode_bytes if self.decode_bytes is not None else decode_budget_bytes(self.device)
        streaming = plan_decode(self.config.video_vae, shape, self.dtype, budget_bytes=budget_bytes)
        slices = [_levels(x) for x in self.modules.video_vae.decode_slices(latent.to(self.dtype), streaming)]
        return slices[0] if streaming is None else torch.cat(slices, dim=streaming.dim - 2)

    def _decode_audio(self, tokens: Tensor, shape: AudioLatentShape, log: CostLog) -> Tensor:
        latent = rearrange(tokens, "b t (c m) -> b c t m", m=shape.mel_bins)
        with log.stage("audio_decode"):
            log_mel = self.modules.audio_vae.decode(latent.to(self.dtype))
        with log.stage("vocoder"):
            waveform = self.modules.vocoder(log_mel)
            return rearrange(waveform, "1 c n -> c n").float().cpu().contiguous()


def _levels(pixels: Tensor) -> Tensor:
    """Frames (1, 3, f, h, w) in -1..1 -> uint8 (f, h, w, 3) on the CPU."""
    levels = ((pixels.float() + 1) / 2).clamp(0, 1) * 255
    return rearrange(levels.to(torch.uint8), "1 c f h w -> f h w c").cpu().contiguous()


def find_upsampler(folder: Path) -> Path | None:
    """The spatial upsampler's file in a checkpoint's folder, by its published name, or in `spatial_upsampler` there.

    Raises:
        ValueError: Several files.
    """
    files = sorted(
        {*folder.glob("*spatial-upscaler-x2*.safetensors"), *folder.glob(f"{UPSAMPLER_FOLDER}/*.safetensors")}
    )
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise ValueError(f"{folder} holds several spatial upsamplers ({names}); name one of them")
    return files[0] if files else None


def _check_upsampler(upsampler: LatentUpsampler, config: LTX2Config) -> None:
    channels, expected = upsampler.config.in_channels, config.video_vae.latent_channels
    if channels != expected:
        raise ValueError(f"the upsampler is for latents of {channels} channels; the checkpoint's have {expected}")
    if upsampler.config.output_size(3, 4, 4) != (3, 8, 8):
        size = upsampler.config.output_size(3, 4, 4)
        raise ValueError(
            f"the upsampler makes {size} of a latent of (3, 4, 4); two stages need the spatial one, (3, 8, 8)"
        )
