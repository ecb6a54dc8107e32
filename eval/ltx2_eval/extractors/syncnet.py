"""SyncNet: how far the lips are from the sound (Chung and Zisserman 2016)."""

from typing import Any

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.frames import frames_from
from ltx2_eval.extractors.network import NetworkExtractor
from ltx2_eval.extractors.pixels import squashed
from ltx2_eval.extractors.sound import mono
from ltx2_eval.extractors.sync_spectra import RATE_HZ, syncnet_cepstra

FPS = 25
LIP_FRAMES = 5
SIDE = 224
DIMENSION = 1024
CEPSTRA = 20
"""MFCC frames of a window: 0.2 s."""
_PER_FRAME = 4
_BATCH = 20
LEAST_S = 1.0


def _unit(dims: int, channels: tuple[int, int], kernel: Any, **options: Any) -> list[nn.Module]:
    """Convolution with bias, batch norm, ReLU."""
    conv: Any
    norm: Any
    conv, norm = (nn.Conv2d, nn.BatchNorm2d) if dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
    return [conv(*channels, kernel, **options), norm(channels[1]), nn.ReLU()]


def _sound_layers() -> nn.Sequential:
    return nn.Sequential(
        *_unit(2, (1, 64), 3, padding=1),
        nn.MaxPool2d(1, 1),
        *_unit(2, (64, 192), 3, padding=1),
        nn.MaxPool2d(3, (1, 2)),
        *_unit(2, (192, 384), 3, padding=1),
        *_unit(2, (384, 256), 3, padding=1),
        *_unit(2, (256, 256), 3, padding=1),
        nn.MaxPool2d(3, 2),
        *_unit(2, (256, 512), (5, 4)),
    )


def _lip_layers() -> nn.Sequential:
    flat, pad = (1, 3, 3), (0, 1, 1)
    return nn.Sequential(
        *_unit(3, (3, 96), (5, 7, 7), stride=(1, 2, 2)),
        nn.MaxPool3d(flat, (1, 2, 2)),
        *_unit(3, (96, 256), (1, 5, 5), stride=(1, 2, 2), padding=pad),
        nn.MaxPool3d(flat, (1, 2, 2), pad),
        *_unit(3, (256, 256), flat, padding=pad),
        *_unit(3, (256, 256), flat, padding=pad),
        *_unit(3, (256, 256), flat, padding=pad),
        nn.MaxPool3d(flat, (1, 2, 2)),
        *_unit(3, (256, 512), (1, 6, 6)),
    )


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, DIMENSION))


class SyncNet(nn.Module):
    """Two towers into one space of 1024 dimensions, names of `syncnet_v2.model`; embeddings are not normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = _sound_layers()
        self.netfcaud = _head()
        self.netcnnlip = _lip_layers()
        self.netfclip = _head()

    def sound(self, cepstra: Tensor) -> Tensor:
        """(b, 1, 13, 20) MFCCs of 0.2 s -> (b, 1024)."""
        return self.netfcaud(self.netcnnaud(cepstra).flatten(1))

    def lips(self, frames: Tensor) -> Tensor:
        """(b, 3, 5, 224, 224) frames at 25 Hz, blue first, 0..255 -> (b, 1024)."""
        return self.netfclip(self.netcnnlip(frames).flatten(1))


SHIFTS = 15
"""Frames by which lips and sound are shifted against each other, both ways."""
_EPS = 1e-6


def shift_curve(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean distance of lips to the sound 15 frames before to 15 after; beyond the ends the sound is zero.

    Args:
        features: (2 k, 1024), lips then sound.

    Returns:
        (31,).
    """
    lips, sound = np.split(features.astype(np.float64), 2)
    padded = np.pad(sound, ((SHIFTS, SHIFTS), (0, 0)))
    shifted = (padded[shift : shift + len(lips)] for shift in range(2 * SHIFTS + 1))
    return np.array([np.linalg.norm(lips - other + _EPS, axis=1).mean() for other in shifted])


def shared_streams(clip: Clip) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Frames at 25 Hz and sound at 16 kHz from the moment on at which there are both.

    Returns:
        (f, h, w, 3) and (n,), of the same duration to within a frame.

    Raises:
        NotApplicable: a stream is missing, or they overlap for less than 1 s.
    """
    if clip.video is None or not len(clip.video):
        raise NotApplicable("the clip has no video frame")
    waveform = mono(clip, RATE_HZ, LEAST_S)
    start_s = max(float(clip.times_s[0]), clip.audio_start_s)
    frames = frames_from(clip, start_s, FPS)
    shared = waveform[round((start_s - clip.audio_start_s) * RATE_HZ) :]
    count = num_windows(len(frames), shared)
    if count < FPS:
        raise NotApplicable(f"{max(0, count) / FPS:.2f} s of picture with sound, SyncNet needs {LEAST_S:g} s")
    frames = frames[: count + LIP_FRAMES]
    return frames, shared[: -(-len(frames) * RATE_HZ // FPS)]


def num_windows(frames: int, waveform: NDArray[np.float32]) -> int:
    """Windows of 5 frames with sound."""
    return min(frames, len(waveform) * FPS // RATE_HZ) - LIP_FRAMES


class SyncNetExtractor(NetworkExtractor[SyncNet]):
    """Embeddings of lips and sound, 25 a second, of clips that are crops of a face as SyncNet's pipeline cuts them."""

    @classmethod
    def build(cls) -> SyncNet:
        """The network; its weights have the names of `syncnet_v2.model`."""
        return SyncNet()

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(2 k, 1024): k windows of lips, then the same k windows of sound.

        Raises:
            NotApplicable: a stream is missing, or they overlap for less than 1 s.
        """
        return self.embedded(*shared_streams(clip))

    def embedded(self, frames: NDArray[np.uint8], waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """(2 k, 1024) of frames (f, h, w, 3) at 25 Hz that show a face, and its sound (n,) at 16 kHz."""
        cepstra = syncnet_cepstra(waveform)
        count = num_windows(len(frames), waveform)
        with torch.inference_mode():
            batches = np.array_split(np.arange(count), -(-count // _BATCH))
            lips = [self._lips(frames, batch) for batch in batches]
            sound = [self._sound(cepstra, batch) for batch in batches]
            return torch.cat([*lips, *sound]).cpu().numpy()

    def _lips(self, frames: NDArray[np.uint8], starts: NDArray[np.int64]) -> Tensor:
        pixels = squashed(frames[starts[0] : starts[-1] + LIP_FRAMES], SIDE, "bilinear").flip(1)  # blue first
        windows = torch.stack([pixels[i : i + LIP_FRAMES] for i in range(len(starts))])
        return self.network.lips(rearrange(windows, "b f c h w -> b c f h w").to(self.device))

    def _sound(self, cepstra: NDArray[np.float32], starts: NDArray[np.int64]) -> Tensor:
        windows = np.stack([cepstra[_PER_FRAME * i : _PER_FRAME * i + CEPSTRA].T for i in starts])
        return self.network.sound(torch.from_numpy(windows)[:, None].to(self.device))
