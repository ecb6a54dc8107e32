"""fadtk's front end: its resampling by a direct sum, its samples, windows and features by hand."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.fadtk import (
    BETA,
    ROLLOFF,
    ZEROS,
    FadtkClapExtractor,
    FadtkVggishExtractor,
    chunks,
    heard,
    resampled,
)

RATE_HZ = 48_000


def _direct(wave, old, new, index):
    """One output sample as the sum over all input samples, in float64."""
    cut = min(old, new) * ROLLOFF
    at = (np.arange(len(wave)) / old - index / new) * cut
    inside = np.abs(at) < ZEROS
    window = np.i0(BETA * np.sqrt(np.maximum(1 - (at / ZEROS) ** 2, 0))) / np.i0(BETA)
    return float((wave * np.sinc(at) * window * inside).sum() * cut / old)


@pytest.mark.parametrize(("old", "new"), [(44_100, 48_000), (48_000, 16_000), (24_000, 48_000)])
def test_resampling_is_the_windowed_sinc(old, new):
    wave = np.random.default_rng(0).normal(0, 0.1, 3000).astype(np.float32)
    found = resampled(wave, old, new)
    assert len(found) == -(-3000 * new // old)
    for index in (0, 1, len(found) // 2, len(found) - 1):
        assert found[index] == pytest.approx(_direct(wave.astype(np.float64), old, new, index), abs=1e-6)
    assert resampled(wave, old, old) is wave


def test_samples_have_sixteen_bits():
    audio = np.array([[0.5, -1.5, 0.25], [0.5, -1.5, 0.75]], np.float32)
    found = heard(Clip(video=None, fps=None, audio=audio, rate_hz=RATE_HZ), RATE_HZ)
    assert (found * 32768).tolist() == [16384, -32767, 16384]
    with pytest.raises(NotApplicable, match="no sound"):
        heard(Clip(video=np.zeros((1, 2, 2, 3), np.uint8), fps=Fraction(1), audio=None, rate_hz=None), RATE_HZ)
    with pytest.raises(ValueError, match="not finite"):
        heard(Clip(video=None, fps=None, audio=np.full((1, 4), np.nan, np.float32), rate_hz=RATE_HZ), RATE_HZ)


@pytest.mark.parametrize(("seconds", "count"), [(0.5, 1), (10, 10), (10.5, 11)])
def test_a_window_of_ten_seconds_begins_at_every_second(seconds, count):
    wave = np.linspace(0.1, 0.9, int(seconds * RATE_HZ))
    parts = chunks(wave)
    assert parts.shape == (count, 10 * RATE_HZ)
    assert parts[0, 0] == pytest.approx(np.trunc(0.1 * 32767) / 32767)
    last = wave[(count - 1) * RATE_HZ :]
    assert np.abs(parts[-1, : len(last)] - last[: 10 * RATE_HZ]).max() < 1.01 / 32767
    assert not parts[-1, len(last) :].any()


class _Clap:
    def __init__(self):
        self.sizes = []

    def get_audio_features(self, input_features):
        self.sizes.append(len(input_features))
        return torch.stack([input_features.flatten(1).mean(dim=1), torch.full((len(input_features),), 3.0)], dim=1)


def test_clap_gives_a_row_of_halves_for_each_second():
    model = _Clap()
    extractor = FadtkClapExtractor(None, SimpleNamespace(), None, "cpu")
    extractor.model = model
    audio = np.random.default_rng(1).normal(0, 0.1, (1, 9 * RATE_HZ)).astype(np.float32)
    rows = extractor.features(Clip(video=None, fps=None, audio=audio, rate_hz=RATE_HZ))
    assert rows.shape == (9, 2)
    assert model.sizes == [8, 1]
    assert np.array_equal(rows, rows.astype(np.float16).astype(np.float32))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3)


class _Means(torch.nn.Module):
    def forward(self, examples):
        return examples.mean(dim=(1, 2))[:, None] - 100


def test_vggish_keeps_what_is_below_zero_and_fills_a_second():
    extractor = FadtkVggishExtractor(spec=None, network=_Means(), device="cpu")
    audio = np.random.default_rng(2).normal(0, 0.1, (1, 16_000 * 3)).astype(np.float32)
    rows = extractor.features(Clip(video=None, fps=None, audio=audio, rate_hz=16_000))
    assert rows.shape == (3, 1)
    assert (rows < -90).all()
    assert np.array_equal(rows, rows.astype(np.float16).astype(np.float32))
    short = Clip(video=None, fps=None, audio=audio[:, :800], rate_hz=16_000)
    assert extractor.features(short).shape == (1, 1)
