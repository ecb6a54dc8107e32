"""LoRA files: low-rank changes to linear layers, fused into a loaded model by strength and taken out again exactly.

Keys: `diffusion_model.LAYER.lora_A.weight` `(r, in)` and `.lora_B.weight` `(out, r)`, as Lightricks publishes them
(`ltx_core/loader/sd_ops.py`); also those that diffusers writes (`transformer.LAYER`, `connectors.LAYER`, under its own
names of the layers). A layer's change is strength x alpha / r x B A, with alpha = r where the file names none.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ltx2.checkpoint import KeyMismatchError, Modules, shortened
from ltx2.fp8 import Fp8Linear
from ltx2.weights_file import BrokenFileError, WeightsFile, check_file

_KEY = re.compile(r"(?P<layer>.+)\.(?:(?P<part>lora_[AB]|lora_down|lora_up)(?:\.default)?\.weight|(?P<alpha>alpha))")
_PARTS = {"lora_A": "down", "lora_down": "down", "lora_B": "up", "lora_up": "up"}
_DIFFUSERS_METADATA = "lora_adapter_metadata"
_DIFFUSERS_NAMES = {
    "proj_in": "patchify_proj",
    "audio_proj_in": "audio_patchify_proj",
    "time_embed": "adaln_single",
    "audio_time_embed": "audio_adaln_single",
    "av_cross_attn_video_scale_shift": "av_ca_video_scale_shift_adaln_single",
    "av_cross_attn_audio_scale_shift": "av_ca_audio_scale_shift_adaln_single",
    "av_cross_attn_video_a2v_gate": "av_ca_a2v_gate_adaln_single",
    "av_cross_attn_audio_v2a_gate": "av_ca_v2a_gate_adaln_single",
}
_DIFFUSERS_CONNECTORS = {
    "text_proj_in": "text_embedding_projection.aggregate_embed",
    "video_connector": "model.diffusion_model.video_embeddings_connector",
    "audio_connector": "model.diffusion_model.audio_embeddings_connector",
}


@dataclass(frozen=True, slots=True)
class LowRank:
    """The change of one linear layer: `scale * up @ down`."""

    down: Tensor
    """`(r, in)`."""
    up: Tensor
    """`(out, r)`."""
    scale: float


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA file in memory (mapped; read when used)."""

    path: Path
    layers: Mapping[str, LowRank]
    """By the published name of the layer, such as `model.diffusion_model.transformer_blocks.0.attn1.to_q`."""

    @property
    def changes_text(self) -> bool:
        """Whether it has layers that read the prompt before the transformer does."""
        return any("embeddings_connector" in name or "text_embedding_projection" in name for name in self.layers)


class LoraFusion:
    """The LoRAs that are fused into a model: sets which ones, and brings the model's own bits back.

    Subtracting a change would not give the same bits again, so the original weights are kept: on the CPU, where they
    take no further memory if they are mapped from the checkpoint; those of a model on a GPU are copied to the CPU
    once. Layers with 8-bit weights keep their weights and add the change when they are used. What is fused already is
    not computed again.

    Args:
        modules: The model; after the first LoRA was fused its weights must not be changed by others.
        device: Where the products are computed; None for where each weight lies.
    """

    def __init__(self, modules: Modules, *, device: torch.device | None = None) -> None:
        self._layers = modules.linears()
        self._device = device
        self._originals: dict[str, Tensor] = {}
        """Of every layer that ever was changed, on the CPU."""
        self._changed: frozenset[str] = frozenset()
        self._fused: tuple[tuple[Lora, float], ...] | None = ()
        """None after a change that did not come to its end."""

    def is_set(self, *loras: tuple[Lora, float]) -> bool:
        """Whether exactly these are fused."""
        wanted = [(lora, strength) for lora, strength in loras if strength]
        if self._fused is None or len(wanted) != len(self._fused):
            return False
        return all(a[0] is b[0] and a[1] == b[1] for a, b in zip(wanted, self._fused, strict=True))

    def set(self, *loras: tuple[Lora, float]) -> None:
        """Fuse exactly these LoRAs, each with its strength; without any, the model is as it was loaded.

        Raises:
            KeyMismatchError: Layers that the model does not have, or of another shape; nothing was changed.
            ValueError: A strength that is not finite; nothing was changed.
        """
        for lora, strength in loras:
            self._check(lora)
            if not math.isfinite(strength):
                raise ValueError(f"the strength of {lora.path.name} is {strength}; expected a finite number")
        if self.is_set(*loras):
            return
        active = tuple((lora, strength) for lora, strength in loras if strength)
        wanted = frozenset(name for lora, _ in active for name in lora.layers)
        self._fused = None
        for name in sorted(self._changed - wanted):
            self._restore(name)
        for name in sorted(wanted):
            changes = [(lora.layers[name], strength) for lora, strength in active if name in lora.layers]
            self._fuse(name, *_stacked(changes))
        self._fused = active

    def _fuse(self, name: str, up: Tensor, down: Tensor) -> None:
        layer = self._layers[name]
        if isinstance(layer, Fp8Linear):
            layer.low_rank = (up.to(layer.weight.device), down.to(layer.weight.device))
            self._changed |= {name}
            return
        place = layer.weight.device
        original = self._originals[name] if name in self._changed else layer.weight.data
        device = self._device or place
        fused = torch.addmm(original.to(device).float(), up.to(device), down.to(device)).to(place, original.dtype)
        if name not in self._originals:
            self._originals[name] = original.cpu()
        layer.weight.data = fused.pin_memory() if original.is_pinned() else fused
        self._changed |= {name}

    def _restore(self, name: str) -> None:
        layer = self._layers[name]
        if isinstance(layer, Fp8Linear):
            layer.low_rank = None
        else:
            layer.weight.data = self._originals[name].to(layer.weight.device)
        self._changed -= {name}

    def _check(self, lora: Lora) -> None:
        known = {name: tuple(layer.weight.shape) for name, layer in self._layers.items()}
        unknown = sorted(lora.layers.keys() - known.keys())
        misshaped = [
            f"{name} {list(found)} instead of {list(known[name])}"
            for name, change in sorted(lora.layers.items())
            if name in known and (found := (change.up.shape[0], change.down.shape[1])) != known[name]
        ]
        problems = {"for layers the model does not have": unknown, "of another shape": misshaped}
        if any(problems.values()):
            listed = "; ".join(f"{len(keys)} {kind}: {shortened(keys)}" for kind, keys in problems.items() if keys)
            raise KeyMismatchError(f"{lora.path} was made for another model: {listed}")


def load_lora(path: str | Path) -> Lora:
    """Read a LoRA file.

    Raises:
        FileNotFoundError: No such file.
        BrokenFileError: A damaged file; NotSafetensorsError if it is of another format.
        KeyMismatchError: Keys that belong to no LoRA of LTX-2, or half a pair.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; give the safetensors file of a LoRA")
    file = check_file(path)
    parts: dict[str, dict[str, Tensor]] = {}
    foreign = []
    for key, tensor in file.read():
        match = _KEY.fullmatch(key)
        name = _published(match["layer"]) if match else None
        if match is None or name is None:
            foreign.append(key)
        else:
            parts.setdefault(name, {})[_PARTS.get(match["part"], "alpha")] = tensor
    if foreign or not parts:
        raise KeyMismatchError(
            f"{path} is not a LoRA for LTX-2: expected diffusion_model.*.lora_A.weight and lora_B.weight, found "
            f"{shortened(sorted(foreign)) or 'no tensors'}"
        )
    incomplete = sorted(name for name, pair in parts.items() if not _fit(pair))
    if incomplete:
        raise KeyMismatchError(f"{path} has no matching pair of factors for {shortened(incomplete)}")
    return Lora(path, {name: _low_rank(pair, _file_alpha(file, name)) for name, pair in parts.items()})


def _published(layer: str) -> str | None:
    """The published name of a layer that a LoRA file names in its own way; None if it is of no known layout."""
    root, _, rest = layer.partition(".")
    if root == "diffusion_model":
        return f"model.{layer}"
    if root in ("model", "text_embedding_projection"):
        return layer
    first, dot, tail = rest.partition(".")
    if root == "transformer":
        return f"model.diffusion_model.{_DIFFUSERS_NAMES.get(first, first)}{dot}{tail}"
    if root == "connectors" and first in _DIFFUSERS_CONNECTORS:
        return _DIFFUSERS_CONNECTORS[first] + dot + tail.replace("transformer_blocks.", "transformer_1d_blocks.")
    return None


def _fit(pair: Mapping[str, Tensor]) -> bool:
    if not {"down", "up"} <= pair.keys() or pair.get("alpha", torch.ones(())).numel() != 1:
        return False
    down, up = pair["down"], pair["up"]
    return down.ndim == up.ndim == 2 and down.shape[0] == up.shape[1] > 0


def _low_rank(pair: Mapping[str, Tensor], file_alpha: float | None) -> LowRank:
    rank = pair["down"].shape[0]
    alpha = float(pair["alpha"]) if "alpha" in pair else file_alpha
    return LowRank(pair["down"], pair["up"], 1.0 if alpha is None else alpha / rank)


def _file_alpha(file: WeightsFile, name: str) -> float | None:
    """The alpha that diffusers notes in a file's metadata, for all layers of a component at once."""
    if _DIFFUSERS_METADATA not in file.metadata:
        return None
    component = "connectors" if "embeddings_connector" in name or "text_embedding" in name else "transformer"
    try:
        noted = json.loads(file.metadata[_DIFFUSERS_METADATA])
        alpha = noted.get(f"{component}.lora_alpha")
        varies = [key for key in ("alpha_pattern", "use_rslora", "use_dora") if noted.get(f"{component}.{key}")]
        alpha = None if alpha is None else float(alpha)
    except (ValueError, TypeError, AttributeError) as error:
        raise BrokenFileError(f"{file.path}: its {_DIFFUSERS_METADATA} cannot be read; fetch it again") from error
    if varies:
        raise KeyMismatchError(f"{file.path} is of a kind of LoRA that is not implemented: {component}.{varies[0]}")
    return alpha


def _stacked(changes: list[tuple[LowRank, float]]) -> tuple[Tensor, Tensor]:
    """Several changes of one layer as one pair of factors, float32: `(out, r)` with the strengths in it, `(r, in)`."""
    ups = [change.up.float() * (strength * change.scale) for change, strength in changes]
    return torch.cat(ups, dim=1), torch.cat([change.down.float() for change, _ in changes])
