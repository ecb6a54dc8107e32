"""ImageBind on a clip: pictures, sound and sentences in one space, as its authors feed them."""

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import ExtractorSpec, NotApplicable, present
from ltx2_eval.extractors.embedding import TextTower, check_texts, load_tokenizer
from ltx2_eval.extractors.frames import frames_at
from ltx2_eval.extractors.imagebind_net import MEL_FRAMES, SIDE, VOCABULARY, ImageBind
from ltx2_eval.extractors.network import blank
from ltx2_eval.extractors.pixels import (
    CLIP_MEAN,
    CLIP_STD,
    bicubic_224,
    centred,
    cut,
    interpolated,
    normalised,
    scaled,
)
from ltx2_eval.extractors.sound import mono
from ltx2_eval.extractors.sync_spectra import RATE_HZ, kaldi_fbank
from ltx2_eval.weights.safe import load_strict, read_state

PIECE_S = 2.0
VIDEO_PIECES, SOUND_PIECES = 5, 3
LEAST_S = 0.1
JAVIS_HOP_S = 0.5
WINDOWS_AT_ONCE = 16
_MEAN, _STD = -4.268, 9.138


def piece_starts(duration_s: float, count: int) -> list[float]:
    """Where pieces of 2 s begin: at k / count of what is left beyond 2 s, so that the end is never reached."""
    return [k * max(duration_s - PIECE_S, 0.0) / count for k in range(count)]


def three_crops(frames: NDArray[np.uint8], *, bicubic: bool = False) -> Tensor:
    """Left, centre and right square (top, centre, bottom) of two frames: (2, h, w, 3) uint8 -> (3, 3, 2, 224, 224).

    Args:
        frames: of any size.
        bicubic: resize by antialiased bicubic interpolation, as av-benchmark does; else bilinear without, as ImageBind.
    """
    size = scaled(frames, SIDE)
    if bicubic:
        x = interpolated(frames, size, "bicubic", antialias=True, whole=True)
    else:
        x = interpolated(frames, size, "bilinear")
    x = normalised(x, CLIP_MEAN, CLIP_STD)
    places = [(0, 0), centred(size, SIDE, "up"), (size[0] - SIDE, size[1] - SIDE)]
    return torch.stack([rearrange(cut(x, place, SIDE), "f c h w -> c f h w") for place in places])


def _ends(clip: Clip, start_s: float) -> tuple[int, int]:
    """Index of the first and of the last frame of the 2 s from a moment of the clip on."""
    times_s = clip.times_s - clip.times_s[0] + 1e-6
    first, behind = np.searchsorted(times_s, [start_s, start_s + PIECE_S], side="left")
    return min(int(first), len(times_s) - 1), max(int(first), int(behind) - 1)


def sound_mel(samples: NDArray[np.float32]) -> Tensor:
    """(1, 128, 204) normalised filter bank of up to 2 s, zeros appended."""
    bank = kaldi_fbank(samples).T[:, :MEL_FRAMES]
    padded = np.pad(bank, ((0, 0), (0, MEL_FRAMES - bank.shape[1])))
    return torch.from_numpy((padded - _MEAN) / _STD)[None]


class Encoder(TextTower):
    """The loaded network with its tokenizer. Remembers the last clip's embeddings: several extractors ask for them."""

    def __init__(self, network: ImageBind, tokenizer: Any, device: str) -> None:
        self.network = network.eval().requires_grad_(False).to(device)
        self.tokenizer = tokenizer
        self.device = device
        self._last: tuple[weakref.ref[NDArray[Any]], NDArray[np.float32]] | None = None

    def video(self, clip: Clip) -> NDArray[np.float32]:
        """(1, 1024): mean over five pieces of 2 s and three crops, each by its first and last frame.

        Raises:
            NotApplicable: no video.
        """
        duration_s = clip.video_duration_s
        if clip.video is None or duration_s is None:
            raise NotApplicable("the clip has no video frame")
        if self._last is None or self._last[0]() is not clip.video:
            ends = [_ends(clip, start) for start in piece_starts(duration_s, VIDEO_PIECES)]
            self._last = weakref.ref(clip.video), self._mean_of_pairs(clip.video, ends, bicubic=False)
        return self._last[1]

    def pairs(self, clip: Clip) -> NDArray[np.float32]:
        """(1, 1024): mean over neighbouring frames at 0.5 Hz, paired, and three crops, as av-benchmark sees a clip.

        Raises:
            NotApplicable: no video, or less than 4 s, which hold the first pair.
        """
        duration_s = clip.video_duration_s or 0.0
        count = int(duration_s / PIECE_S + 1e-6)
        if count < 2:
            raise NotApplicable(f"{duration_s:.2f} s of video, frames 2 s apart need 4 s")
        frames = frames_at(clip, clip.times_s[0] + np.arange(count) * PIECE_S)
        return self._mean_of_pairs(frames, [(i, i + 1) for i in range(count - 1)], bicubic=True)

    def _mean_of_pairs(
        self, frames: NDArray[np.uint8], pairs: Sequence[tuple[int, int]], *, bicubic: bool
    ) -> NDArray[np.float32]:
        """(1, 1024): mean over pairs of frames and three crops of each, five pairs at a time."""
        rows = []
        for first in range(0, len(pairs), VIDEO_PIECES):
            some = pairs[first : first + VIDEO_PIECES]
            crops = torch.cat([three_crops(frames[list(pair)], bicubic=bicubic) for pair in some])
            with torch.inference_mode():
                rows.append(self.network.vision(crops.to(self.device)))
        return torch.cat(rows).mean(dim=0, keepdim=True).cpu().numpy()

    def sound(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """(1, 1024) of mono sound at 16 kHz: mean over three pieces of 2 s."""
        # Up to 2 s all pieces are the same: one stands for them.
        starts = dict.fromkeys(int(start * RATE_HZ) for start in piece_starts(len(waveform) / RATE_HZ, SOUND_PIECES))
        return self.windows(waveform, list(starts)).mean(axis=0, keepdims=True)

    def windows(self, waveform: NDArray[np.float32], starts: Sequence[int]) -> NDArray[np.float32]:
        """(len(starts), 1024) of the 2 s of mono sound at 16 kHz from each sample on, sixteen at a time."""
        length, rows = int(PIECE_S * RATE_HZ), []
        for first in range(0, len(starts), WINDOWS_AT_ONCE):
            some = starts[first : first + WINDOWS_AT_ONCE]
            mels = torch.stack([sound_mel(waveform[start : start + length]) for start in some])
            with torch.inference_mode():
                rows.append(self.network.sound(mels.to(self.device)).cpu().numpy())
        return np.concatenate(rows)

    def stills(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(f, 1024): every frame as a still picture, short side by bicubic interpolation, centre crop."""
        rows = []
        with torch.inference_mode():
            for batch in np.array_split(frames, -(-len(frames) // 8)):
                pixels = normalised(bicubic_224(batch), CLIP_MEAN, CLIP_STD).to(self.device)
                rows.append(self.network.vision(torch.stack([pixels, pixels], dim=2)).cpu().numpy())
        return np.concatenate(rows)

    def encode(self, inputs: dict[str, Tensor]) -> Tensor:
        """Token ids (b, 77) -> (b, 1024) of unit length."""
        return self.network.text(inputs["input_ids"])


_encoders: "weakref.WeakValueDictionary[tuple[Path, str], Encoder]" = weakref.WeakValueDictionary()


def load_encoder(weights: Path, device: str) -> Encoder:
    """The encoder of a folder with weights and vocabulary, shared by all extractors that use it.

    Raises:
        DamagedError: weights or vocabulary do not fit.
    """
    found = _encoders.get((weights, device))
    if found is None:
        network = blank(ImageBind)
        load_strict(network, read_state(weights / "model.safetensors"), str(weights))
        found = Encoder(network, load_tokenizer(weights, VOCABULARY), device)
        check_texts(found.text_features, weights)
        _encoders[weights, device] = found
    return found


class _ImageBindExtractor:
    """What the extractors of ImageBind share."""

    def __init__(self, spec: ExtractorSpec, encoder: Encoder) -> None:
        self.spec, self.encoder = spec, encoder

    @classmethod
    def load(cls, spec: ExtractorSpec, weights: Path | None, device: str) -> Self:
        """Load a folder with the converted `imagebind_huge.pth` and CLIP's vocabulary.

        Raises:
            NotAvailable: no folder.
            DamagedError: it does not fit.
        """
        weights = present(spec, weights)
        return cls(spec, load_encoder(weights, device))

    def text_features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), 1024) embeddings of unit length."""
        return self.encoder.text_features(texts)

    def num_truncated(self, texts: Sequence[str]) -> int:
        """How many texts are longer than the 77 tokens that the network reads."""
        return self.encoder.num_truncated(texts)


class ImageBindVideoExtractor(_ImageBindExtractor):
    """One embedding of the clip's pictures."""

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(1, 1024).

        Raises:
            NotApplicable: no video.
        """
        return self.encoder.video(clip)


class ImageBindSoundExtractor(_ImageBindExtractor):
    """One embedding of the clip's sound."""

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(1, 1024).

        Raises:
            NotApplicable: no sound.
        """
        return self.encoder.sound(mono(clip, RATE_HZ, LEAST_S))


class ImageBindPairExtractor(_ImageBindExtractor):
    """Pictures and sound of the clip, a row each."""

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(2, 1024).

        Raises:
            NotApplicable: a stream is missing.
        """
        waveform = mono(clip, RATE_HZ, LEAST_S)
        return np.concatenate([self.encoder.video(clip), self.encoder.sound(waveform)])


class ImageBindAvBenchExtractor(_ImageBindExtractor):
    """Pictures and sound of the clip, a row each, with the frames that av-benchmark takes."""

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(2, 1024).

        Raises:
            NotApplicable: a stream is missing, or less than 4 s of video.
        """
        waveform = mono(clip, RATE_HZ, LEAST_S)
        return np.concatenate([self.encoder.pairs(clip), self.encoder.sound(waveform)])


class ImageBindStillsExtractor(_ImageBindExtractor):
    """Every frame as a still picture, the whole sound, and the sound of every window of 2 s."""

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(f + 1 + w, 1024): f frames, the sound, w windows (see `window_starts`).

        Raises:
            NotApplicable: a stream is missing, or they have no moment in common.
        """
        waveform = mono(clip, RATE_HZ, LEAST_S)
        if clip.video is None or not len(clip.video):
            raise NotApplicable("the clip has no video frame")
        starts = [round((start - clip.audio_start_s) * RATE_HZ) for start in window_starts(clip)]
        windows = self.encoder.windows(waveform, starts)
        return np.concatenate([self.encoder.stills(clip.video), self.encoder.sound(waveform), windows])


def window_starts(clip: Clip) -> list[float]:
    """Times on the clip's clock at which JavisScore's windows of 2 s begin: every 0.5 s from the moment on at which
    picture and sound have both begun; one window where they have less than 2 s in common.

    Raises:
        NotApplicable: they have no moment in common.
    """
    video_s, audio_s = clip.video_duration_s, clip.audio_duration_s
    assert video_s is not None
    assert audio_s is not None
    begin_s = max(float(clip.times_s[0]), clip.audio_start_s)
    lasts_s = min(float(clip.times_s[0]) + video_s, clip.audio_start_s + audio_s) - begin_s
    if lasts_s < LEAST_S:
        raise NotApplicable("picture and sound have no moment in common")
    count = max(1, int((lasts_s - PIECE_S) / JAVIS_HOP_S + 1e-6) + 1)
    return [begin_s + k * JAVIS_HOP_S for k in range(count)]
