"""Every way to spoil a clip, on cases small enough to work out by hand."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from ltx2_benchmarks.suite import Prompt
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.validation import degrade_audio as sound
from ltx2_eval.validation import degrade_video as picture
from ltx2_eval.validation.base import Material, generator_of
from ltx2_eval.validation.catalogue import DEGRADATIONS
from ltx2_eval.validation.degrade_whole import re_encoded, swapped_prompt, swapped_sound

Heard = Callable[..., Clip]


def heard(*channels: list[float], rate_hz: int = 1000) -> Clip:
    return Clip(video=None, fps=None, audio=np.array(channels, np.float32), rate_hz=rate_hz)


def seen(values: list[int], side: int = 8) -> Clip:
    """Frames of one shade each."""
    video = np.stack([np.full((side, side, 3), value, np.uint8) for value in values])
    return Clip(video=video, fps=Fraction(24), audio=None, rate_hz=None)


def samples(clip: Clip) -> list[list[float]]:
    assert clip.audio is not None
    return [[round(float(value), 6) for value in channel] for channel in clip.audio]


def shades(clip: Clip) -> list[int]:
    assert clip.video is not None
    assert (clip.video == clip.video[:, :1, :1, :1]).all()
    return clip.video[:, 0, 0, 0].tolist()


def both(seed: int = 0, text: str = "a ball") -> Material:
    generator = np.random.default_rng(seed)
    clip = Clip(
        video=generator.integers(0, 256, (16, 32, 32, 3), dtype=np.uint8),
        fps=Fraction(24),
        audio=generator.uniform(-0.5, 0.5, (2, 30000)).astype(np.float32),
        rate_hz=24000,
    )
    other = Clip(video=255 - clip.video, fps=Fraction(24), audio=-clip.audio[:, ::-1].copy(), rate_hz=24000)
    prompts = [Prompt.model_construct(id=one, text=one) for one in (text, "a drum")]
    return Material(clip=clip, prompt=prompts[0], partner_clip=other, partner_prompt=prompts[1])


def test_a_shift_moves_samples_and_lets_silence_in():
    assert samples(sound.shifted(heard([0.1, 0.2, 0.3, 0.4]), 1)) == [[0, 0.1, 0.2, 0.3]]
    assert samples(sound.shifted(heard([0.1, 0.2, 0.3, 0.4]), -2)) == [[0.3, 0.4, 0, 0]]
    assert samples(sound.shifted(heard([0.1, 0.2]), 5)) == [[0, 0]]


def test_a_late_start_keeps_the_samples():
    clip = heard([0.1, 0.2])
    late = sound.started_late(clip, -250)
    assert late.audio_start_s == -0.25
    assert late.audio is clip.audio


def test_silence_and_cuts_come_at_the_end():
    assert samples(sound.muted(heard([0.1, 0.2, 0.3, 0.4]), 0.25)) == [[0.1, 0.2, 0.3, 0]]
    assert samples(sound.muted(heard([0.1, 0.2]), 1.0)) == [[0, 0]]
    assert samples(sound.cut_short(heard([0.1, 0.2, 0.3, 0.4]), 0.001)) == [[0.1, 0.2, 0.3]]
    with pytest.raises(NotApplicable, match=r"0\.00 s"):
        sound.cut_short(heard([0.1, 0.2]), 0.002)


def test_narrowing_ends_in_mono():
    assert samples(sound.narrowed(heard([0.4, 0.0], [0.0, 0.2]), 0.5)) == [[0.3, 0.05], [0.1, 0.15]]
    assert samples(sound.narrowed(heard([0.4, 0.0], [0.0, 0.2]), 1.0)) == [[0.2, 0.1], [0.2, 0.1]]
    with pytest.raises(NotApplicable, match="one channel"):
        sound.narrowed(heard([0.1]), 1.0)


def test_noise_has_the_power_that_is_asked_for():
    tone = heard((0.1 * np.sin(np.arange(50_000) * 0.3)).tolist())
    noise = sound.noisy(tone, -10, np.random.default_rng(0)).audio - tone.audio
    assert 10 * np.log10(np.mean(noise**2) / np.mean(tone.audio**2)) == pytest.approx(-10, abs=0.1)
    with pytest.raises(NotApplicable, match="silent"):
        sound.noisy(heard([0.0, 0.0]), 0, np.random.default_rng(0))


def test_the_low_pass_keeps_what_lies_below_and_moves_nothing():
    times_s = np.arange(24_000) / 24_000
    low, high = 0.3 * np.sin(2 * np.pi * 500 * times_s), 0.3 * np.sin(2 * np.pi * 6000 * times_s)
    passed = sound.low_passed(heard((low + high).tolist(), rate_hz=24_000), 2000).audio[0]
    assert np.abs(passed - low)[1000:-1000].max() < 1e-4
    with pytest.raises(NotApplicable, match="nothing above"):
        sound.low_passed(heard([0.1] * 100, rate_hz=8000), 4000)


def test_gain_hum_dc_and_clicks():
    assert samples(sound.amplified(heard([0.1, 0.5]), 20)) == [[1.0, 1.0]]
    assert samples(sound.amplified(heard([0.5]), -20)) == [[0.05]]
    assert samples(sound.with_dc(heard([0.1, -0.1]), 0.03)) == [[0.13, -0.07]]
    tone = heard((0.01 * np.sin(np.arange(20_000) * 1.1)).tolist())
    hum = sound.with_hum(tone, 0).audio[0] - tone.audio[0]
    assert np.mean(hum**2) == pytest.approx(np.mean(tone.audio**2), rel=0.01)
    spectrum = np.abs(np.fft.rfft(hum))
    assert sorted(np.argsort(spectrum)[-3:] * 1000 / 20_000) == [50, 100, 150]
    clicked = sound.with_clicks(heard([0.0] * 1000), 4, np.random.default_rng(0)).audio[0]
    places = np.flatnonzero(clicked)
    assert len(places) == 4
    assert set(np.diff(places)) == {250}


def test_blur_and_grain():
    point = np.zeros((1, 9, 9, 3), np.uint8)
    point[0, 4, 4] = 255
    blurred = picture.blurred(Clip(video=point, fps=Fraction(24), audio=None, rate_hz=None), 1.0).video
    assert blurred[0, 4, 4, 0] == round(255 * 0.3991**2)  # the middle of a sampled Gaussian: 0.39905 in each direction
    assert shades(picture.blurred(seen([7, 200]), 2.0)) == [7, 200]
    grain = picture.grainy(seen([128] * 4, side=64), 5, np.random.default_rng(0)).video.astype(float)
    assert grain.std() == pytest.approx(5, rel=0.03)


def test_block_coding_of_a_flat_block_rounds_its_mean():
    """The first coefficient of a flat block of shade v is 8 v, so that shades become multiples of step / 8."""
    assert shades(picture.block_coded(seen([0, 99, 101]), 64)) == [0, 96, 104]
    odd = seen([101], side=9)
    assert picture.block_coded(odd, 64).video[0, 8, 8, 0] == 101
    with pytest.raises(NotApplicable, match="no block"):
        picture.block_coded(seen([1], side=4), 16)


def test_freeze_black_speed_flicker_cuts():
    steps = seen([10, 20, 30, 40])
    assert shades(picture.frozen(steps, 0.5)) == [10, 20, 20, 20]
    assert shades(picture.frozen(steps, 1.0)) == [10] * 4
    assert shades(picture.blackened(steps, 0.25)) == [10, 20, 30, 0]
    assert shades(picture.at_speed(steps, 2)) == [10, 30, 30, 10]  # frames 0 2 4 6, of which 4 and 6 run back: 2 and 0
    assert shades(picture.at_speed(steps, 0.5)) == [10, 10, 20, 20]
    assert shades(picture.flickering(seen([100, 100, 250]), 0.1)) == [126, 74, 255]
    assert shades(picture.with_cuts(steps, seen([1, 2, 3, 4]), 1)) == [10, 20, 3, 4]
    assert shades(picture.with_cuts(steps, seen([1, 2, 3, 4]), 3)) == [10, 2, 30, 4]
    with pytest.raises(NotApplicable, match="same size"):
        picture.with_cuts(steps, seen([1, 2, 3, 4], side=4), 1)


def test_a_shuffle_keeps_every_frame_in_its_window():
    shuffled = shades(picture.shuffled(seen(list(range(12))), 4, np.random.default_rng(3)))
    assert shuffled != list(range(12))
    assert [sorted(shuffled[start : start + 4]) for start in (0, 4, 8)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_swaps_take_from_the_partner():
    material = both()
    assert swapped_sound(material).clip.audio is material.partner_clip.audio
    assert swapped_sound(material).clip.video is material.clip.video
    assert swapped_prompt(material).prompt.text == "a drum"
    with pytest.raises(NotApplicable, match="the same prompt"):
        swapped_prompt(both(text="a drum"))


def test_reencoding_keeps_length_and_nearly_the_content():
    clip = both().clip
    again = re_encoded(clip)
    assert again.video.shape == clip.video.shape
    assert abs(again.audio.shape[1] - clip.audio.shape[1]) <= 2048
    with pytest.raises(NotApplicable, match="even sizes"):
        re_encoded(seen([1, 2], side=9))


@pytest.mark.parametrize("degradation", DEGRADATIONS.values(), ids=list(DEGRADATIONS))
def test_what_a_degradation_claims(degradation):
    """Seeded, the input is left alone, only the streams it names change, and every level changes something."""
    material = both()
    before = material.clip.video.copy(), material.clip.audio.copy()
    seen_results = []
    for level in degradation.levels:
        first, second = (degradation.apply(material, level, generator_of(0, "a", degradation.id)) for _ in range(2))
        assert (first.clip.video == second.clip.video).all()
        assert (first.clip.audio == second.clip.audio).all()
        seen_results.append(first)
    assert (material.clip.video == before[0]).all()
    assert (material.clip.audio == before[1]).all()
    for result in seen_results:
        changed = set()
        changed |= {"video"} if result.clip.video is not material.clip.video else set()
        changed |= {"audio"} if result.clip.audio is not material.clip.audio else set()
        changed |= {"prompt"} if result.prompt is not material.prompt else set()
        changed |= {"timing"} if result.clip.audio_start_s != material.clip.audio_start_s else set()
        assert changed
        assert changed <= degradation.changes
        differs = "prompt" in changed or "timing" in changed
        differs |= result.clip.video.shape != before[0].shape or (result.clip.video != before[0]).any()
        differs |= result.clip.audio.shape != before[1].shape or (result.clip.audio != before[1]).any()
        assert differs


def test_there_are_at_least_twelve_with_severities_that_grow():
    assert len(DEGRADATIONS) >= 12
    for degradation in DEGRADATIONS.values():
        positions = [degradation.position(level) for level in degradation.levels]
        assert positions == sorted(positions)
        assert 0 not in positions


def test_the_scale_of_two_sides():
    shift = DEGRADATIONS["audio.shift"]
    assert shift.extremes == (-800, 800)
    assert shift.mildest == 40
    assert shift.severity(-80) == 80
    assert DEGRADATIONS["audio.lowpass"].position(4000) == 2
    assert DEGRADATIONS["audio.lowpass"].mildest == 8000


def test_pink_noise_falls_by_3_db_per_octave_and_has_the_level_that_is_named():
    generator = np.random.default_rng(0)
    clip = heard((0.2 * np.sin(np.arange(96000) / 3)).tolist(), rate_hz=48000)
    noise = sound.pink(clip, -10, generator).audio - clip.audio
    assert 10 * np.log10(np.mean(noise**2) / np.mean(clip.audio**2)) == pytest.approx(-10, abs=0.05)
    power, hertz = np.abs(np.fft.rfft(noise[0])) ** 2, np.fft.rfftfreq(96000, 1 / 48000)
    bands = [power[(hertz >= low) & (hertz < 2 * low)].mean() for low in (250, 1000, 4000)]
    assert np.diff(10 * np.log10(bands)) == pytest.approx([-6.02, -6.02], abs=0.6)


def test_a_room_keeps_onset_and_loudness_and_dies_away():
    clip = heard([0.0] * 100 + [0.5] + [0.0] * 2899, rate_hz=1000)
    room = sound.reverberant(clip, 1.0, np.random.default_rng(0)).audio[0].astype(np.float64)
    assert (room[:100] == 0).all() or np.abs(room[:100]).max() < 1e-7
    assert int(np.abs(room).argmax()) == 100
    assert np.mean(room**2) == pytest.approx(np.mean(clip.audio**2), rel=1e-4)
    early, late = (np.mean(room[start : start + 200] ** 2) for start in (101, 601))
    assert 10 * np.log10(late / early) == pytest.approx(-30, abs=2)
    assert room[1101:] == pytest.approx(np.zeros(1899), abs=1e-6)


def test_jitter_shows_neighbours_and_never_drifts():
    clip = seen(list(range(0, 200, 2)))
    moved = np.array(shades(picture.jittered(clip, 3, np.random.default_rng(0)))) // 2 - np.arange(100)
    assert set(moved[3:-3].tolist()) == set(range(-3, 4))
    assert abs(moved.mean()) < 0.7
