"""Sizes of every LTX-2 component, and the presets that name them.

Code never asks which preset it runs: `LTX2_19B` and `NANO` differ only in numbers. Field names follow the `config`
JSON that published checkpoints carry in their safetensors metadata, so that a reader can compare the two.
"""

import math
from dataclasses import dataclass
from typing import Literal

BlockKind = Literal[
    "res_x",
    "compress_space_res",
    "compress_time_res",
    "compress_all_res",
    "compress_space",
    "compress_time",
    "compress_all",
]
_SPACE = ("compress_space", "compress_all")
_TIME = ("compress_time", "compress_all")


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerConfig:
    """The dual-stream DiT. Both streams have the same number of heads and layers."""

    num_layers: int
    num_attention_heads: int
    attention_head_dim: int
    audio_attention_head_dim: int
    in_channels: int
    out_channels: int
    audio_in_channels: int
    audio_out_channels: int
    caption_channels: int
    positional_embedding_max_pos: tuple[int, int, int] = (20, 2048, 2048)
    audio_positional_embedding_max_pos: tuple[int] = (20,)
    positional_embedding_theta: float = 10000.0
    timestep_scale_multiplier: float = 1000.0
    av_ca_timestep_scale_multiplier: float = 1000.0
    norm_eps: float = 1e-6

    @property
    def width(self) -> int:
        """Width of the video stream."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def audio_width(self) -> int:
        """Width of the audio stream, and the inner width of both audio-video cross-attentions."""
        return self.num_attention_heads * self.audio_attention_head_dim


@dataclass(frozen=True, kw_only=True, slots=True)
class TextConfig:
    """From Gemma's hidden states to the two text contexts: one projection, then one connector per stream."""

    hidden_size: int
    """Width of the Gemma model; also the width of the connectors (`caption_channels`)."""
    num_hidden_states: int
    """Layers of the Gemma model plus one (the embeddings)."""
    connector_num_attention_heads: int
    connector_attention_head_dim: int
    connector_num_layers: int
    connector_num_learnable_registers: int
    connector_positional_embedding_max_pos: int = 4096
    positional_embedding_theta: float = 10000.0
    max_tokens: int = 1024
    """Prompts are truncated and left-padded to this many tokens; a multiple of the number of registers."""
    norm_eps: float = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoVAEConfig:
    """The video autoencoder (published: 32x in space, 8x in time), causal encoder, non-causal decoder."""

    latent_channels: int
    encoder_base_channels: int
    decoder_base_channels: int
    encoder_blocks: tuple[tuple[BlockKind, int], ...]
    """(kind, n): n resnets for `res_x`, channel multiplier for the others."""
    decoder_blocks: tuple[tuple[BlockKind, int], ...]
    """Listed from the encoder's side, as in published files; the decoder walks them in reverse."""
    in_channels: int = 3
    out_channels: int = 3
    patch_size: int = 4
    norm_eps: float = 1e-8

    @property
    def spatial_factor(self) -> int:
        """Pixels per latent cell, in height and width (32 for the published model)."""
        return self.patch_size * _factor(self.encoder_blocks, _SPACE)

    @property
    def temporal_factor(self) -> int:
        """Frames per latent frame after the first (8 for the published model)."""
        return _factor(self.encoder_blocks, _TIME)

    @property
    def decoder_factors(self) -> tuple[int, int]:
        """What the decoder multiplies frames and sides by; the same as the encoder's factors in a sound config."""
        return _factor(self.decoder_blocks, _TIME), self.patch_size * _factor(self.decoder_blocks, _SPACE)


def _factor(blocks: tuple[tuple[BlockKind, int], ...], kinds: tuple[str, ...]) -> int:
    return math.prod(2 for kind, _ in blocks if kind.removesuffix("_res") in kinds)


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioVAEConfig:
    """The audio autoencoder over log-mel spectrograms, and the mel front end it was trained with."""

    base_channels: int
    channel_multipliers: tuple[int, ...]
    num_res_blocks: int
    latent_channels: int
    mel_bins: int
    in_channels: int = 2
    out_channels: int = 2
    rate_hz: int = 16000
    hop_length: int = 160
    filter_length: int = 1024
    mel_fmin_hz: float = 0.0
    mel_fmax_hz: float = 8000.0
    norm_eps: float = 1e-6

    @property
    def time_factor(self) -> int:
        """Mel frames per latent frame."""
        return 2 ** (len(self.channel_multipliers) - 1)

    @property
    def latent_mel_bins(self) -> int:
        """Mel bins of the latent."""
        return self.mel_bins // self.time_factor

    @property
    def latent_rate_hz(self) -> float:
        """Latent frames per second (25 for the published model)."""
        return self.rate_hz / self.hop_length / self.time_factor


@dataclass(frozen=True, kw_only=True, slots=True)
class VocoderConfig:
    """HiFi-GAN style vocoder from the decoded log-mel to a stereo waveform."""

    upsample_initial_channel: int
    in_channels: int = 128
    """Stereo channels times mel bins."""
    upsample_rates: tuple[int, ...] = (6, 5, 2, 2, 2)
    upsample_kernel_sizes: tuple[int, ...] = (16, 15, 8, 4, 4)
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11)
    resblock_dilation_sizes: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    out_channels: int = 2
    rate_hz: int = 24000

    @property
    def samples_per_frame(self) -> int:
        """Waveform samples per mel frame (240 for the published model)."""
        return math.prod(self.upsample_rates)


@dataclass(frozen=True, kw_only=True, slots=True)
class UpsamplerConfig:
    """A latent upsampler, published in a file of its own: in space, in time, or both."""

    in_channels: int
    mid_channels: int
    """Width inside; a multiple of 32, the number of norm groups."""
    num_blocks_per_stage: int
    """Residual blocks before, and again after, the change of resolution."""
    spatial_upsample: bool = True
    temporal_upsample: bool = False
    spatial_scale: float = 2.0
    """Factor in height and width if `spatial_upsample`: 0.75, 1.5, 2 or 4 with the rational resampler, else 2."""
    rational_resampler: bool = False
    """Whether frames are scaled by shuffling up, blurring and thinning; of no effect together with time."""

    @property
    def is_rational(self) -> bool:
        """Whether the rational resampler is what changes the resolution."""
        return self.rational_resampler and self.spatial_upsample and not self.temporal_upsample

    def output_size(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Latent frames, height and width after upsampling."""
        scale = self.spatial_scale if self.spatial_upsample else 1
        frames = 2 * frames - 1 if self.temporal_upsample else frames
        return frames, math.ceil(scale * height), math.ceil(scale * width)


@dataclass(frozen=True, kw_only=True, slots=True)
class LTX2Config:
    """One LTX-2 model, complete."""

    transformer: TransformerConfig
    text: TextConfig
    video_vae: VideoVAEConfig
    audio_vae: AudioVAEConfig
    vocoder: VocoderConfig


LTX2_19B = LTX2Config(
    transformer=TransformerConfig(
        num_layers=48,
        num_attention_heads=32,
        attention_head_dim=128,
        audio_attention_head_dim=64,
        in_channels=128,
        out_channels=128,
        audio_in_channels=128,
        audio_out_channels=128,
        caption_channels=3840,
    ),
    text=TextConfig(
        hidden_size=3840,
        num_hidden_states=49,
        connector_num_attention_heads=30,
        connector_attention_head_dim=128,
        connector_num_layers=2,
        connector_num_learnable_registers=128,
    ),
    video_vae=VideoVAEConfig(
        latent_channels=128,
        encoder_base_channels=128,
        decoder_base_channels=128,
        encoder_blocks=(
            ("res_x", 4),
            ("compress_space_res", 2),
            ("res_x", 6),
            ("compress_time_res", 2),
            ("res_x", 6),
            ("compress_all_res", 2),
            ("res_x", 2),
            ("compress_all_res", 2),
            ("res_x", 2),
        ),
        decoder_blocks=(
            ("res_x", 5),
            ("compress_all", 2),
            ("res_x", 5),
            ("compress_all", 2),
            ("res_x", 5),
            ("compress_all", 2),
            ("res_x", 5),
        ),
    ),
    audio_vae=AudioVAEConfig(
        base_channels=128,
        channel_multipliers=(1, 2, 4),
        num_res_blocks=2,
        latent_channels=8,
        mel_bins=64,
    ),
    vocoder=VocoderConfig(upsample_initial_channel=1024),
)
"""The published 19-billion-parameter model (`ltx-2-19b-dev`, January 2026)."""

SPATIAL_UPSAMPLER_X2 = UpsamplerConfig(
    in_channels=128, mid_channels=1024, num_blocks_per_stage=4, rational_resampler=True
)
"""The published upsampler of two-stage generation (`ltx-2-spatial-upscaler-x2-1.0`)."""

TEMPORAL_UPSAMPLER_X2 = UpsamplerConfig(
    in_channels=128,
    mid_channels=512,
    num_blocks_per_stage=4,
    spatial_upsample=False,
    temporal_upsample=True,
    spatial_scale=1.0,
    rational_resampler=True,
)
"""The published upsampler from f to 2f - 1 latent frames (`ltx-2-temporal-upscaler-x2-1.0`)."""

NANO = LTX2Config(
    transformer=TransformerConfig(
        num_layers=4,
        num_attention_heads=4,
        attention_head_dim=32,
        audio_attention_head_dim=24,
        in_channels=64,
        out_channels=64,
        audio_in_channels=32,
        audio_out_channels=32,
        caption_channels=96,
    ),
    text=TextConfig(
        hidden_size=96,
        num_hidden_states=4,
        connector_num_attention_heads=4,
        connector_attention_head_dim=24,
        connector_num_layers=1,
        connector_num_learnable_registers=16,
        max_tokens=96,
    ),
    video_vae=VideoVAEConfig(
        latent_channels=64,
        encoder_base_channels=8,
        decoder_base_channels=16,
        encoder_blocks=(
            ("compress_space_res", 2),
            ("res_x", 1),
            ("compress_time_res", 2),
            ("res_x", 1),
            ("compress_all_res", 2),
            ("res_x", 1),
            ("compress_all_res", 2),
            ("res_x", 1),
        ),
        decoder_blocks=(
            ("res_x", 1),
            ("compress_all", 2),
            ("res_x", 1),
            ("compress_all", 2),
            ("res_x", 2),
            ("compress_all", 2),
            ("res_x", 1),
        ),
    ),
    audio_vae=AudioVAEConfig(
        base_channels=12,
        channel_multipliers=(1, 2, 4),
        num_res_blocks=1,
        latent_channels=2,
        mel_bins=64,
    ),
    vocoder=VocoderConfig(
        upsample_initial_channel=128,
        resblock_kernel_sizes=(3, 7),
        resblock_dilation_sizes=((1, 3), (1, 3)),
    ),
)
"""The bundled small model: the same code and file layout, sized for two CPU cores."""

NANO_SPATIAL_UPSAMPLER = UpsamplerConfig(
    in_channels=64, mid_channels=64, num_blocks_per_stage=1, rational_resampler=True
)
"""Doubles height and width of the small model's latents."""

NANO_TEMPORAL_UPSAMPLER = UpsamplerConfig(
    in_channels=64, mid_channels=64, num_blocks_per_stage=1, spatial_upsample=False, temporal_upsample=True
)
"""From f to 2f - 1 latent frames of the small model."""
