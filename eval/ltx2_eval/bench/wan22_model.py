"""Wan 2.2 as a model to measure: sizes in closed form; timed through the class of diffusers with random weights."""

import dataclasses
from typing import TYPE_CHECKING, Any

from ltx2.flops import total
from ltx2_benchmarks.hardware import Gpu
from ltx2_benchmarks.nearest import unknown
from ltx2_eval.bench import wan22
from ltx2_eval.bench.case import Case
from ltx2_eval.bench.estimate import BYTES, Sizes, estimate
from ltx2_eval.bench.models import Workload, layers_of, refuse_unknown
from ltx2_eval.extractors.base import NotAvailable
from ltx2_reports.bench import BenchEstimate

if TYPE_CHECKING:
    from ltx2_eval.bench.devices import Device

PRESETS = {"a14b": wan22.A14B, "tiny": wan22.TINY}
_ONE_PASS, _TWO_PASSES = "none", "cfg"
_INPUTS = 4
_STREAMS = 8
"""Tensors as wide as the hidden states that are alive at once; some of them in float32, which count twice."""


class WanBench:
    """One expert of Wan 2.2.

    Args:
        name: As given on the command line.
        target: `a14b`, or `tiny`.
        settings: `guidance` (`none`: one forward per step, `cfg`: two), `layers`.
    """

    def __init__(self, name: str, target: str, settings: dict[str, str]) -> None:
        if target not in PRESETS:
            raise ValueError(unknown("wan22 model", target, PRESETS))
        refuse_unknown("wan22", settings, ("guidance", "layers"))
        guidance = settings.get("guidance", _ONE_PASS)
        if guidance not in (_ONE_PASS, _TWO_PASSES):
            raise ValueError(unknown("guidance of wan22", guidance, (_ONE_PASS, _TWO_PASSES)))
        self.name = name
        self.has_checkpoint = False
        full = PRESETS[target]
        self.config = dataclasses.replace(full, num_layers=layers_of(settings, full.num_layers))
        self.passes = 1 if guidance == _ONE_PASS else 2

    def check(self, case: Case) -> None:
        """Refuse sizes that the model cannot represent, and whole clips."""
        wan22.latent_shape(case.width, case.height, case.frames)
        if case.measure == "clip":
            raise ValueError("wan22 is measured by steps: --measure clip needs its VAE and text encoder, use step")

    def estimate(self, case: Case, gpu: Gpu | None = None) -> BenchEstimate:
        """By closed form; needs no package."""
        self.check(case)
        tokens = wan22.token_count(case.width, case.height, case.frames)
        forward = wan22.forward(self.config, tokens)
        parameters = wan22.parameter_count(self.config)
        sizes = Sizes(
            parameters=parameters,
            tokens={"video": tokens, "text": self.config.text_tokens},
            forward=forward,
            unit_flops=total(forward).total * self.passes,
            passes=self.passes,
            weight_bytes=parameters * BYTES[case.dtype],
            memory_bytes=parameters * BYTES[case.dtype] + self._activation_bytes(case, tokens),
        )
        return estimate(case, sizes, gpu)

    def _activation_bytes(self, case: Case, tokens: int) -> int:
        """Rough: hidden states, their normalised copy, queries, keys and values, and the feed-forward's."""
        widths = _STREAMS * self.config.width + self.config.ffn_dim
        return tokens * widths * BYTES[case.dtype] * case.batch

    def workload(self, case: Case, device: "Device") -> Workload:
        """diffusers' class with random weights."""
        return _WanStep(self, case, device)


class _WanStep:
    """One Euler step: a forward per pass, each of its own as in Wan's own code, and the update of the latent."""

    def __init__(self, model: WanBench, case: Case, device: "Device") -> None:
        import torch

        from ltx2_eval.bench.random_weights import materialise

        self._passes, self._batch, self._device = model.passes, case.batch, device.torch_device
        self._dtype = getattr(torch, case.dtype)
        with torch.device("meta"):
            self._transformer = _transformer(model.config)
        # As diffusers loads it: some parts stay in float32 whatever the dtype, and run at that price.
        wide = tuple(self._transformer._keep_in_fp32_modules or ())
        materialise(self._transformer, self._device, self._dtype, in_float32=wide)
        latent = (case.batch, model.config.channels, *wan22.latent_shape(case.width, case.height, case.frames))
        text = (model.passes, case.batch, model.config.text_tokens, model.config.text_dim)
        generators = [torch.Generator(self._device).manual_seed(seed) for seed in range(_INPUTS)]
        options = {"device": self._device, "dtype": self._dtype}
        self._inputs = [
            tuple(torch.randn(shape, generator=generator, **options) for shape in (latent, text))
            for generator in generators
        ]

    def run(self, index: int) -> tuple[Any, ...]:
        """The latent after one step."""
        import torch

        latent, texts = self._inputs[index % _INPUTS]
        timestep = torch.full((self._batch,), 900.0, device=self._device)
        with torch.inference_mode():
            velocities = [self._transformer(latent, timestep, text, return_dict=False)[0] for text in texts]
            velocity = velocities[0]
            if self._passes == 2:
                velocity = velocities[1] + 4.0 * (velocity - velocities[1])
            return (latent - 0.025 * velocity,)

    def stages(self) -> dict[str, float]:
        """A step has none."""
        return {}


def _transformer(config: wan22.WanConfig) -> Any:
    try:
        from diffusers import WanTransformer3DModel
    except Exception as error:  # a broken installation raises more than ImportError
        raise NotAvailable(
            f"timing Wan 2.2 needs diffusers ({type(error).__name__}): pip install ltx2-eval[diffusers]"
        ) from error
    return WanTransformer3DModel(
        num_attention_heads=config.num_attention_heads,
        attention_head_dim=config.attention_head_dim,
        in_channels=config.channels,
        out_channels=config.channels,
        text_dim=config.text_dim,
        ffn_dim=config.ffn_dim,
        num_layers=config.num_layers,
    )
