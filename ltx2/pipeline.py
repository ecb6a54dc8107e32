"""From a prompt, and what else is given, to a clip with sound: in one stage, or in two with a refinement."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from fractions import Fraction
from numbers import Rational
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from ltx2.checkpoint import Modules, build, load, read_config
from ltx2.conditioning import Conditions, delivered_audio
from ltx2.config import LTX2Config
from ltx2.cost import CostLog
from ltx2.gemma import GemmaEncoder
from ltx2.generation import Generation
from ltx2.lora import Lora, LoraFusion, load_lora
from ltx2.memory import (
    SamplingAdvice,
    Weights,
    bytes_on,
    check_room,
    explained,
    loading_advice,
    weights_of,
    work_advice,
)
from ltx2.offload import BlockOffload, offload_blocks
from ltx2.plan import StagePlan, plan_stages
from ltx2.prompts import PromptEncoder, Variant
from ltx2.sample import Callback, Latents, NoiseSource
from ltx2.settings import SamplingSettings
from ltx2.types import AudioLatentShape, AudioVideo, VideoLatentShape, VideoPixelShape
from ltx2.upsampler import LatentUpsampler
from ltx2.upsampler_checkpoint import load_upsampler
from ltx2.video_memory import decode_budget_bytes, least_decode_bytes, plan_decode

TEXT_ENCODER_FOLDER = "text_encoder"
UPSAMPLER_FOLDER = "spatial_upsampler"


class Pipeline:
    """A loaded LTX-2 model. Calls leave no global state changed and do not depend on each other.

    Args:
        modules: From `ltx2.checkpoint.load`, on one device and of one dtype.
        text_encoder: The language model the checkpoint was trained with.
        upsampler: Doubles height and width of the checkpoint's latents; needed for two stages.
        temporal_upsampler: Doubles their frames; needed for settings with `double_frames`.
        lora: Fused with the `lora_strength` of each stage; for the published model's second stage, the distilled LoRA.
        adapters: LoRAs of a fine-tune, each with its strength, that all stages have fused besides.
        offload: From `ltx2.offload.offload_blocks`, if the modules' blocks wait in CPU memory.

    LoRAs stay fused until a call needs other strengths; `unfuse` takes them out.

    Raises:
        ValueError: A language model of another width or depth, an upsampler of another kind, a LoRA of another model.
    """

    def __init__(
        self,
        modules: Modules,
        text_encoder: GemmaEncoder,
        *,
        upsampler: LatentUpsampler | None = None,
        temporal_upsampler: LatentUpsampler | None = None,
        lora: Lora | None = None,
        adapters: Sequence[tuple[Lora, float]] = (),
        offload: BlockOffload | None = None,
    ) -> None:
        self.modules = modules
        self.text_encoder = text_encoder
        self.upsampler = upsampler
        self.temporal_upsampler = temporal_upsampler
        self.lora = lora
        self.adapters = tuple(adapters)
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
            _check_upsampler(upsampler, modules.config, (3, 8, 8), "two stages need the spatial one")
        if temporal_upsampler is not None:
            _check_upsampler(temporal_upsampler, modules.config, (5, 4, 4), "double_frames needs the temporal one")
        self.prompts = PromptEncoder(text_encoder, modules.connectors, self.device)
        """What is kept of prompts; `kept` says of how many."""
        self._offload = offload
        self._loras = LoraFusion(modules, device=self.device)
        given = [each for each, _ in self.adapters] + ([lora] if lora is not None else [])
        self._loras.set(*((each, 0.0) for each in given))  # fuses nothing, but refuses a LoRA that does not fit

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        text_encoder: str | Path | None = None,
        upsampler: str | Path | None = None,
        temporal_upsampler: str | Path | None = None,
        lora: str | Path | None = None,
        adapters: Sequence[tuple[str | Path, float]] = (),
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        fp8: bool = False,
        offload: bool = False,
        keep_text_encoder: bool | None = None,
        compiled: bool | str = False,
    ) -> "Pipeline":
        """Load from local files; nothing is fetched.

        Args:
            path: A checkpoint in the published layout, or a folder with one.
            text_encoder: Folder of a Gemma 3 in Hugging Face layout; `text_encoder` beside the checkpoint if None.
            upsampler: File of a spatial latent upsampler; if None, the one beside the checkpoint, where there is one.
            temporal_upsampler: File of a temporal latent upsampler; None for none.
            lora: File of a LoRA. Settings say how strongly each stage fuses it; where they say nothing, at 1.
            adapters: Files and strengths of LoRAs that all stages fuse besides, such as a fine-tune's.
            device: Where everything runs.
            dtype: Of all weights and activations; latents stay float32.
            fp8: Store the linear layers of the blocks in 8 bits, which halves the memory of bfloat16.
            offload: Keep the blocks of the transformer and of the text encoder in CPU memory and bring each to the
                device while it runs.
            keep_text_encoder: Keep the text encoder in memory between prompts; None frees it after use on a GPU.
            compiled: Compile the transformer's blocks with `torch.compile` on first use: minutes once, quicker steps,
                the same result up to rounding. A string names the backend.

        Raises:
            FileNotFoundError: Nothing at a path.
            ValueError: A file that is broken, unsupported or does not fit (see `ltx2.checkpoint.load`); `compiled` with
                `offload`, whose hooks exchange the weights of compiled blocks.
            DoesNotFitError: The device has no room for the weights; the message says what would fit.
        """
        if compiled and offload:
            raise ValueError(
                "compiled and offload are both set: compiled blocks keep their weights; choose one of the two"
            )
        folder = Path(path) if Path(path).is_dir() else Path(path).parent
        given = folder / TEXT_ENCODER_FOLDER if text_encoder is None else text_encoder
        upsampler = find_upsampler(folder) if upsampler is None else upsampler
        device = torch.device(device)
        expected = _expected_weights(path, dtype, fp8=fp8, offload=offload)
        check_room(expected, device)
        with explained("loading", device, loading_advice(expected)):
            modules = load(path, device="cpu" if offload else device, dtype=dtype, fp8=fp8)
            placed = offload_blocks(modules, device) if offload else None
        if compiled:
            modules.transformer.compile_blocks(compiled if isinstance(compiled, str) else "inductor")
        upsamplers = [
            None if file is None else load_upsampler(file, device=device, dtype=dtype)
            for file in (upsampler, temporal_upsampler)
        ]
        return cls(
            modules,
            GemmaEncoder.load(
                given,
                max_tokens=modules.config.text.max_tokens,
                device=device,
                dtype=dtype,
                keep=device.type == "cpu" if keep_text_encoder is None else keep_text_encoder,
                offload=offload,
            ),
            upsampler=upsamplers[0],
            temporal_upsampler=upsamplers[1],
            lora=None if lora is None else load_lora(lora),
            adapters=[(load_lora(file), strength) for file, strength in adapters],
            offload=placed,
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
            The clip, with the cost of the stages `text_encoding`, `connectors` (both only for prompts that are not
            known from the calls before), `lora` (where one is fused or taken out), `denoise`, (`upsample`, `refine`,)
            `video_decode`, `audio_decode`, `vocoder`. Given sound or video is returned as it was given.

        Raises:
            ValueError: A size, seed, setting or condition the model cannot run; raised before any work.
            DoesNotFitError: The device's memory is not enough; the message says what would fit.
            TruncationWarning: As a warning: a prompt is longer than the model reads.
        """
        settings = (settings or SamplingSettings()).resolved(has_lora=self.lora is not None)
        conditions = conditions or Conditions()
        pixels = VideoPixelShape(1, num_frames, height, width, _rate(fps))
        plans = plan_stages(self.config, pixels, seed=seed, settings=settings, conditions=conditions)
        self._check_parts(plans)
        log = CostLog(self.device)
        guided = any("text" in plan.guidance.passes for plan in plans)
        text = self.prompts(
            [prompt, negative_prompt] if guided else [prompt],
            list(dict.fromkeys(map(self._variant, plans))),
            prepare=self._loras_at,
            log=log,
            explaining=self._explaining("reading the prompt", self._text_bytes),
        )
        generation = Generation(
            self.modules,
            conditions,
            noise=NoiseSource(seed, self.device),
            batch_passes=settings.batch_passes,
            callback=log.stepping(callback),
            started=log.start_steps,
        )
        latents, evaluations = None, []
        for plan in plans:
            if latents is not None:
                latents = self._enlarge(generation, latents, plans, log)
            self._fuse(plan.lora_strength, log)
            advice = SamplingAdvice(
                self._weights(), self.config.transformer, plan, self.config.text.max_tokens, settings.batch_passes
            )
            with log.stage(plan.name), explained("sampling", self.device, advice):
                latents, nfe = generation.sample(plan, text.embeddings[self._variant(plan)], latents)
            evaluations.append(nfe)
        assert latents is not None
        with log.stage("video_decode"), self._explaining("decoding the video", lambda: self._decode_bytes(plans[-1])):
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
            prompt_tokens=text.tokens[0],
            lost_tokens=text.lost,
            prompts_encoded=text.computed,
        )

    def unfuse(self) -> None:
        """Take all LoRAs out: the weights have their own bits again."""
        self._loras.set()

    def _check_parts(self, plans: tuple[StagePlan, ...]) -> None:
        """Refuse settings that need what is not loaded."""
        if len(plans) > 1 and self.upsampler is None:
            raise ValueError(
                "two stages need a spatial latent upsampler and none is loaded: pass upsampler=, the file "
                "(ltx-2-spatial-upscaler-x2-1.0.safetensors), or put it beside the checkpoint"
            )
        if any(plan.frame_step > 1 for plan in plans) and self.temporal_upsampler is None:
            raise ValueError(
                "double_frames needs a temporal latent upsampler and none is loaded: pass temporal_upsampler=, the "
                "file (ltx-2-temporal-upscaler-x2-1.0.safetensors)"
            )
        strengths = [plan.lora_strength for plan in plans if plan.lora_strength]
        if strengths and self.lora is None:
            raise ValueError(
                f"the settings fuse a LoRA at strength {strengths[-1]} and none is loaded: pass lora=, the file "
                "(for the published model ltx-2-19b-distilled-lora-384.safetensors), or set lora_strength to 0"
            )

    def _enlarge(self, generation: Generation, latents: Latents, plans: tuple[StagePlan, ...], log: CostLog) -> Latents:
        """Latents of the first stage at the size of the second; frames first, while they are small."""
        first, second = plans
        shape = first.video
        assert self.upsampler is not None
        with log.stage("upsample"), self._explaining("upsampling the latent"):
            if first.frame_step > 1:
                assert self.temporal_upsampler is not None
                latents = generation.enlarge(self.temporal_upsampler, latents, shape)
                shape = shape._replace(frames=second.video.frames)
            return generation.enlarge(self.upsampler, latents, shape)

    def _variant(self, plan: StagePlan) -> Variant:
        """What the prompt's contexts depend on besides the prompt: LoRAs may change how it is read."""
        return plan.lora_strength if self.lora is not None and self.lora.changes_text else 0.0

    def _wanted(self, strength: float) -> list[tuple[Lora, float]]:
        return [*self.adapters, *([(self.lora, strength)] if self.lora is not None else [])]

    def _loras_at(self, strength: float) -> None:
        self._loras.set(*self._wanted(strength))

    def _fuse(self, strength: float, log: CostLog) -> None:
        """Bring the weights to a strength of the LoRA; nothing is done where they are there already."""
        if not self._loras.is_set(*self._wanted(strength)):
            with log.stage("lora"), self._explaining("fusing a LoRA"):
                self._loras_at(strength)

    def _weights(self) -> Weights:
        parts = (bytes_on(self.upsampler), bytes_on(self.temporal_upsampler), self.text_encoder.resident_bytes)
        return weights_of(self.modules, other_bytes=sum(parts), is_offloaded=self._offload is not None)

    def _explaining(self, doing: str, needed: Callable[[], int] | None = None) -> AbstractContextManager[None]:
        """Where memory is not enough, the error says what would help."""

        def advise(capacity: int) -> str:
            return work_advice(self._weights(), None if needed is None else needed())(capacity)

        return explained(doing, self.device, advise)

    def _text_bytes(self) -> int:
        return self.text_encoder.needed_bytes(self.dtype)

    def _decode_bytes(self, plan: StagePlan) -> int:
        return least_decode_bytes(self.config.video_vae, plan.video, self.dtype)

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
        with log.stage("audio_decode"), self._explaining("decoding the sound"):
            log_mel = self.modules.audio_vae.decode(latent.to(self.dtype))
        with log.stage("vocoder"), self._explaining("making the waveform"):
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


def _expected_weights(path: str | Path, dtype: torch.dtype, *, fp8: bool, offload: bool) -> Weights:
    """What a checkpoint will take, from its header."""
    modules = build(read_config(path), device="meta")
    weights = weights_of(modules, is_offloaded=offload, item_bytes=dtype.itemsize)
    return replace(weights, is_fp8=fp8)


def _rate(fps: object) -> Fraction:
    """Frames per second, exactly."""
    if isinstance(fps, bool) or not isinstance(fps, (Rational, float)) or not math.isfinite(fps):
        raise ValueError(f"fps is {fps!r}; it must be a number, best a whole one or a Fraction")
    return Fraction(fps)


def _check_upsampler(
    upsampler: LatentUpsampler, config: LTX2Config, expected: tuple[int, int, int], needed: str
) -> None:
    channels, latent_channels = upsampler.config.in_channels, config.video_vae.latent_channels
    if channels != latent_channels:
        raise ValueError(
            f"the upsampler is for latents of {channels} channels; the checkpoint's have {latent_channels}"
        )
    size = upsampler.config.output_size(3, 4, 4)
    if size != expected:
        raise ValueError(f"the upsampler makes {size} of a latent of (3, 4, 4); {needed}, {expected}")
