"""Wan 2.2 by its numbers: one expert's parameters, tokens and FLOPs, without weights and without diffusers.

Source: Wan-Video/Wan2.2, `wan/configs/wan_t2v_A14B.py` and `wan/modules/model.py`; the tests hold every figure against
the model class of diffusers.
"""

from dataclasses import dataclass

from ltx2.flops import Work, attend, linear, together

_TIME_FACTOR, _SPACE_FACTOR = 4, 8
"""Of the Wan 2.1 VAE."""
_PATCH = 2
"""Latent cells per token, in height and width."""
_TIME_CHANNELS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class WanConfig:
    """Sizes of one expert; a step runs one of the two."""

    num_layers: int
    num_attention_heads: int
    attention_head_dim: int
    ffn_dim: int
    text_dim: int
    text_tokens: int
    channels: int = 16

    @property
    def width(self) -> int:
        """Of the hidden states."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def patch_channels(self) -> int:
        """Numbers per token, before and after the blocks."""
        return self.channels * _PATCH**2


A14B = WanConfig(
    num_layers=40, num_attention_heads=40, attention_head_dim=128, ffn_dim=13824, text_dim=4096, text_tokens=512
)
"""Wan 2.2 T2V A14B."""

TINY = WanConfig(num_layers=2, num_attention_heads=4, attention_head_dim=32, ffn_dim=352, text_dim=64, text_tokens=64)
"""The same code at a size for two CPU cores; nobody's model."""


def latent_shape(width: int, height: int, frames: int) -> tuple[int, int, int]:
    """Latent frames, rows and columns.

    Raises:
        ValueError: a size that Wan 2.2 cannot represent.
    """
    unit = _SPACE_FACTOR * _PATCH
    if frames < 1 or frames % _TIME_FACTOR != 1:
        below = max(frames - 1, 0) // _TIME_FACTOR * _TIME_FACTOR + 1
        raise ValueError(f"frames is {frames}; for Wan 2.2 it must be 4k + 1: use {below} or {below + _TIME_FACTOR}")
    for name, size in (("height", height), ("width", width)):
        if size < unit or size % unit:
            near = max(1, round(size / unit)) * unit
            raise ValueError(f"{name} is {size}; for Wan 2.2 it must be a multiple of {unit}: use {near}")
    return (frames - 1) // _TIME_FACTOR + 1, height // _SPACE_FACTOR, width // _SPACE_FACTOR


def token_count(width: int, height: int, frames: int) -> int:
    """Video tokens of one sample."""
    latent_frames, rows, columns = latent_shape(width, height, frames)
    return latent_frames * (rows // _PATCH) * (columns // _PATCH)


def forward(config: WanConfig, tokens: int) -> dict[str, Work]:
    """One forward of one sample, by part."""
    dim, text, layers = config.width, config.text_tokens, config.num_layers
    block = {
        "video_self": together(linear(tokens, dim, dim).times(4), attend(tokens, tokens, dim)),
        "video_text": together(
            linear(tokens, dim, dim).times(2), linear(text, dim, dim).times(2), attend(tokens, text, dim)
        ),
        "video_feed_forward": together(linear(tokens, dim, config.ffn_dim), linear(tokens, config.ffn_dim, dim)),
    }
    return {
        **{name: work.times(layers) for name, work in block.items()},
        "projections": together(
            linear(tokens, config.patch_channels, dim),
            linear(tokens, dim, config.patch_channels),
            linear(text, config.text_dim, dim),
            linear(text, dim, dim),
        ),
        "timesteps": together(linear(1, _TIME_CHANNELS, dim), linear(1, dim, dim), linear(1, dim, 6 * dim)),
    }


def parameter_count(config: WanConfig) -> int:
    """Parameters of one expert."""
    dim, ffn = config.width, config.ffn_dim

    def layer(width_in: int, width_out: int) -> int:
        return width_in * width_out + width_out

    attention = 4 * layer(dim, dim) + 2 * dim  # with the norms of queries and keys
    block = 2 * attention + 2 * dim + layer(dim, ffn) + layer(ffn, dim) + 6 * dim
    ends = layer(config.patch_channels, dim) + layer(dim, config.patch_channels) + 2 * dim
    text = layer(config.text_dim, dim) + layer(dim, dim)
    time = layer(_TIME_CHANNELS, dim) + layer(dim, dim) + layer(dim, 6 * dim)
    return config.num_layers * block + ends + text + time
