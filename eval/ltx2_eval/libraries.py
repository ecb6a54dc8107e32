"""What other libraries do where they decide a value: probed on a small input, not guessed from a version number.

A version whose probe agrees with the values of the versions that we are tested with, within the error budget, changes
no value and is only noted, in the environment of the run. One that does not agree stands in the protocol with its
version, so that its values are compared with no others. Of transformers, which brings networks and tokenizers, the
major version stands there. The decoder stands there exactly (`media.decoder_id`): lossy decoders have no such promise.
"""

import functools
import importlib.metadata
from collections.abc import Callable

import numpy as np
from einops import rearrange
from numpy.typing import NDArray

BUDGET = 1e-5
"""Largest difference of a probe from its values, which are of the order of one; the bytes of a picture are exact."""

_EXTRACTORS, _METRICS = "ltx2_eval.extractors", "ltx2_eval.metrics"
_SOUND, _PICTURES, _BOTH = ("soxr", "torch"), ("pillow", "torch"), ("pillow", "soxr", "torch")

USED: dict[str, tuple[str, ...]] = {
    **{f"{_EXTRACTORS}.{name}": _SOUND for name in ("dnsmos", "nano", "panns", "passt", "silero", "soundnet")},
    **{f"{_EXTRACTORS}.{name}": _SOUND for name in ("speaker", "vggish")},
    **{f"{_EXTRACTORS}.{name}": ("soxr", "torch", "transformers") for name in ("audiobox", "clap", "turns", "whisper")},
    **{f"{_EXTRACTORS}.{name}": _PICTURES for name in ("efficientnet", "lpips", "transnet")},
    **{f"{_EXTRACTORS}.{name}": (*_PICTURES, "transformers") for name in ("clip_frames", "clip_text_video")},
    f"{_EXTRACTORS}.clap_upstream": ("soxr", "torch", "transformers"),
    f"{_EXTRACTORS}.consistency": (*_PICTURES, "transformers"),
    **{f"{_EXTRACTORS}.{name}": _BOTH for name in ("lip_tracks", "objects", "synchformer", "syncnet")},
    f"{_EXTRACTORS}.fadtk": ("soxr", "torch", "transformers"),
    f"{_EXTRACTORS}.imagebind": (*_BOTH, "transformers"),
    **{f"{_EXTRACTORS}.{name}": ("torch",) for name in ("i3d", "inception", "videomae")},
    **{f"{_METRICS}.{name}": ("soxr",) for name in ("audio_checks", "av_align", "offset")},
    f"{_METRICS}.speech": ("transformers",),
}
"""By module of an extractor or a metric: the libraries whose work its values go through."""


def libraries_of(*implementations: str | None) -> dict[str, str]:
    """By library that these implementations (`module:name`) use: what it does here, as protocols carry it."""
    modules = {place.partition(":")[0] for place in implementations if place}
    names = {name for module in modules for name in USED.get(module, ())}
    return {name: behaviour(name) for name in sorted(names)}


@functools.cache
def behaviour(library: str) -> str:
    """The name of what the library is known to do, or its version where it does something else."""
    version = importlib.metadata.version(library)
    if library not in _PROBES:
        return version.partition(".")[0]
    name, probe, expected = _PROBES[library]
    found = probe()
    agrees = found.shape == (len(expected),) and bool(np.abs(found - expected).max() <= BUDGET)
    return name if agrees else f"{version}, which is not {name}"


def _resampled() -> NDArray[np.float64]:
    """A tone and a sweep through soxr."""
    import soxr

    times_s = np.arange(4800) / 48_000
    wave = 0.5 * np.sin(2 * np.pi * 440 * times_s) + 0.3 * np.sin(2 * np.pi * (200 + 60_000 * times_s) * times_s)
    return np.asarray(soxr.resample(wave, 48_000, 16_000, quality="VHQ"), np.float64)[7::199]


def _picture() -> NDArray[np.uint8]:
    row, column, channel = np.meshgrid(np.arange(37), np.arange(53), np.arange(3), indexing="ij")
    return ((row * 7 + column * 13 + channel * 29 + (row * column) % 17 * 5) % 256).astype(np.uint8)


def _shrunk() -> NDArray[np.float64]:
    """A pattern through Pillow, by both filters that are used: some pixels, and the sum of all."""
    from PIL import Image

    image, found = Image.fromarray(_picture()), []
    for filter_ in (Image.Resampling.BICUBIC, Image.Resampling.BILINEAR):
        pixels = np.asarray(image.resize((20, 24), filter_), np.float64)
        found += [*pixels[::12, ::11, 1].ravel(), pixels.sum()]
    return np.array(found)


def _operated() -> NDArray[np.float64]:
    """The pattern through torch: both ways of resizing, a convolution, a norm and attention."""
    import torch
    from torch.nn import functional as F

    with torch.inference_mode():
        image = rearrange(torch.from_numpy(_picture()), "h w c -> 1 c h w").float() / 255
        plain = F.interpolate(image, (20, 24), mode="bilinear", align_corners=False)
        smooth = F.interpolate(image, (20, 24), mode="bicubic", align_corners=False, antialias=True)
        kernel = torch.linspace(-1, 1, 4 * 3 * 9).reshape(4, 3, 3, 3)
        rows = rearrange(F.conv2d(smooth, kernel, stride=2, padding=1), "b c h w -> b (h w) c")
        rows = F.layer_norm(F.gelu(rows), (4,))
        mixed = F.scaled_dot_product_attention(rows, 3 * rows, rows)
    return np.concatenate([x.flatten()[11 :: x.numel() // 3].double().numpy() for x in (plain, smooth, rows, mixed)])


_OF_SOXR = (0.64199266, -0.46972353, 0.36916082, -0.21931063, 0.50557635, -0.27238219, 0.08596455, 0.0, -0.08046094)
_OF_PILLOW = (44, 185, 184, 89, 182392, 48, 182, 185, 88, 182415)
_OF_TORCH = (
    *(0.34274301, 0.45646846, 0.57019395),
    *(0.36018264, 0.47390819, 0.58626157),
    *(1.61887228, 1.65405571, 1.64483333),
    *(1.63132787, 1.6315279, 1.6314714),
)
_PROBES: dict[str, tuple[str, Callable[[], NDArray[np.float64]], tuple[float, ...]]] = {
    "soxr": ("vhq-1", _resampled, _OF_SOXR),
    "pillow": ("resize-1", _shrunk, _OF_PILLOW),
    "torch": ("operators-1", _operated, _OF_TORCH),
}
"""Name of the behaviour, the probe, and its values: of soxr 0.5.0 and 1.1.0, of Pillow 11.0 and 13.0, of torch 2.13.
Another value beyond the budget is another name."""
