"""LTX-2 ready to be timed: a guided step, and a whole clip from prompt to waveform."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ltx2 import Latents, Pipeline
from ltx2.checkpoint import Modules, build, load
from ltx2.denoise import GuidedDenoiser
from ltx2.offload import offload_blocks, offload_layers
from ltx2.rope import audio_positions, video_positions
from ltx2.sample import NoiseSource
from ltx2.text import TextEmbeddings
from ltx2.transformer import LTX2Transformer, StreamInput
from ltx2.upsampler import LatentUpsampler
from ltx2_benchmarks.suite import load_suite
from ltx2_eval.bench.case import Case
from ltx2_eval.bench.int8 import Int8Linear
from ltx2_eval.bench.random_encoder import random_encoder
from ltx2_eval.bench.random_weights import materialise

if TYPE_CHECKING:
    from ltx2_eval.bench.devices import Device
    from ltx2_eval.bench.ltx2_model import LTX2Bench

_SIGMA, _SIGMA_NEXT = 0.909375, 0.725
_INPUTS = 4
"""Drawn before the clock runs: noise comes from the CPU, which would be timed with a fast GPU's step."""


class LTX2Step:
    """One Euler step on latents of noise: all passes of the guidance, their combination, and the update."""

    def __init__(self, model: "LTX2Bench", case: Case, device: "Device") -> None:
        self._device, dtype = device.torch_device, getattr(torch, case.dtype)
        self._video, self._audio = model.shapes(case)
        shapes = self._video.token_shape, self._audio.token_shape
        self._noise = [NoiseSource(seed, self._device).latents(*shapes) for seed in range(_INPUTS)]
        self._transformer = _transformer(model, self._device, dtype)
        text = TextEmbeddings(*(self._normal(2, model.config.text.max_tokens, model, dtype) for _ in range(2)))
        ropes = (
            self._transformer.video_rope(video_positions(self._video._replace(batch=1), case.fps, self._device)),
            self._transformer.audio_rope(
                audio_positions(self._audio._replace(batch=1), model.config.audio_vae, self._device)
            ),
        )
        with torch.inference_mode():
            if case.batch == 1:
                self._denoise: Callable[[Latents, float], Latents] = GuidedDenoiser(
                    self._transformer, text, video_rope=ropes[0], audio_rope=ropes[1], guidance=model.guidance
                )
            else:
                self._denoise = _Unguided(self._transformer, text, ropes, case.batch)

    @torch.inference_mode()
    def run(self, index: int) -> tuple[Any, ...]:
        """Both latents after one step; neighbouring indices have different noise."""
        x = self._noise[index % _INPUTS]
        denoised = self._denoise(x, _SIGMA)
        ratio = _SIGMA_NEXT / _SIGMA
        return tuple(d + ratio * (y - d) for y, d in zip(x, denoised, strict=True))

    def stages(self) -> dict[str, float]:
        """A step has none."""
        return {}

    def _normal(self, rows: int, length: int, model: "LTX2Bench", dtype: torch.dtype) -> Tensor:
        generator = torch.Generator(self._device).manual_seed(1)
        shape = (rows, length, model.config.transformer.caption_channels)
        return torch.randn(shape, generator=generator, device=self._device, dtype=dtype)


class _Unguided:
    """Clean latents of several samples at a time, without guidance."""

    def __init__(self, transformer: LTX2Transformer, text: TextEmbeddings, ropes: Any, batch: int) -> None:
        self._transformer, self._ropes = transformer, ropes
        rows = (0,) * batch
        self._contexts = (
            transformer.video_context(text.video).rows(rows),
            transformer.audio_context(text.audio).rows(rows),
        )

    def __call__(self, x: Latents, sigma: float) -> Latents:
        dtype = self._transformer.patchify_proj.weight.dtype
        time = torch.full((1, 1), sigma, device=x.video.device)
        streams = (
            StreamInput(tokens.to(dtype), time, rope, context)
            for tokens, rope, context in zip(x, self._ropes, self._contexts, strict=True)
        )
        velocities = self._transformer(*streams)
        return Latents(*(tokens - sigma * v.float() for tokens, v in zip(x, velocities, strict=True)))


class LTX2Clip:
    """One clip by the pipeline: text, steps, both decoders, vocoder; each index is another prompt and seed."""

    def __init__(self, model: "LTX2Bench", case: Case, device: "Device") -> None:
        self._case = case
        dtype = getattr(torch, case.dtype)
        self._pipeline = _pipeline(model, device.torch_device, dtype)
        self._pipeline.prompts.kept = 0  # peers read both prompts for every clip
        self._settings = model.sampling(case)
        self._prompts = [prompt.text for prompt in load_suite("world").prompts]
        self._stages: dict[str, float] = {}

    def run(self, index: int) -> tuple[Any, ...]:
        """Picture and sound."""
        case = self._case
        self._pipeline.prompts.forget()  # a user's next prompt is a new one
        made = self._pipeline(
            self._prompts[index % len(self._prompts)],
            seed=index,
            num_frames=case.frames,
            height=case.height,
            width=case.width,
            fps=case.fps,
            settings=self._settings,
        )
        self._stages = {cost.name: cost.seconds for cost in made.stages}
        return made.video, made.waveform

    def stages(self) -> dict[str, float]:
        """As the pipeline's own log has them."""
        return self._stages


def _transformer(model: "LTX2Bench", device: torch.device, dtype: torch.dtype) -> LTX2Transformer:
    home = torch.device("cpu") if model.kept_on_host else device
    if model.checkpoint is not None:
        modules = load(model.checkpoint, device=home, dtype=dtype, fp8=model.storage == "fp8")
        _in_int8(modules, model)
        transformer = modules.transformer
    else:
        with torch.device("meta"):
            transformer = LTX2Transformer(model.config.transformer)
        materialise(transformer, home, dtype, storage=model.storage, within="transformer_blocks.")
    if model.kept_on_host:
        offload_layers(list(transformer.transformer_blocks), transformer, device)
    return transformer


def _pipeline(model: "LTX2Bench", device: torch.device, dtype: torch.dtype) -> Pipeline:
    if model.checkpoint is not None:
        made = Pipeline.load(
            model.checkpoint,
            text_encoder=model.text_encoder,
            device=device,
            dtype=dtype,
            fp8=model.storage == "fp8",
            offload=model.kept_on_host,
        )
        _in_int8(made.modules, model)
        return made
    home = torch.device("cpu") if model.kept_on_host else device
    modules = build(model.config, device="meta")
    for name, module in modules.named().items():
        stored = model.storage if name == "transformer" else None
        materialise(module, home, dtype, storage=stored, within="transformer_blocks.")
    encoder = random_encoder(
        model.config.text, device, dtype, is_thin=not model.with_text_model, offload=model.kept_on_host
    )
    placed = offload_blocks(modules, device) if model.kept_on_host else None
    return Pipeline(modules, encoder, upsampler=_upsampler(model, device, dtype), offload=placed)


def _upsampler(model: "LTX2Bench", device: torch.device, dtype: torch.dtype) -> LatentUpsampler | None:
    if model.upsampler is None:
        return None
    with torch.device("meta"):
        upsampler = LatentUpsampler(model.upsampler)
    materialise(upsampler, device, dtype)
    return upsampler


def _in_int8(modules: Modules, model: "LTX2Bench") -> None:
    """Store the linear layers of a loaded model's blocks in 8-bit integers."""
    if model.storage != "int8":
        return
    for name, layer in modules.linears().items():
        if ".transformer_blocks." in name and isinstance(layer, nn.Linear):
            modules.replace(name, Int8Linear.quantize(layer.weight, layer.bias))
