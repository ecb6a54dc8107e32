"""The nano extractors: encoders of the procedural world's pictures, sounds and sentences, and of their offset.

Trained by `ltx2_eval.nano` on the procedural world and bundled. They know that world alone: their values are
comparable with each other and with nothing else.
"""

import functools
from collections.abc import Sequence

import numpy as np
import soxr
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.embedding import OncePerText
from ltx2_eval.extractors.frames import frames_at
from ltx2_eval.extractors.network import NetworkExtractor
from ltx2_eval.nano.towers import FPS, MAX_TOKENS, RATE_HZ, SIDE_PX, SyncTower, Towers, count_tokens

LEAST_FRAMES = 8
LEAST_S = 0.25


class _NanoTowers(NetworkExtractor[Towers]):
    """What both contrastive extractors share: the towers, and sentences."""

    @classmethod
    def build(cls) -> Towers:
        """The towers, which are bundled."""
        return Towers()

    def text_features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), 128) embeddings of unit length; texts are cut at 112 tokens."""
        return self._embedded(texts)

    @functools.cached_property
    def _embedded(self) -> OncePerText:
        return OncePerText(self._of_text)

    def _of_text(self, text: str) -> NDArray[np.float32]:
        with torch.inference_mode():
            row: NDArray[np.float32] = self.network.embed_text([text])[0].cpu().numpy()
        return row

    def num_truncated(self, texts: Sequence[str]) -> int:
        """How many texts are longer than the 112 tokens that the network reads."""
        return sum(count > MAX_TOKENS for count in count_tokens(texts))


class NanoVideoExtractor(_NanoTowers):
    """One embedding of unit length per clip, of its pictures."""

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(1, 128).

        Raises:
            NotApplicable: no video, or fewer than 8 frames at 24 a second.
        """
        with torch.inference_mode():
            return self.network.embed_video(nano_video(clip).to(self.device)).cpu().numpy()


class NanoAudioExtractor(_NanoTowers):
    """One embedding of unit length per clip, of its sound."""

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(1, 128).

        Raises:
            NotApplicable: no sound, or less than a quarter of a second.
        """
        with torch.inference_mode():
            return self.network.embed_audio(nano_audio(clip).to(self.device)).cpu().numpy()


class NanoSyncExtractor(NetworkExtractor[SyncTower]):
    """How probable each offset between picture and sound is."""

    @classmethod
    def build(cls) -> SyncTower:
        """The network, which is bundled."""
        return SyncTower()

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(1, 97) probabilities of offsets from -500 to 500 ms in steps of 1/96 s; positive: the sound is late.

        Raises:
            NotApplicable: a stream is missing or too short.
        """
        with torch.inference_mode():
            scores = self.network(nano_video(clip).to(self.device), nano_audio(clip).to(self.device))
            return scores.float().softmax(dim=1).cpu().numpy()


def nano_video(clip: Clip) -> Tensor:
    """All frames at 24 a second, squeezed to 64 px squares: (1, 3, f, 64, 64) in -1..1."""
    duration_s = clip.video_duration_s
    if duration_s is None:
        raise NotApplicable("the clip has no video frame")
    count = round(duration_s * FPS)
    if count < LEAST_FRAMES:
        raise NotApplicable(f"{duration_s:.2f} s of video, at least {LEAST_FRAMES / FPS:.2f} s are needed")
    frames = torch.from_numpy(frames_at(clip, clip.times_s[0] + np.arange(count) / FPS)).float() / 127.5 - 1
    pixels = rearrange(frames, "f h w c -> f c h w")
    if pixels.shape[2:] != (SIDE_PX, SIDE_PX):
        pixels = F.interpolate(pixels, (SIDE_PX, SIDE_PX), mode="bilinear", antialias=True, align_corners=False)
    return rearrange(pixels, "f c h w -> 1 c f h w")


def nano_audio(clip: Clip) -> Tensor:
    """Stereo sound at 24 kHz, (1, 2, n); a single channel is repeated, of more than two the first two count."""
    if clip.audio is None or clip.rate_hz is None or clip.audio.shape[1] < LEAST_S * clip.rate_hz:
        raise NotApplicable(f"less than {LEAST_S:g} s of sound")
    if not np.isfinite(clip.audio).all():
        raise ValueError("the sound has samples that are not finite; encode the clip again")
    stereo = clip.audio[:2] if len(clip.audio) > 1 else np.repeat(clip.audio, 2, axis=0)
    if clip.rate_hz != RATE_HZ:
        stereo = soxr.resample(stereo.T, clip.rate_hz, RATE_HZ, quality="VHQ").T
    return torch.from_numpy(np.ascontiguousarray(stereo, dtype=np.float32))[None]
