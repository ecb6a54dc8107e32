"""The config metadata: the published values, both ways, and a refusal for every key."""

import copy
import json
from typing import Any

import pytest

from ltx2.config import LTX2_19B, NANO
from ltx2.config_rules import SECTIONS, Fixed, Note, Read
from ltx2.published_config import UnsupportedConfigError, dump_config, parse_config

PUBLISHED: dict[str, Any] = {
    "transformer": {
        "_class_name": "AVTransformer3DModel",
        "_diffusers_version": "0.25.1",
        "activation_fn": "gelu-approximate",
        "attention_bias": True,
        "attention_head_dim": 128,
        "attention_type": "default",
        "audio_attention_head_dim": 64,
        "audio_cross_attention_dim": 2048,
        "audio_num_attention_heads": 32,
        "audio_out_channels": 128,
        "audio_positional_embedding_max_pos": [20],
        "av_ca_timestep_scale_multiplier": 1000.0,
        "av_cross_ada_norm": True,
        "caption_channels": 3840,
        "causal_temporal_positioning": True,
        "connector_attention_head_dim": 128,
        "connector_norm_output": True,
        "connector_num_attention_heads": 30,
        "connector_num_layers": 2,
        "connector_num_learnable_registers": 128,
        "connector_positional_embedding_max_pos": [4096],
        "cross_attention_dim": 4096,
        "cross_attention_norm": True,
        "double_self_attention": False,
        "dropout": 0.0,
        "frequencies_precision": "float64",
        "in_channels": 128,
        "norm_elementwise_affine": False,
        "norm_eps": 1e-06,
        "norm_num_groups": 32,
        "num_attention_heads": 32,
        "num_embeds_ada_norm": 1000,
        "num_layers": 48,
        "num_vector_embeds": None,
        "only_cross_attention": False,
        "out_channels": 128,
        "positional_embedding_max_pos": [20, 2048, 2048],
        "positional_embedding_theta": 10000.0,
        "positional_embedding_type": "rope",
        "qk_norm": "rms_norm",
        "rope_type": "split",
        "share_ff": False,
        "standardization_norm": "rms_norm",
        "timestep_scale_multiplier": 1000,
        "upcast_attention": False,
        "use_audio_video_cross_attention": True,
        "use_embeddings_connector": True,
        "use_linear_projection": False,
        "use_middle_indices_grid": True,
    },
    "vae": {
        "_class_name": "CausalVideoAutoencoder",
        "dims": 3,
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 128,
        "encoder_blocks": [
            ["res_x", {"num_layers": 4}],
            ["compress_space_res", {"multiplier": 2}],
            ["res_x", {"num_layers": 6}],
            ["compress_time_res", {"multiplier": 2}],
            ["res_x", {"num_layers": 6}],
            ["compress_all_res", {"multiplier": 2}],
            ["res_x", {"num_layers": 2}],
            ["compress_all_res", {"multiplier": 2}],
            ["res_x", {"num_layers": 2}],
        ],
        "decoder_blocks": [
            ["res_x", {"num_layers": 5, "inject_noise": False}],
            ["compress_all", {"residual": True, "multiplier": 2}],
            ["res_x", {"num_layers": 5, "inject_noise": False}],
            ["compress_all", {"residual": True, "multiplier": 2}],
            ["res_x", {"num_layers": 5, "inject_noise": False}],
            ["compress_all", {"residual": True, "multiplier": 2}],
            ["res_x", {"num_layers": 5, "inject_noise": False}],
        ],
        "encoder_base_channels": 128,
        "decoder_base_channels": 128,
        "scaling_factor": 1.0,
        "norm_layer": "pixel_norm",
        "patch_size": 4,
        "latent_log_var": "uniform",
        "use_quant_conv": False,
        "causal_decoder": False,
        "timestep_conditioning": False,
        "normalize_latent_channels": False,
    },
    "audio_vae": {
        "model": {
            "params": {
                "ddconfig": {
                    "double_z": True,
                    "mel_bins": 64,
                    "z_channels": 8,
                    "resolution": 256,
                    "downsample_time": False,
                    "in_channels": 2,
                    "out_ch": 2,
                    "ch": 128,
                    "ch_mult": [1, 2, 4],
                    "num_res_blocks": 2,
                    "attn_resolutions": [],
                    "dropout": 0.0,
                    "mid_block_add_attention": False,
                    "norm_type": "pixel",
                    "causality_axis": "height",
                },
                "embed_dim": 8,
                "sampling_rate": 16000,
            }
        },
        "preprocessing": {
            "audio": {
                "causal_padding": 3,
                "duration": 5.12,
                "max_wav_value": 32768.0,
                "sampling_rate": 16000,
                "stereo": True,
            },
            "mel": {"mel_fmax": 8000, "mel_fmin": 0, "n_mel_channels": 64},
            "stft": {"causal": True, "filter_length": 1024, "hop_length": 160, "win_length": 1024},
        },
    },
    "vocoder": {
        "resblock": "1",
        "upsample_rates": [6, 5, 2, 2, 2],
        "upsample_kernel_sizes": [16, 15, 8, 4, 4],
        "resblock_kernel_sizes": [3, 7, 11],
        "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
        "upsample_initial_channel": 1024,
        "stereo": True,
    },
    "scheduler": {"_class_name": "RectifiedFlowScheduler", "sampler": "LinearQuadratic"},
}
RULES = [(section, key, rule) for section, rules in SECTIONS.items() for key, rule in rules.items()]


def changed(section: str, key: str, value: Any) -> str:
    config = copy.deepcopy(PUBLISHED)
    *parents, name = key.split(".")
    target = config.setdefault(section, {})
    for parent in parents:
        target = target[parent]
    if value is KeyError:
        target.pop(name, None)
    else:
        target[name] = value
    return json.dumps(config)


def test_published_values_give_the_19b_preset() -> None:
    assert parse_config(json.dumps(PUBLISHED)) == LTX2_19B


@pytest.mark.parametrize("config", [LTX2_19B, NANO], ids=["19b", "nano"])
def test_written_configs_are_read_back(config) -> None:
    assert parse_config(dump_config(config)) == config


def test_written_config_has_the_published_values() -> None:
    written = json.loads(dump_config(LTX2_19B))
    for section in ("transformer", "vae", "audio_vae", "vocoder"):
        extra = {k: v for k, v in written[section].items() if k not in PUBLISHED[section]}
        assert {k: v for k, v in written[section].items() if k not in extra} == PUBLISHED[section]
        assert set(extra) <= {"audio_in_channels", "encoder_spatial_padding_mode", "decoder_spatial_padding_mode"}


@pytest.mark.parametrize(("section", "key", "rule"), [r for r in RULES if not isinstance(r[2], Note)])
def test_every_key_refuses_what_we_do_not_implement(section, key, rule) -> None:
    for value in ("something else", -1, {"a": 1}):
        with pytest.raises(UnsupportedConfigError, match=key.rsplit(".", 1)[-1]) as caught:
            parse_config(changed(section, key, value))
        assert section in str(caught.value)
    if isinstance(rule, Fixed) and isinstance(rule.value, bool):
        with pytest.raises(UnsupportedConfigError, match=f"is {not rule.value}.*implements {rule.value} only"):
            parse_config(changed(section, key, not rule.value))
        with pytest.raises(UnsupportedConfigError):
            parse_config(changed(section, key, int(rule.value)))


@pytest.mark.parametrize(("section", "key", "rule"), RULES)
def test_absent_keys(section, key, rule) -> None:
    text = changed(section, key, KeyError)
    needed = rule.required if isinstance(rule, Fixed) else isinstance(rule, Read) and rule.default is None
    if needed:
        with pytest.raises(UnsupportedConfigError, match="is missing"):
            parse_config(text)
    else:
        assert parse_config(text) == LTX2_19B


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("transformer", "apply_gated_attention", True, "transformer.apply_gated_attention is True"),
        ("transformer", "rope_type", "interleaved", "implements 'split' only"),
        ("vae", "timestep_conditioning", True, "implements False only"),
        ("audio_vae", "model.params.ddconfig.dropout", 0.1, "ddconfig.dropout is 0.1"),
        ("audio_vae", "model.params.unknown", 1, "model.params.unknown is 1"),
        ("vocoder", "bwe", {"a": 1}, "vocoder.bwe is"),
        ("transformer", "num_layers", 10**9, "an integer from 1 to 512"),
        ("transformer", "num_layers", True, "num_layers is True"),
        ("transformer", "cross_attention_dim", 2048, "2048 where the other sizes ask for 4096"),
        ("transformer", "audio_num_attention_heads", 16, "16 where the other sizes ask for 32"),
        ("vae", "latent_channels", 64, "128 where the other sizes ask for 64"),
        ("vae", "encoder_blocks", [["compress_all_res", {"multiplier": 2}]], "compress 2x in time"),
        ("vae", "decoder_blocks", [["compress_all", {"residual": True, "multiplier": 2}]] * 4, "16x in time and 64x"),
        ("vae", "decoder_blocks", [["compress_time", {"multiplier": 2}]], "residual is missing"),
        ("vae", "encoder_blocks", [["attn", {}]], "encoder_blocks.0"),
        ("vae", "decoder_blocks", [["res_x", {"num_layers": 5, "inject_noise": True}]], "inject_noise is True"),
        ("vae", "decoder_blocks", [["compress_all", {"multiplier": 2}]], "residual is missing"),
        ("vae", "encoder_blocks", [["res_x", {"num_layers": 1, "attention": 1}]], "attention is 1"),
        ("vocoder", "upsample_rates", [6, 5, 2, 2, 4], "samples per second"),
        ("vocoder", "upsample_rates", [240], "differ in length"),
    ],
)
def test_refusals_name_key_and_value(section, key, value, message) -> None:
    with pytest.raises(UnsupportedConfigError, match=message):
        parse_config(changed(section, key, value))


def test_a_smaller_spatial_factor() -> None:
    """Sixteenth the side, by one encoder block less and a decoder block for time alone."""
    vae = json.loads(json.dumps(PUBLISHED["vae"]))
    vae["encoder_blocks"][7][0] = "compress_time_res"
    vae["decoder_blocks"][1][0] = "compress_time"
    config = parse_config(json.dumps({**PUBLISHED, "vae": vae}))
    assert (config.video_vae.temporal_factor, config.video_vae.spatial_factor) == (8, 16)
    assert config.video_vae.decoder_factors == (8, 16)
    assert parse_config(dump_config(config)) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "is a list"),
        ("{}", "lacks section 'transformer'"),
        (json.dumps({**PUBLISHED, "vae": 1}), "'vae' is a int"),
        (json.dumps({**PUBLISHED, "duration_head": {}}), "section 'duration_head'"),
    ],
)
def test_broken_configs(text, message) -> None:
    with pytest.raises(UnsupportedConfigError, match=message):
        parse_config(text)
