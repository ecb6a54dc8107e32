"""DNSMOS: how good speech sounds, as listeners of the Deep Noise Suppression challenge would say (P.835 and P.808)."""

import itertools
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import ExtractorSpec, present
from ltx2_eval.extractors.sound import mono
from ltx2_eval.extractors.spectrogram import Array, centred_power, hann, slaney_filters
from ltx2_eval.weights import weights_path
from ltx2_eval.weights.safe import load_strict, read_state

RATE_HZ = 16_000
WINDOW = 144_160
"""9.01 s."""
LEAST_S = 0.5
WINDOWS_AT_ONCE = 4
"""The widest layer takes 75 MB a window."""
SCORES = ("sig", "bak", "ovrl", "p808")
_HOP_S = 1
_FRAMES, _STEP = 900, 160
_MEL_FFT, _MELS = 321, 120
# From the networks' answers to the scale of the listeners: coefficients of x², x, 1 for speech, background, overall.
_CALIBRATION = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)


def dnsmos_windows(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """(k, 144160): windows of 9.01 s every second; a shorter sound is doubled until it is long enough."""
    while len(waveform) < WINDOW:
        waveform = np.concatenate([waveform, waveform])
    count = int(len(waveform) // RATE_HZ - WINDOW / RATE_HZ) + 1
    starts = [index * _HOP_S * RATE_HZ for index in range(count)]
    return np.stack([waveform[start : start + WINDOW] for start in starts])


@cache
def _filters() -> Array:
    return slaney_filters(RATE_HZ, _MEL_FFT, _MELS, 0, RATE_HZ / 2)


def p808_mel(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """(900, 120) log-mels of a window without its last 10 ms, 80 dB below its loudest at -1, its loudest at 1."""
    power = centred_power(window[:-_STEP], hann(_MEL_FFT, periodic=True), _MEL_FFT, _STEP, "constant") @ _filters()
    decibels = 10 * np.log10(np.maximum(power, 1e-10))
    decibels = np.maximum(decibels - decibels.max(), -80)
    return ((decibels + 40) / 40).astype(np.float32)


class _Cnn(nn.Module):
    """3x3 convolutions with ReLU, some followed by halving; the largest value of each channel; three linear layers."""

    def __init__(self, widths: tuple[int, ...], halved: frozenset[int], hidden: tuple[int, int], scores: int) -> None:
        super().__init__()
        pairs = zip((1, *widths[:-1]), widths, strict=True)
        self.convs = nn.ModuleList(nn.Conv2d(width, channels, 3, padding=1) for width, channels in pairs)
        sizes = (widths[-1], *hidden, scores)
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.halved = halved

    def forward(self, x: Tensor) -> Tensor:
        for index, conv in enumerate(self.convs):
            x = F.relu(conv(x))
            if index in self.halved:
                x = F.max_pool2d(x, 2)
        x = x.amax(dim=(2, 3))
        for index, linear in enumerate(self.linears):
            x = linear(F.relu(x) if index else x)
        return x


class DnsmosP835(nn.Module):
    """The network of `sig_bak_ovr.onnx`."""

    _TENSORS = "mos_estimator_logpow", ("", "_1", "_2", "_3", "_4", "_5", "_6"), ("", "_1", "_3")

    def __init__(self) -> None:
        super().__init__()
        self.real = nn.Linear(320, 161, bias=False)
        self.imaginary = nn.Linear(320, 161, bias=False)
        self.cnn = _Cnn((128, 64, 64, 32, 32, 32, 64), frozenset({3, 4, 5}), (128, 64), 3)

    def forward(self, windows: Tensor) -> Tensor:
        """(b, 144160) at 16 kHz -> (b, 3): speech, background, overall, not calibrated yet."""
        frames = windows.unfold(1, 2 * _STEP, _STEP)
        power = self.real(frames).square() + self.imaginary(frames).square()
        return self.cnn(rearrange(power.clamp(min=1e-12).log10(), "b t f -> b 1 t f"))

    @classmethod
    def renamed(cls, published: dict[str, Tensor]) -> dict[str, Tensor]:
        """The published names -> those of this module."""
        state = _cnn_state(published, *cls._TENSORS)
        for ours, theirs in (("real", "real"), ("imaginary", "imag")):
            state[f"{ours}.weight"] = published.pop(f"time2freq/stft-{theirs}/kernel:0").squeeze(-1)
        for constant in ("truediv/y", "Maximum/x", "pow/y"):
            published.pop(f"mos_estimator_logpow/{constant}:0")
        return {**state, **published}


class DnsmosP808(nn.Module):
    """The network of `model_v8.onnx`."""

    _TENSORS = "mos_estimator_small_1", ("_5", "_6", "_7", "_8", "_9"), ("_3", "_4", "_5")

    def __init__(self) -> None:
        super().__init__()
        self.cnn = _Cnn((32, 32, 32, 32, 64), frozenset({0, 1, 3}), (64, 64), 1)

    def forward(self, mels: Tensor) -> Tensor:
        """(b, 900, 120) -> (b, 1)."""
        return self.cnn(rearrange(mels, "b t m -> b 1 t m"))

    @classmethod
    def renamed(cls, published: dict[str, Tensor]) -> dict[str, Tensor]:
        """The published names -> those of this module."""
        return {**_cnn_state(published, *cls._TENSORS), **published}


def _cnn_state(
    published: dict[str, Tensor], name: str, convs: tuple[str, ...], linears: tuple[str, ...]
) -> dict[str, Tensor]:
    """Take the layers out of `published`; those of linear layers are stored (in, out)."""
    state = {}
    for index, suffix in enumerate(convs):
        for ours, theirs in (("weight", "kernel"), ("bias", "bias")):
            state[f"cnn.convs.{index}.{ours}"] = published.pop(f"conv2d{suffix}/{theirs}:0")
    for index, suffix in enumerate(linears):
        stem = f"{name}/dense{suffix}"
        state[f"cnn.linears.{index}.weight"] = published.pop(f"{stem}/MatMul/ReadVariableOp/resource:0").T
        state[f"cnn.linears.{index}.bias"] = published.pop(f"{stem}/BiasAdd/ReadVariableOp/resource:0")
    return state


class DnsmosExtractor:
    """Speech, background and overall quality (P.835) and overall quality (P.808) of windows of 9.01 s."""

    def __init__(self, spec: ExtractorSpec, p835: DnsmosP835, p808: DnsmosP808, device: str) -> None:
        self.spec = spec
        self.p835, self.p808 = (network.eval().requires_grad_(False).to(device) for network in (p835, p808))
        self.device = device

    @classmethod
    def load(cls, spec: ExtractorSpec, weights: Path | None, device: str) -> Self:
        """Load both networks, whose tensors have the names of the ONNX files.

        Raises:
            NotAvailable: one of them is missing.
            DamagedError: a file does not fit.
        """
        weights = present(spec, weights)
        p835, p808 = DnsmosP835(), DnsmosP808()
        for network, path in ((p835, weights), (p808, weights_path(spec.beside[0]))):
            state = read_state(path)
            with suppress(KeyError):  # told by the strict loading, by name
                state = network.renamed(dict(state))
            load_strict(network, state, str(path))
        return cls(spec, p835, p808, device)

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(k, 4): speech, background, overall, overall by P.808, nominally 1..5.

        Raises:
            NotApplicable: no sound, or less than 0.5 s.
        """
        windows = dnsmos_windows(mono(clip, RATE_HZ, LEAST_S))
        parts = (windows[first : first + WINDOWS_AT_ONCE] for first in range(0, len(windows), WINDOWS_AT_ONCE))
        return torch.cat([self._scores(part) for part in parts]).cpu().numpy()

    def _scores(self, windows: NDArray[np.float32]) -> Tensor:
        mels = np.stack([p808_mel(window) for window in windows])
        with torch.inference_mode():
            raw = self.p835(torch.from_numpy(windows).to(self.device))
            p808 = self.p808(torch.from_numpy(mels).to(self.device))
        square, linear, constant = torch.tensor(_CALIBRATION, device=self.device).T
        return torch.cat([square * raw**2 + linear * raw + constant, p808], dim=1)
