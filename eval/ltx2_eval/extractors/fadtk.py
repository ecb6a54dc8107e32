"""VGGish and LAION-CLAP as fadtk 1.1 feeds them, for its published statistics of reference sets.

A Fréchet distance means something only if both sides were embedded alike, and fadtk's front end is its own: a windowed
sinc for resampling, 16-bit samples, for CLAP windows of 10 s every second that silence completes, features in float16.
"""

import math
from functools import cache

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.clap import RATE_HZ as CLAP_RATE_HZ
from ltx2_eval.extractors.clap import WINDOW, ClapExtractor
from ltx2_eval.extractors.embedding import unit
from ltx2_eval.extractors.vggish import RATE_HZ as VGGISH_RATE_HZ
from ltx2_eval.extractors.vggish import VggishExtractor, vggish_examples

ZEROS, ROLLOFF, BETA = 64, 0.9475937167399596, 14.769656459379492
"""Of the Kaiser-windowed sinc: zero crossings on each side, where it cuts, and the window's shape."""
_BATCH = 8


@cache
def _kernel(old: int, new: int) -> tuple[Tensor, int]:
    """(new, 1, taps) float32, a filter for each place between two samples; and how far it reaches to the left."""
    cut = min(old, new) * ROLLOFF
    reach = math.ceil(ZEROS * old / cut)
    taps = np.arange(-reach, reach + old) / old
    at = np.clip((taps[None] - np.arange(new)[:, None] / new) * cut, -ZEROS, ZEROS)
    window = np.i0(BETA * np.sqrt(1 - (at / ZEROS) ** 2)) / np.i0(BETA)
    return torch.from_numpy(np.sinc(at) * window * cut / old)[:, None].float(), reach


def resampled(waveform: NDArray[np.float32], old_hz: int, new_hz: int) -> NDArray[np.float32]:
    """Band-limited interpolation by a Kaiser-windowed sinc: (n,) at `old_hz` -> (ceil(n new / old),) at `new_hz`."""
    if old_hz == new_hz:
        return waveform
    common = math.gcd(old_hz, new_hz)
    old, new = old_hz // common, new_hz // common
    kernel, reach = _kernel(old, new)
    padded = F.pad(torch.from_numpy(waveform), (reach, reach + old))
    found = rearrange(F.conv1d(padded[None, None], kernel, stride=old), "1 new k -> (k new)")
    return found[: math.ceil(new * len(waveform) / old)].numpy()


def heard(clip: Clip, rate_hz: int) -> NDArray[np.float64]:
    """Mean of the channels at `rate_hz`, through a file of 16-bit samples: (n,) in -1..1.

    Raises:
        NotApplicable: no sound.
        ValueError: a sample is not finite.
    """
    if clip.audio is None or clip.rate_hz is None or clip.audio.size == 0:
        raise NotApplicable("the clip has no sound")
    if not np.isfinite(clip.audio).all():
        raise ValueError("the sound has samples that are not finite; encode the clip again")
    waveform = resampled(clip.audio.mean(axis=0, dtype=np.float32), clip.rate_hz, rate_hz)
    return np.rint(np.clip(waveform.astype(np.float64), -1, 1) * 32767) / 32768


def chunks(waveform: NDArray[np.float64]) -> NDArray[np.float32]:
    """(k, 480000): 10 s from every second on, zeros after the end; samples in steps of 1 / 32767, cut off."""
    steps = (np.trunc(np.clip(waveform, -1, 1) * 32767) / 32767).astype(np.float32)
    starts = range(0, len(steps), CLAP_RATE_HZ)
    padded = np.pad(steps, (0, WINDOW))
    return np.stack([padded[start : start + WINDOW] for start in starts])


def halved(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """As fadtk stores them: rounded to float16."""
    return features.astype(np.float16).astype(np.float32)


class FadtkVggishExtractor(VggishExtractor):
    """VGGish without its last ReLU on 16-bit sound of at least 1 s."""

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(k, 128), k about one per second.

        Raises:
            NotApplicable: no sound.
        """
        waveform = heard(clip, VGGISH_RATE_HZ)
        padded = np.pad(waveform, (0, max(0, VGGISH_RATE_HZ - len(waveform))))
        examples = torch.from_numpy(vggish_examples(padded.astype(np.float32)))
        with torch.inference_mode():
            return halved(self.network(examples.to(self.device)).float().cpu().numpy())


class FadtkClapExtractor(ClapExtractor):
    """Unit-length CLAP embeddings of windows of 10 s, one for each second begun."""

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(k, 512).

        Raises:
            NotApplicable: no sound.
        """
        parts = chunks(heard(clip, CLAP_RATE_HZ))
        return halved(np.concatenate([self._rows(parts[i : i + _BATCH]) for i in range(0, len(parts), _BATCH)]))

    def _rows(self, parts: NDArray[np.float32]) -> NDArray[np.float32]:
        batch = self.front_end(list(parts), sampling_rate=CLAP_RATE_HZ, return_tensors="pt")
        with torch.inference_mode():
            mels = batch["input_features"].to(self.device)
            return unit(self.model.get_audio_features(input_features=mels)).cpu().numpy()
