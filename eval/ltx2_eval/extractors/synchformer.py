"""Synchformer on a clip: how probable each offset between picture and sound is, at both ends of the clip."""

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.frames import frames_from
from ltx2_eval.extractors.network import NetworkExtractor
from ltx2_eval.extractors.pixels import SIDE, pillow_squares
from ltx2_eval.extractors.sound import mono
from ltx2_eval.extractors.sync_spectra import RATE_HZ, synchformer_mel
from ltx2_eval.extractors.synchformer_net import MEL_FRAMES, SEGMENT_FRAMES, SEGMENTS, Synchformer

T = TypeVar("T")

FPS = 25
STEP_FRAMES = 8
SEGMENT_SAMPLES = SEGMENT_FRAMES * RATE_HZ // FPS
STEP_SAMPLES = STEP_FRAMES * RATE_HZ // FPS
SEGMENTS_AT_ONCE = SEGMENTS // 2
LEAST_S = ((SEGMENTS - 1) * STEP_FRAMES + SEGMENT_FRAMES) / FPS
_MEAN, _SPREAD = 4.2677393, 2 * 4.5689974


def segment_starts(num_frames: int, num_samples: int) -> list[int]:
    """Numbers of the segments of 0.64 s, one every 0.32 s, that lie wholly within both streams.

    Raises:
        NotApplicable: fewer than 14, which take 4.8 s.
    """
    in_frames = (num_frames - SEGMENT_FRAMES) // STEP_FRAMES + 1
    in_samples = (num_samples - SEGMENT_SAMPLES) // STEP_SAMPLES + 1
    count = min(in_frames, in_samples)
    if count < SEGMENTS:
        found_s = min(num_frames / FPS, num_samples / RATE_HZ)
        raise NotApplicable(f"{found_s:.2f} s of picture with sound, Synchformer needs {LEAST_S:g} s: too short")
    return list(range(count))


def mel_of_segment(samples: NDArray[np.float32]) -> Tensor:
    """(128, 66) normalised log mel of 0.64 s; the last column is the padding that the network was trained with."""
    mel = synchformer_mel(samples)
    padded = np.pad(mel, ((0, 0), (0, MEL_FRAMES - mel.shape[1])))
    return torch.from_numpy((padded + _MEAN) / _SPREAD)


class SynchformerExtractor(NetworkExtractor[Synchformer]):
    """Scores of 21 offsets for the first and for the last 4.8 s of the clip, as av-benchmark takes them."""

    @classmethod
    def build(cls) -> Synchformer:
        """The network; its weights have the names of the released state dict."""
        return Synchformer()

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(2, 21) logits; class k stands for the sound coming -2 + 0.2 k seconds early.

        Raises:
            NotApplicable: a stream is missing, or they overlap for less than 4.8 s.
        """
        frames, sound = self._streams(clip)
        numbers = segment_starts(len(frames), len(sound))
        ends = (numbers[:SEGMENTS], numbers[-SEGMENTS:])
        wanted = sorted({*ends[0], *ends[1]})
        with torch.inference_mode():
            visual, heard = self._visual(frames, wanted), self._sound(sound, wanted)
            places = [[wanted.index(k) for k in end] for end in (ends if ends[0] != ends[1] else ends[:1])]
            rows = [self.network.compare(visual[None, place], heard[None, place])[0] for place in places]
        return torch.stack([rows[0], rows[-1]]).float().cpu().numpy()

    def _streams(self, clip: Clip) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Frames at 25 Hz and sound at 16 kHz from the moment on at which both run."""
        if clip.video is None or not len(clip.video):
            raise NotApplicable("the clip has no video frame")
        sound = mono(clip, RATE_HZ, LEAST_S)
        start_s = max(float(clip.times_s[0]), clip.audio_start_s)
        return frames_from(clip, start_s, FPS), sound[round((start_s - clip.audio_start_s) * RATE_HZ) :]

    def _visual(self, frames: NDArray[np.uint8], numbers: list[int]) -> Tensor:
        """(len(numbers), 8, 768) of segments, which share half of their frames: each frame is resized once."""
        spans = [range(k * STEP_FRAMES, k * STEP_FRAMES + SEGMENT_FRAMES) for k in numbers]
        small = {i: pillow_squares(frames[i : i + 1], SIDE, "even")[0] for i in {i for span in spans for i in span}}
        rows = []
        for some in _few(spans):
            pixels = torch.from_numpy(np.stack([np.stack([small[i] for i in span]) for span in some]))
            x = rearrange(pixels, "s f h w c -> s c f h w").float() / 127.5 - 1
            rows.append(self.network.vfeat_extractor(x.to(self.device)))
        return torch.cat(rows)

    def _sound(self, samples: NDArray[np.float32], numbers: list[int]) -> Tensor:
        """(len(numbers), 6, 768)."""
        mels = [mel_of_segment(samples[k * STEP_SAMPLES : k * STEP_SAMPLES + SEGMENT_SAMPLES]) for k in numbers]
        return torch.cat([self.network.afeat_extractor(torch.stack(some).to(self.device)) for some in _few(mels)])


def _few(segments: list[T]) -> Iterator[list[T]]:
    """Half an end of the clip at a time: what the towers hold does not grow with the clip."""
    return (segments[first : first + SEGMENTS_AT_ONCE] for first in range(0, len(segments), SEGMENTS_AT_ONCE))
