"""Tells the checkpoints of LTX-2.3 and LTX-2.5 from those of LTX-2, by what only they have.

Source: Lightricks/LTX-2, `ltx_core/model/transformer/model_configurator.py` and `ltx_core/loader/helpers.py`.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

_SIGNS: Mapping[str, Mapping[str, Any]] = {
    "LTX-2.5": {
        "transformer.ff_bias": False,
        "transformer.use_keyframes_abs_pos_embedding": True,
        "vae._class_name": "CausalDiffusionVAE",
    },
    "LTX-2.3": {
        "transformer.apply_gated_attention": True,
        "transformer.cross_attention_adaln": True,
        "transformer.caption_proj_before_connector": True,
        "transformer.connector_apply_gated_attention": True,
        "transformer.text_encoder_norm_type": "per_token_rms",
    },
}
"""Values of config keys; the first version with one of them is it (2.5 has those of 2.3, too)."""
_GATE = ".to_gate_logits."


def later_version(metadata: Mapping[str, str], tensors: Iterable[str]) -> str | None:
    """What a file says that makes it a later version, as `LTX-2.3 (REASON)`; None if nothing does.

    Args:
        metadata: Of the file.
        tensors: Names of its tensors.
    """
    noted = metadata.get("model_version", "").strip().removeprefix("v")
    if noted.startswith(("2.3", "2.5")):
        return f"LTX-{noted[:3]} (model_version is {noted!r})"
    values = _values(metadata.get("config", ""))
    for version, signs in _SIGNS.items():
        for key, value in signs.items():
            if key in values and values[key] == value:
                return f"{version} (config {key} is {value!r})"
    gate = next((name for name in tensors if _GATE in name), None)
    return None if gate is None else f"LTX-2.3 or later (it has {gate})"


def _values(config: str) -> dict[str, Any]:
    try:
        sections = json.loads(config)
    except ValueError:
        return {}
    if not isinstance(sections, dict):
        return {}
    return {
        f"{name}.{key}": value
        for name, section in sections.items()
        if isinstance(section, dict)
        for key, value in section.items()
    }
