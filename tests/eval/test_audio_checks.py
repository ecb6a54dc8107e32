"""Sound with known properties gives the known numbers; sound without an answer gives a reason."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.metrics import audio_checks as checks
from ltx2_eval.metrics.base import Outcome, Subject
from ltx2_eval.metrics.loudness import k_weighting
from ltx2_reports.records import ClipRecord

RECORD = ClipRecord(sample="a-s0", prompt_id="a", seed=0, file="a.mkv", sha256="0" * 64)
ALL = [
    checks.loudness_lufs,
    checks.true_peak_dbtp,
    checks.clipping_ratio,
    checks.dc_offset,
    checks.silence_ratio,
    checks.bandwidth_hz,
    checks.spectral_flatness,
    checks.stereo_correlation,
    checks.clicks_per_s,
    checks.hum_ratio,
]


def heard(audio: NDArray[np.floating], rate_hz: int = 48000) -> Subject:
    clip = Clip(video=None, fps=None, audio=np.atleast_2d(audio).astype(np.float32), rate_hz=rate_hz)
    return Subject(clip=clip, record=RECORD, prompt=None)


def sine(hz: float, amplitude: float = 1.0, seconds: float = 2.0, rate_hz: int = 48000) -> NDArray[np.float64]:
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def noise(seconds: float = 2.0, rate_hz: int = 48000, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate_hz))


def value(outcome: Outcome) -> float:
    assert outcome.reason is None
    assert outcome.value is not None
    return outcome.value


def test_k_weighting_is_the_standards_table_at_48_khz() -> None:
    (shelf_b, shelf_a), (high_b, high_a) = k_weighting(48000)
    np.testing.assert_allclose(shelf_b, [1.53512485958697, -2.69169618940638, 1.19839281085285], atol=1e-9)
    np.testing.assert_allclose(shelf_a, [1.0, -1.69065929318241, 0.73248077421585], atol=1e-9)
    np.testing.assert_allclose(high_b, [1.0, -2.0, 1.0])
    np.testing.assert_allclose(high_a, [1.0, -1.99004745483398, 0.99007225036621], atol=1e-9)


@pytest.mark.parametrize("rate_hz", [16000, 24000, 44100, 48000, 96000])
def test_loudness_of_the_standards_sine(rate_hz: int) -> None:
    tone = sine(997, rate_hz=rate_hz, seconds=3)
    assert value(checks.loudness_lufs(heard(tone, rate_hz))) == pytest.approx(-3.01, abs=0.1)
    assert value(checks.loudness_lufs(heard(np.stack([tone, tone]), rate_hz))) == pytest.approx(0.0, abs=0.1)
    one_side = np.stack([tone, 0 * tone])
    assert value(checks.loudness_lufs(heard(one_side, rate_hz))) == pytest.approx(-3.01, abs=0.1)


def test_loudness_gates_pauses_and_ignores_the_low_frequency_channel() -> None:
    """EBU Tech 3341: a tone at -23 LUFS between quiet parts, and surround gains."""
    loud, quiet = sine(1000, 10 ** (-23 / 20), 20), sine(1000, 10 ** (-40 / 20), 4)
    programme = np.concatenate([quiet, loud, quiet])
    assert value(checks.loudness_lufs(heard(np.stack([programme] * 2)))) == pytest.approx(-23.0, abs=0.1)
    tone = sine(1000, 0.1, 2)
    surround = np.zeros((6, len(tone)))
    surround[3] = tone
    assert checks.loudness_lufs(heard(surround)).reason is not None
    surround[4] = tone
    assert value(checks.loudness_lufs(heard(surround))) == pytest.approx(-23.0 + 1.49, abs=0.1)


def test_true_peak_lies_between_samples() -> None:
    tone = np.sin(2 * np.pi * 12000 * np.arange(48000) / 48000 + np.pi / 4) * np.hanning(48000)
    assert np.abs(tone).max() == pytest.approx(np.sqrt(0.5), abs=1e-3)
    assert value(checks.true_peak_dbtp(heard(tone))) == pytest.approx(0.0, abs=0.05)
    assert value(checks.true_peak_dbtp(heard(sine(1000, 0.5)))) == pytest.approx(-6.02, abs=0.05)


def test_clipping_counts_runs_of_one_sign() -> None:
    clipped = np.clip(sine(100, 2.0), -1, 1)
    assert value(checks.clipping_ratio(heard(clipped))) == pytest.approx(2 / 3, abs=0.01)
    assert value(checks.clipping_ratio(heard(sine(100, 0.99)))) == 0.0
    square = np.tile([1.0, -1.0], 500)
    assert value(checks.clipping_ratio(heard(square))) == 0.0
    assert value(checks.clipping_ratio(heard(np.r_[np.zeros(7), np.ones(3)]))) == pytest.approx(0.3)


def test_dc_offset_is_signed_and_of_the_worst_channel() -> None:
    assert value(checks.dc_offset(heard(np.stack([sine(100) + 0.01, sine(100) - 0.02])))) == pytest.approx(
        -0.02, abs=1e-6
    )


def test_silence_ratio_counts_frames() -> None:
    audio = np.concatenate([np.zeros(24000), sine(440, 0.1, 1), np.zeros(9600), sine(440, 0.1, 0.3)])
    outcome = checks.silence_ratio(heard(audio))
    assert value(outcome) == pytest.approx(0.7 / 2.0)
    assert outcome.details == {"leading_s": 0.5, "trailing_s": 0.0, "longest_s": 0.5}
    assert value(checks.silence_ratio(heard(np.zeros(48000)))) == 1.0
    assert value(checks.silence_ratio(heard(np.full(48000, 0.1)))) == 1.0
    assert value(checks.silence_ratio(heard(audio + 0.1))) == pytest.approx(0.7 / 2.0)
    assert value(checks.silence_ratio(heard(sine(440, 10 ** (-59 / 20) * np.sqrt(2))))) == 0.0
    assert value(checks.silence_ratio(heard(sine(440, 10 ** (-61 / 20) * np.sqrt(2))))) == 1.0


@pytest.mark.parametrize("cut_hz", [3000, 8000, 16000])
def test_bandwidth_finds_the_cut(cut_hz: int) -> None:
    spectrum = np.fft.rfft(noise())
    spectrum[np.fft.rfftfreq(96000, 1 / 48000) > cut_hz] = 0
    assert value(checks.bandwidth_hz(heard(np.fft.irfft(spectrum)))) == pytest.approx(cut_hz, abs=80)


def test_spectral_flatness_of_noise_and_tone() -> None:
    assert value(checks.spectral_flatness(heard(noise()))) == pytest.approx(np.exp(-np.euler_gamma), abs=0.03)
    assert value(checks.spectral_flatness(heard(sine(1000)))) < 0.001


def test_stereo_correlation() -> None:
    left, right = noise(seed=1), noise(seed=2)
    same = checks.stereo_correlation(heard(np.stack([left, left])))
    assert value(same) == pytest.approx(1.0)
    assert same.details["side_ratio"] == pytest.approx(0.0)
    assert value(checks.stereo_correlation(heard(np.stack([left, -left])))) == pytest.approx(-1.0)
    free = checks.stereo_correlation(heard(np.stack([left, 2 * right])))
    assert value(free) == pytest.approx(0.0, abs=0.02)
    assert free.details["side_ratio"] == pytest.approx(0.5, abs=0.02)
    assert free.details["balance_db"] == pytest.approx(6.02, abs=0.1)
    with pytest.raises(NotApplicable, match="1 audio channels"):
        checks.stereo_correlation(heard(left))
    assert checks.stereo_correlation(heard(np.stack([left, 0 * left]))).reason is not None


def test_clicks_are_lone_jumps() -> None:
    audio = sine(200, 0.3)
    assert value(checks.clicks_per_s(heard(audio))) == 0.0
    for place in (10000, 30000, 70000):
        audio[place] += 0.5
    assert value(checks.clicks_per_s(heard(audio))) == pytest.approx(1.5)
    assert value(checks.clicks_per_s(heard(noise()))) == 0.0
    attack = np.concatenate([np.zeros(20000), noise(0.3) * np.exp(-np.arange(14400) / 3000), np.zeros(20000)])
    assert value(checks.clicks_per_s(heard(attack))) == 0.0


@pytest.mark.parametrize("mains_hz", [50, 60])
def test_hum_is_a_share_of_power(mains_hz: int) -> None:
    hum = sine(mains_hz, 0.2) + sine(3 * mains_hz, 0.1)
    outcome = checks.hum_ratio(heard(hum))
    assert value(outcome) == pytest.approx(1.0, abs=0.01)
    assert outcome.details == {"mains_hz": mains_hz}
    assert value(checks.hum_ratio(heard(noise()))) < 0.005
    mixed = noise() * 0.5 / noise().std() + sine(mains_hz, np.sqrt(0.5))
    assert value(checks.hum_ratio(heard(mixed))) == pytest.approx(0.5, abs=0.03)
    assert value(checks.hum_ratio(heard(mixed + 0.3))) == pytest.approx(value(checks.hum_ratio(heard(mixed))), rel=1e-3)


def test_a_constant_has_no_hum() -> None:
    outcome = checks.hum_ratio(heard(np.full(96000, 0.25)))
    assert outcome.value is None or outcome.value == 0.0


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(
    "audio",
    [
        np.zeros((2, 0)),
        np.zeros((2, 1)),
        np.ones((2, 1)),
        np.zeros((2, 48000)),
        np.full((2, 48000), 0.5),
        np.full((2, 48000), 1e-30),
        np.eye(2, 48000),
    ],
)
def test_there_is_a_finite_value_or_a_reason(metric: object, audio: NDArray[np.float64]) -> None:
    assert callable(metric)
    outcome = metric(heard(audio))
    assert (outcome.value is None) != (outcome.reason is None)
    assert outcome.value is None or np.isfinite(outcome.value)
    assert all(not isinstance(item, float) or np.isfinite(item) for item in outcome.details.values())


@pytest.mark.parametrize("metric", ALL)
def test_a_clip_without_sound_is_not_applicable(metric: object) -> None:
    clip = Clip(video=np.zeros((2, 8, 8, 3), np.uint8), fps=Fraction(24), audio=None, rate_hz=None)
    assert callable(metric)
    with pytest.raises(NotApplicable, match="no audio"):
        metric(Subject(clip=clip, record=RECORD, prompt=None))
