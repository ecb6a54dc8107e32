"""Pictures with known faults give the known numbers; clips without an answer give a reason."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.metrics import video_checks as checks
from ltx2_eval.metrics.base import Outcome, Subject
from ltx2_eval.metrics.memo import per_array
from ltx2_reports.records import ClipRecord

RECORD = ClipRecord(sample="a-s0", prompt_id="a", seed=0, file="a.mkv", sha256="0" * 64)
PICTURE = [
    checks.black_ratio,
    checks.frozen_ratio,
    checks.duplicate_ratio,
    checks.flicker,
    checks.sharpness,
    checks.noise,
    checks.blockiness,
    checks.num_cuts,
    checks.motion,
]
BOTH = [checks.duration_mismatch_s, checks.start_offset_ms]


def seen(video: NDArray[np.integer], fps: int = 24, **fields: object) -> Subject:
    given = {"audio": None, "rate_hz": None} | fields
    clip = Clip(video=np.asarray(video).astype(np.uint8), fps=Fraction(fps), **given)  # type: ignore[arg-type]
    return Subject(clip=clip, record=RECORD, prompt=None)


def grey(levels: list[int], height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    return np.broadcast_to(np.array(levels, np.uint8)[:, None, None, None], (len(levels), height, width, 3)).copy()


def texture(frames: int, seed: int = 0, low: int = 0, high: int = 256) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(low, high, (frames, 48, 64, 3), dtype=np.uint8)


def value(outcome: Outcome) -> float:
    assert outcome.reason is None
    assert outcome.value is not None
    return outcome.value


def test_black_frames_may_have_two_percent_of_light() -> None:
    video = grey([0, 10, 25, 27, 200])
    assert value(checks.black_ratio(seen(video))) == pytest.approx(3 / 5)
    video[0].reshape(-1, 3)[:60] = 255  # 2 % of 3072 are 61.4 pixels
    assert value(checks.black_ratio(seen(video.copy()))) == pytest.approx(3 / 5)
    video[0].reshape(-1, 3)[:63] = 255
    assert value(checks.black_ratio(seen(video.copy()))) == pytest.approx(2 / 5)


def test_frozen_and_duplicate_frames() -> None:
    moving = texture(4)
    video = np.concatenate([moving[:2], moving[1:2], moving[1:2], moving[2:], moving[3:4]])
    video[3, 0, 0, 1] ^= 1  # no longer the same bits, still the same picture
    frozen = checks.frozen_ratio(seen(video))
    assert value(frozen) == pytest.approx(3 / 6)
    assert frozen.details == {"longest_freeze_s": pytest.approx(2 / 24)}
    assert value(checks.duplicate_ratio(seen(video))) == pytest.approx(2 / 6)


def test_flicker_is_the_step_that_does_not_last() -> None:
    assert value(checks.flicker(seen(grey([100] * 20)))) == 0.0
    assert value(checks.flicker(seen(grey(list(range(50, 250, 10)))))) == pytest.approx(0.0, abs=1e-6)
    assert value(checks.flicker(seen(grey([100, 110] * 20)))) == pytest.approx(10 / 255)
    assert value(checks.flicker(seen(grey([100] * 10 + [110] * 10)))) == pytest.approx(10 / 255 / 18)


def test_sharpness_falls_with_blur_and_is_exact_for_a_point() -> None:
    point = np.zeros((1, 5, 5, 3), np.uint8)
    point[0, 2, 2] = 100  # Laplacian of the 3x3 interior: -400 in the middle, 100 at four neighbours, 0 at corners
    laplacian = np.array([0, 100, 0, 100, -400, 100, 0, 100, 0])
    assert value(checks.sharpness(seen(point))) == pytest.approx(laplacian.var(), rel=1e-4)
    sharp = texture(2)
    blurred = (sharp.astype(float) + np.roll(sharp, 1, 1) + np.roll(sharp, 1, 2) + np.roll(sharp, (1, 1), (1, 2))) / 4
    assert value(checks.sharpness(seen(blurred))) < 0.5 * value(checks.sharpness(seen(sharp)))
    decaying = np.concatenate([texture(4), texture(4, low=112, high=144)])
    ratio = checks.sharpness(seen(decaying)).details["last_quarter_over_first"]
    assert ratio == pytest.approx((31 / 255) ** 2, rel=0.05)


def test_noise_is_estimated_in_luma_steps() -> None:
    generator = np.random.default_rng(0)
    flat = np.full((2, 200, 200, 1), 120) + generator.normal(0, 6, (2, 200, 200, 1))
    assert value(checks.noise(seen(np.repeat(np.rint(flat), 3, axis=3)))) == pytest.approx(6.0, rel=0.03)
    assert value(checks.noise(seen(grey([50, 60])))) == pytest.approx(0.0, abs=1e-3)


def test_blockiness_sees_the_grid() -> None:
    blocks = np.random.default_rng(0).integers(0, 200, (3, 6, 8, 1)).repeat(8, 1).repeat(8, 2).repeat(3, 3)
    assert value(checks.blockiness(seen(blocks + texture(3, high=20)))) > 4
    assert value(checks.blockiness(seen(texture(3)))) == pytest.approx(1.0, abs=0.03)
    assert checks.blockiness(seen(blocks)).reason is not None


def test_cuts_are_counted_and_flashes_are_not() -> None:
    first, second = texture(10, 1, 0, 100), texture(10, 2, 150, 250)
    one = checks.num_cuts(seen(np.concatenate([first, second])))
    assert value(one) == 1.0
    assert one.details == {"first_cut_frame": 10}
    assert value(checks.num_cuts(seen(np.concatenate([first, second, first])))) == 2.0
    alternating = np.concatenate([np.stack([first[0], second[0]])] * 12)
    assert value(checks.num_cuts(seen(alternating))) == 0.0
    assert value(checks.num_cuts(seen(np.concatenate([first, second[:2], first])))) == 0.0
    flash = np.concatenate([first, grey([255]), first])
    assert value(checks.num_cuts(seen(flash))) == 0.0
    assert value(checks.num_cuts(seen(first))) == 0.0


def test_motion_is_a_change_per_second() -> None:
    assert value(checks.motion(seen(grey([0, 51] * 12), fps=24))) == pytest.approx(0.2 * 24)
    assert value(checks.motion(seen(grey([7, 7, 7])))) == 0.0


def test_durations_and_starts_are_signed() -> None:
    audio = np.zeros((1, 36000), np.float32)
    subject = seen(grey([0] * 24), audio=audio, rate_hz=24000, video_start_s=0.1, audio_start_s=0.35)
    assert value(checks.duration_mismatch_s(subject)) == pytest.approx(-0.5)
    assert value(checks.start_offset_ms(subject)) == pytest.approx(250.0)


@pytest.mark.parametrize("metric", [*PICTURE, *BOTH])
@pytest.mark.parametrize(
    "video",
    [
        grey([]),
        grey([128]),
        grey([128] * 6),
        grey([0] * 6),
        grey([255, 0] * 3),
        grey([9] * 6, 1, 1),
        grey([1, 2, 3], 2, 5),
        grey([1, 2, 3], 0, 0),
    ],
)
def test_there_is_a_finite_value_or_a_reason(metric: object, video: NDArray[np.uint8]) -> None:
    assert callable(metric)
    outcome = metric(seen(video, audio=np.zeros((1, 0), np.float32), rate_hz=8000))
    assert (outcome.value is None) != (outcome.reason is None)
    assert outcome.value is None or np.isfinite(outcome.value)
    assert all(not isinstance(item, float) or np.isfinite(item) for item in outcome.details.values())


@pytest.mark.parametrize("metric", [*PICTURE, *BOTH])
def test_a_missing_stream_is_not_applicable(metric: object) -> None:
    clip = Clip(video=None, fps=None, audio=np.zeros((1, 100), np.float32), rate_hz=8000)
    assert callable(metric)
    with pytest.raises(NotApplicable, match="no video"):
        metric(Subject(clip=clip, record=RECORD, prompt=None))
    if metric in BOTH:
        with pytest.raises(NotApplicable, match="no audio"):
            metric(seen(grey([1, 2])))


def test_shared_work_is_done_once_and_forgotten() -> None:
    calls: list[int] = []

    @per_array
    def total(array: NDArray[np.uint8], factor: int) -> int:
        calls.append(factor)
        return int(array.sum()) * factor

    array = np.ones(3, np.uint8)
    assert [total(array, 2), total(array, 2), total(array, 3)] == [6, 6, 9]
    assert calls == [2, 3]
    results = total.__closure__
    assert results is not None
    stores = [cell.cell_contents for cell in results if isinstance(cell.cell_contents, dict)]
    assert [len(store) for store in stores] == [1]
    del array
    assert [len(store) for store in stores] == [0]
    with pytest.raises(ValueError, match="expected a NumPy array"):
        total([1, 2], 2)  # type: ignore[arg-type]
