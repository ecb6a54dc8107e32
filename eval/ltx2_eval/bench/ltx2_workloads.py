"""LTX-2 ready to be timed: a guided step, and a whole clip from prompt to waveform."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from transformers import Gemma3TextConfig, Gemma3TextModel

from ltx2 import Latents, Pipeline, SamplingSettings
from ltx2.checkpoint import build, load
from ltx2.config import TextConfig
from ltx2.denoise import GuidedDenoiser
from ltx2.gemma import GemmaEncoder
from ltx2.rope import audio_positions, video_positions
from ltx2.sample import NoiseSource
from ltx2.text import TextEmbeddings
from ltx2.transformer import LTX2Transformer, StreamInput
from ltx2_eval.bench.case import Case
from ltx2_eval.bench.random_weights import materialise

if TYPE_CHECKING:
    from ltx2_eval.bench.devices import Device
    from ltx2_eval.bench.ltx2_model import LTX2Bench

_SIGMA, _SIGMA_NEXT = 0.909375, 0.725
_PROMPT_TOKENS = 60
_INPUTS = 4
"""Drawn before the clock runs: noise comes from the CPU, which would be timed with a fast GPU's step."""
_GEMMA_12B: dict[str, Any] = {
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 256,
    "intermediate_size": 15360,
    "sliding_window": 1024,
    "vocab_size": 262_208,
}
"""Gemma 3 12B; its width and depth stand in LTX-2's own configuration."""


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
        self._settings = SamplingSettings(steps=case.steps, guidance=model.guidance)
        self._stages: dict[str, float] = {}

    def run(self, index: int) -> tuple[Any, ...]:
        """Picture and sound."""
        case = self._case
        made = self._pipeline(
            f"a red ball bounces {index} times",
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
    if model.checkpoint is not None:
        return load(model.checkpoint, device=device, dtype=dtype).transformer
    with torch.device("meta"):
        transformer = LTX2Transformer(model.config.transformer)
    materialise(transformer, device, dtype, storage=model.storage, within="transformer_blocks.")
    return transformer


def _pipeline(model: "LTX2Bench", device: torch.device, dtype: torch.dtype) -> Pipeline:
    if model.checkpoint is not None:
        return Pipeline.load(model.checkpoint, text_encoder=model.text_encoder, device=device, dtype=dtype)
    modules = build(model.config, device="meta")
    for name, module in modules.named().items():
        stored = model.storage if name == "transformer" else None
        materialise(module, device, dtype, storage=stored, within="transformer_blocks.")
    return Pipeline(modules, random_encoder(model.config.text, device, dtype))


def random_encoder(config: TextConfig, device: torch.device, dtype: torch.dtype) -> GemmaEncoder:
    """A Gemma 3 of the width and depth that a model asks for, with random weights and made-up tokens."""
    heads = config.connector_num_attention_heads
    narrow: dict[str, Any] = {
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "head_dim": config.hidden_size // heads,
        "intermediate_size": 2 * config.hidden_size,
        "sliding_window": 1024,
        "vocab_size": 1024,
    }
    settings = Gemma3TextConfig(
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_states - 1,
        query_pre_attn_scalar=256,
        **(_GEMMA_12B if config.hidden_size == 3840 else narrow),
    )
    with torch.device("meta"):
        skeleton = Gemma3TextModel(settings)
    materialise(skeleton, device, dtype)
    # Its tables of rotation are computed when it is built, so this part is built again where it has memory.
    skeleton.rotary_emb = type(skeleton.rotary_emb)(settings).to(device)
    return GemmaEncoder(cast(Any, _MadeUpTokens(settings.vocab_size)), skeleton, max_tokens=config.max_tokens)


class _MadeUpTokens:
    """Stands in for a tokenizer where there is no vocabulary: numbers drawn from the text."""

    pad_token = "<pad>"

    def __init__(self, vocabulary: int) -> None:
        self._vocabulary = vocabulary
        self.padding_side = "left"

    def __call__(self, texts: list[str], *, max_length: int, **_: object) -> dict[str, Tensor]:
        length = min(_PROMPT_TOKENS, max_length)
        ids = torch.zeros(len(texts), max_length, dtype=torch.long)
        mask = torch.zeros_like(ids)
        mask[:, -length:] = 1
        for row, text in enumerate(texts):
            generator = torch.Generator().manual_seed(sum(text.encode()))
            ids[row, -length:] = torch.randint(4, self._vocabulary, (length,), generator=generator)
        return {"input_ids": ids, "attention_mask": mask}
