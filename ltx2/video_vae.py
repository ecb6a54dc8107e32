"""The video autoencoder: RGB frames to latents smaller in space and time (published: 32x and 8x), and back.

Module and parameter names are those of the published files (Lightricks/LTX-2, `model/video_vae`).
"""

import math
from collections.abc import Iterable, Iterator

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from ltx2.config import BlockKind, VideoVAEConfig
from ltx2.conv3d import Conv3d, SpatialPadding, replicate_time
from ltx2.latent_statistics import PerChannelStatistics
from ltx2.pixel_norm import add, pixel_norm_silu
from ltx2.streaming import Delay, Streaming, each, rechunk

_SPACE_TO_DEPTH = "b c (f pf) (h ph) (w pw) -> b (c pf ph pw) f h w"
_PATCHIFY = "b c f (h ph) (w pw) -> b (c pw ph) f h w"
_UNPATCHIFY = "b (c pw ph) f h w -> b c f (h ph) (w pw)"


class VideoVAE(nn.Module):
    """Encoder, decoder and the statistics of normalised latents.

    Args:
        config: sizes; `ltx2.config.LTX2_19B.video_vae` are the published ones.
    """

    def __init__(self, config: VideoVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = VideoEncoder(config)
        self.decoder = VideoDecoder(config)
        self.per_channel_statistics = PerChannelStatistics((config.latent_channels, 1, 1, 1))

    def encode(self, video: Tensor, *, streaming: Streaming | None = None) -> Tensor:
        """Mean of the posterior, normalised: what the transformer works on.

        Args:
            video: (b, 3, frames, height, width) in -1..1; frames = 8k + 1, height and width multiples of
                the spatial factor s (32 in published models).
            streaming: slices in time to bound the memory; None for the whole clip at once. Same result, same work.

        Returns:
            (b, latent_channels, k + 1, height / s, width / s).

        Raises:
            ValueError: the shape does not fit the factors, or slices not in time.
        """
        if streaming is None:
            mean = self.encoder.moments(video)[0]
        else:
            mean = torch.cat(list(self.encoder.stream(video, streaming)), dim=streaming.dim)
        return self.per_channel_statistics.normalize(mean)

    def decode(self, latent: Tensor, *, streaming: Streaming | None = None) -> Tensor:
        """Frames of a normalised latent, not clamped.

        Args:
            latent: (b, latent_channels, f, h, w), h and w at least 2 (the reflect padding needs two).
            streaming: slices that bound the memory, as `ltx2.video_memory.plan_decode` chooses them; None for the
                whole clip at once. The result is the same up to rounding, without seams, for the same work.

        Returns:
            (b, 3, 8 * (f - 1) + 1, s * h, s * w) for the spatial factor s, in -1..1 up to overshoot.

        Raises:
            ValueError: wrong number of channels, or h or w below 2.
        """
        slices = self.decode_slices(latent, streaming)
        if streaming is None:
            return next(slices)
        space, frames = self.config.spatial_factor, (latent.shape[2] - 1) * self.config.temporal_factor + 1
        size = (latent.shape[0], self.config.out_channels, frames, latent.shape[3] * space, latent.shape[4] * space)
        out, done = latent.new_empty(size), 0
        for x in slices:  # into place one by one: joining them at the end would take the clip's memory twice
            count = x.shape[streaming.dim]
            out.narrow(streaming.dim, done, count).copy_(x)
            done += count
        return out

    def decode_slices(self, latent: Tensor, streaming: Streaming | None) -> Iterator[Tensor]:
        """`decode` in pieces: one after another along the axis of `streaming`, they are the clip."""
        _check_latent(latent, self.config)
        raw = self.per_channel_statistics.denormalize(latent)
        return iter((self.decoder(raw),)) if streaming is None else self.decoder.stream(raw, streaming)


class VideoEncoder(nn.Module):
    """Causal encoder: the latent of frame k sees no later frame, so images are videos of one frame."""

    def __init__(self, config: VideoVAEConfig) -> None:
        super().__init__()
        self.config = config
        width = config.encoder_base_channels
        self.conv_in = Conv3d(config.in_channels * config.patch_size**2, width, causal=True)
        self.down_blocks = nn.ModuleList()
        for kind, n in config.encoder_blocks:
            if kind == "res_x":
                self.down_blocks.append(ResnetStack(width, n, config.norm_eps, causal=True))
            else:
                self.down_blocks.append(SpaceToDepthDownsample(width, n * width, _stride(kind, "encoder")))
                width *= n
        # One log-variance is shared by all latent channels.
        self.conv_out = Conv3d(width, config.latent_channels + 1, causal=True)

    def moments(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the posterior, before normalisation.

        Args:
            video: (b, 3, frames, height, width) in -1..1.

        Returns:
            Two tensors (b, latent_channels, f, h, w); the log-variance is one channel seen through `expand`.

        Raises:
            ValueError: the shape does not fit the factors.
        """
        _check_video(video, self.config)
        x = self.conv_in(self._patches(video))
        for layer in _layers(self.down_blocks):
            x = layer(x)
        x = self.conv_out(pixel_norm_silu(x, self.config.norm_eps))
        mean, logvar = x.split((self.config.latent_channels, 1), dim=1)
        return mean, logvar.expand_as(mean)

    def stream(self, video: Tensor, streaming: Streaming) -> Iterator[Tensor]:
        """The mean of `moments` in slices along time.

        Raises:
            ValueError: the shape does not fit the factors, or slices not in time.
        """
        _check_video(video, self.config)
        if streaming.axis != "time":
            raise ValueError(f"streaming along {streaming.axis!r}; the encoder streams along 'time' only")
        size = streaming.size
        x = self.conv_in.stream(each(self._patches, video.split(size, dim=2)), 2)
        for layer in _layers(self.down_blocks):
            assert isinstance(layer, ResnetBlock3d | SpaceToDepthDownsample)
            x = layer.stream(x, 2) if isinstance(layer, ResnetBlock3d) else layer.stream(x, size)
        x = self.conv_out.stream(each(lambda x: pixel_norm_silu(x, self.config.norm_eps), x), 2)
        return each(lambda x: x[:, : self.config.latent_channels], x)

    def _patches(self, video: Tensor) -> Tensor:
        return rearrange(video, _PATCHIFY, ph=self.config.patch_size, pw=self.config.patch_size)


class VideoDecoder(nn.Module):
    """Decoder with non-causal time padding: every frame may see later latents."""

    def __init__(self, config: VideoVAEConfig) -> None:
        super().__init__()
        self.config = config
        width = config.decoder_base_channels
        for kind, n in config.decoder_blocks:
            width *= 1 if kind == "res_x" else n
        self.conv_in = Conv3d(config.latent_channels, width, causal=False, spatial_padding="reflect")
        self.up_blocks = nn.ModuleList()
        for kind, n in reversed(config.decoder_blocks):
            if kind == "res_x":
                stack = ResnetStack(width, n, config.norm_eps, causal=False, spatial_padding="reflect")
                self.up_blocks.append(stack)
            else:
                self.up_blocks.append(DepthToSpaceUpsample(width, n, _stride(kind, "decoder")))
                width //= n
        out_channels = config.out_channels * config.patch_size**2
        self.conv_out = Conv3d(width, out_channels, causal=False, spatial_padding="reflect")

    def forward(self, latent: Tensor) -> Tensor:
        """Raw (not normalised) latent (b, c, f, h, w) -> frames (b, 3, 8 * (f - 1) + 1, s * h, s * w)."""
        _check_latent(latent, self.config)
        x = self.conv_in(latent)
        for layer in _layers(self.up_blocks):
            x = layer(x)
        return self._pixels(self.conv_out(pixel_norm_silu(x, self.config.norm_eps)))

    def stream(self, latent: Tensor, streaming: Streaming) -> Iterator[Tensor]:
        """`forward` in slices: together along the axis, they are its frames."""
        _check_latent(latent, self.config)
        dim = streaming.dim
        x = self.conv_in.stream(latent.split(streaming.size, dim), dim)
        for layer in _layers(self.up_blocks):
            assert isinstance(layer, ResnetBlock3d | DepthToSpaceUpsample)
            x = layer.stream(x, dim)
            if isinstance(layer, DepthToSpaceUpsample):
                x = rechunk(x, dim, streaming.size)
        x = self.conv_out.stream(each(lambda x: pixel_norm_silu(x, self.config.norm_eps), x), dim)
        return each(self._pixels, x)

    def _pixels(self, x: Tensor) -> Tensor:
        return rearrange(x, _UNPATCHIFY, ph=self.config.patch_size, pw=self.config.patch_size)


class ResnetStack(nn.Module):
    """`n` residual blocks of equal width; a name for keys, the encoder and decoder walk its blocks themselves."""

    def __init__(
        self, channels: int, n: int, eps: float, *, causal: bool, spatial_padding: SpatialPadding = "zeros"
    ) -> None:
        super().__init__()
        self.res_blocks = nn.ModuleList(
            ResnetBlock3d(channels, eps, causal=causal, spatial_padding=spatial_padding) for _ in range(n)
        )


class ResnetBlock3d(nn.Module):
    """Pre-activation residual block, `x + conv(act(conv(act(x))))`."""

    def __init__(self, channels: int, eps: float, *, causal: bool, spatial_padding: SpatialPadding) -> None:
        super().__init__()
        self.eps = eps
        self.conv1 = Conv3d(channels, channels, causal=causal, spatial_padding=spatial_padding)
        self.conv2 = Conv3d(channels, channels, causal=causal, spatial_padding=spatial_padding)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, f, h, w) -> same shape."""
        h = self.conv1(pixel_norm_silu(x, self.eps))
        return add(self.conv2(pixel_norm_silu(h, self.eps, overwrite=True)), x)

    def stream(self, slices: Iterable[Tensor], dim: int) -> Iterator[Tensor]:
        """`forward` in slices along `dim`; see `Conv3d.stream`."""
        skip = Delay(dim)
        h = self.conv1.stream(each(lambda x: pixel_norm_silu(skip.put(x), self.eps), slices), dim)
        h = self.conv2.stream(each(lambda h: pixel_norm_silu(h, self.eps, overwrite=True), h), dim)
        return each(lambda h: add(h, skip.take(h.shape[dim])), h)


class SpaceToDepthDownsample(nn.Module):
    """Strided block: a convolution and the mean of neighbouring input channels, both folded into channels."""

    def __init__(self, in_channels: int, out_channels: int, stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.stride = dict(zip(("pf", "ph", "pw"), stride, strict=True))
        self.conv = Conv3d(in_channels, out_channels // math.prod(stride), causal=True)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, f, h, w) -> (b, out_channels, f', h', w'); a stride in time maps 2k + 1 frames to k + 1."""
        if self.stride["pf"] == 2:
            x = replicate_time(x, 1, 0)
        return self._fold(self.conv(x), x)

    def stream(self, slices: Iterable[Tensor], size: int) -> Iterator[Tensor]:
        """`forward` in slices of `size` frames; see `Conv3d.stream`."""
        if self.stride["pf"] == 2:
            slices = rechunk(_first_twice(slices), 2, size + size % 2)
        skip = Delay(2)
        h = self.conv.stream(each(skip.put, slices), 2)
        return each(lambda h: self._fold(h, skip.take(h.shape[2])), h)

    def _fold(self, h: Tensor, x: Tensor) -> Tensor:
        folded = rearrange(x, _SPACE_TO_DEPTH, **self.stride)
        mean = reduce(folded, "b (c g) f h w -> b c f h w", "mean", c=self.out_channels)
        return rearrange(h, _SPACE_TO_DEPTH, **self.stride) + mean


def _first_twice(slices: Iterable[Tensor]) -> Iterator[Tensor]:
    slices = iter(slices)
    yield replicate_time(next(slices), 1, 0)
    yield from slices


class DepthToSpaceUpsample(nn.Module):
    """Doubles frames (less one), height and width, as its stride says; divides channels by `reduction`.

    The skip path repeats the input's channels as whole blocks, so it can be added before channels are unfolded.
    """

    def __init__(self, in_channels: int, reduction: int, stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.stride = dict(zip(("pf", "ph", "pw"), stride, strict=True))
        self.repeats = math.prod(stride) // reduction
        self.conv = Conv3d(in_channels, in_channels * self.repeats, causal=False, spatial_padding="reflect")

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, f, h, w) -> (b, c / reduction, 2f - 1, 2h, 2w)."""
        return self._unfold(self.conv(x), x)[:, :, self._surplus :]

    def stream(self, slices: Iterable[Tensor], dim: int) -> Iterator[Tensor]:
        """`forward` in slices along `dim`; see `Conv3d.stream`."""
        skip = Delay(dim)
        h = self.conv.stream(each(skip.put, slices), dim)
        out = each(lambda h: self._unfold(h, skip.take(h.shape[dim])), h)
        if dim != 2:
            yield from each(lambda x: x[:, :, self._surplus :], out)
            return
        yield next(out)[:, :, self._surplus :]
        yield from out

    @property
    def _surplus(self) -> int:
        """Frames too many in front: the first latent frame stands for a single one."""
        return self.stride["pf"] - 1

    def _unfold(self, h: Tensor, x: Tensor) -> Tensor:
        h = add(h.unflatten(1, (self.repeats, -1)), x.unsqueeze(1))
        return rearrange(h, "b r (c pf ph pw) f h w -> b (r c) (f pf) (h ph) (w pw)", **self.stride)


def _layers(blocks: nn.ModuleList) -> Iterator[nn.Module]:
    """The blocks in order, stacks taken apart, so that no caller keeps a stack's input alive while the stack runs."""
    for block in blocks:
        if isinstance(block, ResnetStack):
            yield from block.res_blocks
        else:
            yield block


_ENCODER_STRIDES: dict[BlockKind, tuple[int, int, int]] = {
    "compress_space_res": (1, 2, 2),
    "compress_time_res": (2, 1, 1),
    "compress_all_res": (2, 2, 2),
}
_DECODER_STRIDES: dict[BlockKind, tuple[int, int, int]] = {
    "compress_space": (1, 2, 2),
    "compress_time": (2, 1, 1),
    "compress_all": (2, 2, 2),
}


def _stride(kind: BlockKind, part: str) -> tuple[int, int, int]:
    strides = _ENCODER_STRIDES if part == "encoder" else _DECODER_STRIDES
    if kind not in strides:
        raise ValueError(f"block {kind!r} in the video {part}; expected res_x or one of {', '.join(strides)}")
    return strides[kind]


def _check_video(video: Tensor, config: VideoVAEConfig) -> None:
    if video.ndim != 5 or video.shape[1] != config.in_channels:
        raise ValueError(
            f"video of shape {tuple(video.shape)}; "
            f"the encoder takes (batch, {config.in_channels}, frames, height, width)"
        )
    frames, height, width = video.shape[2:]
    time, space = config.temporal_factor, config.spatial_factor
    if frames % time != 1:
        shorter = max(frames - 1, 0) // time * time + 1
        raise ValueError(
            f"{frames} frames; the encoder takes {time}k + 1: cut to {shorter} or extend to {shorter + time}"
        )
    if height % space or width % space:
        raise ValueError(
            f"frames of {width}x{height} pixels; width and height must be multiples of {space}: crop or resize first"
        )


def _check_latent(latent: Tensor, config: VideoVAEConfig) -> None:
    if latent.ndim != 5 or latent.shape[1] != config.latent_channels:
        raise ValueError(
            f"video latent of shape {tuple(latent.shape)}; "
            f"the decoder takes (batch, {config.latent_channels}, frames, height, width)"
        )
    height, width = latent.shape[3:]
    if height < 2 or width < 2:
        least = 2 * config.spatial_factor
        raise ValueError(
            f"video latent of {width}x{height} cells; the decoder needs at least 2x2: "
            f"use frames of at least {least}x{least} pixels"
        )
