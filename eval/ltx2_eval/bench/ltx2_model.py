"""LTX-2 as a model to measure: sizes in closed form; timed as one guided step, or from prompt to waveform."""

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ltx2 import LTX2_19B, NANO, PRESETS
from ltx2.flops import TokenCounts, TransformerFlops, total
from ltx2.types import AudioLatentShape, VideoLatentShape, VideoPixelShape
from ltx2_benchmarks.hardware import Gpu
from ltx2_benchmarks.nearest import unknown
from ltx2_eval.bench.case import Case
from ltx2_eval.bench.estimate import Sizes, estimate
from ltx2_eval.bench.models import Workload, layers_of, refuse_unknown
from ltx2_reports.bench import BenchEstimate

if TYPE_CHECKING:
    from ltx2 import Guidance, LTX2Config, SamplingSettings
    from ltx2.config import UpsamplerConfig
    from ltx2.plan import StagePlan
    from ltx2.settings import Tiles
    from ltx2_eval.bench.devices import Device
    from ltx2_eval.bench.ltx2_memory import Kept

_SIZES = {"nano": NANO, "19b": LTX2_19B}
_TRAINED = "nano-trained"
_STORAGE = ("fp8", "int8")
_NO_TEXT_MODEL = "none"
_SETTINGS = ("guidance", "layers", "weights", "text_encoder", "offload", "tiles")


class LTX2Bench:
    """Our LTX-2.

    Args:
        name: As given on the command line.
        target: `nano`, `19b`, `nano-trained` (the bundled weights), or a checkpoint in the published layout.
        settings: See `ltx2_eval.bench.models`.
    """

    def __init__(self, name: str, target: str, settings: dict[str, str]) -> None:
        refuse_unknown("ltx2", settings, _SETTINGS)
        self.name = name
        self.checkpoint = _checkpoint(target)
        self.has_checkpoint = self.checkpoint is not None
        full = _config_of(self.checkpoint) if self.checkpoint else _SIZES[target or "nano"]
        layers = layers_of(settings, full.transformer.num_layers)
        self.is_whole = layers == full.transformer.num_layers
        self.config = dataclasses.replace(full, transformer=dataclasses.replace(full.transformer, num_layers=layers))
        self.storage = _storage(settings)
        self.kept_on_host = _is_on("offload", settings)
        """Whether layers of blocks wait in CPU memory."""
        self.tiles = _tiles(settings)
        self.with_text_model = settings.get("text_encoder") != _NO_TEXT_MODEL
        self.text_encoder = settings.get("text_encoder") if self.with_text_model else None
        presets = {"none": PRESETS["unguided"], **PRESETS}
        if settings.get("guidance", "none") not in presets:
            raise ValueError(unknown("guidance", settings["guidance"], presets))
        self.guidance: Guidance = presets[settings.get("guidance", "none")]
        self._refuse_what_does_not_go_together()

    def _refuse_what_does_not_go_together(self) -> None:
        if self.checkpoint and not self.is_whole:
            raise ValueError(f"model {self.name}: layers is a setting of random weights, not of a checkpoint")
        if self.checkpoint and not self.with_text_model:
            raise ValueError(f"model {self.name}: text_encoder=none is for random weights; a checkpoint reads prompts")
        if self.kept_on_host and self.storage == "int8":
            raise ValueError(f"model {self.name}: offload goes with weights=fp8 or 16 bits, not with int8")

    @property
    def upsampler(self) -> "UpsamplerConfig | None":
        """Between two stages, which tiles imply."""
        from ltx2_eval.models.ltx2_work import upsampler_of

        return None if self.tiles is None else upsampler_of(self.config)

    def check(self, case: Case) -> None:
        """Refuse sizes and settings that the model cannot run."""
        if self.tiles is not None and case.measure == "step":
            raise ValueError(f"model {self.name}: tiles are of a clip's second stage: use --measure clip")
        self.shapes(case)
        self.plans(case)
        if case.batch > 1 and (len(self.guidance.passes) > 1 or case.measure == "clip"):
            raise ValueError(
                f"batch is {case.batch}; several samples at a time are measured for steps without guidance: use "
                "batch 1, or --measure step and a model with guidance=none"
            )

    def sampling(self, case: Case) -> "SamplingSettings":
        """How a clip is sampled: in one stage, or in two of which the second runs in tiles."""
        from ltx2.settings import RefineSettings, SamplingSettings

        refine = None if self.tiles is None else RefineSettings(lora_strength=0.0, audio="keep", tiles=self.tiles)
        return SamplingSettings(steps=case.steps, guidance=self.guidance, refine=refine)

    def plans(self, case: Case) -> "tuple[StagePlan, ...]":
        """The stages of sampling of one clip."""
        from ltx2.conditioning import Conditions
        from ltx2.plan import plan_stages

        pixels = VideoPixelShape(1, case.frames, case.height, case.width, Fraction(case.fps))
        return plan_stages(self.config, pixels, seed=0, settings=self.sampling(case), conditions=Conditions())

    def shapes(self, case: Case) -> tuple[VideoLatentShape, AudioLatentShape]:
        """Of both latents."""
        pixels = VideoPixelShape(case.batch, case.frames, case.height, case.width, Fraction(case.fps))
        frames, vae = self.config.video_vae, self.config.audio_vae
        pixels.validate(cell_px=frames.spatial_factor)
        audio = AudioLatentShape.from_pixel_shape(
            pixels, channels=vae.latent_channels, mel_bins=vae.latent_mel_bins, rate_hz=vae.latent_rate_hz
        )
        if audio.frames < 1:
            raise ValueError(f"{float(pixels.duration_s):.3g} s hold no audio latent; ask for more frames")
        video = VideoLatentShape.from_pixel_shape(
            pixels, channels=frames.latent_channels, cell_px=frames.spatial_factor
        )
        return video, audio

    def flops(self, case: Case) -> TransformerFlops:
        """Of the transformer, one sample."""
        video, audio = self.shapes(case)
        tokens = TokenCounts(video=video.token_count, audio=audio.token_count, text=self.config.text.max_tokens)
        return TransformerFlops(self.config.transformer, tokens)

    def estimate(self, case: Case, gpu: Gpu | None = None) -> BenchEstimate:
        """By closed form; a clip's other stages are counted on the meta device."""
        from ltx2_eval.bench.ltx2_memory import Kept, parameter_count, transformer_bytes

        self.check(case)
        flops = self.flops(case)
        passes, tokens = len(self.guidance.passes), flops.tokens
        kept = Kept(case.dtype, self.storage, self.kept_on_host)
        sizes = Sizes(
            parameters=parameter_count(self.config),
            tokens={"video": tokens.video, "audio": tokens.audio, "text": tokens.text},
            forward=flops.forward(),
            unit_flops=self._unit_flops(case, flops),
            passes=passes if case.measure == "step" else passes * case.steps,
            weight_bytes=transformer_bytes(self.config, kept),
            memory_bytes=self._memory_bytes(case, kept),
        )
        return estimate(case, sizes, gpu)

    def _unit_flops(self, case: Case, flops: TransformerFlops) -> int:
        if case.measure == "step":
            return total(flops.guided_step(self.guidance)).total
        from ltx2_eval.stage_flops import clip_flops

        return sum(clip_flops(self.config, self.plans(case), self.upsampler).values())

    def _memory_bytes(self, case: Case, kept: "Kept") -> int:
        from ltx2_eval.bench.ltx2_memory import clip_bytes, step_bytes

        plans = self.plans(case)
        if case.measure == "step":
            return step_bytes(self.config, plans[0], kept, batch=case.batch)
        return clip_bytes(self.config, plans, kept, upsampler=self.upsampler, with_text_model=self.with_text_model)

    def workload(self, case: Case, device: "Device") -> Workload:
        """Build it on the device."""
        from ltx2_eval.bench.ltx2_workloads import LTX2Clip, LTX2Step

        return LTX2Step(self, case, device) if case.measure == "step" else LTX2Clip(self, case, device)


def _checkpoint(target: str) -> Path | None:
    if target == _TRAINED:
        from ltx2_eval.models.nano_files import nano_folder

        return nano_folder()
    return None if target in ("", *_SIZES) else Path(target).expanduser()


def _is_on(key: str, settings: dict[str, str]) -> bool:
    text = settings.get(key, "false")
    if text not in ("true", "false"):
        raise ValueError(f"{key} is {text!r}; expected true or false")
    return text == "true"


def _tiles(settings: dict[str, str]) -> "Tiles | None":
    """`16x24x24`: latent frames, rows, columns."""
    from ltx2.settings import Tiles

    if "tiles" not in settings:
        return None
    sizes = settings["tiles"].split("x")
    if len(sizes) != 3 or not all(size.isdecimal() and int(size) > 0 for size in sizes):
        raise ValueError(f"tiles is {settings['tiles']!r}; expected latent frames, rows and columns, as in 16x24x24")
    frames, height, width = map(int, sizes)
    overlap = dataclasses.asdict(Tiles())
    return Tiles(
        frames=frames,
        height=height,
        width=width,
        overlap_frames=min(overlap["overlap_frames"], frames - 1),
        overlap=min(overlap["overlap"], height - 1, width - 1),
    )


def _storage(settings: dict[str, str]) -> str | None:
    storage = settings.get("weights")
    if storage is not None and storage not in _STORAGE:
        raise ValueError(unknown("weights", storage, _STORAGE))
    return storage


def _config_of(path: Path) -> "LTX2Config":
    from ltx2.checkpoint import read_config

    if not path.exists():
        raise ValueError(
            f"model ltx2:{path}: there is no such file; expected nano, nano-trained, 19b or a .safetensors file"
        )
    return read_config(path)
