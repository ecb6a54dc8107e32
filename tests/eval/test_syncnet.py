"""SyncNet: the published values on the published fill, its windows, and the lip-sync errors made of them.

Independent source: syncnet-python 0.2.3 on the same fill (`benchmarks/parity/video_networks.py`).
"""

from fractions import Fraction

import numpy as np
import pytest
import torch

from ltx2_benchmarks.suite import Prompt
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.syncnet import SyncNet, SyncNetExtractor, shift_curve
from ltx2_eval.metrics.base import Subject
from ltx2_eval.metrics.catalogue import BUILT_IN, profiles
from ltx2_eval.metrics.sync_networks import (
    lse_confidence,
    lse_confidence_of_crops,
    lse_distance,
    lse_distance_of_crops,
)


def test_forward_equals_the_reference_on_filled_weights(published_fill, published_input):
    network = SyncNet().eval()
    assert len(network.state_dict()) == 102
    network.load_state_dict(published_fill(network.state_dict()))
    with torch.inference_mode():
        lips = network.lips(published_input(1, 3, 5, 224, 224, scale=255, offset=127.5))[0]
        sound = network.sound(published_input(1, 1, 13, 20, scale=20))[0]
    expected = torch.tensor([-50.06768, -20.40452, -3.08423, 2.55144, -11.12054])
    torch.testing.assert_close(lips[:5], expected, rtol=0, atol=2e-4)
    assert (float(lips.mean()), float(lips.norm())) == pytest.approx((-1.008786, 1051.51355), rel=1e-5)
    expected = torch.tensor([0.03371, -1.29384, -1.25835, -2.42960, -1.42108])
    torch.testing.assert_close(sound[:5], expected, rtol=0, atol=2e-5)
    assert (float(sound.mean()), float(sound.norm())) == pytest.approx((-0.016721, 28.48501), rel=2e-5)


class _Network(torch.nn.Module):
    """Tells what it was shown: the first frame's blue of each window, and the last cepstrum's column sum."""

    def lips(self, frames):
        assert frames.shape[1:] == (3, 5, 224, 224)
        return frames[:, 0, 0, 0, :1].repeat(1, 1024)

    def sound(self, cepstra):
        assert cepstra.shape[1:] == (1, 13, 20)
        return cepstra[:, 0, :1, 0].repeat(1, 1024)


def _clip(frames, **more):
    video = np.zeros((frames, 32, 48, 3), np.uint8)
    video[..., 2] = np.arange(frames)[:, None, None]
    video[..., 0] = 200
    t = np.arange(frames * 640) / 16_000
    sound = (np.sin(2 * np.pi * 200 * t) * t / t[-1]).astype(np.float32)[None]
    return Clip(video=video, fps=Fraction(25), audio=sound, rate_hz=16_000, **more)


def test_windows_move_by_a_frame_and_blue_comes_first():
    features = SyncNetExtractor(spec=None, network=_Network(), device="cpu").features(_clip(50))
    lips, sound = np.split(features[:, 0], 2)
    assert (features.shape, features.dtype) == ((2 * len(lips), 1024), np.float32)
    assert len(lips) == 45  # as upstream counts: whole frames of both streams, less five
    assert lips.tolist() == list(range(45))
    assert (np.diff(sound) > 0).all()  # the energy of a tone that swells


@pytest.mark.parametrize("frames", [10, 24])
def test_short_clips_are_not_applicable(frames):
    with pytest.raises(NotApplicable, match=r"needed|SyncNet needs"):
        SyncNetExtractor(spec=None, network=_Network(), device="cpu").features(_clip(frames))


def _embeddings(late_frames, noise=0.0, count=60):
    """Lips of their own direction each; the sound follows `late_frames` later."""
    random = np.random.default_rng(0)
    lips = random.normal(size=(count + 30, 1024))
    sound = np.roll(lips, late_frames, axis=0) + noise * random.normal(size=lips.shape)
    return np.concatenate([lips[15 : 15 + count], sound[15 : 15 + count]]).astype(np.float32)


def _followed(features):
    """As of a face that was followed: a row at the end tells of it."""
    row = np.zeros((1, features.shape[1]), np.float32)
    row[0, :4] = 2, 126, 120, 130
    return np.concatenate([features, row])


def _subject(prompt=None, *, silent=False, still=False):
    """A talking head of noise."""
    random = np.random.default_rng(2)
    video = np.repeat(random.integers(0, 255, (1 if still else 4, 16, 16, 3), np.uint8), 4 if still else 1, axis=0)
    audio = random.normal(0, 0 if silent else 0.1, (1, 8000)).astype(np.float32)
    clip = Clip(video=video, fps=Fraction(25), audio=audio, rate_hz=16_000)
    return Subject(clip=clip, record=None, prompt=prompt)


@pytest.mark.parametrize(
    ("metric", "of_crops"), [(lse_distance, lse_distance_of_crops), (lse_confidence, lse_confidence_of_crops)]
)
def test_there_is_no_lip_sync_where_nothing_is_heard_or_moves_or_nobody_should_speak(metric, of_crops):
    crops = _embeddings(0)
    features = _followed(crops)
    for subject, why in ((_subject(silent=True), "silent"), (_subject(still=True), "stands still")):
        assert metric(subject, features, None).reason.kind == "abstained"
        assert why in metric(subject, features, None).reason.message
    with pytest.raises(NotApplicable, match="wants nothing said"):
        metric(_subject(Prompt(id="a", text="Waves roll in.")), features, None)
    spoken = metric(_subject(Prompt(id="a", text='A man says "hello there".')), features, None)
    assert spoken.value is not None
    assert spoken.warnings == ()
    told = {"num_tracks": 2, "track_frames": 126, "seen_frames": 120, "face_pixels": 130}
    assert told.items() <= spoken.details.items()
    given = of_crops(_subject(Prompt(id="a", text='A man says "hello there".')), crops, None)
    assert (given.value, "no face was looked for" in given.warnings[0]) == (spoken.value, True)
    assert of_crops(_subject(silent=True), crops, None) == metric(_subject(silent=True), features, None)


def test_a_profile_never_gives_a_lip_sync_error_of_whole_frames():
    assert not [name for name, metrics in profiles().items() if {"lse_c_crops", "lse_d_crops"} & set(metrics)]
    assert {BUILT_IN[name].extractor for name in ("lse_c", "lse_d")} == {"syncnet-faces"}
    assert [name for name, metrics in profiles().items() if "lse_c" in metrics] == ["paper"]


@pytest.mark.parametrize("late", [-7, 0, 3])
def test_late_sound_is_found_late(late):
    features = _embeddings(late)
    subject = _subject()
    followed = _followed(features)
    distance, confidence = lse_distance(subject, followed, None), lse_confidence(subject, followed, None)
    assert distance.details["offset_ms"] == 40 * late
    assert distance.value == pytest.approx(float(shift_curve(features).min()))
    assert distance.value + confidence.value == pytest.approx(distance.details["median_distance"])
    assert confidence.value > 20


def test_distances_by_hand():
    """Two windows of one number: distances at shift s pair lip i with sound i + s - 15, zero beyond the ends."""
    features = np.zeros((4, 1024), np.float32)
    features[:, 0] = [3.0, 5.0, 4.0, 6.0]
    curve = shift_curve(features)
    assert len(curve) == 31
    assert curve[15] == pytest.approx((1 + 1) / 2, abs=1e-4)
    assert curve[14] == pytest.approx((3 + 1) / 2, abs=1e-4)
    assert curve[16] == pytest.approx((3 + 5) / 2, abs=1e-4)
    assert curve[0] == pytest.approx((3 + 5) / 2, abs=1e-4)


def test_unrelated_sound_has_no_confidence():
    random = np.random.default_rng(1).normal(size=(240, 1024)).astype(np.float32)
    assert lse_confidence_of_crops(_subject(), random, None).value < 1.0
