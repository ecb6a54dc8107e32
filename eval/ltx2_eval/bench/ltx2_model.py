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
from ltx2_eval.bench.estimate import BYTES, Sizes, estimate
from ltx2_eval.bench.models import Workload, layers_of, refuse_unknown
from ltx2_reports.bench import BenchEstimate

if TYPE_CHECKING:
    from ltx2 import Guidance, LTX2Config
    from ltx2_eval.bench.devices import Device

_SIZES = {"nano": NANO, "19b": LTX2_19B}
_STORAGE = ("fp8", "int8")
_BATCHED_UP_TO = 2048
"""Tokens up to which the passes of a step run as one batch (`ltx2.denoise`)."""


class LTX2Bench:
    """Our LTX-2.

    Args:
        name: As given on the command line.
        target: `nano`, `19b`, or a checkpoint in the published layout.
        settings: See `ltx2_eval.bench.models`.
    """

    def __init__(self, name: str, target: str, settings: dict[str, str]) -> None:
        refuse_unknown("ltx2", settings, ("guidance", "layers", "weights", "text_encoder"))
        self.name = name
        self.checkpoint = None if target in ("", *_SIZES) else Path(target).expanduser()
        self.has_checkpoint = self.checkpoint is not None
        full = _config_of(self.checkpoint) if self.checkpoint else _SIZES[target or "nano"]
        layers = layers_of(settings, full.transformer.num_layers)
        self.is_whole = layers == full.transformer.num_layers
        self.config = dataclasses.replace(full, transformer=dataclasses.replace(full.transformer, num_layers=layers))
        self.storage = _storage(settings)
        self.text_encoder = settings.get("text_encoder")
        presets = {"none": PRESETS["unguided"], **PRESETS}
        if settings.get("guidance", "none") not in presets:
            raise ValueError(unknown("guidance", settings["guidance"], presets))
        self.guidance: Guidance = presets[settings.get("guidance", "none")]
        if self.checkpoint and (self.storage or not self.is_whole):
            raise ValueError(f"model {name}: layers and weights are settings of random weights, not of a checkpoint")

    def check(self, case: Case) -> None:
        """Refuse sizes and settings that the model cannot run."""
        from ltx2.perturbation import plan_blocks

        self.shapes(case)
        perturbations = [self.guidance.perturbation(name) for name in self.guidance.passes]
        plan_blocks(perturbations, num_layers=self.config.transformer.num_layers)
        if case.batch > 1 and (len(perturbations) > 1 or case.measure == "clip"):
            raise ValueError(
                f"batch is {case.batch}; several samples at a time are measured for steps without guidance: use "
                "batch 1, or --measure step and a model with guidance=none"
            )

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
        self.check(case)
        flops, config = self.flops(case), self.config.transformer
        passes, tokens = len(self.guidance.passes), flops.tokens
        step = total(flops.guided_step(self.guidance)).total
        if case.measure == "step":
            unit, count = step, passes
        else:
            from ltx2_eval.stage_flops import clip_flops

            video, audio = self.shapes(case)
            unit = sum(clip_flops(self.config, video, audio, self.guidance, case.steps).values())
            count = passes * case.steps
        tables = (config.width + 2 * config.audio_width) * tokens.video
        text_cache = 2 * config.num_layers * tokens.text * (config.width + config.audio_width)
        parameters = parameter_count(self.config)
        linear_bytes = parameters * BYTES[case.dtype] if self.storage is None else parameters
        sizes = Sizes(
            parameters=parameters,
            tokens={"video": tokens.video, "audio": tokens.audio, "text": tokens.text},
            forward=flops.forward(),
            unit_flops=unit,
            passes=count,
            rows=passes if tokens.video + tokens.audio <= _BATCHED_UP_TO else 1,
            hidden=tokens.video * config.width + tokens.audio * config.audio_width,
            kept=text_cache + tables,
            weight_bytes=linear_bytes,
        )
        return estimate(case, sizes, gpu)

    def workload(self, case: Case, device: "Device") -> Workload:
        """Build it on the device."""
        from ltx2_eval.bench.ltx2_workloads import LTX2Clip, LTX2Step

        return LTX2Step(self, case, device) if case.measure == "step" else LTX2Clip(self, case, device)


def parameter_count(config: "LTX2Config") -> int:
    """Parameters of the transformer, counted on the meta device."""
    import torch

    from ltx2.transformer import LTX2Transformer

    # All blocks are alike, so that two models of a few blocks give the count of any depth at once.
    few = [dataclasses.replace(config.transformer, num_layers=layers) for layers in (1, 2)]
    with torch.device("meta"):
        one, two = (sum(p.numel() for p in LTX2Transformer(small).parameters()) for small in few)
    return one + (config.transformer.num_layers - 1) * (two - one)


def _storage(settings: dict[str, str]) -> str | None:
    storage = settings.get("weights")
    if storage is not None and storage not in _STORAGE:
        raise ValueError(unknown("weights", storage, _STORAGE))
    return storage


def _config_of(path: Path) -> "LTX2Config":
    from ltx2.checkpoint import read_config

    if not path.exists():
        raise ValueError(f"model ltx2:{path}: there is no such file; expected nano, 19b or a .safetensors file")
    return read_config(path)
