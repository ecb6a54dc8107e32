"""The offset estimator finds injected shifts, in memory and through files, and declines where there is no answer."""

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ltx2_benchmarks.synthetic import render, sample_scene
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.media import read_clip, write_clip
from ltx2_eval.metrics.base import Outcome, Subject
from ltx2_eval.metrics.envelopes import HOP_S, onset_strength, pick_onsets, sudden_rise
from ltx2_eval.metrics.offset import av_offset
from ltx2_reports.records import ClipRecord

RECORD = ClipRecord(sample="a-s0", prompt_id="a", seed=0, file="a.mkv", sha256="0" * 64)
FRAME_MS = 1000 / 24
COUNT = 40


@cache
def world(seed: int) -> Clip:
    rendered = render(sample_scene(seed, family="impacts", frames=121, width=64, height=48))
    return Clip(video=rendered.video, fps=rendered.fps, audio=rendered.audio, rate_hz=rendered.rate_hz)


def estimate(clip: Clip) -> Outcome:
    return av_offset(Subject(clip=clip, record=RECORD, prompt=None))


def shifted(clip: Clip, shift_s: float) -> Clip:
    """The sound later by `shift_s`; what leaves the clip is lost, silence comes in."""
    assert clip.audio is not None
    assert clip.rate_hz is not None
    count = round(abs(shift_s) * clip.rate_hz)
    pads = (count, 0) if shift_s > 0 else (0, count)
    padded = np.pad(clip.audio, ((0, 0), pads))
    kept = slice(0, clip.audio.shape[1]) if shift_s > 0 else slice(count, None)
    return dataclasses.replace(clip, audio=np.ascontiguousarray(padded[:, kept]))


def injected(seed: int = 11) -> Iterator[tuple[Clip, float]]:
    generator = np.random.default_rng(seed)
    for number in range(COUNT):
        shift_s = float(generator.uniform(-2, 2))
        yield shifted(world(number), shift_s), 1000 * shift_s


def check_errors(outcomes: list[tuple[Outcome, float]]) -> None:
    answered = [(outcome.value, truth) for outcome, truth in outcomes if outcome.value is not None]
    assert len(answered) >= 0.95 * len(outcomes)
    errors = np.abs([value - truth for value, truth in answered])
    assert np.median(errors) <= 20
    assert np.mean(errors <= FRAME_MS) >= 0.95
    for outcome, _ in outcomes:
        if outcome.value is not None:
            assert outcome.details["within_itu"] == (-45 <= outcome.value <= 125)


def test_injected_shifts_are_found() -> None:
    check_errors([(estimate(clip), truth) for clip, truth in injected()])


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_injected_shifts_are_found_in_files(container: str, tmp_path: Path) -> None:
    outcomes = []
    for number, (clip, truth) in enumerate(injected(12)):
        if number % 3:
            continue
        path = tmp_path / f"clip.{container}"
        write_clip(clip, path, container=container)  # type: ignore[arg-type]
        outcomes.append((estimate(read_clip(path)), truth))
    check_errors(outcomes)


@pytest.mark.parametrize("shift_s", [-1.5, -0.3, 0.4, 2.0])
def test_the_containers_start_times_count(shift_s: float) -> None:
    clip = dataclasses.replace(world(2), audio_start_s=max(0.0, shift_s), video_start_s=max(0.0, -shift_s))
    value = estimate(clip).value
    assert value is not None
    assert value == pytest.approx(1000 * shift_s, abs=FRAME_MS)


def test_late_sound_is_positive_and_the_window_is_not_symmetric() -> None:
    """ITU-R BT.1359: sound 100 ms late goes unnoticed, sound 100 ms early does not."""
    late, early = estimate(shifted(world(5), 0.1)), estimate(shifted(world(5), -0.1))
    assert late.value == pytest.approx(100, abs=20)
    assert late.details["within_itu"] is True
    assert early.value == pytest.approx(-100, abs=20)
    assert early.details["within_itu"] is False


def test_variable_frame_rate_is_no_shift() -> None:
    clip = world(4)
    assert clip.video is not None
    kept = np.sort(np.random.default_rng(0).permutation(121)[:80])
    sparse = dataclasses.replace(clip, video=clip.video[kept].copy(), frame_times_s=clip.times_s[kept])
    assert estimate(sparse).value == pytest.approx(estimate(clip).value or 0.0, abs=30)


def test_unrelated_pairs_seldom_get_an_answer() -> None:
    """Picture of one clip, sound of another: the rate of false confidence."""
    answered = 0
    for number in range(COUNT):
        for step in (1, 7, 13):
            pair = dataclasses.replace(world(number), audio=world((number + step) % COUNT).audio)
            answered += estimate(pair).value is not None
    assert answered / (3 * COUNT) <= 0.05


def silent(clip: Clip) -> Clip:
    assert clip.audio is not None
    return dataclasses.replace(clip, audio=np.zeros_like(clip.audio))


def still(clip: Clip) -> Clip:
    assert clip.video is not None
    return dataclasses.replace(clip, video=np.repeat(clip.video[:1], len(clip.video), axis=0))


def beats(period_s: float, duration_s: float, offset_s: float = 0.05) -> Clip:
    frames, rate_hz = round(duration_s * 24), 24000
    video = np.full((frames, 48, 64, 3), 60, np.uint8)
    audio = np.random.default_rng(0).normal(0, 1e-4, (1, round(duration_s * rate_hz))).astype(np.float32)
    for time_s in np.arange(period_s / 2, duration_s - 0.2, period_s):
        video[int(np.ceil(time_s * 24))] = 200
        start = round((time_s + offset_s) * rate_hz)
        audio[0, start : start + 200] += np.hanning(200).astype(np.float32) * 0.5
    return Clip(video=video, fps=Fraction(24), audio=audio, rate_hz=rate_hz)


def babble(seed: int) -> Clip:
    """Sound that swells like speech beside a picture that sways on its own."""
    generator = np.random.default_rng(seed)
    sway = np.cumsum(generator.normal(0, 2, 121))
    rows = np.arange(48)[None, :, None, None] * 4
    video = (127 + 100 * np.sin((rows + 10 * sway[:, None, None, None]) / 30)).astype(np.uint8)
    swell = np.convolve(generator.exponential(1, 150) ** 2, np.hanning(5), "same")[:126]
    level = np.interp(np.arange(121000) / 24000, np.arange(126) / 25, swell)
    audio = (generator.normal(0, 0.03, 121000) * level).astype(np.float32)[None]
    return Clip(video=np.broadcast_to(video, (121, 48, 64, 3)).copy(), fps=Fraction(24), audio=audio, rate_hz=24000)


def test_it_declines_without_sound_or_motion() -> None:
    for clip, message in (
        (silent(world(0)), "silent"),
        (still(world(0)), "never changes"),
        (dataclasses.replace(world(0), audio=world(0).audio[:, :0]), "silent"),  # type: ignore[index]
        (dataclasses.replace(world(0), video=world(0).video[:1]), "never changes"),  # type: ignore[index]
        (dataclasses.replace(world(0), video=world(0).video[:0]), "never changes"),  # type: ignore[index]
    ):
        outcome = estimate(clip)
        assert outcome.value is None
        assert outcome.reason is not None
        assert outcome.reason.kind == "abstained"
        assert message in outcome.reason.message


@pytest.mark.parametrize(("period_s", "duration_s"), [(0.25, 2), (0.5, 2), (0.25, 5), (0.5, 5), (1, 5), (1.5, 5)])
def test_it_declines_for_regular_beats(period_s: float, duration_s: float) -> None:
    assert estimate(beats(period_s, duration_s)).value is None


def test_it_declines_for_swelling_sound() -> None:
    assert sum(estimate(babble(seed)).value is not None for seed in range(20)) <= 1


def test_one_event_proves_nothing() -> None:
    outcome = estimate(beats(4.0, 4.0))
    assert outcome.reason is not None
    assert "found 1 onsets" in outcome.reason.message


def test_a_missing_stream_is_not_applicable() -> None:
    with pytest.raises(NotApplicable, match="no audio"):
        estimate(dataclasses.replace(world(0), audio=None, rate_hz=None))
    with pytest.raises(NotApplicable, match="no video"):
        estimate(dataclasses.replace(world(0), video=None, fps=None))


def test_same_clip_same_bits() -> None:
    first, second = (estimate(dataclasses.replace(world(9), audio=world(9).audio.copy())) for _ in range(2))  # type: ignore[union-attr]
    assert first == second


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("phase", [1, -1])
def test_onsets_are_found_in_time_at_any_rate(rate_hz: int, phase: int) -> None:
    generator = np.random.default_rng(0)
    audio = generator.normal(0, 1e-4, (2, 2 * rate_hz)).astype(np.float32)
    times_s = np.array([0.31, 0.907, 1.4])
    for time_s in times_s:
        start, decay = round(time_s * rate_hz), np.exp(-np.arange(rate_hz // 5) / rate_hz * 30)
        burst = generator.normal(0, 0.2, len(decay)) * decay
        audio[:, start : start + len(decay)] += np.stack([burst, phase * burst]).astype(np.float32)
    found_s = pick_onsets(onset_strength(audio, rate_hz)) * HOP_S
    assert len(found_s) == 3
    assert np.abs(found_s - times_s).max() <= 0.008


def test_steady_motion_has_no_rise() -> None:
    change: NDArray[np.float64] = np.array([2.0, 2.0, 2.0, 9.0, 2.0, 2.0])
    np.testing.assert_array_equal(sudden_rise(change), [0, 0, 0, 7, 0, 0])
    assert sudden_rise(np.zeros(0)).shape == (0,)
