"""The audio autoencoder: stereo log-mel spectrograms to latents 4x smaller in time and mel, and back.

Module and parameter names are those of the published files (Lightricks/LTX-2, `model/audio_vae`). Everything is
causal in time. Tensors are (b, c, t, m): time is the height of the convolutions, mel bins their width.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from ltx2.config import AudioVAEConfig
from ltx2.latent_statistics import PerChannelStatistics
from ltx2.pixel_norm import add, pixel_norm_silu


class AudioVAE(nn.Module):
    """Encoder, decoder and the statistics of normalised latents.

    Args:
        config: sizes; `ltx2.config.LTX2_19B.audio_vae` are the published ones.
    """

    def __init__(self, config: AudioVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = AudioEncoder(config)
        self.decoder = AudioDecoder(config)
        self.per_channel_statistics = PerChannelStatistics((config.latent_channels, 1, config.latent_mel_bins))

    def encode(self, log_mel: Tensor) -> Tensor:
        """Mean of the posterior, normalised: what the transformer works on.

        Args:
            log_mel: (b, 2, t, mel_bins), natural logarithm, as `ltx2.mel.log_mel` gives it.

        Returns:
            (b, latent_channels, ceil(t / 4), mel_bins / 4).

        Raises:
            ValueError: wrong number of channels or mel bins, or no frame.
        """
        return self.per_channel_statistics.normalize(self.encoder.moments(log_mel)[0])

    def decode(self, latent: Tensor) -> Tensor:
        """Log-mel spectrogram of a normalised latent.

        Args:
            latent: (b, latent_channels, ta, mel_bins / 4).

        Returns:
            (b, 2, 4 * ta - 3, mel_bins).

        Raises:
            ValueError: wrong number of channels or mel bins, or no frame.
        """
        _check_latent(latent, self.config)
        return self.decoder(self.per_channel_statistics.denormalize(latent))


class AudioEncoder(nn.Module):
    """Log-mel to the posterior over latents, one level per channel multiplier."""

    def __init__(self, config: AudioVAEConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.base_channels * multiplier for multiplier in config.channel_multipliers]
        self.conv_in = CausalConv2d(config.in_channels, config.base_channels)
        self.down = nn.ModuleList()
        for before, width in pairwise([config.base_channels, *widths]):
            last = len(self.down) == len(widths) - 1
            downsample = None if last else Downsample(width)
            self.down.append(Level(before, width, config.num_res_blocks, config.norm_eps, downsample=downsample))
        self.mid = Middle(widths[-1], config.norm_eps)
        self.conv_out = CausalConv2d(widths[-1], 2 * config.latent_channels)

    def moments(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the posterior, before normalisation.

        Args:
            log_mel: (b, 2, t, mel_bins).

        Returns:
            Two tensors (b, latent_channels, ceil(t / 4), mel_bins / 4).

        Raises:
            ValueError: wrong number of channels or mel bins, or no frame.
        """
        _check_log_mel(log_mel, self.config)
        x = self.conv_in(log_mel)
        for level in self.down:
            x = level(x)
        mean, logvar = self.conv_out(pixel_norm_silu(self.mid(x), self.config.norm_eps)).chunk(2, dim=1)
        return mean, logvar


class AudioDecoder(nn.Module):
    """Latents to log-mel; `up` is numbered from the output's side and walked in reverse."""

    def __init__(self, config: AudioVAEConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.base_channels * multiplier for multiplier in config.channel_multipliers]
        self.conv_in = CausalConv2d(config.latent_channels, widths[-1])
        self.mid = Middle(widths[-1], config.norm_eps)
        self.up = nn.ModuleList()
        for width, before in pairwise([*widths, widths[-1]]):
            upsample = Upsample(width) if len(self.up) else None
            self.up.append(Level(before, width, config.num_res_blocks + 1, config.norm_eps, upsample=upsample))
        self.conv_out = CausalConv2d(widths[0], config.out_channels)

    def forward(self, latent: Tensor) -> Tensor:
        """Raw (not normalised) latent (b, c, ta, ml) -> log-mel (b, 2, 4 * ta - 3, 4 * ml)."""
        _check_latent(latent, self.config)
        x = self.mid(self.conv_in(latent))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(pixel_norm_silu(x, self.config.norm_eps))


class CausalConv2d(nn.Module):
    """Size-preserving convolution whose rows see no later row: zeros above in time, zeros on both sides in mel."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.rows_above = kernel_size - 1
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=(self.rows_above, self.rows_above // 2))

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, t, m) -> (b, out_channels, t, m)."""
        # The convolution also pads below, which costs two rows of work but saves a padded copy of the input.
        return self.conv(x)[:, :, : x.shape[2]]


class ResnetBlock2d(nn.Module):
    """Pre-activation residual block, `x + conv(act(conv(act(x))))`."""

    def __init__(self, in_channels: int, out_channels: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.conv1 = CausalConv2d(in_channels, out_channels)
        self.conv2 = CausalConv2d(out_channels, out_channels)
        self.nin_shortcut = None if in_channels == out_channels else CausalConv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, in_channels, t, m) -> (b, out_channels, t, m)."""
        h = self.conv1(pixel_norm_silu(x, self.eps))
        h = self.conv2(pixel_norm_silu(h, self.eps, overwrite=True))
        return add(h, x if self.nin_shortcut is None else self.nin_shortcut(x))


class Level(nn.Module):
    """Residual blocks of one resolution, then the change to the next."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_blocks: int,
        eps: float,
        *,
        downsample: "Downsample | None" = None,
        upsample: "Upsample | None" = None,
    ) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * num_blocks
        self.block = nn.ModuleList(ResnetBlock2d(before, width, eps) for before, width in pairwise(widths))
        self.downsample = downsample
        self.upsample = upsample

    def forward(self, x: Tensor) -> Tensor:
        """(b, in_channels, t, m) -> (b, out_channels, t', m')."""
        for block in self.block:
            x = block(x)
        if self.downsample is not None:
            return self.downsample(x)
        return x if self.upsample is None else self.upsample(x)


class Middle(nn.Module):
    """Two residual blocks at the coarsest resolution."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.block_1 = ResnetBlock2d(channels, channels, eps)
        self.block_2 = ResnetBlock2d(channels, channels, eps)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, t, m) -> same shape."""
        return self.block_2(self.block_1(x))


class Downsample(nn.Module):
    """Halves time (rounding up) and mel with a strided convolution, causal in time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, t, m) -> (b, c, ceil(t / 2), m / 2)."""
        return self.conv(F.pad(x, (0, 1, 2, 0)))


class Upsample(nn.Module):
    """Doubles time (less one row) and mel by repetition, then smooths."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = CausalConv2d(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, t, m) -> (b, c, 2t - 1, 2m)."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))[:, :, 1:]


def _check_log_mel(log_mel: Tensor, config: AudioVAEConfig) -> None:
    if log_mel.ndim != 4 or log_mel.shape[1] != config.in_channels or log_mel.shape[3] != config.mel_bins:
        raise ValueError(
            f"log-mel of shape {tuple(log_mel.shape)}; "
            f"the encoder takes (batch, {config.in_channels}, frames, {config.mel_bins}); "
            f"for mono sound repeat the channel"
        )
    if log_mel.shape[2] == 0:
        raise ValueError("log-mel without frames; the encoder needs at least one")


def _check_latent(latent: Tensor, config: AudioVAEConfig) -> None:
    if latent.ndim != 4 or latent.shape[1] != config.latent_channels or latent.shape[3] != config.latent_mel_bins:
        raise ValueError(
            f"audio latent of shape {tuple(latent.shape)}; "
            f"the decoder takes (batch, {config.latent_channels}, frames, {config.latent_mel_bins})"
        )
    if latent.shape[2] == 0:
        raise ValueError("audio latent without frames; the decoder needs at least one")
