"""What other libraries do where they decide a value: probed on a small input, not guessed from a version number.

A version whose probe agrees with the values of the versions that we are tested with, within the error budget, changes
no value and is only noted, in the environment of the run. One that does not agree stands in the protocol with its
version, so that its values are compared with no others. Of transformers the parts that prepare sounds and compare
sentences are probed; for its networks the major version stands there. The decoder stands there exactly
(`media.decoder_id`): lossy decoders have no such promise.
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
_SENTENCES_AND_SOUND = ("soxr", "tokenizers", "torch", "transformers", "transformers.mels")
_SOUND, _PICTURES, _BOTH = ("soxr", "torch"), ("pillow", "torch"), ("pillow", "soxr", "torch")

USED: dict[str, tuple[str, ...]] = {
    **{f"{_EXTRACTORS}.{name}": _SOUND for name in ("dnsmos", "nano", "panns", "passt", "silero", "soundnet")},
    **{f"{_EXTRACTORS}.{name}": _SOUND for name in ("speaker", "vggish")},
    f"{_EXTRACTORS}.audiobox": ("soxr", "torch", "transformers"),
    **{f"{_EXTRACTORS}.{name}": _SENTENCES_AND_SOUND for name in ("clap", "whisper")},
    f"{_EXTRACTORS}.turns": ("scipy", *_SENTENCES_AND_SOUND),
    **{f"{_EXTRACTORS}.{name}": _PICTURES for name in ("efficientnet", "lpips", "transnet")},
    **{f"{_EXTRACTORS}.{name}": (*_PICTURES, "transformers") for name in ("clip_frames", "consistency")},
    f"{_EXTRACTORS}.clip_text_video": (*_PICTURES, "tokenizers", "transformers"),
    f"{_EXTRACTORS}.clap_upstream": ("laion_clap", "soxr", "tokenizers", "torch", "transformers"),
    **{f"{_EXTRACTORS}.{name}": _BOTH for name in ("objects", "synchformer")},
    **{f"{_EXTRACTORS}.{name}": (*_BOTH, "scipy") for name in ("lip_tracks", "syncnet")},
    f"{_EXTRACTORS}.fadtk": ("soxr", "torch", "transformers", "transformers.mels"),
    f"{_EXTRACTORS}.imagebind": (*_BOTH, "tokenizers", "transformers"),
    **{f"{_EXTRACTORS}.{name}": ("torch",) for name in ("i3d", "inception", "videomae")},
    **{f"{_METRICS}.{name}": ("scipy", "soxr") for name in ("audio_checks", "av_align", "offset")},
    f"{_METRICS}.speech": ("scipy", "transformers.normaliser"),
}
"""By module of an extractor or a metric: the libraries, or parts of one, whose work its values go through."""


def libraries_of(*implementations: str | None) -> dict[str, str]:
    """By library that these implementations (`module:name`) use: what it does here, as protocols carry it."""
    modules = {place.partition(":")[0] for place in implementations if place}
    names = {name for module in modules for name in USED.get(module, ())}
    return {name: behaviour(name) for name in sorted(names)}


@functools.cache
def behaviour(library: str) -> str:
    """The name of what the library is known to do, or its version where it does something else."""
    try:
        version = importlib.metadata.version(library.partition(".")[0])
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
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


def _filtered() -> NDArray[np.float64]:
    """A wave through what is used of SciPy: filters, spectra, peaks and clusters; some values of each."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.fft import dct
    from scipy.ndimage import gaussian_filter1d, maximum_filter1d
    from scipy.signal import find_peaks, get_window, lfilter, medfilt, welch
    from scipy.special import log_softmax

    times_s = np.arange(256) / 64
    wave = np.sin(2 * np.pi * 3 * times_s) + 0.5 * np.cos(2 * np.pi * 11 / 4 * times_s**2)
    joined = linkage(rearrange(wave[:32], "(n d) -> n d", d=8), "average", metric="cosine")
    found = (
        *(maximum_filter1d(wave, 5), gaussian_filter1d(wave, 2.0), medfilt(wave, 7), get_window("hann", 32)),
        *(lfilter((1.0, -1.9, 1.0), (1.0, -1.8, 0.9), wave), welch(wave, 64, nperseg=64)[1]),
        *(dct(wave, type=2, norm="ortho"), log_softmax(wave), joined[:, 2]),
    )
    peaks = find_peaks(wave, height=0.2, prominence=0.1, distance=4)[0]
    return np.concatenate([*(x[1 :: len(x) // 2] for x in found), peaks[:3], fcluster(joined, 2, "maxclust")])


def _heard() -> NDArray[np.float64]:
    """A sweep through the front ends of CLAP, in units of 100 dB, and of Whisper."""
    from transformers import ClapFeatureExtractor, WhisperFeatureExtractor

    bands = {"frequency_min": 50, "frequency_max": 14_000}
    clap = ClapFeatureExtractor(**bands, max_length_s=1, truncation="rand_trunc", padding="repeatpad")
    found = []
    for front_end, unit in ((clap, 100), (WhisperFeatureExtractor(chunk_length=1), 1)):
        rate_hz = front_end.sampling_rate
        times_s = np.arange(rate_hz // 2) / rate_hz
        wave = (0.5 * np.sin(2 * np.pi * (300 + 4000 * times_s) * times_s)).astype(np.float32)
        mels = front_end(wave, sampling_rate=rate_hz, return_tensors="np")["input_features"].ravel()
        found.append(mels[101 :: mels.size // 5].astype(np.float64) / unit)
    return np.concatenate(found)


def _normalised() -> NDArray[np.float64]:
    """Characters of two sentences through the normalisers of Whisper's paper: numbers, contractions, titles, marks."""
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

    english = EnglishTextNormalizer({"colour": "color"})(_SENTENCE)
    return np.array([*map(ord, f"{english}|{BasicTextNormalizer()('Grüß [hm] dich, élan — 3!')}")], np.float64)


def _split_up() -> NDArray[np.float64]:
    """A sentence through both kinds of tokenizer that are used: bytes with spaces, and words with their ends."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    def tokenizer(pieces: str, joined: str, **settings: str) -> Tokenizer:
        merges = [(first, last) for first, _, last in (pair.partition("+") for pair in joined.split())]
        known = dict.fromkeys([*pieces.split(), *("".join(pair).replace("</w>", "") for pair in merges)])
        known |= dict.fromkeys("".join(pair) for pair in merges)
        return Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(known)}, merges=merges, **settings))

    spaced = tokenizer("Ġ a l o w e r 1 ' s Ã ©", "l+o lo+w e+r Ġ+low Ġlow+er '+s")
    spaced.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    ended = tokenizer(
        "a</w> l o w e r w</w> r</w> 1</w> é</w> ' s</w>",
        "l+o lo+w</w> e+r</w> lo+w low+er</w> '+s</w>",
        end_of_word_suffix="</w>",
    )
    ended.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    ended.pre_tokenizer = pre_tokenizers.Split(Regex(r"'s|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"), "removed", invert=True)
    text = "low lower's e\u0301 1 LOW  a"
    return np.array([i for each in (spaced, ended) for i in each.encode(text).ids], np.float64)


_SENTENCE = "Mr. O'Neill won't pay $3.50 or twenty-one euros (hm), it's 1,000 o'clock colour"
_OF_SOXR = (0.64199266, -0.46972353, 0.36916082, -0.21931063, 0.50557635, -0.27238219, 0.08596455, 0.0, -0.08046094)
_OF_PILLOW = (44, 185, 184, 89, 182392, 48, 182, 185, 88, 182415)
_OF_TORCH = (
    *(0.34274301, 0.45646846, 0.57019395),
    *(0.36018264, 0.47390819, 0.58626157),
    *(1.61887228, 1.65405571, 1.64483333),
    *(1.63132787, 1.6315279, 1.6314714),
)
_OF_SCIPY = (
    *(1.27265014, 0.52412078, 0.88963585, 0.26855896, 0.79028023, 0.27763688, 0.00960736, 0.99039264),
    *(0.74028023, -0.06741426, 0.0020701, 0.00719336, 1.07130472, -0.36150967, -5.05585639, -5.32201584),
    *(0.6717572, 1.79569718, 5, 26, 51, 1, 1, 2, 1),
)
_OF_MELS = (
    *(-0.6859005, -1.0, -1.0, -0.59199299, -0.91459297),
    *(0.54641235, 0.19039536, -0.06316173, -0.33369923, -0.56369805),
)
_OF_TOKENIZERS = (13, 16, 17, 0, 5, 0, 7, 0, 0, 0, 1, 17, 19, 20, 9, 8, 17, 0)
_OF_NORMALISER = "mister 0 neill will not pay $3.50 or €21 it is 10000 clock color|grüß dich élan 3 "
_PROBES: dict[str, tuple[str, Callable[[], NDArray[np.float64]], tuple[float, ...]]] = {
    "soxr": ("vhq-1", _resampled, _OF_SOXR),
    "pillow": ("resize-1", _shrunk, _OF_PILLOW),
    "torch": ("operators-1", _operated, _OF_TORCH),
    "scipy": ("filters-1", _filtered, _OF_SCIPY),
    "tokenizers": ("bpe-1", _split_up, _OF_TOKENIZERS),
    "transformers.mels": ("mels-1", _heard, _OF_MELS),
    "transformers.normaliser": ("english-1", _normalised, tuple(map(ord, _OF_NORMALISER))),
}
"""Name of the behaviour, the probe, and its values: of soxr 0.5.0 and 1.1.0, of Pillow 11.0 and 13.0, of torch 2.13, of
the versions of the others that constraints.txt names.
Another value beyond the budget is another name."""
