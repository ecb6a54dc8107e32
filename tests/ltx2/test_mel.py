import dataclasses
import math

import pytest
import torch

from ltx2.config import LTX2_19B
from ltx2.mel import hz_to_mel, log_mel, mel_filterbank, mel_to_hz

CONFIG = LTX2_19B.audio_vae


def test_filterbank_matches_the_official_front_end():
    filters = mel_filterbank(CONFIG)
    assert filters.shape == (513, 64)
    assert filters.sum().item() == pytest.approx(4.09588, abs=1e-5)
    peaks, bins = filters.max(dim=0)
    assert bins[[0, 31, 63]].tolist() == [3, 106, 488]
    torch.testing.assert_close(peaks[[0, 31, 63]], torch.tensor([0.021331, 0.011527, 0.002730]), atol=1e-6, rtol=0)


def test_a_sine_matches_the_official_front_end():
    # The float32 phase is part of the reference: its rounding noise sets the level of the silent bins.
    waveform = 0.5 * torch.sin(2 * math.pi * 440 * torch.arange(16000) / 16000).expand(1, 2, -1)
    mel = log_mel(waveform, CONFIG)
    assert mel.shape == (1, 2, 101, 64)
    assert mel[0, 0, 50].argmax().item() == 8
    assert mel[0, 0, 50].max().item() == pytest.approx(1.085758, abs=1e-5)
    assert mel.mean().item() == pytest.approx(-9.380628, abs=1e-3)
    assert torch.equal(mel[:, 0], mel[:, 1])


def test_one_frame_by_direct_summation(deterministic):
    """Frame 40 of noise by the definition: window, Fourier sum, magnitude, filters, logarithm, in float64."""
    waveform = 0.1 * deterministic.u(3, (16000,))
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(1024, dtype=torch.float64) / 1024)
    part = waveform[40 * 160 - 512 : 40 * 160 + 512] * window
    angle = 2 * math.pi * torch.outer(torch.arange(513), torch.arange(1024)).double() / 1024
    magnitude = torch.hypot(torch.cos(angle) @ part, torch.sin(angle) @ part)
    expected = (magnitude @ mel_filterbank(CONFIG).double()).log()
    mel = log_mel(waveform.float()[None, None], CONFIG)
    torch.testing.assert_close(mel[0, 0, 40].double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("n", "frames"), [(513, 4), (1600, 11), (77439, 484), (77440, 485)])
def test_length_and_floor(n, frames):
    mel = log_mel(torch.zeros(1, 2, n), CONFIG)
    assert mel.shape == (1, 2, frames, 64)
    torch.testing.assert_close(mel, torch.full_like(mel, -11.512925))


def test_channels_and_rows_are_independent(deterministic):
    waveform = deterministic.u(1, (3, 2, 2000)).float()
    alone = log_mel(waveform[1:2, 1:], CONFIG)
    torch.testing.assert_close(log_mel(waveform, CONFIG)[1:2, 1:], alone, atol=1e-5, rtol=0)


def test_mel_scale_is_linear_then_logarithmic_and_invertible():
    hz = torch.tensor([0.0, 200.0, 1000.0, 6400.0])
    torch.testing.assert_close(hz_to_mel(hz), torch.tensor([0.0, 3.0, 15.0, 42.0], dtype=torch.float64))
    hz = torch.linspace(0, 8000, 101, dtype=torch.float64)
    torch.testing.assert_close(mel_to_hz(hz_to_mel(hz)), hz)


def test_filters_first_used_in_inference_can_train_later(deterministic):
    config = dataclasses.replace(CONFIG, mel_bins=20)  # not cached by another test
    with torch.inference_mode():
        log_mel(torch.zeros(1, 1, 1000), config)
    waveform = deterministic.u(2, (1, 1, 1000)).float().requires_grad_()
    log_mel(waveform, config).sum().backward()
    assert waveform.grad is not None
    assert waveform.grad.abs().sum() > 0


def test_refuses_too_short_and_wrong_shape():
    with pytest.raises(ValueError, match=r"waveform of 512 samples; log_mel needs at least 513 \(32 ms at 16000 Hz\)"):
        log_mel(torch.zeros(1, 2, 512), CONFIG)
    with pytest.raises(ValueError, match=r"log_mel takes \(batch, channels, samples\)"):
        log_mel(torch.zeros(2, 16000), CONFIG)
