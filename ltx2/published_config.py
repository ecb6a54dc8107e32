"""The `config` JSON in a checkpoint's metadata, to our dataclasses and back; refuses what we do not implement."""

import json
from collections.abc import Mapping
from typing import Any

from ltx2.config import AudioVAEConfig, LTX2Config, TextConfig, TransformerConfig, VideoVAEConfig, VocoderConfig
from ltx2.config_rules import LAYERS, SECTIONS, Fixed, Note, Read, Rule
from ltx2.types import TIME_FACTOR

_IGNORED_SECTIONS = ("scheduler",)
_OPTIONAL_SECTIONS = ("text_encoder",)
_BLOCK_OPTION = {"res_x": "num_layers"}
_UPSAMPLINGS = ("compress_space", "compress_time", "compress_all")
_BLOCK_FIXED = {"res_x": {"inject_noise": False}, **{kind: {"residual": True} for kind in _UPSAMPLINGS}}
_BLOCK_KINDS = {
    "encoder_blocks": ("res_x", "compress_space_res", "compress_time_res", "compress_all_res"),
    "decoder_blocks": ("res_x", *_UPSAMPLINGS),
}


class UnsupportedConfigError(ValueError):
    """A configuration this version does not implement."""


def parse_config(text: str) -> LTX2Config:
    """Read the metadata's `config` string.

    Raises:
        UnsupportedConfigError: A key or section we do not know, a missing key, or a value we do not implement; the
            message names key, value and what would be accepted.
    """
    try:
        sections = json.loads(text)
    except ValueError as error:
        raise UnsupportedConfigError(f"the checkpoint's config metadata is not JSON: {error}") from error
    if not isinstance(sections, dict):
        raise UnsupportedConfigError(f"the checkpoint's config metadata is a {type(sections).__name__}, not an object")
    unknown = sorted(sections.keys() - SECTIONS.keys() - set(_IGNORED_SECTIONS))
    if unknown:
        raise UnsupportedConfigError(f"config has section {unknown[0]!r}, of another model version; 19B has none")
    values = {name: read_section(name, rules, sections) for name, rules in SECTIONS.items()}
    _check_agreements(values)
    return LTX2Config(
        transformer=_transformer(values["transformer"]),
        text=_text(values["transformer"], values["text_encoder"]),
        video_vae=_video_vae(values["vae"]),
        audio_vae=_audio_vae(values["audio_vae"]),
        vocoder=_vocoder(values["vocoder"], values["audio_vae"]),
    )


def dump_config(config: LTX2Config) -> str:
    """The metadata string for a configuration: all keys of the published file, sorted; `parse_config` reads it."""
    values = {
        "transformer": _transformer_values(config.transformer, config.text),
        "vae": _video_vae_values(config.video_vae),
        "audio_vae": _audio_vae_values(config.audio_vae),
        "vocoder": _vocoder_values(config.vocoder),
        "text_encoder": {"num_hidden_states": config.text.num_hidden_states, "max_tokens": config.text.max_tokens},
    }
    sections = {name: write_section(rules, values[name]) for name, rules in SECTIONS.items()}
    return json.dumps(sections, sort_keys=True)


def read_section(name: str, rules: Mapping[str, Rule], sections: Mapping[str, Any]) -> dict[str, Any]:
    """The values of one section by flat key, checked against its rules; absent ones have their defaults.

    Raises:
        UnsupportedConfigError: The section, or a key or value in it, is not what the rules accept.
    """
    if name not in sections and name not in _OPTIONAL_SECTIONS:
        raise UnsupportedConfigError(f"config lacks section {name!r}; this is not a complete LTX-2 checkpoint")
    section = sections.get(name, {})
    if not isinstance(section, dict):
        raise UnsupportedConfigError(f"config section {name!r} is a {type(section).__name__}, not an object")
    found = _flatten(section, prefixes={key.rsplit(".", i)[0] for key in rules for i in range(1, key.count(".") + 1)})
    for key in found.keys() - rules.keys():
        raise UnsupportedConfigError(
            f"config {name}.{key} is {found[key]!r}; LTX-2 19B has no such key, and this version implements no other"
        )
    values = {}
    for key, rule in rules.items():
        values[key] = _read_value(f"{name}.{key}", rule, key in found, found.get(key))
    return values


def _read_value(label: str, rule: Rule, is_present: bool, value: Any) -> Any:
    if isinstance(rule, Note):
        return value
    if isinstance(rule, Fixed):
        if not is_present and not rule.required:
            return rule.value
        if not is_present or isinstance(value, bool) != isinstance(rule.value, bool) or value != rule.value:
            found = f"is {value!r}" if is_present else "is missing"
            raise UnsupportedConfigError(f"config {label} {found}; this version implements {rule.value!r} only")
        return value
    if not is_present and rule.default is not None:
        return rule.default
    if not is_present or not rule.check(value):
        found = f"is {value!r}" if is_present else "is missing"
        raise UnsupportedConfigError(f"config {label} {found}; expected {rule.expected}")
    return value


def _flatten(section: Mapping[str, Any], prefixes: set[str], path: str = "") -> dict[str, Any]:
    """Nested objects as dotted keys, descending only where a known key lies deeper."""
    flat: dict[str, Any] = {}
    for key, value in section.items():
        full = f"{path}{key}"
        if full in prefixes and isinstance(value, dict):
            flat.update(_flatten(value, prefixes, f"{full}."))
        else:
            flat[full] = value
    return flat


def write_section(rules: Mapping[str, Rule], values: Mapping[str, Any]) -> dict[str, Any]:
    """One section as published: the sizes from `values`, all else from the rules."""
    section: dict[str, Any] = {}
    for key, rule in rules.items():
        *parents, name = key.split(".")
        target = section
        for parent in parents:
            target = target.setdefault(parent, {})
        target[name] = values[key] if isinstance(rule, Read) else rule.value
    return section


def _check_agreements(values: Mapping[str, Mapping[str, Any]]) -> None:
    """Values the published format states twice, and the relations our modules rely on."""
    t, a = values["transformer"], values["audio_vae"]
    dd = "model.params.ddconfig."
    agreements = (
        (
            "transformer.cross_attention_dim",
            t["cross_attention_dim"],
            t["num_attention_heads"] * t["attention_head_dim"],
        ),
        ("transformer.audio_num_attention_heads", t["audio_num_attention_heads"], t["num_attention_heads"]),
        (
            "transformer.audio_cross_attention_dim",
            t["audio_cross_attention_dim"],
            t["num_attention_heads"] * t["audio_attention_head_dim"],
        ),
        (
            "transformer.caption_channels",
            t["caption_channels"],
            t["connector_num_attention_heads"] * t["connector_attention_head_dim"],
        ),
        ("transformer.in_channels", t["in_channels"], values["vae"]["latent_channels"]),
        ("transformer.out_channels", t["out_channels"], t["in_channels"]),
        ("transformer.audio_out_channels", t["audio_out_channels"], t["audio_in_channels"]),
        (
            "transformer.audio_in_channels",
            t["audio_in_channels"],
            a[f"{dd}z_channels"] * (a[f"{dd}mel_bins"] // 2 ** (len(a[f"{dd}ch_mult"]) - 1)),
        ),
        (
            "audio_vae.model.params.sampling_rate",
            a["model.params.sampling_rate"],
            a["preprocessing.audio.sampling_rate"],
        ),
        ("audio_vae.preprocessing.mel.n_mel_channels", a["preprocessing.mel.n_mel_channels"], a[f"{dd}mel_bins"]),
        (
            "audio_vae.preprocessing.stft.win_length",
            a["preprocessing.stft.win_length"],
            a["preprocessing.stft.filter_length"],
        ),
        ("text_encoder.max_tokens", values["text_encoder"]["max_tokens"] % t["connector_num_learnable_registers"], 0),
    )
    for key, found, expected in agreements:
        if found != expected:
            raise UnsupportedConfigError(f"config {key}: {found} where the other sizes ask for {expected}")


def _transformer(v: Mapping[str, Any]) -> TransformerConfig:
    return TransformerConfig(
        num_layers=v["num_layers"],
        num_attention_heads=v["num_attention_heads"],
        attention_head_dim=v["attention_head_dim"],
        audio_attention_head_dim=v["audio_attention_head_dim"],
        in_channels=v["in_channels"],
        out_channels=v["out_channels"],
        audio_in_channels=v["audio_in_channels"],
        audio_out_channels=v["audio_out_channels"],
        caption_channels=v["caption_channels"],
        positional_embedding_max_pos=tuple(v["positional_embedding_max_pos"]),
        audio_positional_embedding_max_pos=tuple(v["audio_positional_embedding_max_pos"]),
        positional_embedding_theta=float(v["positional_embedding_theta"]),
        timestep_scale_multiplier=float(v["timestep_scale_multiplier"]),
        av_ca_timestep_scale_multiplier=float(v["av_ca_timestep_scale_multiplier"]),
        norm_eps=float(v["norm_eps"]),
    )


def _text(v: Mapping[str, Any], text: Mapping[str, Any]) -> TextConfig:
    return TextConfig(
        hidden_size=v["caption_channels"],
        num_hidden_states=text["num_hidden_states"],
        connector_num_attention_heads=v["connector_num_attention_heads"],
        connector_attention_head_dim=v["connector_attention_head_dim"],
        connector_num_layers=v["connector_num_layers"],
        connector_num_learnable_registers=v["connector_num_learnable_registers"],
        connector_positional_embedding_max_pos=v["connector_positional_embedding_max_pos"][0],
        positional_embedding_theta=float(v["positional_embedding_theta"]),
        max_tokens=text["max_tokens"],
        norm_eps=float(v["norm_eps"]),
    )


def _transformer_values(t: TransformerConfig, text: TextConfig) -> dict[str, Any]:
    return {
        "attention_head_dim": t.attention_head_dim,
        "audio_attention_head_dim": t.audio_attention_head_dim,
        "audio_cross_attention_dim": t.audio_width,
        "audio_in_channels": t.audio_in_channels,
        "audio_num_attention_heads": t.num_attention_heads,
        "audio_out_channels": t.audio_out_channels,
        "audio_positional_embedding_max_pos": list(t.audio_positional_embedding_max_pos),
        "av_ca_timestep_scale_multiplier": t.av_ca_timestep_scale_multiplier,
        "caption_channels": t.caption_channels,
        "connector_attention_head_dim": text.connector_attention_head_dim,
        "connector_num_attention_heads": text.connector_num_attention_heads,
        "connector_num_layers": text.connector_num_layers,
        "connector_num_learnable_registers": text.connector_num_learnable_registers,
        "connector_positional_embedding_max_pos": [text.connector_positional_embedding_max_pos],
        "cross_attention_dim": t.width,
        "in_channels": t.in_channels,
        "norm_eps": t.norm_eps,
        "num_attention_heads": t.num_attention_heads,
        "num_layers": t.num_layers,
        "out_channels": t.out_channels,
        "positional_embedding_max_pos": list(t.positional_embedding_max_pos),
        "positional_embedding_theta": t.positional_embedding_theta,
        "timestep_scale_multiplier": t.timestep_scale_multiplier,
    }


def _video_vae(v: Mapping[str, Any]) -> VideoVAEConfig:
    config = VideoVAEConfig(
        latent_channels=v["latent_channels"],
        encoder_base_channels=v["encoder_base_channels"],
        decoder_base_channels=v["decoder_base_channels"],
        encoder_blocks=_blocks("encoder_blocks", v),
        decoder_blocks=_blocks("decoder_blocks", v),
        in_channels=v["in_channels"],
        out_channels=v["out_channels"],
        patch_size=v["patch_size"],
    )
    factors = (config.temporal_factor, config.spatial_factor)
    if factors[0] != TIME_FACTOR:
        raise UnsupportedConfigError(
            f"config vae.encoder_blocks compress {factors[0]}x in time; this version implements {TIME_FACTOR}x"
        )
    if config.decoder_factors != factors:
        raise UnsupportedConfigError(
            f"config vae.decoder_blocks expand {config.decoder_factors[0]}x in time and "
            f"{config.decoder_factors[1]}x in space; the encoder compresses {factors[0]}x and {factors[1]}x"
        )
    return config


def _blocks(key: str, v: Mapping[str, Any]) -> tuple[tuple[Any, int], ...]:
    return tuple(_block(f"vae.{key}.{i}", _BLOCK_KINDS[key], entry) for i, entry in enumerate(v[key]))


def _block(label: str, kinds: tuple[str, ...], entry: Any) -> tuple[str, int]:
    if not (isinstance(entry, list) and len(entry) == 2 and entry[0] in kinds and isinstance(entry[1], dict)):
        raise UnsupportedConfigError(f"config {label} is {entry!r}; expected [kind, options], kind one of {kinds}")
    kind, options = entry
    name = _BLOCK_OPTION.get(kind, "multiplier")
    rules: dict[str, Rule] = {key: Fixed(value) for key, value in _BLOCK_FIXED.get(kind, {}).items()}
    if kind in _UPSAMPLINGS:
        rules["residual"] = Fixed(True, required=True)
    rules[name] = LAYERS
    for key in options.keys() - rules.keys():
        raise UnsupportedConfigError(f"config {label}.{key} is {options[key]!r}; blocks {kind!r} have no such option")
    read = {key: _read_value(f"{label}.{key}", rule, key in options, options.get(key)) for key, rule in rules.items()}
    return kind, read[name]


def _video_vae_values(c: VideoVAEConfig) -> dict[str, Any]:
    def blocks(listed: tuple[tuple[Any, int], ...], fixed: Mapping[str, Mapping[str, Any]]) -> list[list[Any]]:
        return [[kind, {_BLOCK_OPTION.get(kind, "multiplier"): n, **fixed.get(kind, {})}] for kind, n in listed]

    return {
        "in_channels": c.in_channels,
        "out_channels": c.out_channels,
        "latent_channels": c.latent_channels,
        "encoder_base_channels": c.encoder_base_channels,
        "decoder_base_channels": c.decoder_base_channels,
        "patch_size": c.patch_size,
        "encoder_blocks": blocks(c.encoder_blocks, {}),
        "decoder_blocks": blocks(c.decoder_blocks, _BLOCK_FIXED),
    }


def _audio_vae(v: Mapping[str, Any]) -> AudioVAEConfig:
    dd = "model.params.ddconfig."
    return AudioVAEConfig(
        base_channels=v[f"{dd}ch"],
        channel_multipliers=tuple(v[f"{dd}ch_mult"]),
        num_res_blocks=v[f"{dd}num_res_blocks"],
        latent_channels=v[f"{dd}z_channels"],
        mel_bins=v[f"{dd}mel_bins"],
        in_channels=v[f"{dd}in_channels"],
        out_channels=v[f"{dd}out_ch"],
        rate_hz=v["preprocessing.audio.sampling_rate"],
        hop_length=v["preprocessing.stft.hop_length"],
        filter_length=v["preprocessing.stft.filter_length"],
        mel_fmin_hz=float(v["preprocessing.mel.mel_fmin"]),
        mel_fmax_hz=float(v["preprocessing.mel.mel_fmax"]),
    )


def _audio_vae_values(c: AudioVAEConfig) -> dict[str, Any]:
    dd = "model.params.ddconfig."
    return {
        f"{dd}mel_bins": c.mel_bins,
        f"{dd}z_channels": c.latent_channels,
        f"{dd}in_channels": c.in_channels,
        f"{dd}out_ch": c.out_channels,
        f"{dd}ch": c.base_channels,
        f"{dd}ch_mult": list(c.channel_multipliers),
        f"{dd}num_res_blocks": c.num_res_blocks,
        "model.params.sampling_rate": c.rate_hz,
        "preprocessing.audio.sampling_rate": c.rate_hz,
        "preprocessing.mel.mel_fmax": c.mel_fmax_hz,
        "preprocessing.mel.mel_fmin": c.mel_fmin_hz,
        "preprocessing.mel.n_mel_channels": c.mel_bins,
        "preprocessing.stft.filter_length": c.filter_length,
        "preprocessing.stft.hop_length": c.hop_length,
        "preprocessing.stft.win_length": c.filter_length,
    }


def _vocoder(v: Mapping[str, Any], audio: Mapping[str, Any]) -> VocoderConfig:
    rates = tuple(v["upsample_rates"])
    config = VocoderConfig(
        upsample_initial_channel=v["upsample_initial_channel"],
        in_channels=2 * audio["preprocessing.mel.n_mel_channels"],
        upsample_rates=rates,
        upsample_kernel_sizes=tuple(v["upsample_kernel_sizes"]),
        resblock_kernel_sizes=tuple(v["resblock_kernel_sizes"]),
        resblock_dilation_sizes=tuple(tuple(row) for row in v["resblock_dilation_sizes"]),
    )
    if len(rates) != len(config.upsample_kernel_sizes):
        raise UnsupportedConfigError("config vocoder.upsample_kernel_sizes and upsample_rates differ in length")
    if len(config.resblock_kernel_sizes) != len(config.resblock_dilation_sizes):
        raise UnsupportedConfigError("config vocoder.resblock_kernel_sizes and _dilation_sizes differ in length")
    frames_per_second = audio["preprocessing.audio.sampling_rate"] / audio["preprocessing.stft.hop_length"]
    if config.samples_per_frame * frames_per_second != config.rate_hz:
        raise UnsupportedConfigError(
            f"config vocoder.upsample_rates is {list(rates)}: {config.samples_per_frame * frames_per_second} samples "
            f"per second; this version implements {config.rate_hz}"
        )
    return config


def _vocoder_values(c: VocoderConfig) -> dict[str, Any]:
    return {
        "upsample_rates": list(c.upsample_rates),
        "upsample_kernel_sizes": list(c.upsample_kernel_sizes),
        "resblock_kernel_sizes": list(c.resblock_kernel_sizes),
        "resblock_dilation_sizes": [list(row) for row in c.resblock_dilation_sizes],
        "upsample_initial_channel": c.upsample_initial_channel,
    }
