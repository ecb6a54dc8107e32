"""AudioBox Aesthetics: four axes of how a sound is liked, by a WavLM with a small head per axis."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import ExtractorSpec, present
from ltx2_eval.extractors.sound import mono
from ltx2_eval.weights.safe import load_strict, read_state
from ltx2_reports.store import DamagedError

RATE_HZ = 16_000
WINDOW = 10 * RATE_HZ
LEAST_S = 0.1
AXES = ("CE", "CU", "PC", "PQ")
"""Content enjoyment, content usefulness, production complexity, production quality."""

_RENAMED = (
    (r"^wavlm_model\.mask_emb$", "encoder.masked_spec_embed"),
    (r"^wavlm_model\.feature_extractor\.conv_layers\.(\d)\.0\.", r"encoder.feature_extractor.conv_layers.\1.conv."),
    (r"^wavlm_model\.feature_extractor\.conv_layers\.0\.2\.", "encoder.feature_extractor.conv_layers.0.layer_norm."),
    (r"^wavlm_model\.post_extract_proj\.", "encoder.feature_projection.projection."),
    (r"^wavlm_model\.layer_norm\.", "encoder.feature_projection.layer_norm."),
    (r"^wavlm_model\.encoder\.pos_conv\.0\.bias", "encoder.encoder.pos_conv_embed.conv.bias"),
    (r"^wavlm_model\.encoder\.pos_conv\.0\.weight_g", "encoder.encoder.pos_conv_embed.conv.weight.original0"),
    (r"^wavlm_model\.encoder\.pos_conv\.0\.weight_v", "encoder.encoder.pos_conv_embed.conv.weight.original1"),
    (r"^wavlm_model\.encoder\.", "encoder.encoder."),
    (r"\.pos_conv_embed\.conv\.weight\.", ".pos_conv_embed.conv.parametrizations.weight."),
    (r"\.self_attn_layer_norm\.", ".layer_norm."),
    (r"\.self_attn\.grep_a$", ".attention.gru_rel_pos_const"),
    (r"\.self_attn\.grep_linear\.", ".attention.gru_rel_pos_linear."),
    (r"\.self_attn\.relative_attention_bias\.", ".attention.rel_attn_embed."),
    (r"\.self_attn\.", ".attention."),
    (r"\.fc1\.", ".feed_forward.intermediate_dense."),
    (r"\.fc2\.", ".feed_forward.output_dense."),
)


def renamed(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published names (WavLM as microsoft/unilm has it) -> those of `Audiobox`, whose WavLM is transformers'."""
    state = {}
    for key, value in published.items():
        for pattern, replacement in _RENAMED:
            key = re.sub(pattern, replacement, key)
        state[key] = value
    return state


def _head(width: int, layers: int, normalised: bool) -> nn.Sequential:
    """Linear layers with GELU between."""
    modules: list[nn.Module] = []
    for _ in range(layers - 1):
        modules += [nn.Linear(width, width), *([nn.LayerNorm(width)] if normalised else []), nn.GELU()]
    return nn.Sequential(*modules, nn.Linear(width, 1))


class Audiobox(nn.Module):
    """WavLM base, a weighted mean of its 13 states per axis, mean over time, and a head (Tjandra et al. 2025).

    Args:
        config: the published `config.json`: the head's depth and norms, and mean and deviation of each axis.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        from transformers import WavLMConfig, WavLMModel

        self.encoder: Any = WavLMModel(WavLMConfig(apply_spec_augment=True))
        width, depth = self.encoder.config.hidden_size, self.encoder.config.num_hidden_layers
        head = (width, int(config["proj_num_layer"]), bool(config["proj_ln"]))
        self.proj_layer = nn.ModuleDict({axis: _head(*head) for axis in AXES})
        self.layer_weights = nn.ParameterDict({axis: nn.Parameter(torch.zeros(depth + 1)) for axis in AXES})
        transforms = config["target_transform"]
        self.scale = {axis: (float(transforms[axis]["mean"]), float(transforms[axis]["std"])) for axis in AXES}

    def forward(self, waveform: Tensor, length: int) -> Tensor:
        """Scores (b, 4) in the order of `AXES`, nominally 1..10.

        Args:
            waveform: (b, n) at 16 kHz, zeros after the sound.
            length: samples of sound in each row, at least a frame of 20 ms.
        """
        states = self._states(waveform, length)
        scores = []
        for axis in AXES:
            mixed = torch.einsum("l b t c, l -> b t c", states, self.layer_weights[axis].softmax(0))
            mean, deviation = self.scale[axis]
            raw = self.proj_layer[axis](F.normalize(mixed.mean(1), dim=-1)).squeeze(-1)
            scores.append(raw * deviation + mean)
        return torch.stack(scores, dim=1)

    def _states(self, waveform: Tensor, length: int) -> Tensor:
        """(13, b, t, c): before the first layer and after each, of the t frames that have sound.

        The authors mask the others; as those lie at the end and are zero there, leaving them out is the same.
        """
        maps = rearrange(self.encoder.feature_extractor(waveform), "b c t -> b t c")
        frames = math.ceil(length / (waveform.shape[1] // maps.shape[1]))
        x, _ = self.encoder.feature_projection(maps[:, :frames])
        stack = self.encoder.encoder
        x = stack.layer_norm(x + stack.pos_conv_embed(x))
        states, bias = [x], None
        for index, layer in enumerate(stack.layers):
            x, bias = layer(x, position_bias=bias, index=index)
            states.append(x)
        return torch.stack(states)


class AudioboxExtractor:
    """The four scores of a clip, of windows of 10 s without overlap, weighted by how much of a window is sound."""

    def __init__(self, spec: ExtractorSpec, network: Audiobox, device: str) -> None:
        self.spec = spec
        self.network = network.eval().requires_grad_(False).to(device)
        self.device = device

    @classmethod
    def load(cls, spec: ExtractorSpec, weights: Path | None, device: str) -> Self:
        """Load a folder with the published `config.json` and the weights.

        Raises:
            NotAvailable: no folder.
            DamagedError: configuration or weights do not fit.
        """
        weights = present(spec, weights)
        try:
            network = Audiobox(json.loads((weights / "config.json").read_text(encoding="utf-8")))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedError(f"{weights}: config.json is not that of AudioBox Aesthetics ({error!r})") from error
        load_strict(network, renamed(read_state(weights / "model.safetensors")), str(weights))
        return cls(spec, network, device)

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(1, 4) scores of the clip.

        Raises:
            NotApplicable: no sound, or less than 0.1 s.
        """
        waveform = torch.from_numpy(mono(clip, RATE_HZ, LEAST_S))
        scores: list[Tensor] = []
        lengths: list[float] = []
        for part in waveform.split(WINDOW):
            if scores and len(part) < LEAST_S * RATE_HZ:
                continue  # too little for a frame of the network
            padded = F.pad(part, (0, WINDOW - len(part)))[None].to(self.device)
            with torch.inference_mode():
                scores.append(self.network(padded, len(part))[0].double().cpu())
            lengths.append(float(len(part)))
        weights = torch.tensor(lengths, dtype=torch.float64) / sum(lengths)
        return (weights @ torch.stack(scores)).float()[None].numpy()
