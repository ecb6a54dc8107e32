"""What each key of a published `config` may be: the values we implement, the sizes we read, the notes we ignore.

The keys and values are those of `ltx-2-19b-dev`; which of them the official code reads is in Lightricks/LTX-2,
`ltx_core/model/*/model_configurator.py`. Nested sections are dotted keys.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_MAX_SIZE = 1_000_000
_MAX_LAYERS = 512


@dataclass(frozen=True, slots=True)
class Fixed:
    """A key we implement one value of. Where it may be absent, absence means that value in the official code too."""

    value: Any
    required: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """A key whose value sizes the model."""

    check: Callable[[Any], bool]
    expected: str
    default: Any = None


@dataclass(frozen=True, slots=True)
class Note:
    """A key that changes nothing in the model; we write this value."""

    value: Any


def _is_int(value: Any) -> bool:
    return type(value) is int and 1 <= value <= _MAX_SIZE


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < float("inf")


def _is_bool(value: Any) -> bool:
    return type(value) is bool


def _ints(count: int | None = None) -> Read:
    def check(value: Any) -> bool:
        right_length = isinstance(value, list) and (len(value) == count or (count is None and 1 <= len(value) <= 16))
        return right_length and all(_is_int(v) for v in value)

    return Read(check, "a list of positive integers" + (f" of length {count}" if count else ""))


_INT = Read(_is_int, "a positive integer")
_NUMBER = Read(_is_number, "a positive number")
LAYERS = Read(lambda v: _is_int(v) and v <= _MAX_LAYERS, f"an integer from 1 to {_MAX_LAYERS}")
_BLOCKS = Read(lambda v: isinstance(v, list) and len(v) <= 32, "a list of [kind, options] pairs")
_INT_LISTS = Read(
    lambda v: isinstance(v, list) and all(_ints().check(row) for row in v), "a list of lists of positive integers"
)
_ZERO = Fixed(0.0)
_NO = Fixed(False)
_YES = Fixed(True)

Rule = Fixed | Read | Note

_TRANSFORMER: Mapping[str, Rule] = {
    "_class_name": Fixed("AVTransformer3DModel"),
    "_diffusers_version": Note("0.25.1"),
    "activation_fn": Fixed("gelu-approximate"),
    "attention_bias": _YES,
    "attention_head_dim": _INT,
    "attention_type": Fixed("default"),
    "audio_attention_head_dim": _INT,
    "audio_cross_attention_dim": _INT,
    "audio_in_channels": Read(_is_int, "a positive integer", default=128),
    "audio_num_attention_heads": _INT,
    "audio_out_channels": _INT,
    "audio_positional_embedding_max_pos": _ints(1),
    "av_ca_timestep_scale_multiplier": _NUMBER,
    "av_cross_ada_norm": _YES,
    "caption_channels": _INT,
    "causal_temporal_positioning": _YES,
    "connector_attention_head_dim": _INT,
    "connector_norm_output": Fixed(True, required=True),
    "connector_num_attention_heads": _INT,
    "connector_num_layers": LAYERS,
    "connector_num_learnable_registers": _INT,
    "connector_positional_embedding_max_pos": _ints(1),
    "cross_attention_dim": _INT,
    "cross_attention_norm": _YES,
    "double_self_attention": _NO,
    "dropout": _ZERO,
    "frequencies_precision": Fixed("float64", required=True),
    "in_channels": _INT,
    "norm_elementwise_affine": _NO,
    "norm_eps": _NUMBER,
    "norm_num_groups": Note(32),
    "num_attention_heads": _INT,
    "num_embeds_ada_norm": Fixed(1000),
    "num_layers": LAYERS,
    "num_vector_embeds": Fixed(None),
    "only_cross_attention": _NO,
    "out_channels": _INT,
    "positional_embedding_max_pos": _ints(3),
    "positional_embedding_theta": _NUMBER,
    "positional_embedding_type": Fixed("rope"),
    "qk_norm": Fixed("rms_norm"),
    "rope_type": Fixed("split", required=True),
    "share_ff": _NO,
    "standardization_norm": Fixed("rms_norm"),
    "timestep_scale_multiplier": _NUMBER,
    "upcast_attention": _NO,
    "use_audio_video_cross_attention": _YES,
    "use_embeddings_connector": _YES,
    "use_linear_projection": _NO,
    "use_middle_indices_grid": Fixed(True, required=True),
}
_VIDEO_VAE: Mapping[str, Rule] = {
    "_class_name": Fixed("CausalVideoAutoencoder"),
    "dims": Fixed(3),
    "in_channels": _INT,
    "out_channels": _INT,
    "latent_channels": _INT,
    "encoder_blocks": _BLOCKS,
    "decoder_blocks": _BLOCKS,
    "encoder_base_channels": _INT,
    "decoder_base_channels": _INT,
    "scaling_factor": Fixed(1.0),
    "norm_layer": Fixed("pixel_norm", required=True),
    "patch_size": _INT,
    "latent_log_var": Fixed("uniform", required=True),
    "use_quant_conv": _NO,
    "causal_decoder": Fixed(False, required=True),
    "timestep_conditioning": Fixed(False, required=True),
    "normalize_latent_channels": _NO,
    "encoder_spatial_padding_mode": Fixed("zeros"),
    "decoder_spatial_padding_mode": Fixed("reflect"),
}
_AUDIO_VAE: Mapping[str, Rule] = {
    "model.params.ddconfig.double_z": _YES,
    "model.params.ddconfig.mel_bins": _INT,
    "model.params.ddconfig.z_channels": _INT,
    "model.params.ddconfig.resolution": Note(256),
    "model.params.ddconfig.downsample_time": Note(False),
    "model.params.ddconfig.in_channels": _INT,
    "model.params.ddconfig.out_ch": _INT,
    "model.params.ddconfig.ch": _INT,
    "model.params.ddconfig.ch_mult": _ints(),
    "model.params.ddconfig.num_res_blocks": LAYERS,
    "model.params.ddconfig.attn_resolutions": Fixed([]),
    "model.params.ddconfig.dropout": _ZERO,
    "model.params.ddconfig.mid_block_add_attention": Fixed(False, required=True),
    "model.params.ddconfig.norm_type": Fixed("pixel", required=True),
    "model.params.ddconfig.causality_axis": Fixed("height", required=True),
    "model.params.embed_dim": Note(8),
    "model.params.sampling_rate": _INT,
    "preprocessing.audio.causal_padding": Note(3),
    "preprocessing.audio.duration": Note(5.12),
    "preprocessing.audio.max_wav_value": Note(32768.0),
    "preprocessing.audio.sampling_rate": _INT,
    "preprocessing.audio.stereo": _YES,
    "preprocessing.mel.mel_fmax": _NUMBER,
    "preprocessing.mel.mel_fmin": Read(lambda v: v == 0 or _is_number(v), "a number from 0 on"),
    "preprocessing.mel.n_mel_channels": _INT,
    "preprocessing.stft.causal": Note(True),
    "preprocessing.stft.filter_length": _INT,
    "preprocessing.stft.hop_length": _INT,
    "preprocessing.stft.win_length": _INT,
}
_VOCODER: Mapping[str, Rule] = {
    "resblock": Fixed("1"),
    "upsample_rates": _ints(),
    "upsample_kernel_sizes": _ints(),
    "resblock_kernel_sizes": _ints(),
    "resblock_dilation_sizes": _INT_LISTS,
    "upsample_initial_channel": _INT,
    "stereo": _YES,
}
_TEXT: Mapping[str, Rule] = {
    "num_hidden_states": Read(_is_int, "a positive integer", default=49),
    "max_tokens": Read(_is_int, "a positive integer", default=1024),
}
"""Our own section, for language models other than Gemma 3 12B; absent from the published files."""

_BOOL = "true or false"
UPSAMPLER: Mapping[str, Rule] = {
    "_class_name": Fixed("LatentUpsampler"),
    "in_channels": Read(_is_int, "a positive integer", default=128),
    "mid_channels": Read(_is_int, "a positive integer", default=512),
    "num_blocks_per_stage": Read(lambda v: _is_int(v) and v <= _MAX_LAYERS, LAYERS.expected, default=4),
    "dims": Fixed(3),
    "spatial_upsample": Read(_is_bool, _BOOL, default=True),
    "temporal_upsample": Read(_is_bool, _BOOL, default=False),
    "spatial_scale": Read(_is_number, "a positive number", default=2.0),
    "rational_resampler": Read(_is_bool, _BOOL, default=False),
}
"""The configuration of a latent upsampler: its file's metadata hold these keys without a section."""

SECTIONS: Mapping[str, Mapping[str, Rule]] = {
    "transformer": _TRANSFORMER,
    "vae": _VIDEO_VAE,
    "audio_vae": _AUDIO_VAE,
    "vocoder": _VOCODER,
    "text_encoder": _TEXT,
}
"""The sections of a complete checkpoint's configuration."""
