"""The checkers decide from pixels and samples: right on the world's clips, also degraded; at chance on swapped ones."""

from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ltx2_benchmarks.synthetic import FAMILIES, check, describe, measure, promised, render, sample_scene
from ltx2_benchmarks.synthetic.checkers import Measured

SPLITS = ("train", "validation", "test")
ALL = {
    "colour", "shape", "count", "count_seen", "order", "side", "position", "sound", "ambient", "silence", "timing",
    "sync", "background", "direction",
}  # fmt: skip


def degraded(clip, seed: int, sigma: float = 1.0, noise: float = 5.0) -> SimpleNamespace:
    random = np.random.default_rng(seed)
    video = gaussian_filter(clip.video.astype(np.float32), (0, sigma, sigma, 0)) + random.normal(
        0, noise, clip.video.shape
    )
    audio = clip.audio + random.normal(0, 0.003, clip.audio.shape)
    return SimpleNamespace(
        video=np.clip(video + 0.5, 0, 255).astype(np.uint8),
        fps=clip.fps,
        audio=audio.astype(np.float32),
        rate_hz=clip.rate_hz,
    )


def rates(pairs) -> dict[str, tuple[float, int]]:
    """Share of kept promises and their number, by check."""
    kept = defaultdict(list)
    for measured, claims in pairs:
        for name, verdict in check(measured, claims).items():
            assert verdict.ok is not None
            assert verdict.reason
            kept[name].append(verdict.ok)
    return {name: (float(np.mean(values)), len(values)) for name, values in kept.items()}


@pytest.fixture(scope="module")
def clips():
    mixed = [render(sample_scene(seed, split=SPLITS[seed % 3])) for seed in range(108)]
    more = [render(sample_scene(seed, family="drift")) for seed in range(4)]
    return mixed + more + [render(sample_scene(seed, family="impacts", frames=121)) for seed in range(8)]


@pytest.fixture(scope="module")
def measured(clips):
    return [(measure(clip), describe(clip.scene)) for clip in clips]


def test_rendered_clips_keep_their_promises(measured) -> None:
    found = rates(measured)
    assert set(found) == ALL
    for name, (rate, count) in found.items():
        assert rate >= 0.98, (name, rate, count)


def test_blurred_and_noisy_clips_still_do(clips) -> None:
    found = rates((measure(degraded(clip, k)), describe(clip.scene)) for k, clip in enumerate(clips[:114:2]))
    for name, (rate, count) in found.items():
        assert rate >= 0.95, (name, rate, count)


def test_swapped_clips_are_near_chance(measured) -> None:
    others = [claims for _, claims in measured]
    pairs = [
        (found, other)
        for shift in (7, 31, 53)
        for (found, _), other in zip(measured, others[shift:] + others[:shift], strict=True)
    ]
    found = rates(pairs)
    # Chance: about 1 in 8 colours, 6 shapes and 8 sounds; counts are mostly 1 to 4; sides 3; backgrounds 6.
    limits = {
        "colour": 0.18, "shape": 0.25, "sound": 0.22, "count": 0.4, "count_seen": 0.4, "order": 0.2, "side": 0.48,
        "position": 0.48, "background": 0.3, "timing": 0.08,
    }  # fmt: skip
    for name, limit in limits.items():
        assert found[name][0] <= limit, (name, found[name])


def test_time_shifted_sound_breaks_timing_and_sync_alone() -> None:
    clip = render(sample_scene(2, family="blink"))
    late = SimpleNamespace(
        video=clip.video,
        fps=clip.fps,
        audio=np.roll(clip.audio, round(0.15 * clip.rate_hz), axis=1),
        rate_hz=clip.rate_hz,
    )
    verdicts = check(late, describe(clip.scene))
    assert {name for name, verdict in verdicts.items() if not verdict.ok} == {"timing", "sync"}
    apart_ms = int(verdicts["sync"].reason.split()[1])
    assert 150 - 1000 / 24 <= apart_ms <= 150 + 1000 / 24


def test_mirrored_sound_and_picture_break_their_sides_alone() -> None:
    clip = next(c for c in (render(sample_scene(s, family="blink")) for s in range(20)) if abs(c.events[0].x) > 0.4)
    claims = describe(clip.scene)
    flipped = SimpleNamespace(video=clip.video, fps=clip.fps, audio=clip.audio[::-1], rate_hz=clip.rate_hz)
    assert {k for k, v in check(flipped, claims).items() if not v.ok} == {"side"}
    mirrored = SimpleNamespace(video=clip.video[:, :, ::-1], fps=clip.fps, audio=clip.audio, rate_hz=clip.rate_hz)
    assert {k for k, v in check(mirrored, claims).items() if not v.ok} == {"position"}


def test_other_rates_and_sizes_are_measured_the_same() -> None:
    for arguments in ({"width": 64, "height": 64}, {"width": 160, "height": 96}, {"rate_hz": 48_000}, {"fps": 25}):
        for seed in range(4):
            scene = sample_scene(seed, **arguments)
            verdicts = check(render(scene), describe(scene))
            assert all(verdict.ok for verdict in verdicts.values()), (arguments, seed, verdicts)


def test_missing_streams_cannot_be_decided() -> None:
    clip = render(sample_scene(0, family="bounce"))
    claims = promised(clip.scene)
    deaf = check(SimpleNamespace(video=clip.video, fps=clip.fps, audio=None, rate_hz=None), claims)
    blind = check(SimpleNamespace(video=None, fps=None, audio=clip.audio, rate_hz=clip.rate_hz), claims)
    assert {name for name, verdict in deaf.items() if verdict.ok is None} == {
        "count", "side", "sound", "ambient", "silence", "timing", "sync"
    }  # fmt: skip
    assert {name for name, verdict in blind.items() if verdict.ok is None} == {
        "colour", "shape", "count_seen", "position", "sync", "background"
    }  # fmt: skip
    assert deaf["sound"].reason == "the clip has no audio"


@pytest.mark.parametrize("family", FAMILIES)
def test_empty_pictures_and_silence_fail_without_an_error(family: str) -> None:
    claims = describe(sample_scene(0, family=family, frames=121 if family == "impacts" else 49))
    nothing = SimpleNamespace(
        video=np.zeros((49, 96, 96, 3), np.uint8), fps=24, audio=np.zeros((2, 49_000), np.float32), rate_hz=24_000
    )
    verdicts = check(nothing, claims)
    for name in {"colour", "shape", "count", "count_seen", "order", "side", "sound", "timing", "sync"} & set(verdicts):
        assert verdicts[name].ok is False, (name, verdicts[name])


def test_noise_fails_without_an_error() -> None:
    random = np.random.default_rng(0)
    noise = SimpleNamespace(
        video=random.integers(0, 256, (33, 80, 120, 3), dtype=np.uint8),
        fps=24,
        audio=random.normal(0, 0.2, (1, 30_000)).astype(np.float32),
        rate_hz=24_000,
    )
    found = measure(noise)
    assert isinstance(found, Measured)
    verdicts = check(found, describe(sample_scene(0, family="order")))
    assert not verdicts["colour"].ok
    assert not verdicts["sound"].ok


def test_only_what_is_claimed_is_checked() -> None:
    clip = render(sample_scene(0, family="bounce"))
    assert check(clip, {}) == {}
    assert set(check(clip, {"background": "navy"})) == {"background"}
